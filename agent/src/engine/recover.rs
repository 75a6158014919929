// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Repair after an interruption: from what is on disk to what to do, pure.
//!
//! | pending | `bin/logger` names | what happens |
//! |---|---|---|
//! | none | the current release | nothing |
//! | none | anything else | switch to the current release |
//! | P | P, whole | confirm P: the switch was done |
//! | P | the current release | forget P: the switch was not done |
//! | P | anything else | switch to the current release, forget P |
//! | any | — the current release cannot be read | nothing: it is not known to be damaged; an update fetches it again |
//! | any | — the current release is damaged | switch to the newest other that is whole and not blocked |
//! | any | — and every other that is whole is blocked | the same, keep the block, and want the damaged one back |
//! | any | — nothing is whole | keep what there is, say so; an update repairs it |
//!
//! A copy of the state that is damaged, behind or cannot be read is made anew from
//! the other one, before anything else; where that cannot be done, nothing is
//! ([`stand_by`]). A state that is lost, or of a newer format than this agent
//! knows, is not guessed: what `bin/logger` names is shown, and nothing is changed.
//!
//! Doing it twice is doing it once, and it may be interrupted anywhere.

use std::collections::BTreeMap;
use std::fmt;

use dockerlogger_manifest::{Digest, Extra, Release};
use jiff::Timestamp;

use crate::engine::layout::Link;
use crate::engine::state::{Copies, FORMAT, Loaded, Slot, State};
use crate::engine::view::{Damage, DamageKind};
use crate::os::FileError;

/// What is on disk.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) state: Loaded,
    pub(crate) link: Link,
    /// Every release in `store/`, read whole.
    pub(crate) entries: BTreeMap<Digest, Result<Release, Flaw>>,
    /// Names in `store/` that are no digests.
    pub(crate) strangers: Vec<String>,
    /// Releases to keep when a switch is confirmed.
    pub(crate) retain: usize,
}

/// What is wrong with a release in `store/`, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is not what was signed.
    Damaged(String),
    /// It cannot be read, which may be over the next time: it is kept.
    Unreadable(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(problem) | Self::Unreadable(problem) => f.write_str(problem),
        }
    }
}

impl Found {
    /// Whether a release may be whole and cannot be read.
    pub(crate) fn is_unreadable(&self, slot: &Slot) -> bool {
        matches!(self.entries.get(&slot.digest), Some(Err(Flaw::Unreadable(_))))
    }
}

/// One repair. In the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Make `bin/logger` this release.
    Switch(Digest),
    /// Make `bin/logger`, as it is, durable.
    SyncLink,
    /// Remove a `bin/logger` that names nothing.
    RemoveLink,
    /// Write the state.
    Save,
    /// Remove something from `store/`.
    Discard(String),
}

/// What to do and what is true once it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// The copies of the state have to be made the same before anything else is done.
    pub(crate) mirror: bool,
    pub(crate) repairs: Vec<Repair>,
    pub(crate) state: State,
    /// The current release is not whole, and nothing could take its place. Whoever has
    /// the disk and the history says whether it can be started, and since when.
    pub(crate) damage: Option<Damage>,
    /// Why nothing may be changed, if so.
    pub(crate) hold: Option<String>,
    /// What an operator should know.
    pub(crate) notes: Vec<String>,
    /// What the medium did, although it was repaired; an operator has to look.
    pub(crate) alarm: Option<String>,
}

/// Decides what to repair.
pub(crate) fn recover(found: &Found, now: Timestamp) -> Recovery {
    match &found.state {
        Loaded::Valid(state, copies) => {
            if let Copies::Unreadable { problem } = copies
                && let Some(unknown) = unexplained(found, state)
            {
                return hold(
                    found,
                    now,
                    format!(
                        "one copy of the state cannot be read ({problem}), and the other one does \
                         not lead to {unknown}, which bin/logger names: it may be the older one; \
                         remove the file that cannot be read to accept it"
                    ),
                );
            }
            let mut recovery = recover_state(found, (**state).clone(), now);
            recovery.alarm = alarm(copies);
            recovery.mirror = *copies != Copies::Both;
            recovery
        }
        Loaded::Absent => {
            let (state, mut notes) = adopt(found, now);
            if state.current.is_none() {
                return start_empty(found, notes);
            }
            notes.push("there was no state; what bin/logger names was taken as current".to_owned());
            let mut recovery = recover_state(found, state, now);
            recovery.repairs.insert(0, Repair::SyncLink);
            if !recovery.repairs.contains(&Repair::Save) {
                recovery.repairs.insert(1, Repair::Save);
            }
            recovery.notes.splice(0..0, notes);
            recovery
        }
        Loaded::Lost { problem } => hold(
            found,
            now,
            format!(
                "the state is lost ({problem}); remove state/a and state/b to accept what \
                 bin/logger names"
            ),
        ),
        Loaded::TooNew { path, found: format } => hold(
            found,
            now,
            format!(
                "{} has format {format}, this agent knows up to {FORMAT}: what is installed is \
                 served and not changed until the newer agent runs again",
                path.display()
            ),
        ),
    }
}

