// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What must hold on every disk, before anybody repairs it and after.
//!
//! | | |
//! |---|---|
//! | I1 | `bin/logger` resolves to a release that is whole |
//! | I2 | what it names is the current or the pending release of the state |
//! | I3 | every release that the state keeps is there and whole |
//! | I4 | a confirmed release is not forgotten, nor the last one that a trial proved |
//! | I5 | a switch that was told is not lost |
//! | I6 | `store/` never holds half a release; after recovery nothing is litter |
//! | I7 | no trust floor that was told falls, nor that of the clock; keys that a root replaces lift those of their roles |
//! | I8 | what is blocked stays so, and what operators laid down; a trial goes on and counts |
//! | I9 | recovery twice is recovery once |
//! | I10 | an error instead of an effect: the same, and the next try works |
//! | I11 | no record of the history that was told is lost |
//!
//! A release that was damaged by the medium before the run began is exempt
//! from I1, I2, I3 and I6, except that `bin/logger` never dangles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dockerlogger_manifest::Digest;
use jiff::{SignedDuration, Timestamp};

use crate::engine::layout::{Layout, Link};
use crate::engine::state::{Loaded, Slot, State, StateStore};
use crate::engine::trust::{self, Role, Verifier};
use crate::engine::view::{NodeView, TrustVersions};
use crate::os::Files;

/// What the world was told: nobody may have to take it back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) current: Option<Digest>,
    pub(super) trust: Option<TrustVersions>,
    /// When a check was told that found all of it good.
    pub(super) clock: Option<Timestamp>,
    pub(super) blocked: BTreeSet<Digest>,
    /// The newest record of the history.
    pub(super) history: u64,
    /// The trial of the current release, and how often it was begun.
    pub(super) trial: Option<(Digest, u32)>,
    /// What operators laid down: blocks, a hold, a pin.
    pub(super) wishes: String,
}

impl Told {
    pub(super) fn hear(&mut self, view: &NodeView) {
        // What is told to be damaged is no promise.
        if let Some(current) = view.current.as_ref().filter(|current| current.damage.is_none()) {
            self.current = Some(current.digest);
        }
        if view.trust.is_some() {
            self.trust = view.trust;
        }
        let good = view.last_check.iter().filter(|check| check.error.is_none());
        self.clock = good.map(|check| check.at).max().max(self.clock);
        self.blocked = view.blocked.iter().map(|blocked| blocked.digest).collect();
        self.trial = view.trial.as_ref().map(|trial| (trial.digest, trial.attempts));
        let newest = view.history.last().map_or(0, |record| record.seq);
        self.history = self.history.max(newest);
        self.wishes = format!("{:?} {:?} {:?}", view.barred, view.held, view.pinned);
    }
}

/// What a scenario may lead to.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) root: PathBuf,
    /// The root of trust that the node was given.
    pub(super) anchor: PathBuf,
    /// Current when the scenario began.
    pub(super) before: Option<Digest>,
    /// Current when it is through.
    pub(super) goal: Option<Digest>,
    /// What operators want when it is through, if that changes.
    pub(super) wished: Option<String>,
    /// Whether the trial of the current release may come to its end.
    pub(super) trial_ends: bool,
    /// What the medium had damaged by then.
    pub(super) damaged: Option<Digest>,
    /// What its trial proved and is kept until something else has.
    pub(super) refuge: Option<Digest>,
    /// What is blocked and may be current meanwhile, because nothing else is whole.
    pub(super) stand_in: Option<Digest>,
}

impl Rules {
    /// Nothing is installed, and nothing is to be.
    pub(super) fn new(root: PathBuf, anchor: PathBuf) -> Self {
        Self {
            root,
            anchor,
            before: None,
            goal: None,
            wished: None,
            trial_ends: false,
            damaged: None,
            refuge: None,
            stand_in: None,
        }
    }

    /// What holds at every instant.
    pub(super) fn always(&self, files: &Arc<dyn Files>, told: &Told) -> Result<(), String> {
        let layout = Layout::new(Arc::clone(files), self.root.clone());
        let state = self.state(files, &layout)?;
        let link = layout.link().map_err(text)?;
        self.link(files, &layout, &state, &link)?;
        for digest in state.kept() {
            if Some(digest) != self.damaged {
                whole(&layout, &digest).map_err(|e| format!("I3: {e}"))?;
            }
        }
        self.current(&state, told, "I4")?;
        if let Some(refuge) = self.refuge.filter(|refuge| !state.kept().contains(refuge)) {
            return Err(format!("I4: {refuge}, the last one that a trial proved, is forgotten"));
        }
        if told.current.is_some() && told.current == self.goal && self.goal != self.before {
            let switched = link == Link::To(self.goal.unwrap());
            if !switched {
                return Err(format!("I5: a switch was told, and bin/logger is {link:?}"));
            }
        }
        for name in names(files, &layout.store()) {
            match name.parse::<Digest>() {
                Ok(digest) if Some(digest) == self.damaged => {}
                Ok(digest) => whole(&layout, &digest).map_err(|e| format!("I6: {e}"))?,
                Err(_) => return Err(format!("I6: store/{name}")),
            }
        }
        Ok(())
    }

