// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Doing the steps of a plan, one thin function each.
//!
//! The order is law: intent before switch, switch before confirmation,
//! confirmation before collection; each is durable before the next begins.

use std::time::{Duration, Instant};

use dockerlogger_manifest::{Digest, Extra, Release};
use jiff::Timestamp;

use crate::engine::Progress;
use crate::engine::core::Core;
use crate::engine::error::{ArtifactError, FailureKind, UpdateError};
use crate::engine::history::{Action, Entry};
use crate::engine::partial::{self, Partial};
use crate::engine::plan::{Plan, Step};
use crate::engine::policy::Move;
use crate::engine::refresh::target_path;
use crate::engine::source::{self, Expect, Repository};
use crate::engine::space;
use crate::engine::stage::{Kept, Staging};
use crate::engine::state::{Intent, Slot};
use crate::engine::trust::TargetPin;
use crate::os::FileError;

/// Between two signs of life. On a fast network more of them would wake whoever
/// watches for nothing.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// Everything that the steps of one update work with.
pub(crate) struct Execution<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) repository: &'a mut dyn Repository,
    pub(crate) target: &'a Move,
    pub(crate) release: &'a Release,
    /// The release as signed, byte for byte.
    pub(crate) release_json: &'a [u8],
    /// The reason, for the history.
    pub(crate) why: String,
    pub(crate) now: Timestamp,
}

impl Execution<'_> {
    /// Does the steps in order; the first failure ends it.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), UpdateError> {
        for step in &plan.steps {
            progress(Progress::Step(step.clone()));
            if begins_before_the_intent(step) {
                self.core.interrupt.check().map_err(UpdateError::Interrupted)?;
            }
            match step {
                Step::CheckSpace { needed, reserve } => {
                    // What is here already takes no more room.
                    let here = self.make_room()?.map_or(0, |partial| partial.length);
                    let needed = needed.saturating_sub(here);
                    space::check(&self.core.layout, &self.target.to, needed, *reserve)?;
                }
                Step::Stage { .. } => self.stage(progress)?,
                Step::Probe { .. } => self.probe()?,
                Step::RecordIntent { digest } => {
                    let installed_at = self.unpacked_at(plan);
                    let (version, digest) = (self.target.to.clone(), *digest);
                    let (untried, extra) = (false, Extra::new());
                    let mut slot = Slot { version, digest, installed_at, untried, extra };
                    self.core.releases.insert(slot.digest, self.release.clone());
                    self.record(slot.digest)?;
                    // The trial is part of the intent: a switch that a repair confirms is watched too.
                    let trial = self.core.trial_of(&mut slot, self.now);
                    record_intent(self.core, Intent { slot, trial, block: None })?;
                }
                Step::Switch { .. } => switch(self.core)?,
                Step::Confirm { .. } => confirm(self.core, self.now)?,
                Step::Collect => collect(self.core)?,
            }
        }
        Ok(())
    }

    /// When the release was unpacked: now, unless it was kept.
    fn unpacked_at(&self, plan: &Plan) -> Timestamp {
        let state = &self.core.state;
        let anew = plan.steps.iter().any(|step| matches!(step, Step::Stage { .. }));
        let mut kept = state.previous.iter().chain(&state.retained).filter(|_| !anew);
        let kept = kept.find(|slot| slot.digest == self.target.digest);
        kept.map_or(self.now, |slot| slot.installed_at)
    }

    /// Writes into the history what is about to be done.
    fn record(&mut self, digest: Digest) -> Result<(), FileError> {
        let entry = Entry {
            what: Action::Update,
            why: self.why.clone(),
            from: self.target.from.as_ref().map(ToString::to_string),
            to: Some(self.target.to.to_string()),
            digest: Some(digest),
        };
        self.core.record(entry, self.now)
    }

    /// Removes what earlier updates left, and looks at what this one can go on from.
    fn make_room(&mut self) -> Result<Option<Partial>, FileError> {
        // Releases that failed their probe make room. Without a current release nobody
        // knows what bin/logger may still need.
        if self.core.state.current.is_some() {
            collect(self.core)?;
        }
        let (layout, artifact) = (&self.core.layout, &self.target.artifact);
        let limits = &self.core.config.limits;
        let far = self.repository.is_network() || limits.resume_local;
        if far && artifact.size >= limits.resume_bytes_min {
            return Partial::find(layout, &artifact.sha256, artifact.size).map(Some);
        }
        partial::remove_all(layout)?;
        Ok(None)
    }

    fn stage(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), UpdateError> {
        let mut partial = self.make_room()?;
        let artifact = &self.target.artifact;
        let refused = |source| UpdateError::Artifact { name: artifact.name.clone(), source };
        let pin = TargetPin { length: artifact.size, sha256: artifact.sha256 };
        let path = target_path(&artifact.name, &pin);
        loop {
            let here = partial.as_ref().map_or(0, |partial| partial.length);
            let staged = self.transfer(&path, partial.as_ref(), progress).map_err(refused);
            let Some(kept) = partial.take() else { return staged };
            match staged {
                Err(error) if error.kind() == FailureKind::Temporary => return Err(error),
                // What was kept may be what is wrong: once more, from the first byte.
                Err(error) if error.kind() == FailureKind::Refused && here > 0 => {
                    tracing::debug!(error = %error, "fetching an artifact anew");
                    partial = Some(kept.restarted()?);
                }
                done => {
                    let removed = kept.remove();
                    return done.and_then(|()| Ok(removed?));
                }
            }
        }
    }

    /// Brings the artifact into the store, from where `partial` ends.
    fn transfer(
        &mut self,
        path: &str,
        partial: Option<&Partial>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), ArtifactError> {
        let artifact = &self.target.artifact;
        let total = artifact.size;
        let here = partial.map_or(0, |partial| partial.length);
        if here > 0 {
            progress(Progress::Resuming { bytes: here, total });
        }
        let packed = source::open_bounded(self.repository, path, Expect::Exactly(total), here);
        let packed = packed.map_err(ArtifactError::Read)?;
        let packed = packed.until(self.core.interrupt.clone());
        let kept = match partial {
            Some(partial) => Kept { before: partial.read()?, now: Some(partial.write()?) },
            None => Kept::default(),
        };
        let staging = Staging {
            layout: &self.core.layout,
            artifact,
            release_json: self.release_json,
            window_log_max: self.core.config.limits.zstd_window_log,
        };
        let mut told_at = Instant::now();
        let mut tell = |bytes: u64| {
            if bytes == total || told_at.elapsed() >= PROGRESS_PAUSE {
                told_at = Instant::now();
                progress(Progress::Downloading { bytes, total });
            }
        };
        staging.run(packed, kept, &mut tell)
    }

    fn probe(&mut self) -> Result<(), UpdateError> {
        let logger = self.core.layout.logger(&self.target.digest);
        let timeout = self.core.config.limits.probe_timeout;
        let probed = self.core.prober.prove(&logger, self.release, timeout);
        probed.map_err(|source| UpdateError::Probe {
            version: self.target.to.clone(),
            source: Box::new(source),
        })
    }
}

