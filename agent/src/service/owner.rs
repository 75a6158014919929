// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The engine's owner: orders, polls and trials, one after the other.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::engine::{Actor, Engine, FailureKind, Source, TrialEnd};
use crate::service::mounts;
use crate::service::queue::{Urgency, Waiting};
use crate::service::schedule::Polls;
use crate::service::{Activity, Doing, Order, Signals, version_of};
use crate::work::{Event, Work, perform};

/// How long work in progress may go on after a signal, with the API still answering. What it leaves is
/// repaired at the next start.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Between two looks at the loggers of a release on trial: one that dies at once is not there for long.
const TRIAL_LOOK: Duration = Duration::from_millis(25);

/// After a look that failed.
const TRIAL_PAUSE: Duration = Duration::from_secs(1);

/// The owner of the engine.
pub(super) struct Owner {
    engine: Engine,
    config: Config,
    source: Option<Source>,
    activity: watch::Sender<Activity>,
    polls: Polls,
    /// The failure of the last poll, so that the same one is not logged again and again.
    last_failure: Option<String>,
    /// The same for the trial.
    trial_failure: Option<String>,
}

impl Owner {
    pub(super) fn new(engine: Engine, config: &Config, activity: watch::Sender<Activity>) -> Self {
        let polls = Polls::new(config.poll_interval, engine.view().wants_release());
        let (source, last_failure, trial_failure) = (config.sources(), None, None);
        let config = config.clone();
        Self { engine, config, source, activity, polls, last_failure, trial_failure }
    }

