// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The engine's inside: one owner of the root, synchronous, on a worker thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use dockerlogger_manifest::{Digest, Release};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::engine::error::{FailureKind, OpenError, TrustError, UpdateError};
use crate::engine::history::{Action, Actor, Entry, History};
use crate::engine::interrupt::Interrupt;
use crate::engine::layout::Layout;
use crate::engine::plan::Plan;
use crate::engine::policy::Decision;
use crate::engine::probe::{Prober, RealProber};
use crate::engine::recover::{self, Flaw, Found, Recovery, Repair};
use crate::engine::refusals::Refusals;
use crate::engine::source::{Memory, Source};
use crate::engine::state::{Loaded, State, StateStore};
use crate::engine::survey;
use crate::engine::trust_store::TrustStore;
use crate::engine::view::{Damage, LastCheck, NodeView, Offered, PassedOver, TrustVersions};
use crate::engine::{EngineConfig, Outcome, Progress};
use crate::os::lock::{Held, LockError};
use crate::os::{FileError, Files};
use crate::report::chain;

mod observe;
mod rollback;
pub(crate) mod trial;
mod update;

/// A look at what a source offers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check<'a> {
    pub(crate) source: &'a Source,
    /// Whether metadata past its expiry is a warning only.
    pub(crate) allow_expired: bool,
    pub(crate) now: Timestamp,
}

/// Everything an engine knows and holds.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: EngineConfig,
    pub(crate) layout: Layout,
    pub(crate) states: StateStore,
    pub(crate) state: State,
    /// The manifests of what is in the store.
    pub(crate) releases: BTreeMap<Digest, Release>,
    /// What is wrong with the current release on disk, if something is.
    pub(crate) damage: Option<Damage>,
    /// A change was begun and not ended: look at the disk before the next one.
    pub(crate) unsettled: bool,
    /// Something could not be read: look again before the next change.
    unread: bool,
    /// Puts a staged logger to the proof.
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) trust: TrustStore,
    hold: Option<String>,
    notes: Vec<String>,
    /// What the medium did since this engine was opened.
    alarms: Vec<String>,
    versions: Option<TrustVersions>,
    /// Ends what is being done.
    pub(crate) interrupt: Interrupt,
    /// What sources said before.
    memory: Memory,
    /// What was refused, and how long the clock leaves it alone.
    refusals: Refusals,
    /// The sources that failed in the check that is under way.
    passed_over: Vec<PassedOver>,
    last_check: Option<LastCheck>,
    /// What the last source that was believed offers.
    offered: Option<Offered>,
    pub(crate) history: History,
    /// The watch of the trial, if this process has begun one.
    session: Option<trial::Session>,
    /// How long a trial leaves the disk alone.
    pause: trial::Pause,
    /// Who asked for what is being done.
    pub(crate) actor: Actor,
    view: watch::Sender<NodeView>,
    _lock: Box<dyn Held>,
}

