// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The daemon: one owner of the engine, two listeners, one timer.
//!
//! ```text
//! network ──▶ reader API ─────┐ reads       ┌──── watch: NodeView, Activity ◀── engine, owner
//! agent.sock ▶ operator API ──┴─────────────┘
//!                  └── Order (bounded queue) ──▶ owner: orders, polls, stop ──▶ engine
//! ```
//!
//! The owner is the only one that calls the engine, one piece of work at a time. The engine does what
//! blocks elsewhere, so that the one thread here keeps answering. Nothing waits for a client: what is
//! told about work goes through a bounded channel that drops progress when nobody reads it.

mod schedule;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::api::server::{self, Limits, Listener};
use crate::api::{ApiState, Identity, operator_router, reader_router};
use crate::config::Config;
use crate::engine::{Actor, Engine, FailureKind, NodeView, Source, TrialEnd};
use crate::service::schedule::Polls;
use crate::work::{Event, Work, perform};

pub use crate::service::socket::SOCKET_NAME;
pub use crate::service::socket::SocketError;

/// Orders that wait; more are refused.
const ORDERS_MAX: usize = 4;

/// Events kept for a client that does not read; the last event always finds room.
pub const EVENTS_MAX: usize = 64;

/// How long work in progress may go on after a signal, with the API still answering. What it leaves is
/// repaired at the next start.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Between two looks at the loggers of a release on trial: one that dies at once is not there for long.
const TRIAL_LOOK: Duration = Duration::from_millis(25);

/// After a look that failed.
const TRIAL_PAUSE: Duration = Duration::from_secs(1);

/// How long answers in progress may go on after that.
const CLOSE_GRACE: Duration = Duration::from_secs(4);

/// Work for the engine's owner, and where its events go.
#[derive(Debug)]
pub struct Order {
    /// What is to be done.
    pub work: Work,
    /// Who asks for it.
    pub actor: Actor,
    /// Who is told.
    pub events: mpsc::Sender<Event>,
}

/// What the agent is doing, for status pages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    /// The work in progress, if any.
    pub doing: Option<Doing>,
    /// When the source is asked next; `None` without a source.
    pub next_check_at: Option<Timestamp>,
    /// Temporary failures in a row.
    pub failures: u32,
}