    /// What holds once the root was opened.
    pub(super) fn settled(
        &self,
        files: &Arc<dyn Files>,
        told: &Told,
        view: &NodeView,
    ) -> Result<(), String> {
        self.always(files, told)?;
        let layout = Layout::new(Arc::clone(files), self.root.clone());
        let state = self.state(files, &layout)?;
        if let Some(hold) = &view.hold {
            return Err(format!("I2: held: {hold}"));
        }
        if let Some(pending) = &state.pending {
            return Err(format!("I2: {} is still pending", pending.version));
        }
        let expected = state.current.as_ref().map_or(Link::Absent, |slot| Link::To(slot.digest));
        let link = layout.link().map_err(text)?;
        if link != expected {
            return Err(format!("I2: bin/logger is {link:?}, the state says {expected:?}"));
        }
        let kept: BTreeSet<String> = state.kept().iter().map(ToString::to_string).collect();
        let stored: BTreeSet<String> = names(files, &layout.store()).into_iter().collect();
        if !stored.is_subset(&kept) {
            return Err(format!("I6: store/ holds {stored:?}, the state explains {kept:?}"));
        }
        let clean = |directory: PathBuf, fine: fn(&str) -> bool| match names(files, &directory)
            .into_iter()
            .find(|name| !fine(name))
        {
            Some(name) => Err(format!("I6: litter: {}", directory.join(name).display())),
            None => Ok(()),
        };
        // What an artifact may be resumed from is no litter.
        clean(layout.tmp(), |name| name.starts_with("partial-"))?;
        clean(layout.bin(), |name| name == "logger")?;
        clean(layout.state(), |name| name == "a" || name == "b")?;
        clean(layout.trust(), |name| !name.starts_with('.'))?;
        clean(layout.history(), |name| !name.starts_with('.'))?;
        self.trust(files, told, view)?;
        let blocked: BTreeSet<Digest> = state.blocked.iter().map(|found| found.digest).collect();
        if let Some(digest) = told.blocked.difference(&blocked).next() {
            return Err(format!("I8: {digest} is not blocked any more"));
        }
        if let Some((digest, attempts)) = told.trial
            && state.current.as_ref().map(|slot| slot.digest) == Some(digest)
            && !self.trial_ends
            && state.trial.as_ref().is_none_or(|trial| trial.attempts < attempts)
        {
            return Err(format!("I8: attempt {attempts} of a trial was told: {:?}", state.trial));
        }
        let newest = view.history.last().map_or(0, |record| record.seq);
        if newest < told.history {
            return Err(format!("I11: history ends at {newest}, {} was told", told.history));
        }
        let wishes = format!("{:?} {:?} {:?}", state.barred, state.held, state.pinned);
        let told_wishes = told.wishes.is_empty() || wishes == told.wishes;
        if told_wishes || self.wished.as_ref() == Some(&wishes) {
            return Ok(());
        }
        Err(format!("I8: operators were told {}, the state says {wishes}", told.wishes))
    }

    /// The digest that the state calls current.
    pub(super) fn current_on(&self, files: &Arc<dyn Files>) -> Option<Digest> {
        let layout = Layout::new(Arc::clone(files), self.root.clone());
        Some(self.state(files, &layout).ok()?.current?.digest)
    }

    fn state(&self, files: &Arc<dyn Files>, layout: &Layout) -> Result<State, String> {
        let states = StateStore::new(Arc::clone(files), layout.state());
        match states.load().map_err(text)? {
            Loaded::Valid(state, _) => Ok(*state),
            Loaded::Absent if self.before.is_none() => Ok(State::default()),
            other => Err(format!("I4: the state is {other:?}")),
        }
    }