/// What there is while the copies of the state cannot be made the same: whatever was
/// done would rest on one of them.
pub(crate) fn stand_by(
    found: &Found,
    state: &State,
    error: &FileError,
    now: Timestamp,
) -> Recovery {
    let hold = format!(
        "there is one copy of the state only, and the other one cannot be made ({error}: {}): \
         nothing is changed until it can",
        error.source
    );
    let damage = state.current.as_ref().and_then(|current| damage_of(found, current, now));
    let (repairs, notes) = (Vec::new(), Vec::new());
    let (state, hold) = (state.clone(), Some(hold));
    Recovery { mirror: false, repairs, state, damage, hold, notes, alarm: None }
}

/// What an operator should know of the copies of the state.
fn alarm(copies: &Copies) -> Option<String> {
    let problem = match copies {
        Copies::Both | Copies::Behind => return None,
        Copies::Damaged { problem } => format!("was damaged ({problem})"),
        Copies::Unreadable { problem } => format!("could not be read ({problem})"),
    };
    Some(format!(
        "one copy of the state {problem} and the other one taken: only a change that was not \
         acknowledged can be lost, or the last one made by an agent that wrote one copy at a time; \
         compare with the history"
    ))
}

/// The release that `bin/logger` names, if no interruption that begins with `state` leads there.
fn unexplained(found: &Found, state: &State) -> Option<Digest> {
    let Link::To(linked) = found.link else { return None };
    let leads = |slot: &Slot| slot.digest == linked;
    let whole = |slot: &Slot| matches!(found.entries.get(&slot.digest), Some(Ok(_)));
    // A damaged release gives way to another one before the state says so.
    let given_way = state.current.as_ref().is_none_or(|current| !whole(current));
    let explained = state.current.iter().chain(&state.pending).any(leads)
        || given_way && state.kept().contains(&linked);
    (!explained).then_some(linked)
}

fn recover_state(found: &Found, mut state: State, now: Timestamp) -> Recovery {
    let before = state.clone();
    let mut notes = Vec::new();
    let mut repairs = Vec::new();
    let whole = |slot: &Slot| matches!(found.entries.get(&slot.digest), Some(Ok(_)));
    let linked = |slot: &Slot| found.link == Link::To(slot.digest);

    let mut damage = None;
    if let Some(pending) = state.pending.clone().filter(|pending| linked(pending) && whole(pending))
    {
        notes.push(format!("the interrupted switch to release {} was confirmed", pending.version));
        state.confirm(now);
        state.keep(found.retain);
        repairs.push(Repair::SyncLink);
    } else if let Some(current) =
        state.current.clone().filter(|slot| whole(slot) || found.is_unreadable(slot))
    {
        if found.is_unreadable(&current) {
            let problem = problem_of(found, &current);
            notes.push(format!(
                "release {} stays and cannot be read ({problem}); an update fetches it again",
                current.version
            ));
            damage = damage_of(found, &current, now);
        }
        if let Some(pending) = &state.pending {
            notes.push(format!(
                "the interrupted switch to release {} was taken back",
                pending.version
            ));
            state.abandon();
        }
        if !linked(&current) {
            notes.push(format!("bin/logger was set to release {} again", current.version));
            repairs.push(Repair::Switch(current.digest));
        }
    } else if let Some(substitute) = state.substitute(whole) {
        if let Some(current) = &state.current {
            let problem = problem_of(found, current);
            notes.push(format!(
                "release {} is damaged ({problem}); went back to release {}",
                current.version, substitute.version
            ));
        }
        if let Some(why) = state.forbids(&substitute) {
            notes.push(format!(
                "release {} is blocked ({why}) and runs because no other is whole",
                substitute.version
            ));
        }
        if !linked(&substitute) {
            repairs.push(Repair::Switch(substitute.digest));
        }
        state.fall_back(substitute, now);
    } else {
        state.abandon();
        match &state.current {
            Some(current) => {
                let problem = problem_of(found, current);
                notes.push(format!(
                    "release {} is damaged ({problem}) and there is no other; an update fetches it \
                     again",
                    current.version
                ));
                damage = damage_of(found, current, now);
            }
            None => {
                if matches!(&found.link, Link::To(digest) if !found.entries.contains_key(digest)) {
                    repairs.push(Repair::RemoveLink);
                }
            }
        }
    }
    for slot in state.previous.iter().chain(&state.retained) {
        if found.is_unreadable(slot) {
            let problem = problem_of(found, slot);
            notes.push(format!("release {} cannot be read: {problem}", slot.version));
        }
    }
    let is_lost = |slot: &Slot| !whole(slot) && !found.is_unreadable(slot);
    if let Some(previous) = state.previous.take_if(|previous| is_lost(previous)) {
        let problem = problem_of(found, &previous);
        notes.push(format!("previous release {} is damaged: {problem}", previous.version));
        // What the release on trial would give way to.
        if state.trial.is_some() && state.forbids(&previous).is_none() {
            state.lost = Some(previous);
        }
    }
    state.retained.retain(|slot| {
        let is_lost = is_lost(slot);
        if is_lost {
            let problem = problem_of(found, slot);
            notes.push(format!("release {}, which was kept, is damaged: {problem}", slot.version));
        }
        !is_lost
    });
    if state != before {
        repairs.push(Repair::Save);
    }
    let kept = state.kept();
    let useless = found.entries.keys().filter(|digest| !kept.contains(digest));
    repairs.extend(useless.map(|digest| Repair::Discard(digest.to_string())));
    repairs.extend(found.strangers.iter().cloned().map(Repair::Discard));
    Recovery { mirror: false, repairs, state, damage, hold: None, notes, alarm: None }
}

