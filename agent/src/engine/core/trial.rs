// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The trial of the current release: what is seen is durable before it counts,
//! and a release that fails gives way to the one before.

use std::time::{Duration, Instant};

use dockerlogger_manifest::{Digest, Extra, Version};
use jiff::Timestamp;

use crate::engine::core::Core;
use crate::engine::error::RollbackError;
use crate::engine::execute;
use crate::engine::history::{Action, Actor, Entry};
use crate::engine::state::{Intent, Slot};
use crate::engine::trial::{ATTEMPTS_MAX, Tally, Trial, Watch};
use crate::engine::view::Blocked;
use crate::os::FileError;
use crate::os::processes::ProcessTable;
use crate::report::chain;

/// The first pause after the disk failed a trial; it doubles each time. Until it
/// is over the disk is left alone, and the loggers are watched all the same.
const DISK_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const DISK_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Bytes set aside while there is a trial: room for the record and the state of
/// going back when the disk is full. The record takes as much as the history.
const RESERVE_BYTES: usize = 128 << 10;

/// Between two looks that are further apart loggers may come and go unseen:
/// that time does not count.
const GAP_MAX: Duration = Duration::from_secs(2);

/// A watch that goes on.
#[derive(Debug)]
pub(crate) struct Session {
    /// The release that is watched.
    digest: Digest,
    watch: Watch,
    /// What was seen.
    tally: Tally,
    /// What is wrong with the release. Once that is proven, it stays so.
    verdict: Option<String>,
    /// The last look that saw anything.
    looked: Instant,
    /// How long the loggers have been watched.
    watched: Duration,
    /// Why they cannot be watched now, if so.
    blind: Option<String>,
}

/// How long the disk is left alone.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    until: Option<Instant>,
    length: Duration,
    /// What was in the way.
    why: Option<String>,
}

impl Pause {
    fn lasts(&self, clock: Instant) -> bool {
        self.until.is_some_and(|until| clock < until)
    }

    fn grow(&mut self, clock: Instant, why: String) {
        self.length = (self.length * 2).clamp(DISK_PAUSE, DISK_PAUSE_MAX);
        self.until = Some(clock + self.length);
        self.why = Some(why);
    }
}

/// Where a trial is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrialEnd {
    /// There is none.
    None,
    /// It goes on.
    Running,
    /// The release stays.
    Passed {
        /// It.
        version: Version,
        /// What was seen.
        tally: Tally,
    },
    /// The release was left for the one before.
    Reverted {
        /// The release that failed.
        from: Version,
        /// What runs now.
        to: Version,
        /// What was wrong.
        why: String,
    },
    /// The release failed, and stays because there is nothing to go back to.
    Failed {
        /// The release that failed.
        version: Version,
        /// What was wrong, and what is in the way.
        why: String,
    },
}

impl Core {
    /// The trial that a switch to `slot` begins, if there is to be one. The first
    /// release has one, too: there is nothing to go back to, and much to be told.
    pub(crate) fn trial_of(&self, slot: &mut Slot, now: Timestamp) -> Option<Trial> {
        let current = self.state.current.as_ref();
        // What is back after it was lost was watched in its time.
        let lost = self.state.lost.as_ref();
        let known = lost.is_some_and(|lost| lost.digest == slot.digest && !lost.untried);
        let same = current.is_some_and(|current| current.digest == slot.digest);
        if self.config.trial.is_zero() || same || known {
            return None;
        }
        slot.untried = true;
        Some(slot.trial(now))
    }

    /// Looks at the processes and brings the trial to its end when it is time.
    /// To be called several times a second while there is a trial. Where the disk
    /// is in the way it is left alone for longer and longer, not the loggers.
    pub(crate) fn watch_trial(
        &mut self,
        table: &dyn ProcessTable,
        clock: Instant,
        now: Timestamp,
    ) -> Result<TrialEnd, RollbackError> {
        self.look_at(table, clock);
        if self.pause.lasts(clock) {
            return Ok(TrialEnd::Running);
        }
        let end = self.advance_trial(table, clock, now);
        let told = self.blind();
        match &end {
            Ok(_) => self.pause = Pause::default(),
            Err(e) => {
                // What is on disk is not known any more.
                self.unsettled = true;
                self.pause.grow(clock, chain(e).to_string());
            }
        }
        let blind = self.blind();
        if blind != told {
            // No more than that is known: what failed may have been durable.
            self.view.send_modify(|view| view.unwatched = blind);
        }
        end
    }