    fn link(
        &self,
        files: &Arc<dyn Files>,
        layout: &Layout,
        state: &State,
        link: &Link,
    ) -> Result<(), String> {
        let digest = match link {
            Link::To(digest) => digest,
            Link::Absent if self.before.is_none() && state.current.is_none() => return Ok(()),
            other => return Err(format!("I1: bin/logger is {other:?}")),
        };
        if Some(*digest) == self.damaged {
            let logger = layout.logger(digest);
            if files.stat(&logger).map_err(text)?.is_none() {
                return Err("I1: bin/logger dangles".to_owned());
            }
        } else {
            whole(layout, digest).map_err(|e| format!("I1: {e}"))?;
        }
        let names = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.digest == *digest);
        let damaged = state.current.as_ref().map(|slot| slot.digest) == self.damaged
            && self.damaged.is_some();
        if names(&state.current) || names(&state.pending) || (damaged && names(&state.previous)) {
            return Ok(());
        }
        // Forgetting what is damaged: the state goes first, the link follows.
        if Some(*digest) == self.damaged {
            return Ok(());
        }
        Err(format!("I2: bin/logger names {digest}, which the state does not explain"))
    }

    fn current(&self, state: &State, told: &Told, rule: &str) -> Result<(), String> {
        let current = state.current.as_ref().map(|slot| slot.digest);
        let pending = state.pending.as_ref().map(|slot| slot.digest);
        let reached = current == self.goal || pending == self.goal;
        let told_goal = told.current.is_some() && told.current == self.goal;
        if told_goal && !reached {
            return Err(format!("{rule}: a release was told and is not current: {current:?}"));
        }
        let stands_in = current.is_some() && current == self.stand_in;
        if current == self.before || current == self.goal || stands_in {
            return Ok(());
        }
        Err(format!("{rule}: current is {current:?}"))
    }

    fn trust(&self, files: &Arc<dyn Files>, told: &Told, view: &NodeView) -> Result<(), String> {
        let layout = Layout::new(Arc::clone(files), self.root.clone());
        if let Some(told) = told.clock {
            let bytes = read(files, &layout.trust().join("clock"))?.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let floor: Option<Timestamp> = text.trim_end().parse().ok();
            // It may lag behind, so that a poll costs no write.
            if floor.is_none_or(|floor| floor < told - SignedDuration::from_hours(1)) {
                return Err(format!("I7: at {told} all was well, the clock floor is {text:?}"));
            }
        }
        let Some(floor) = told.trust else { return Ok(()) };
        let Some(found) = view.trust else {
            return Err(format!("I7: the trust of {floor:?} is not readable any more"));
        };
        let lower = |it: &TrustVersions| [it.timestamp, it.snapshot, it.targets];
        let mut pairs = lower(&floor).into_iter().zip(lower(&found));
        let stands = pairs.all(|(floor, found)| found >= floor);
        let fell = || format!("I7: trust fell from {floor:?} to {found:?}");
        if found.root < floor.root || !(stands || self.replaced(files, &floor, &found)?) {
            return Err(fell());
        }
        Ok(())
    }

    /// Whether keys of the timestamp or the snapshot were replaced between these roots. Then the
    /// roles below the root begin afresh, all of them: the snapshot's is the floor of targets.
    fn replaced(
        &self,
        files: &Arc<dyn Files>,
        from: &TrustVersions,
        to: &TrustVersions,
    ) -> Result<bool, String> {
        let layout = Layout::new(Arc::clone(files), self.root.clone());
        let anchor = read(files, &self.anchor)?.ok_or("I7: there is no anchor")?;
        let mut chain = trust::begin(&anchor).map_err(|e| e.to_string())?;
        let mut replaced = false;
        for version in chain.versions().root + 1..=to.root {
            let keys = |chain: &dyn Verifier| {
                [Role::Timestamp, Role::Snapshot].map(|role| chain.keys(role))
            };
            let before = keys(&*chain);
            let root = read(files, &layout.trust().join(format!("{version}.root.json")))?;
            chain.update_root(&root.ok_or("I7: a root is gone")?).map_err(|e| e.to_string())?;
            replaced |= version > from.root && keys(&*chain) != before;
        }
        Ok(replaced)
    }
}

fn read(files: &Arc<dyn Files>, path: &Path) -> Result<Option<Vec<u8>>, String> {
    crate::os::files::read(&**files, path, 1 << 20).map_err(text)
}

fn whole(layout: &Layout, digest: &Digest) -> Result<(), String> {
    match layout.verify(digest, 1 << 20).map_err(text)? {
        Ok(_) => Ok(()),
        Err(problem) => Err(format!("release {digest} is not whole: {problem}")),
    }
}

fn names(files: &Arc<dyn Files>, directory: &Path) -> Vec<String> {
    let names = files.list(directory).unwrap_or_default();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

fn text(error: crate::os::FileError) -> String {
    format!("{error}: {}", error.source)
}
