// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is installed, written down; [`store`] says how.
//!
//! The format rises when an agent that does not know what is new would do harm:
//! when a field changes its meaning, gets another kind of value or goes away, or
//! when what is installed has a manifest of a newer format. Such a state is left
//! alone, and the node keeps what it runs. New fields do not raise the format:
//! this agent keeps those it does not know, wherever they are but in the counts
//! of a trial, and those that an older agent did not write have defaults.

use std::collections::BTreeMap;

use dockerlogger_manifest::{Digest, Extra, Release, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::trial::{Tally, Trial};
use crate::engine::view::{Barred, Blocked, Damage, Held, Installed, NodeView, Pinned, StandsIn};

mod store;

pub(crate) use store::{Copies, Loaded, StateStore};

/// The format that this agent writes and the newest that it reads.
pub(crate) const FORMAT: u64 = 1;

/// What is installed, what is about to be, what must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) format: u64,
    /// Rises with each write.
    pub(crate) generation: u64,
    /// What `bin/logger` names, unless there is a pending release.
    pub(crate) current: Option<Slot>,
    /// What a rollback or a failed trial goes to: the last release that was proven
    /// by its own, if one was; after that, what was left, which is blocked.
    pub(crate) previous: Option<Slot>,
    /// The intent: the release that is being switched to.
    pub(crate) pending: Option<Slot>,
    /// What a rollback or a failed trial forbids.
    pub(crate) blocked: Vec<Blocked>,
    /// What operators forbid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) barred: Vec<Barred>,
    /// Set: keep the current release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<Held>,
    /// Set: have this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pinned: Option<Pinned>,
    /// The trial of the current release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trial: Option<Trial>,
    /// The trial of the pending release, once that is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending_trial: Option<Trial>,
    /// What is blocked once the pending release is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending_block: Option<Blocked>,
    /// What should run here and is damaged. The next update brings it back if the
    /// current release is blocked, and runs only because nothing better was whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<Slot>,
    /// Releases that are kept besides current and previous, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retained: Vec<Slot>,
    /// When the current release became so.
    pub(crate) since: Option<Timestamp>,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// A release in `store/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) version: Version,
    pub(crate) digest: Digest,
    pub(crate) installed_at: Timestamp,
    /// No trial has proven it: none that it passed saw a logger start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) untried: bool,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

impl Slot {
    /// A trial of it that nobody has begun to watch.
    pub(crate) fn trial(&self, now: Timestamp) -> Trial {
        let (digest, version) = (self.digest, self.version.clone());
        let (attempts, tally, extra) = (0, Tally::default(), Extra::new());
        Trial { digest, version, since: now, attempts, tally, extra }
    }
}

/// A switch that is about to be made.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    /// What is switched to.
    pub(crate) slot: Slot,
    /// The trial that begins with that.
    pub(crate) trial: Option<Trial>,
    /// What is blocked with that.
    pub(crate) block: Option<Blocked>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            format: FORMAT,
            generation: 0,
            current: None,
            previous: None,
            pending: None,
            blocked: Vec::new(),
            barred: Vec::new(),
            held: None,
            pinned: None,
            trial: None,
            pending_trial: None,
            pending_block: None,
            lost: None,
            retained: Vec::new(),
            since: None,
            extra: Extra::new(),
        }
    }
}

// Transitions. None of them writes to the disk.
impl State {
    /// Names what is about to be switched to.
    pub(crate) fn begin(&mut self, intent: Intent) {
        self.pending = Some(intent.slot);
        self.pending_trial = intent.trial;
        self.pending_block = intent.block;
    }

    /// The pending release is current now.
    pub(crate) fn confirm(&mut self, now: Timestamp) {
        let Some(pending) = self.pending.take() else { return };
        let same = self.current.as_ref().is_some_and(|current| current.digest == pending.digest);
        let (left, digest) = (self.current.take(), pending.digest);
        let untried = left.as_ref().filter(|_| same).map(|left| left.untried);
        self.current = Some(Slot { untried: untried.unwrap_or(pending.untried), ..pending });
        self.lost = None;
        if !same {
            let older = self.previous.take().filter(|older| older.digest != digest);
            let (previous, other) = match (left, older) {
                // What is not proven is nothing to go back to where something is.
                (Some(left), Some(older)) if self.is_proven(&older) && !self.is_proven(&left) => {
                    (Some(older), Some(left))
                }
                (Some(left), older) => (Some(left), older),
                (None, older) => (older, None),
            };
            self.previous = previous;
            self.retained.splice(0..0, other);
            self.since = Some(now);
            self.trial = self.pending_trial.take();
        }
        self.pending_trial = None;
        if let Some(block) = self.pending_block.take() {
            self.block(block);
        }
        let kept = [&self.current, &self.previous];
        let kept: Vec<Digest> = kept.into_iter().flatten().map(|slot| slot.digest).collect();
        self.retained.retain(|slot| !kept.contains(&slot.digest));
        self.end_other_trials();
    }