/// Work in progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Doing {
    /// `update`, `plan`, `rollback` or `change`.
    pub work: &'static str,
    /// Since when.
    pub since: Timestamp,
    /// The newest sign of life.
    pub progress: Option<String>,
}

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configured address cannot be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The unix socket cannot be made.
    #[error("failed to make the command socket")]
    Socket(#[source] SocketError),
    /// Signals cannot be received.
    #[error("failed to set up signals")]
    Signals(#[source] std::io::Error),
}

/// Runs the agent on `engine` until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot listen. Nothing that happens later ends it.
pub async fn serve(engine: Engine, config: Config) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let address = config.listen;
    let failed = |source| ServeError::Listen { address, source };
    let tcp = TcpListener::bind(address).await.map_err(failed)?;
    let config = Config { listen: tcp.local_addr().map_err(failed)?, ..config };
    let (unix, socket) = socket::listen(&config.root).map_err(ServeError::Socket)?;

    let (orders, queue) = mpsc::channel(ORDERS_MAX);
    let (activity, activity_reader) = watch::channel(Activity::default());
    let (stop, stopped) = watch::channel(false);
    let state = Arc::new(ApiState {
        identity: Identity::new(config.clone(), Some((Timestamp::now(), Instant::now()))),
        node: engine.subscribe(),
        activity: activity_reader,
        orders,
    });
    let mut servers = JoinSet::new();
    let readers = reader_router(Arc::clone(&state));
    servers.spawn(server::serve(Listener::Tcp(tcp), readers, Limits::NETWORK, stopped.clone()));
    let operators = operator_router(state);
    servers.spawn(server::serve(Listener::Unix(unix), operators, Limits::SOCKET, stopped));
    announce(&config, &engine.view());

    let polls = Polls::new(config.poll_interval);
    let (source, last_failure, trial_failure) = (config.sources(), None, None);
    let mut owner = Owner { engine, source, activity, polls, last_failure, trial_failure };
    let signal = owner.run(queue, &mut signals).await;

    stop.send_replace(true);
    drop(socket);
    let closing = async { while servers.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(CLOSE_GRACE, closing).await.is_ok();
    tracing::info!(signal, answers_finished = in_time, "agent stopped");
    Ok(())
}

fn announce(config: &Config, node: &NodeView) {
    let source = config.source.as_ref().map(Source::shown);
    tracing::info!(
        version = crate::VERSION,
        root = %config.root.display(),
        source = source.as_deref().unwrap_or("none"),
        channel = config.channel.as_str(),
        release = version_of(node),
        "agent started"
    );
    tracing::info!(address = %config.listen, "listening");
    for note in &node.notes {
        tracing::warn!(note, "the root was repaired at start");
    }
}

fn version_of(node: &NodeView) -> String {
    node.current.as_ref().map_or_else(|| "none".to_owned(), |current| current.version.to_string())
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next signal that asks to stop.
    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The owner of the engine.
struct Owner {
    engine: Engine,
    source: Option<Source>,
    activity: watch::Sender<Activity>,
    polls: Polls,
    /// The failure of the last poll, so that the same one is not logged again and again.
    last_failure: Option<String>,
    /// The same for the trial.
    trial_failure: Option<String>,
}

impl Owner {
    /// Works until a signal; returns its name.
    async fn run(
        &mut self,
        mut queue: mpsc::Receiver<Order>,
        signals: &mut Signals,
    ) -> &'static str {
        loop {
            let order = tokio::select! {
                biased;
                signal = signals.stop() => return signal,
                Some(order) = queue.recv() => Some(order),
                // A release on trial is watched to its end before another may come by itself.
                () = tokio::time::sleep(TRIAL_LOOK), if self.engine.on_trial() => {
                    self.watch_trial().await;
                    continue;
                }
                () = self.polls.due(), if self.source.is_some() && !self.engine.on_trial() => None,
            };
            let signal = {
                let work = async {
                    match order {
                        Some(order) => self.obey(order).await,
                        None => self.poll().await,
                    }
                };
                let mut work = std::pin::pin!(work);
                tokio::select! {
                    () = work.as_mut() => None,
                    signal = signals.stop() => {
                        tracing::info!(signal, "stopping: the step in progress is finished first");
                        if tokio::time::timeout(STOP_GRACE, work).await.is_err() {
                            tracing::warn!("work was interrupted; the next start completes or undoes it");
                        }
                        Some(signal)
                    }
                }
            };
            if let Some(signal) = signal {
                return signal;
            }
            self.publish_schedule();
        }
    }

    /// What an operator asked for.
    async fn obey(&mut self, order: Order) {
        let Order { work, actor, events } = order;
        // Room for the last event is taken before anything can fill the channel.
        self.engine.act_for(actor);
        let last_slot = events.clone().try_reserve_owned().ok();
        let ended = self.perform(&work, "operator", Some(&events)).await;
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
                tracing::info!(release, started, "release passed its trial");
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
        let Some(source) = self.source.clone() else { return };
        let work = Work::Update(source);
        self.engine.act_for(Actor::Poll);
        let ended = self.perform(&work, "poll", None).await;
        let temporary = matches!(ended, Event::Failed { kind: FailureKind::Temporary, .. });
        self.polls.done(temporary);
    }

    async fn perform(
        &mut self,
        work: &Work,
        asked_by: &'static str,
        events: Option<&mpsc::Sender<Event>>,
    ) -> Event {
        let name = name_of(work);
        let now = Timestamp::now();
        let before = version_of(&self.engine.view());
        tracing::debug!(work = name, asked_by, "work begins");
        let activity = &self.activity;
        activity.send_modify(|a| {
            a.doing = Some(Doing { work: name, since: now, progress: None });
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

fn name_of(work: &Work) -> &'static str {
    match work {
        Work::Update(_) | Work::UpdateExpired(_) => "update",
        Work::Plan(_) => "plan",
        Work::Rollback => "rollback",
        Work::Change(_) => "change",
    }
}

fn kind_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Refused => "refused",
        FailureKind::Temporary => "temporary",
        FailureKind::Local => "local",
    }
}

/// The command socket of the agent on `root`.
pub fn socket_path(root: &std::path::Path) -> PathBuf {
    root.join(SOCKET_NAME)
}

/// Runs the agent on a runtime of one thread, until a signal.
///
/// # Errors
/// As [`serve`], and when there is no runtime to be had.
pub fn run(engine: Engine, config: Config) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let served = runtime.block_on(serve(engine, config)).map_err(RunError::Serve);
    // Work that was interrupted may still sit in a system call; it is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    served
}

/// Why the agent is not running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No event loop.
    #[error("failed to start the event loop")]
    Runtime(#[source] std::io::Error),
    /// It did not start.
    #[error(transparent)]
    Serve(ServeError),
}
