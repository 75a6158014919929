// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Gathering the facts for a decision: refresh, fetch the documents, check
//! them against each other.

use dockerlogger_manifest::{Channel, Release};
use jiff::Timestamp;

use crate::engine::core::{Check, Core};
use crate::engine::documents;
use crate::engine::error::{FailureKind, UpdateError};
use crate::engine::history::Entry;
use crate::engine::plan::{self, Plan};
use crate::engine::policy::{self, Decision, Facts, Reason};
use crate::engine::refresh::{Expiry, Present, Refresh};
use crate::engine::refusals::{ImageFile, Subject};
use crate::engine::source::{self, Access, Repository, Source};

/// What was gathered for a decision.
pub(super) struct Observed {
    pub(super) repository: Box<dyn Repository>,
    pub(super) facts: Facts,
    pub(super) release_json: Vec<u8>,
    pub(super) warnings: Vec<String>,
}

/// Facts, the release's manifest, and warnings.
type Gathered = (Facts, Vec<u8>, Vec<String>);

impl Core {
    /// Gathers the facts; the only part of planning that does I/O.
    pub(super) fn observe(&mut self, check: Check<'_>) -> Result<Observed, UpdateError> {
        let source = check.source;
        let (memory, interrupt) = (&self.memory, &self.interrupt);
        let (config, layout) = (&self.config, &self.layout);
        let access = Access { config, layout, memory, interrupt };
        let mut repository = source::open(source, access).map_err(|e| UpdateError::Fetch {
            name: "the repository".to_owned(),
            from: source.to_string(),
            source: e,
        })?;
        let (facts, release_json, warnings) = match repository.image() {
            None => self.gather(check, &mut *repository)?,
            Some(file) => self.gather_from_image(check, &mut *repository, file)?,
        };
        Ok(Observed { repository, facts, release_json, warnings })
    }

    /// The same as [`Self::gather`], unless the clock is to leave the image alone;
    /// and remembers how that went.
    fn gather_from_image(
        &mut self,
        check: Check<'_>,
        repository: &mut dyn Repository,
        file: ImageFile,
    ) -> Result<Gathered, UpdateError> {
        let Check { source, now, .. } = check;
        let what = format!("image {}", file.uuid);
        let (image, source) = (Subject::Image(file), source.shown());
        self.refusals.forget_images_but(&image, &source);
        self.leave_alone(&image, what, &source, now)?;
        let gathered = self.gather(check, repository);
        match &gathered {
            Ok(_) => self.refusals.forget(&image),
            Err(error) if repository.has_come() => self.note_refusal(error, image, source, now),
            // What is remembered of the file costs its server nothing.
            Err(_) => {}
        }
        gathered
    }

    fn gather(
        &mut self,
        check: Check<'_>,
        repository: &mut dyn Repository,
    ) -> Result<Gathered, UpdateError> {
        let Check { source, allow_expired, now } = check;
        let (limits, memory) = (&self.config.limits, &self.memory);
        let from = source.to_string();
        let expiry = match source {
            _ if allow_expired => Expiry::Warn,
            // Somebody carried it here by hand.
            Source::Import(_) => Expiry::Warn,
            // Polled unattended: whoever is in the way must not be able to show an old one for ever.
            Source::Http(_)
            | Source::Imgapi(_)
            | Source::Directory(_)
            | Source::Bundle(_)
            | Source::Mirrors(_) => Expiry::Refuse,
        };
        let (history, actor) = (&mut self.history, &self.actor);
        let record = &mut |entry: Entry| history.append(entry, actor, now);
        let now = Present::new(now, self.trust.clock_floor()?);
        let mut refresh = Refresh { repository, from, now, expiry, limits, memory, record };
        let mut trusted = match refresh.run(&self.trust) {
            Ok(trusted) => trusted,
            Err(error) => {
                // What came before the refusal is a floor nevertheless.
                if error.kind() != FailureKind::Local {
                    self.show_trust();
                }
                return Err(error);
            }
        };
        self.versions = Some(trusted.verifier.versions());

        let name = Channel::target_name(&self.config.channel);
        let bytes = refresh.document(&mut trusted, &name)?;
        let channel = documents::parse_channel(&bytes, &self.config.channel)
            .map_err(|problem| UpdateError::Document { name, problem })?;
        let pinned = self.state.pinned.clone();
        let wanted = pinned.as_ref().map_or(&channel.release, |pinned| &pinned.version).clone();
        let name = Release::target_name(&wanted);
        if let (Some(pinned), None) = (&pinned, refresh.find(&mut trusted, &name)?) {
            let (version, by) = (wanted, pinned.by.clone());
            return Err(UpdateError::Declined(Reason::PinUnavailable { version, by }));
        }
        let release_json = refresh.document(&mut trusted, &name)?;
        let document = |problem| UpdateError::Document { name: name.clone(), problem };
        let release = documents::parse_release(&release_json, &wanted).map_err(document)?;
        if let Some(artifact) = release.targets.get(&self.config.target) {
            let pin = refresh.find(&mut trusted, &artifact.name)?;
            let target = &self.config.target;
            documents::check_artifact(&release, target, artifact, pin, limits.artifact_bytes)
                .map_err(document)?;
        }
        // A release cannot be signed before it was built: that is a time that has been.
        let built: Option<Timestamp> = release.built_at.parse().ok();
        // Only now is everything verified that has to be good for these times.
        let mut times = [Some(now.time()), built];
        times.sort();
        for at in times.into_iter().rev().flatten() {
            self.trust.raise_clock(&trusted, at)?;
        }
        let facts = Facts {
            channel,
            release,
            target: self.config.target.clone(),
            current: self.state.current.as_ref().map(|slot| (slot.version.clone(), slot.digest)),
            damaged: self.damage.is_some(),
            blocked: self.state.blocked.clone(),
            barred: self.state.barred.clone(),
            held: self.state.held.clone(),
            pinned,
        };
        Ok((facts, release_json, trusted.warnings))
    }

    pub(super) fn plan_observed(&self, observed: &mut Observed) -> Result<Plan, UpdateError> {
        let decision = policy::decide(&observed.facts);
        let mut warnings = std::mem::take(&mut observed.warnings);
        let staged = match &decision {
            Decision::Move(target) => {
                match self.layout.verify(&target.digest, self.config.limits.document_bytes) {
                    Ok(verified) => verified.is_ok(),
                    Err(e) => {
                        warnings.push(format!("{e}, it is fetched again: {}", e.source));
                        false
                    }
                }
            }
            Decision::Stay(_) => false,
        };
        Ok(plan::plan(decision, self.config.reserve_bytes, staged, warnings))
    }
}