    /// One look, if a watch has begun.
    fn look_at(&mut self, table: &dyn ProcessTable, clock: Instant) {
        let Some(session) = &mut self.session else { return };
        let was_blind = session.blind.is_some();
        match session.watch.look(table, clock, &mut session.tally) {
            Ok(verdict) => {
                session.verdict = session.verdict.take().or(verdict);
                let gap = clock.saturating_duration_since(session.looked);
                if gap <= GAP_MAX {
                    session.watched += gap;
                }
                session.looked = clock;
                session.blind = None;
            }
            // That time does not count, however long it gets.
            Err(error) => {
                let blind = format!("cannot list the processes: {error}");
                if !was_blind {
                    tracing::error!(error = blind, "the loggers on trial cannot be watched");
                }
                session.blind = Some(blind);
            }
        }
        if session.blind.is_some() != was_blind {
            self.publish();
        }
    }

    /// Why the trial does not go on now, if so.
    pub(super) fn blind(&self) -> Option<String> {
        let blind = self.session.as_ref().and_then(|session| session.blind.clone());
        blind.or_else(|| self.pause.why.clone())
    }

    /// Does what the looks so far ask for.
    fn advance_trial(
        &mut self,
        table: &dyn ProcessTable,
        clock: Instant,
        now: Timestamp,
    ) -> Result<TrialEnd, RollbackError> {
        let recovering = self.unsettled;
        // What only could not be read waits for the next change: a look at all of the
        // store is too much for a look at the loggers.
        if recovering {
            self.settle_rollback(now)?;
        }
        let Some(mut trial) = self.state.trial.clone() else {
            self.end_session();
            return Ok(TrialEnd::None);
        };
        // An update may have begun the trial of another release meanwhile.
        self.session.take_if(|session| session.digest != trial.digest);
        if self.session.is_none() {
            if trial.attempts >= ATTEMPTS_MAX {
                let why = format!("its trial was interrupted {ATTEMPTS_MAX} times");
                return self.leave(&trial, why, now);
            }
            let path = self.layout.logger(&trial.digest);
            let file = table.file_id(&path).map_err(|e| FileError::new("stat", &path, e))?;
            trial.attempts += 1;
            self.save_trial(&trial)?;
            self.layout.lay_reserve(RESERVE_BYTES);
            let before = self.state.previous.as_ref().map(|slot| self.layout.logger(&slot.digest));
            let before = before.and_then(|path| table.file_id(&path).ok()).into_iter().collect();
            // What was unpacked with the switch, nobody can have run before; what came back,
            // loggers may run that are older than the trial.
            let current = self.state.current.as_ref();
            let new = current.is_some_and(|current| current.installed_at >= trial.since);
            let watch = Watch::new(file, before, new && trial.attempts == 1);
            let (digest, tally) = (trial.digest, trial.tally);
            let (verdict, looked, watched, blind) = (None, clock, Duration::ZERO, None);
            self.session = Some(Session { digest, watch, tally, verdict, looked, watched, blind });
            self.look_at(table, clock);
        }
        let Some(session) = &self.session else { return Ok(TrialEnd::None) };
        let (over, verdict) = (session.watched >= self.config.trial, session.verdict.clone());
        let before = std::mem::replace(&mut trial.tally, session.tally);
        if trial.tally.faults() != before.faults() {
            self.save_trial(&trial)?;
        } else if trial.tally != before {
            // Good news need not survive a restart.
            self.state.trial = Some(trial.clone());
            self.publish();
        }
        if let Some(why) = verdict {
            return self.leave(&trial, why, now);
        }
        if !over {
            if recovering {
                self.layout.lay_reserve(RESERVE_BYTES);
            }
            return Ok(TrialEnd::Running);
        }
        let entry = Entry {
            what: Action::TrialPassed,
            why: trial.passed(),
            from: None,
            to: Some(trial.version.to_string()),
            digest: Some(trial.digest),
        };
        self.record_end(entry, now)?;
        let mut next = self.state.clone();
        next.pass(trial.tally);
        self.save_state(next)?;
        self.end_session();
        Ok(TrialEnd::Passed { version: trial.version, tally: trial.tally })
    }

    /// Ends the watch, if there is one.
    pub(crate) fn end_session(&mut self) {
        if self.session.take().is_some() {
            self.layout.lift_reserve();
        }
    }

    /// Writes into the history how the trial ends; once, however often that is tried.
    fn record_end(&mut self, entry: Entry, now: Timestamp) -> Result<(), FileError> {
        self.actor = Actor::Agent;
        if self.history.says(&entry) { Ok(()) } else { self.record(entry, now) }
    }

