// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One update: from each source in turn, until one of them does not fail.

use dockerlogger_manifest::Extra;
use jiff::Timestamp;

use crate::engine::core::observe::Observed;
use crate::engine::core::{Check, Core};
use crate::engine::error::{FailureKind, UpdateError};
use crate::engine::execute::Execution;
use crate::engine::history::{Action, Actor, Entry};
use crate::engine::plan::Plan;
use crate::engine::policy::{Decision, Facts};
use crate::engine::refusals::{ANY_SOURCE, ImageFile, Refusal, Subject};
use crate::engine::source::Source;
use crate::engine::state::Slot;
use crate::engine::view::{PassedOver, Pinned};
use crate::engine::{Outcome, Progress};
use crate::report::chain;

/// What is done with one source; it tells its progress.
type Work<'a, T> =
    dyn FnMut(&mut Core, Check<'_>, &mut dyn FnMut(Progress)) -> Result<T, UpdateError> + 'a;

impl Core {
    pub(super) fn update_unrecorded(
        &mut self,
        check: Check<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, UpdateError> {
        progress(Progress::Checking);
        self.settle(check.now)?;
        if check.allow_expired {
            let from = check.source.shown();
            let why = format!("the operator takes metadata of {from} although it may have expired");
            let (what, from) = (Action::AllowExpired, None);
            self.record(Entry { what, why, from, to: None, digest: None }, check.now)?;
        }
        let mut bytes_told = 0;
        let mut forward = |sign: Progress| {
            // The next source may begin anew; what is told never falls.
            match &sign {
                Progress::Downloading { bytes, .. } if *bytes <= bytes_told => return,
                Progress::Downloading { bytes, .. } => bytes_told = *bytes,
                _ => {}
            }
            progress(sign);
        };
        let mut outcome = self.try_each(check, &mut forward, &mut Self::update_from)?;
        if let Outcome::Moved { warnings, .. } = &mut outcome {
            warnings.extend(self.passed_over.iter().map(ToString::to_string));
        }
        Ok(outcome)
    }

    /// Does `work` with the first of the sources in `check` that does not fail it.
    pub(super) fn try_each<T>(
        &mut self,
        check: Check<'_>,
        progress: &mut dyn FnMut(Progress),
        work: &mut Work<'_, T>,
    ) -> Result<T, UpdateError> {
        let mut rest = check.source.each().iter().peekable();
        while let Some(source) = rest.next() {
            match work(self, Check { source, ..check }, progress) {
                Err(error) if error.is_of_source() && rest.peek().is_some() => {
                    let source = source.shown();
                    let passed =
                        PassedOver { source, why: chain(&error).to_string(), kind: error.kind() };
                    progress(Progress::PassedOver(passed.clone()));
                    self.passed_over.push(passed);
                }
                done => return done,
            }
        }
        Err(UpdateError::Abandoned)
    }

    /// Looks at what a source offers, and decides. Where that is not to be had,
    /// a node whose release is damaged asks for that one.
    pub(super) fn examine(&mut self, check: Check<'_>) -> Result<(Observed, Plan), UpdateError> {
        let wanted = self.wanted_back();
        let mut observed = self.observe(check)?;
        self.offered = observed.facts.offered();
        let plan = self.plan_for(&wanted, &mut observed)?;
        let (Some(slot), Decision::Stay(_)) = (&wanted, &plan.decision) else {
            return Ok((observed, plan));
        };
        // For one look, as if this node were pinned to it.
        let (version, by) = (slot.version.clone(), "a repair".to_owned());
        let pin = Pinned { version, by, since: check.now, extra: Extra::new() };
        let pinned = self.state.pinned.replace(pin);
        let again = self.observe(check);
        self.state.pinned = pinned;
        let mut again = match again {
            Err(UpdateError::Declined(_)) => return Ok((observed, plan)),
            again => again?,
        };
        let repair = self.plan_for(&wanted, &mut again)?;
        Ok(match repair.decision {
            Decision::Move(_) => (again, repair),
            Decision::Stay(_) => (observed, plan),
        })
    }

    /// The release that should run here and is not whole.
    fn wanted_back(&self) -> Option<Slot> {
        let current = self.state.current.as_ref()?;
        match self.state.forbids(current) {
            Some(_) => self.state.lost.clone(),
            None => self.damage.is_some().then(|| current.clone()),
        }
    }

    /// Decides as if the release that is wanted back were current, and damaged.
    fn plan_for(
        &self,
        wanted: &Option<Slot>,
        observed: &mut Observed,
    ) -> Result<Plan, UpdateError> {
        if let Some(wanted) = wanted {
            observed.facts.current = Some((wanted.version.clone(), wanted.digest));
            observed.facts.damaged = true;
        }
        let mut plan = self.plan_observed(observed)?;
        if let Decision::Move(target) = &mut plan.decision {
            target.from = self.state.current.as_ref().map(|current| current.version.clone());
        }
        Ok(plan)
    }

    fn update_from(
        &mut self,
        check: Check<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, UpdateError> {
        let wanted = self.wanted_back();
        let (mut observed, plan) = self.examine(check)?;
        let Check { source, now, .. } = check;
        let target = match &plan.decision {
            Decision::Stay(reason) if reason.is_refusal() => {
                return Err(UpdateError::Declined(reason.clone()));
            }
            Decision::Stay(reason) => return Ok(Outcome::Stayed(reason.clone())),
            Decision::Move(target) => target,
        };
        let artifact = Subject::Artifact(target.digest);
        let what = format!("release {} ({})", target.to, target.digest);
        let place = place(source, observed.repository.image());
        self.leave_alone(&artifact, what, &place, now)?;
        progress(Progress::Decided(Box::new(plan.clone())));
        let begun = self.history.newest();
        let mut execution = Execution {
            core: self,
            repository: &mut *observed.repository,
            target,
            release: &observed.facts.release,
            release_json: &observed.release_json,
            why: why(&observed.facts, wanted.as_ref(), source),
            now,
        };
        let mut warnings = plan.warnings.clone();
        match execution.run(&plan, progress) {
            Ok(()) => self.refusals.forget(&artifact),
            // Past the commit point a failure is a matter of tidying up.
            Err(UpdateError::File(e)) => {
                let warning = format!("{e}: {}", e.source);
                if let Err(e) = self.recover_after(now, e, &target.digest) {
                    self.record_failure(begun, &e, now);
                    return Err(e.into());
                }
                warnings.push(warning);
            }
            Err(e) => {
                self.note_refusal(&e, artifact, place, now);
                return Err(e);
            }
        }
        Ok(Outcome::Moved { from: target.from.clone(), to: target.to.clone(), warnings })
    }
}

impl Core {
    /// An error if the clock asks for what was refused here, too soon. An operator may.
    pub(super) fn leave_alone(
        &self,
        subject: &Subject,
        what: String,
        source: &str,
        now: Timestamp,
    ) -> Result<(), UpdateError> {
        match (&self.actor, self.refusals.in_force(subject, source, now)) {
            (Actor::Poll, Some(Refusal { times, until, why, .. })) => {
                let (times, until, why) = (*times, *until, why.clone());
                Err(UpdateError::RefusedBefore { what, times, until, why })
            }
            _ => Ok(()),
        }
    }

    /// Remembers what is not as it should be.
    pub(super) fn note_refusal(
        &mut self,
        error: &UpdateError,
        subject: Subject,
        source: String,
        now: Timestamp,
    ) {
        let source = match (&subject, error) {
            (_, UpdateError::Declined(_)) => return,
            (Subject::Artifact(_), UpdateError::Probe { .. }) => ANY_SOURCE.to_owned(),
            (Subject::Artifact(_), UpdateError::Artifact { .. }) | (Subject::Image(_), _) => source,
            (Subject::Artifact(_), _) => return,
        };
        if error.kind() == FailureKind::Refused {
            self.refusals.note(subject, source, chain(error).to_string(), now);
        }
    }
}

/// What an artifact comes from: in another image, the same one may be whole.
fn place(source: &Source, image: Option<ImageFile>) -> String {
    match image {
        Some(file) => format!("image {} of {}", file.uuid, source.shown()),
        None => source.shown(),
    }
}

/// The reason of a move, for the history.
fn why(facts: &Facts, wanted: Option<&Slot>, source: &Source) -> String {
    let source = source.shown();
    let version = &facts.release.version;
    if wanted.is_some_and(|wanted| wanted.version == *version) {
        return format!("release {version} was damaged on disk, from {source}");
    }
    match &facts.pinned {
        Some(pinned) => format!("pinned to release {version} by {}, from {source}", pinned.by),
        None => format!("channel {} of {source} names release {version}", facts.channel.name),
    }
}
