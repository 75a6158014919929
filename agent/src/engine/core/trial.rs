// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The trial of the current release: what is seen is durable before it counts,
//! and a release that fails gives way to the one before.

use std::time::Instant;

use dockerlogger_manifest::{Digest, Extra, Version};
use jiff::Timestamp;

use crate::engine::core::Core;
use crate::engine::error::RollbackError;
use crate::engine::execute;
use crate::engine::history::{Action, Actor, Entry};
use crate::engine::state::{Intent, Slot};
use crate::engine::trial::{ATTEMPTS_MAX, Tally, Trial, Watch};
use crate::engine::view::Blocked;
use crate::os::processes::ProcessTable;

/// A watch that goes on.
#[derive(Debug)]
pub(crate) struct Session {
    /// The release that is watched.
    digest: Digest,
    watch: Watch,
    began: Instant,
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
}

impl Core {
    /// The trial that a switch to `slot` begins, if there is to be one: there
    /// must be something to go back to.
    pub(crate) fn trial_of(&self, slot: &mut Slot, now: Timestamp) -> Option<Trial> {
        let current = self.state.current.as_ref()?;
        // What is back after it was lost was watched in its time.
        let lost = self.state.lost.as_ref();
        let known = lost.is_some_and(|lost| lost.digest == slot.digest && !lost.untried);
        if self.config.trial.is_zero() || current.digest == slot.digest || known {
            return None;
        }
        slot.untried = true;
        Some(slot.trial(now))
    }

    /// Looks at the processes and brings the trial to its end when it is time.
    /// To be called several times a second while there is a trial.
    pub(crate) fn watch_trial(
        &mut self,
        table: &dyn ProcessTable,
        clock: Instant,
        now: Timestamp,
    ) -> Result<TrialEnd, RollbackError> {
        self.settle_rollback(now)?;
        let Some(mut trial) = self.state.trial.clone() else {
            self.session = None;
            return Ok(TrialEnd::None);
        };
        // An update may have begun the trial of another release meanwhile.
        self.session.take_if(|session| session.digest != trial.digest);
        if self.session.is_none() {
            if trial.attempts >= ATTEMPTS_MAX {
                let why = format!("its trial was interrupted {ATTEMPTS_MAX} times");
                return self.revert(&trial, why, now);
            }
            let path = self.layout.logger(&trial.digest);
            let file =
                table.file_id(&path).map_err(|e| crate::os::FileError::new("stat", &path, e))?;
            trial.attempts += 1;
            self.save_trial(&trial)?;
            let watch = Watch::new(file, trial.attempts == 1);
            self.session = Some(Session { digest: trial.digest, watch, began: clock });
        }
        let Some(session) = &mut self.session else { return Ok(TrialEnd::None) };
        let before = trial.tally;
        session.watch.look(table, clock, &mut trial.tally);
        let over = clock.duration_since(session.began) >= self.config.trial;
        let faults = |tally: Tally| (tally.ended_early, tally.senders_lost, tally.losing);
        if faults(trial.tally) != faults(before) {
            self.save_trial(&trial)?;
        } else {
            // Good news need not survive a restart.
            self.state.trial = Some(trial.clone());
            if trial.tally != before {
                self.publish();
            }
        }
        if let Some(why) = trial.tally.verdict() {
            return self.revert(&trial, why, now);
        }
        if !over {
            return Ok(TrialEnd::Running);
        }
        let mut next = self.state.clone();
        next.trial = None;
        if let Some(current) = &mut next.current {
            current.untried = false;
        }
        self.save_state(next)?;
        self.session = None;
        Ok(TrialEnd::Passed { version: trial.version, tally: trial.tally })
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

    /// Goes back to the previous release and blocks the one on trial. The trial
    /// stays in the state until the switch is confirmed, so that one that is
    /// interrupted is done again.
    fn revert(
        &mut self,
        trial: &Trial,
        why: String,
        now: Timestamp,
    ) -> Result<TrialEnd, RollbackError> {
        let previous = self.state.previous.clone().ok_or(RollbackError::NoPrevious)?;
        let (to, digest) = (previous.version.clone(), previous.digest);
        if self.layout.verify(&digest, self.config.limits.document_bytes)?.is_err() {
            return Err(RollbackError::Damaged { version: to, digest });
        }
        let block = Blocked {
            digest: trial.digest,
            version: trial.version.clone(),
            reason: format!("{why}; this node went back to release {to} by itself"),
            extra: Extra::new(),
        };
        let entry = Entry {
            what: Action::TrialRevert,
            why: why.clone(),
            from: Some(trial.version.to_string()),
            to: Some(to.to_string()),
            digest: Some(digest),
        };
        self.actor = Actor::Agent;
        self.record(entry, now)?;
        // What never passed a trial has its own now.
        let next = previous.untried.then(|| previous.trial(now));
        let intent = Intent { slot: previous, trial: next, block: Some(block) };
        execute::record_intent(self, intent)?;
        if let Err(e) = execute::switch(self).and_then(|()| execute::confirm(self, now)) {
            self.recover_after(now, e, &digest)?;
        }
        self.session = None;
        Ok(TrialEnd::Reverted { from: trial.version.clone(), to, why })
    }
}