impl Core {
    pub(crate) fn open(
        config: EngineConfig,
        files: Arc<dyn Files>,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let layout = Layout::new(Arc::clone(&files), config.root.clone());
        files.make_dir(&config.root, 0o755).map_err(OpenError::Layout)?;
        let path = config.root.join("lock");
        let lock = files.lock(&path).map_err(|e| match e {
            LockError::Held { pid } => OpenError::Locked { path: path.clone(), pid },
            LockError::File(e) => OpenError::Layout(e),
        })?;
        layout.create().map_err(OpenError::Layout)?;
        let trust = TrustStore::new(
            Arc::clone(&files),
            layout.trust(),
            config.trust_anchor.clone(),
            config.limits.clone(),
        );
        let states = StateStore::new(Arc::clone(&files), layout.state());
        let empty = NodeView::empty(config.channel.clone(), config.target.clone());
        let mut history = History::open(Arc::clone(&files), layout.history());
        let last_check = history.last_check();
        let mut core = Self {
            config,
            layout,
            states,
            state: State::default(),
            releases: BTreeMap::new(),
            damage: None,
            unsettled: true,
            unread: false,
            prober: Arc::new(RealProber),
            trust,
            hold: None,
            notes: Vec::new(),
            alarms: Vec::new(),
            versions: None,
            interrupt: Interrupt::default(),
            memory: Memory::default(),
            refusals: Refusals::default(),
            passed_over: Vec::new(),
            offered: last_check.as_ref().and_then(|check| check.offered.clone()),
            last_check,
            history,
            session: None,
            pause: trial::Pause::default(),
            actor: Actor::Agent,
            view: watch::Sender::new(empty),
            _lock: lock,
        };
        core.recover(now)?;
        Ok(core)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<NodeView> {
        self.view.subscribe()
    }

    pub(crate) fn plan(&mut self, source: &Source, now: Timestamp) -> Result<Plan, UpdateError> {
        self.passed_over.clear();
        let check = Check { source, allow_expired: false, now };
        let planned = self.settle(now).and_then(|()| {
            self.try_each(check, &mut |_| {}, &mut |core, check, _| {
                let (_, plan) = core.examine(check)?;
                Ok(plan)
            })
        });
        self.distrust(planned.as_ref().err());
        let outcome = planned.as_ref().map(|plan| match &plan.decision {
            Decision::Stay(reason) => reason.to_string(),
            Decision::Move(target) => format!("release {} is available", target.to),
        });
        self.checked(check, outcome);
        planned
    }

    /// As an operator's or the clock's plain update does.
    #[cfg(test)]
    pub(crate) fn update(
        &mut self,
        source: &Source,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, UpdateError> {
        self.update_unless_expired(Check { source, allow_expired: false, now }, progress)
    }

    pub(crate) fn update_unless_expired(
        &mut self,
        check: Check<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, UpdateError> {
        self.passed_over.clear();
        let updated = self.update_unrecorded(check, progress);
        self.distrust(updated.as_ref().err());
        let outcome = updated.as_ref().map(|outcome| match outcome {
            Outcome::Moved { to, .. } => format!("installed release {to}"),
            Outcome::Stayed(reason) => reason.to_string(),
        });
        self.checked(check, outcome);
        updated
    }

    /// Shows readers what is true now.
    pub(crate) fn publish(&self) {
        self.view.send_modify(|view| {
            self.state.show(&self.releases, self.damage.as_ref(), view);
            view.unwatched = self.blind();
            view.trust = self.versions;
            view.last_check.clone_from(&self.last_check);
            view.hold.clone_from(&self.hold);
            view.notes.clone_from(&self.notes);
            view.alarms.clone_from(&self.alarms);
            view.history = self.history.records();
        });
    }

    /// Before a change: nothing may be half done, and nothing may forbid it.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Result<(), UpdateError> {
        if self.unsettled || self.unread {
            self.recover(now).map_err(|e| match e {
                OpenError::Layout(e) => UpdateError::File(e),
                other => UpdateError::Held(other.to_string()),
            })?;
        }
        match &self.hold {
            Some(hold) => Err(UpdateError::Held(hold.clone())),
            None => Ok(()),
        }
    }

    /// Looks at the disk and repairs what an interruption left.
    fn recover(&mut self, now: Timestamp) -> Result<(), OpenError> {
        self.unsettled = true;
        let found = self.look().map_err(OpenError::Layout)?;
        let mut recovery = recover::recover(&found, now);
        recovery.notes.extend(self.history.problems().iter().cloned());
        self.record_repairs(&mut recovery, now);
        if let Some(alarm) = recovery.alarm.take_if(|alarm| !self.alarms.contains(alarm)) {
            tracing::error!(alarm, "the medium failed a copy of the state");
            self.alarms.push(alarm);
        }
        if let (Loaded::Valid(state, _), true) = (&found.state, recovery.mirror)
            && let Err(e) = self.states.mirror(state)
        {
            recovery = recover::stand_by(&found, state, &e, now);
        }
        let startable =
            survey::find_startable(&self.layout, &found.link, &self.config, &mut recovery);
        let trust_unknown = std::mem::take(&mut self.unread) || self.versions.is_none();
        let mut known = std::mem::take(&mut self.releases);
        for (digest, release) in found.entries {
            let release = match release {
                Ok(release) => Some(release),
                Err(Flaw::Damaged(_)) => None,
                Err(Flaw::Unreadable(_)) => {
                    self.unread = true;
                    known.remove(&digest)
                }
            };
            self.releases.extend(release.map(|release| (digest, release)));
        }
        self.releases.extend(startable);
        let repairs = self.adopt(recovery, now);
        self.repair(&repairs).map_err(OpenError::Layout)?;
        // What is in the way now may be gone by the next change.
        self.unsettled = self.hold.is_some();
        if trust_unknown {
            self.show_trust();
        }
        self.publish();
        Ok(())
    }

    /// Believes what a look at the disk led to, but for what is still to be repaired.
    fn adopt(&mut self, recovery: Recovery, now: Timestamp) -> Vec<Repair> {
        // Where there is no history, since this process knows.
        let known = self.damage.take().filter(|_| self.state.current == recovery.state.current);
        self.state = recovery.state;
        self.hold = recovery.hold;
        self.notes = recovery.notes;
        self.damage = recovery.damage;
        if let (Some(damage), Some(known)) = (&mut self.damage, known) {
            damage.since = known.since;
        }
        self.record_damage(now);
        recovery.repairs
    }

    /// For the view only: what is wrong with the trust is said by the next check.
    /// What cannot be read may be readable by then, and is said here.
    fn show_trust(&mut self) {
        match self.trust.load() {
            Ok(trusted) => self.versions = Some(trusted.verifier.versions()),
            Err(
                UpdateError::File(e) | UpdateError::TrustAnchor { source: TrustError::File(e), .. },
            ) => {
                self.unread = true;
                let note = format!("what is trusted cannot be shown: {e}: {}", e.source);
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
            Err(_) => self.versions = None,
        }
    }

    fn look(&self) -> Result<Found, FileError> {
        self.layout.settle()?;
        self.layout.remove_litter()?;
        survey::find(&self.layout, &self.states, &self.config)
    }

    /// Writes down what is about to be changed; no record, no change.
    pub(crate) fn record(&mut self, entry: Entry, now: Timestamp) -> Result<(), FileError> {
        self.history.append(entry, &self.actor, now)
    }

    /// Writes down that what was put on record after number `before` failed.
    pub(super) fn record_failure(
        &mut self,
        before: u64,
        error: &dyn std::error::Error,
        now: Timestamp,
    ) {
        let records = self.history.records();
        let Some(begun) = records.iter().find(|record| record.seq > before) else { return };
        let entry = Entry {
            what: Action::Failed,
            why: format!("the {} failed: {}", begun.what, chain(error)),
            from: begun.from.clone(),
            to: begun.to.clone(),
            digest: begun.digest,
        };
        let actor = self.actor.clone();
        // What was in the way of the change may be in the way of this.
        if let Err(e) = self.history.append(entry, &actor, now) {
            tracing::warn!(error = %chain(&e), "a failure is not in the history");
        }
        // No more than that is known: what failed may have been durable.
        let records = self.history.records();
        self.view.send_modify(|view| view.history = records);
    }

    /// A repair is recorded where that is possible, and done in any case.
    fn record_repairs(&mut self, recovery: &mut Recovery, now: Timestamp) {
        let alarm = recovery.alarm.as_ref();
        let changes = |repair: &Repair| matches!(repair, Repair::Save | Repair::Switch(_));
        if alarm.is_none() && !recovery.repairs.iter().any(changes) {
            return;
        }
        let to = recovery.state.current.as_ref();
        let entry = Entry {
            what: Action::Repair,
            why: alarm.into_iter().chain(&recovery.notes).cloned().collect::<Vec<_>>().join("; "),
            from: None,
            to: to.map(|current| current.version.to_string()),
            digest: to.map(|current| current.digest),
        };
        // A copy that cannot be repaired is found again with each look.
        if alarm.is_some() && self.history.says(&entry) {
            return;
        }
        if let Err(e) = self.history.append(entry, &Actor::Agent, now) {
            recovery.notes.push(format!("the repair is not in the history: {e}: {}", e.source));
        }
    }

    /// Damage is recorded where that is possible, once for each time that a release was
    /// installed: the record is what says since when.
    fn record_damage(&mut self, now: Timestamp) {
        let (Some(current), Some(damage)) = (&self.state.current, &mut self.damage) else { return };
        if let Some(since) = self.history.damaged_since(&current.digest) {
            damage.since = since;
            return;
        }
        let why = format!("release {} {damage}", current.version);
        let (from, to, digest) = (None, None, Some(current.digest));
        let entry = Entry { what: Action::Damaged, why, from, to, digest };
        if let Err(e) = self.history.append(entry, &Actor::Agent, now) {
            self.notes.push(format!("the damage is not in the history: {e}: {}", e.source));
        }
    }

    fn repair(&mut self, repairs: &[Repair]) -> Result<(), FileError> {
        for repair in repairs {
            match repair {
                Repair::Switch(digest) => self.layout.switch(digest)?,
                Repair::SyncLink => self.layout.sync_link()?,
                Repair::RemoveLink => self.layout.remove_link()?,
                Repair::Save => self.states.save(&mut self.state)?,
                Repair::Discard(name) => {
                    self.layout.discard(name)?;
                    self.releases.retain(|digest, _| digest.to_string() != *name);
                }
            }
        }
        Ok(())
    }

    /// After a failed file operation: Ok if the disk says that the switch to
    /// `digest` was done nevertheless.
    pub(super) fn recover_after(
        &mut self,
        now: Timestamp,
        error: FileError,
        digest: &Digest,
    ) -> Result<(), FileError> {
        let begun = self.unsettled || self.is_current(digest);
        if begun && self.recover(now).is_ok() && self.is_current(digest) && self.damage.is_none() {
            return Ok(());
        }
        Err(error)
    }

    /// After trouble of this node's own, what can be seen may not be durable,
    /// and half of a change may be left: look again before the next one.
    fn distrust(&mut self, error: Option<&UpdateError>) {
        if error.is_some_and(|error| error.kind() == FailureKind::Local) {
            self.unsettled = true;
        }
    }

    fn is_current(&self, digest: &Digest) -> bool {
        self.state.current.as_ref().is_some_and(|current| current.digest == *digest)
    }

    fn checked(&mut self, check: Check<'_>, outcome: Result<String, &UpdateError>) {
        if outcome.as_ref().is_err_and(|error| error.is_interrupted()) {
            // It says nothing about the source, and the next one begins anew.
            return;
        }
        let (passed_over, offered) = (self.passed_over.clone(), self.offered.clone());
        let (outcome, error, kind) = match outcome {
            Ok(outcome) => (outcome, None, None),
            Err(e) => (String::new(), Some(chain(e).to_string()), Some(e.kind())),
        };
        let followed = self.config.source.as_ref().map_or(&[][..], Source::each);
        let once = !check.source.each().iter().all(|source| followed.contains(source));
        let at = check.now;
        let last = LastCheck { at, outcome, error, kind, once, passed_over, offered };
        // Worth keeping, and not worth failing for.
        if let Err(e) = self.history.save_last_check(&last) {
            tracing::warn!(error = %chain(&e), "how the check went is not on disk");
        }
        self.last_check = Some(last);
        self.publish();
    }
}