/// Whether nothing was changed when this step begins.
fn begins_before_the_intent(step: &Step) -> bool {
    match step {
        Step::CheckSpace { .. }
        | Step::Stage { .. }
        | Step::Probe { .. }
        | Step::RecordIntent { .. } => true,
        Step::Switch { .. } | Step::Confirm { .. } | Step::Collect => false,
    }
}

/// Writes down what is about to be switched to.
pub(crate) fn record_intent(core: &mut Core, intent: Intent) -> Result<(), FileError> {
    core.unsettled = true;
    core.state.begin(intent);
    core.states.save(&mut core.state)?;
    core.publish();
    Ok(())
}

/// Switches to the pending release: the commit point.
pub(crate) fn switch(core: &mut Core) -> Result<(), FileError> {
    match &core.state.pending {
        Some(pending) => core.layout.switch(&pending.digest),
        None => Ok(()),
    }
}

/// Writes down that the switch is done.
pub(crate) fn confirm(core: &mut Core, now: Timestamp) -> Result<(), FileError> {
    core.state.confirm(now);
    core.state.keep(core.config.retain);
    core.states.save(&mut core.state)?;
    core.unsettled = false;
    core.damage = None;
    if core.state.trial.is_none() {
        core.end_session();
    }
    core.publish();
    Ok(())
}

/// Removes every stored release that the state does not keep.
pub(crate) fn collect(core: &mut Core) -> Result<(), FileError> {
    let kept: Vec<String> = core.state.kept().iter().map(ToString::to_string).collect();
    for name in core.layout.files.list(&core.layout.store())? {
        let name = name.to_string_lossy();
        if !kept.iter().any(|kept| *kept == name) {
            core.layout.discard(&name)?;
        }
    }
    core.releases.retain(|digest, _| kept.contains(&digest.to_string()));
    Ok(())
}