/// Nothing was ever installed here, or nothing is left of it.
fn start_empty(found: &Found, mut notes: Vec<String>) -> Recovery {
    let mut repairs = Vec::new();
    let mut linked = None;
    match &found.link {
        // Damaged, but what starts today may still run; an update replaces it.
        Link::To(digest) if found.entries.contains_key(digest) => linked = Some(digest),
        Link::To(_) => {
            repairs.push(Repair::RemoveLink);
        }
        Link::Foreign => {
            notes.push("bin/logger is not this agent's; an update replaces it".to_owned());
        }
        Link::Absent => {}
    }
    let useless = found.entries.keys().filter(|digest| Some(*digest) != linked);
    repairs.extend(useless.map(|digest| Repair::Discard(digest.to_string())));
    repairs.extend(found.strangers.iter().cloned().map(Repair::Discard));
    let (state, damage) = (State::default(), None);
    Recovery { mirror: false, repairs, state, damage, hold: None, notes, alarm: None }
}

/// The state cannot be read: guess nothing, change nothing.
fn hold(found: &Found, now: Timestamp, hold: String) -> Recovery {
    let (state, notes) = adopt(found, now);
    let (repairs, damage) = (Vec::new(), None);
    Recovery { mirror: false, repairs, state, damage, hold: Some(hold), notes, alarm: None }
}

/// A state that says no more than the link does.
fn adopt(found: &Found, now: Timestamp) -> (State, Vec<String>) {
    let mut state = State::default();
    let mut notes = Vec::new();
    if let Link::To(digest) = found.link {
        match found.entries.get(&digest) {
            Some(Ok(release)) => {
                state.current = Some(Slot {
                    version: release.version.clone(),
                    digest,
                    installed_at: now,
                    untried: false,
                    extra: Extra::new(),
                });
                state.since = Some(now);
            }
            Some(Err(problem)) => notes.push(format!("bin/logger names {digest}: {problem}")),
            None => notes.push(format!("bin/logger names {digest}, which is not there")),
        }
    }
    (state, notes)
}

/// What is wrong with a release, unless it is whole.
fn damage_of(found: &Found, slot: &Slot, now: Timestamp) -> Option<Damage> {
    let kind = match found.entries.get(&slot.digest) {
        Some(Ok(_)) => return None,
        Some(Err(Flaw::Unreadable(_))) => DamageKind::Unreadable,
        Some(Err(Flaw::Damaged(_))) | None => DamageKind::Damaged,
    };
    Some(Damage { kind, what: problem_of(found, slot), since: now, startable: false })
}

fn problem_of(found: &Found, slot: &Slot) -> String {
    match found.entries.get(&slot.digest) {
        Some(Err(flaw)) => flaw.to_string(),
        _ => "it is not there".to_owned(),
    }
}

#[cfg(test)]
mod tests;
