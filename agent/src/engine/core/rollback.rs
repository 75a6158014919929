// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Going to the previous release because an operator says so.

use dockerlogger_manifest::Extra;
use jiff::Timestamp;

use crate::engine::Outcome;
use crate::engine::core::Core;
use crate::engine::error::{RollbackError, UpdateError};
use crate::engine::execute;
use crate::engine::history::{Action, Entry};
use crate::engine::state::Intent;
use crate::engine::view::Blocked;

impl Core {
    pub(crate) fn rollback(&mut self, now: Timestamp) -> Result<Outcome, RollbackError> {
        let told = self.view.borrow().clone();
        self.settle_rollback(now)?;
        if let (Some(from), Some(to)) = (told.current, told.previous)
            && from.digest != to.digest
            && self.is_current(&to.digest)
        {
            // An earlier try failed after its switch, and was ended just now:
            // once more would be forward again.
            let (from, to) = (Some(from.version), to.version);
            return Ok(Outcome::Moved { from, to, warnings: self.notes.clone() });
        }
        let mut slot = self.state.previous.clone().ok_or(RollbackError::NoPrevious)?;
        let (version, digest) = (slot.version.clone(), slot.digest);
        if let Some(why) = self.state.forbids(&slot) {
            return Err(RollbackError::Blocked { version, digest, why });
        }
        let release = match self.layout.verify(&digest, self.config.limits.document_bytes)? {
            Ok(release) => release,
            Err(_) => return Err(RollbackError::Damaged { version, digest }),
        };
        let left = self.state.current.clone();
        let back = left.as_ref().filter(|left| left.version > version);
        // Going back blocks what is left. Going forward is an update in all but the
        // fetching: what is left is older and does not come by itself.
        let (trial, block) = match back {
            Some(left) => {
                let reason = format!("rolled back to release {version} by the operator");
                let (digest, version) = (left.digest, left.version.clone());
                let trial = slot.untried.then(|| slot.trial(now));
                let (failed, extra) = (false, Extra::new());
                (trial, Some(Blocked { digest, version, reason, failed, extra }))
            }
            None => {
                let (logger, timeout) =
                    (self.layout.logger(&digest), self.config.limits.probe_timeout);
                self.prober.prove(&logger, &release, timeout).map_err(|source| {
                    RollbackError::Probe { version: version.clone(), source: Box::new(source) }
                })?;
                (self.trial_of(&mut slot, now), None)
            }
        };
        let entry = Entry {
            what: Action::Rollback,
            why: "the operator asked for the previous release".to_owned(),
            from: left.as_ref().map(|left| left.version.to_string()),
            to: Some(version.to_string()),
            digest: Some(digest),
        };
        let begun = self.history.newest();
        self.record(entry, now)?;
        let switched = execute::record_intent(self, Intent { slot, trial, block })
            .and_then(|()| execute::switch(self))
            .and_then(|()| execute::confirm(self, now));
        if let Err(e) = switched.or_else(|e| self.recover_after(now, e, &digest)) {
            self.record_failure(begun, &e, now);
            return Err(e.into());
        }
        let from = left.map(|left| left.version);
        Ok(Outcome::Moved { from, to: version, warnings: Vec::new() })
    }

    pub(super) fn settle_rollback(&mut self, now: Timestamp) -> Result<(), RollbackError> {
        self.settle(now).map_err(|e| match e {
            UpdateError::Held(hold) => RollbackError::Held(hold),
            UpdateError::File(e) => RollbackError::File(e),
            _ => RollbackError::Abandoned,
        })
    }
}