    /// Why a release may not be switched to, if so.
    pub(crate) fn forbids(&self, slot: &Slot) -> Option<String> {
        let barred = self.barred.iter().find(|barred| barred.covers(&slot.version, &slot.digest));
        let barred = barred.map(|barred| format!("{}, by {}", barred.reason, barred.by));
        let blocked = || self.blocked.iter().find(|blocked| blocked.digest == slot.digest);
        barred.or_else(|| blocked().map(|blocked| blocked.reason.clone()))
    }

    /// Puts into `view` what this says. `releases`: the manifests that could be read.
    /// `damage`: what is wrong with the current release.
    pub(crate) fn show(
        &self,
        releases: &BTreeMap<Digest, Release>,
        damage: Option<&Damage>,
        view: &mut NodeView,
    ) {
        let installed = |slot: &Option<Slot>, damage: Option<&Damage>| {
            let slot = slot.as_ref()?;
            Some(Installed {
                version: slot.version.clone(),
                digest: slot.digest,
                installed_at: slot.installed_at,
                release: releases.get(&slot.digest).cloned(),
                damage: damage.cloned(),
            })
        };
        view.current = installed(&self.current, damage);
        view.previous = installed(&self.previous, None);
        view.pending = installed(&self.pending, None);
        view.blocked.clone_from(&self.blocked);
        view.barred.clone_from(&self.barred);
        view.held.clone_from(&self.held);
        view.pinned.clone_from(&self.pinned);
        view.trial.clone_from(&self.trial);
        view.stands_in = self.stands_in();
        view.since = self.since;
    }

    /// Whether the current release runs although it is blocked, and what for.
    fn stands_in(&self) -> Option<StandsIn> {
        let why = self.forbids(self.current.as_ref()?)?;
        let wanted = self.lost.as_ref().map(|lost| lost.version.clone());
        Some(StandsIn { why, wanted })
    }

    fn is_proven(&self, slot: &Slot) -> bool {
        !slot.untried && self.forbids(slot).is_none()
    }

    /// Forgets all but the newest releases; current and previous are always among them.
    pub(crate) fn keep(&mut self, retain: usize) {
        self.retained.truncate(retain.saturating_sub(2));
    }

    /// The digests of everything that is kept in the store.
    pub(crate) fn kept(&self) -> Vec<Digest> {
        let newest = [&self.current, &self.previous].into_iter().flatten();
        newest.chain(&self.retained).map(|slot| slot.digest).collect()
    }

    /// The switch did not happen.
    pub(crate) fn abandon(&mut self) {
        self.pending = None;
        self.pending_trial = None;
        self.pending_block = None;
        self.end_other_trials();
    }

    /// The kept release that takes the place of the current one, which is not
    /// whole: what is blocked only if there is nothing else.
    pub(crate) fn substitute(&self, whole: impl Fn(&Slot) -> bool) -> Option<Slot> {
        let kept = self.previous.iter().chain(&self.retained).filter(|slot| whole(slot));
        let free = kept.clone().find(|slot| self.forbids(slot).is_none());
        free.or(kept.clone().next()).cloned()
    }

    /// The current release is damaged; `substitute` takes its place.
    pub(crate) fn fall_back(&mut self, substitute: Slot, now: Timestamp) {
        let stands_in = self.forbids(&substitute).is_some();
        self.previous.take_if(|slot| slot.digest == substitute.digest);
        self.retained.retain(|slot| slot.digest != substitute.digest);
        let trial = substitute.untried.then(|| substitute.trial(now));
        let left = self.current.replace(substitute);
        // Of two that are lost, the one that may run is wanted.
        let left = left.filter(|left| self.forbids(left).is_none());
        self.lost = left.or(self.lost.take()).filter(|_| stands_in);
        self.since = Some(now);
        self.abandon();
        self.trial = trial.filter(|_| !stands_in);
    }

    /// The current release passed its trial. Only one in which loggers started proves it.
    pub(crate) fn pass(&mut self, tally: Tally) {
        self.trial = None;
        self.lost = None;
        if let (Some(current), true) = (&mut self.current, tally.started > 0) {
            current.untried = false;
        }
    }

    /// The current release failed its trial, and nothing can take its place.
    pub(crate) fn give_up(&mut self, block: Blocked) {
        self.trial = None;
        self.block(block);
        // What may run and is not the way back is damaged.
        let free = self.previous.as_ref().is_some_and(|slot| self.forbids(slot).is_none());
        self.lost = self.previous.take_if(|_| free).or(self.lost.take());
    }

    fn block(&mut self, block: Blocked) {
        self.blocked.retain(|blocked| blocked.digest != block.digest);
        self.blocked.push(block);
    }

    fn end_other_trials(&mut self) {
        let current = self.current.as_ref().map(|current| current.digest);
        self.trial.take_if(|trial| Some(trial.digest) != current);
    }
}

#[cfg(test)]
mod tests;