    fn save_trial(&mut self, trial: &Trial) -> Result<(), RollbackError> {
        let mut next = self.state.clone();
        next.trial = Some(trial.clone());
        self.save_state(next)
    }

    fn save_state(&mut self, mut next: crate::engine::state::State) -> Result<(), RollbackError> {
        self.unsettled = true;
        self.states.save(&mut next)?;
        self.state = next;
        self.unsettled = false;
        self.publish();
        Ok(())
    }

    /// Leaves the release on trial, if there is another one to run.
    fn leave(
        &mut self,
        trial: &Trial,
        why: String,
        now: Timestamp,
    ) -> Result<TrialEnd, RollbackError> {
        match self.refuge()? {
            Ok(refuge) => self.revert(trial, refuge, why, now),
            Err(problem) => self.give_up(trial, format!("{why}; {problem}"), now),
        }
    }

    /// A release that can be gone back to; the inner error says why there is none.
    fn refuge(&self) -> Result<Result<Slot, String>, FileError> {
        let mut problems = vec!["there is nothing to go back to".to_owned()];
        let mut unread = None;
        for slot in self.state.previous.iter().chain(&self.state.retained) {
            let problem = match self.state.forbids(slot) {
                Some(why) => format!("blocked: {why}"),
                None => match self.layout.verify(&slot.digest, self.config.limits.document_bytes) {
                    Ok(Ok(_)) => return Ok(Ok(slot.clone())),
                    Ok(Err(problem)) => format!("damaged: {problem}"),
                    Err(e) => {
                        unread.get_or_insert(e);
                        continue;
                    }
                },
            };
            problems.push(format!("release {} is {problem}", slot.version));
        }
        // What cannot be read may be what to go back to the next time.
        unread.map_or_else(|| Ok(Err(problems.join("; "))), Err)
    }

    /// Goes back to `refuge` and blocks the release on trial. The trial stays in
    /// the state until the switch is confirmed, so that one that is interrupted
    /// is done again.
    fn revert(
        &mut self,
        trial: &Trial,
        refuge: Slot,
        why: String,
        now: Timestamp,
    ) -> Result<TrialEnd, RollbackError> {
        let (to, digest) = (refuge.version.clone(), refuge.digest);
        let block = trial.block(format!("{why}; this node went back to release {to} by itself"));
        let entry = Entry {
            what: Action::TrialRevert,
            why: why.clone(),
            from: Some(trial.version.to_string()),
            to: Some(to.to_string()),
            digest: Some(digest),
        };
        self.record_end(entry, now)?;
        // What never passed a trial has its own now.
        let next = refuge.untried.then(|| refuge.trial(now));
        let intent = Intent { slot: refuge, trial: next, block: Some(block) };
        execute::record_intent(self, intent)?;
        if let Err(e) = execute::switch(self).and_then(|()| execute::confirm(self, now)) {
            self.recover_after(now, e, &digest)?;
        }
        self.end_session();
        Ok(TrialEnd::Reverted { from: trial.version.clone(), to, why })
    }

    /// Ends the trial of a release that has to stay, and blocks it: whatever the
    /// source offers instead is installed with the next update.
    fn give_up(
        &mut self,
        trial: &Trial,
        why: String,
        now: Timestamp,
    ) -> Result<TrialEnd, RollbackError> {
        let entry = Entry {
            what: Action::TrialFailed,
            why: why.clone(),
            from: Some(trial.version.to_string()),
            to: None,
            digest: Some(trial.digest),
        };
        self.record_end(entry, now)?;
        let mut next = self.state.clone();
        next.give_up(trial.block(why.clone()));
        self.save_state(next)?;
        self.end_session();
        Ok(TrialEnd::Failed { version: trial.version.clone(), why })
    }
}

impl Trial {
    /// What speaks for the release at the end, for the history.
    fn passed(&self) -> String {
        match self.tally {
            Tally { started: 0, .. } => {
                "no logger started in its trial, which proves nothing: it stays, and what is gone \
                 back to stays the same"
                    .to_owned()
            }
            Tally { started, died, .. } => {
                format!("{started} loggers started in its trial, {died} died")
            }
        }
    }

    fn block(&self, reason: String) -> Blocked {
        let (digest, version) = (self.digest, self.version.clone());
        Blocked { digest, version, reason, failed: true, extra: Extra::new() }
    }
}