    /// Works until a signal; returns its name.
    pub(super) async fn run(
        &mut self,
        mut queue: mpsc::Receiver<Order>,
        signals: &mut Signals,
    ) -> &'static str {
        let mut waiting = Waiting::default();
        self.publish_schedule();
        let mut looks = tokio::time::interval(mounts::LOOK_INTERVAL);
        loop {
            let order = match waiting.next() {
                Some(order) => Some(order),
                None => tokio::select! {
                    biased;
                    signal = signals.stop() => return signal,
                    Some(order) = queue.recv() => Some(order),
                    _ = looks.tick() => {
                        self.look_at_mounts();
                        continue;
                    }
                    // A release on trial is watched to its end before another may come by itself.
                    () = tokio::time::sleep(TRIAL_LOOK), if self.engine.on_trial() => {
                        self.watch_trial().await;
                        continue;
                    }
                    () = self.polls.due(), if self.source.is_some() && self.engine.may_be_moved() => None,
                },
            };
            if let Some(signal) = self.work(order, &mut queue, &mut waiting, signals).await {
                return signal;
            }
            self.publish_schedule();
            self.look_at_mounts();
        }
    }

    fn look_at_mounts(&self) {
        let seen = mounts::look(&self.config);
        self.activity.send_if_modified(|activity| {
            let changed = activity.mounts != seen;
            activity.mounts = seen;
            changed
        });
    }

    /// Does one piece of work, the clock's without an order. Orders that come meanwhile wait, and the
    /// more urgent ones end it. Gives the name of the signal that came, if one did.
    async fn work(
        &mut self,
        order: Option<Order>,
        queue: &mut mpsc::Receiver<Order>,
        waiting: &mut Waiting,
        signals: &mut Signals,
    ) -> Option<&'static str> {
        let (interrupt, activity) = (self.engine.interrupt(), self.activity.subscribe());
        interrupt.clear();
        let urgency = Urgency::of(order.as_ref());
        let work = async {
            match order {
                Some(order) => self.obey(order).await,
                None => self.poll().await,
            }
        };
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                () = work.as_mut() => return None,
                Some(order) = queue.recv(), if waiting.has_room() => {
                    let ends = Urgency::of(Some(&order)) > urgency;
                    if ends {
                        interrupt.ask(&format!("{} asks for: {}", order.actor, order.work));
                    }
                    let doing = activity.borrow().doing.clone();
                    waiting.push(order, doing.as_ref(), ends);
                }
                signal = signals.stop() => {
                    tracing::info!(signal, "stopping: the step in progress is finished first");
                    interrupt.ask(&format!("the agent ends after {signal}"));
                    if tokio::time::timeout(STOP_GRACE, work).await.is_err() {
                        tracing::warn!("work was interrupted; the next start completes or undoes it");
                    }
                    return Some(signal);
                }
            }
        }
    }

    /// What an operator asked for.
    async fn obey(&mut self, order: Order) {
        let Order { work, actor, events } = order;
        // Room for the last event is taken before anything can fill the channel.
        let last_slot = events.clone().try_reserve_owned().ok();
        let ended = self.perform(&work, actor, Some(&events)).await;
        if let Some(slot) = last_slot {
            slot.send(ended);
        }
    }

    /// One look at the loggers of the release on trial.
    async fn watch_trial(&mut self) {
        match self.engine.watch_trial(Timestamp::now()).await {
            // Between two tries at a disk in trouble, too.
            Ok(TrialEnd::Running) => {}
            Ok(TrialEnd::None) => self.trial_failure = None,
            Ok(TrialEnd::Passed { version, tally }) => {
                let (release, started) = (version.to_string(), tally.started);
                let proven = started > 0;
                tracing::info!(release, started, proven, "release passed its trial");
            }
            Ok(TrialEnd::Reverted { from, to, why }) => {
                let (from, to) = (from.to_string(), to.to_string());
                tracing::error!(from, to, why, "release failed its trial; went back");
            }
            Ok(TrialEnd::Failed { version, why }) => {
                let release = version.to_string();
                tracing::error!(release, why, "release failed its trial and stays");
            }
            Err(error) => {
                let text = crate::report::chain(&error).to_string();
                if self.trial_failure.as_ref() != Some(&text) {
                    tracing::error!(error = text, "the trial cannot go on; trying again");
                }
                self.trial_failure = Some(text);
                // Nothing here is worth a busy loop.
                tokio::time::sleep(TRIAL_PAUSE).await;
            }
        }
    }

    /// What the clock asked for.
    async fn poll(&mut self) {
        let Some(mut source) = self.source.clone() else { return };
        if let Source::Mirrors(sources) = &mut source {
            let first = self.polls.first_of(sources.len());
            if let Some(sources) = sources.get_mut(..=first) {
                sources.rotate_right(1);
            }
        }
        let work = Work::Update(source);
        let ended = self.perform(&work, Actor::Poll, None).await;
        let temporary = matches!(ended, Event::Failed { kind: FailureKind::Temporary, .. });
        self.polls.done(temporary);
    }

    async fn perform(
        &mut self,
        work: &Work,
        actor: Actor,
        events: Option<&mpsc::Sender<Event>>,
    ) -> Event {
        let name = work.name();
        let asked_by = if actor == Actor::Poll { "poll" } else { "operator" };
        let by = actor.to_string();
        self.engine.act_for(actor);
        let now = Timestamp::now();
        let before = version_of(&self.engine.view());
        tracing::debug!(work = name, asked_by, "work begins");
        let activity = &self.activity;
        activity.send_modify(|a| {
            a.doing = Some(Doing { work: name, by, since: now, progress: None });
        });
        let mut emit = |event: Event| {
            if let Event::Progress { text, .. } = &event {
                tracing::debug!(work = name, progress = text, "progress");
                activity.send_modify(|a| {
                    if let Some(doing) = &mut a.doing {
                        doing.progress = Some(text.clone());
                    }
                });
            }
            if let Some(events) = events {
                // Full or closed: nobody reads, and that must not hold the work up.
                drop(events.try_send(event));
            }
        };
        let ended = perform(&mut self.engine, work, now, &mut emit).await;
        self.activity.send_modify(|a| a.doing = None);
        self.log(name, asked_by, &before, &ended);
        ended
    }

    /// One line for each change of state; a failure that repeats itself is told once.
    fn log(&mut self, work: &'static str, asked_by: &'static str, before: &str, ended: &Event) {
        let after = version_of(&self.engine.view());
        match ended {
            Event::Failed { text, kind } => {
                let kind = kind_name(*kind);
                if asked_by == "poll" && self.last_failure.as_ref() == Some(text) {
                    tracing::debug!(work, asked_by, kind, error = text, "work failed again");
                } else {
                    tracing::warn!(work, asked_by, kind, error = text, "work failed");
                }
                if asked_by == "poll" {
                    self.last_failure = Some(text.clone());
                }
            }
            Event::Done { lines, .. } | Event::Planned { lines, .. } => {
                let why = lines.join("; ");
                let recovered = asked_by == "poll" && self.last_failure.take().is_some();
                if after != before {
                    tracing::info!(
                        work,
                        asked_by,
                        from = before,
                        to = after,
                        why,
                        "release changed"
                    );
                } else if asked_by != "poll" || recovered {
                    tracing::info!(work, asked_by, why, "work done");
                } else {
                    tracing::debug!(work, asked_by, why, "work done");
                }
            }
            Event::Progress { .. } => {}
        }
    }

    fn publish_schedule(&self) {
        let next = self.source.is_some().then(|| self.polls.next_at()).flatten();
        let failures = self.polls.failures();
        self.activity.send_modify(|a| {
            a.next_check_at = next;
            a.failures = failures;
        });
    }
}

fn kind_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Refused => "refused",
        FailureKind::Temporary => "temporary",
        FailureKind::Local => "local",
    }
}
