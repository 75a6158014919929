// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::fs;
use std::sync::Arc;

use super::*;
use crate::engine::digest;
use crate::engine::state::store::{SUM_PREFIX, decode, encode};
use crate::os::RealFiles;

fn store() -> (tempfile::TempDir, StateStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = StateStore::new(Arc::new(RealFiles), directory.path().to_owned());
    (directory, store)
}

fn slot(version: &str) -> Slot {
    Slot {
        version: version.parse().unwrap(),
        digest: digest::of(version.as_bytes()),
        installed_at: Timestamp::UNIX_EPOCH,
        untried: false,
        extra: Extra::new(),
    }
}

fn whole(state: &State) -> Loaded {
    Loaded::Valid(Box::new(state.clone()), Copies::Both)
}

#[test]
fn either_copy_is_enough_and_a_damaged_one_is_named() {
    let (directory, store) = store();
    assert_eq!(store.load().unwrap(), Loaded::Absent);
    let mut state = State::default();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        state.current = Some(slot(version));
        store.save(&mut state).unwrap();
        assert_eq!(store.load().unwrap(), whole(&state));
    }
    for name in ["a", "b"] {
        let path = directory.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        let damages = [
            (text.replace("3.0.0", "3.0.1"), "its content does not match its digest"),
            (text[..text.len() / 2].to_owned(), "it is cut off"),
            (format!("{text}more\n"), "its last line is not a digest"),
        ];
        for (damage, says) in damages {
            fs::write(&path, damage).unwrap();
            let Loaded::Valid(other, copies) = store.load().unwrap() else { panic!() };
            assert_eq!(*other, state);
            let problem = format!("{}: {says}", path.display());
            assert_eq!(copies, Copies::Damaged { problem });
        }
        fs::remove_file(&path).unwrap();
        let Loaded::Valid(other, copies) = store.load().unwrap() else { panic!() };
        let problem = format!("{}: it is gone", path.display());
        assert_eq!((*other, copies), (state.clone(), Copies::Damaged { problem }));
        store.mirror(&state).unwrap();
        assert_eq!(store.load().unwrap(), whole(&state));
    }
    fs::write(directory.path().join("a"), "garbage\n").unwrap();
    fs::write(directory.path().join("b"), "").unwrap();
    let Loaded::Lost { problem } = store.load().unwrap() else { panic!() };
    assert!(problem.contains("/a: it is cut off; "), "{problem}");
}

#[test]
fn the_newer_copy_wins_and_the_other_one_is_brought_up() {
    let (directory, store) = store();
    let path =
        |generation: u64| directory.path().join(["a", "b"][usize::from(generation % 2 == 1)]);
    // As older agents write, one copy at a time; and as an interrupted write leaves them.
    let mut state = State::default();
    for (generation, version) in [(1, "1.0.0"), (2, "2.0.0"), (3, "3.0.0")] {
        state.generation = generation;
        state.current = Some(slot(version));
        fs::write(path(generation), encode(&state).unwrap()).unwrap();
        let behind = Loaded::Valid(Box::new(state.clone()), Copies::Behind);
        assert_eq!(store.load().unwrap(), behind);
    }
    for _ in 0..2 {
        store.mirror(&state).unwrap();
        assert_eq!(store.load().unwrap(), whole(&state));
    }
    // What was loaded counts, also where the other copy turns out to be newer.
    let loaded = state.clone();
    state.generation = 4;
    fs::write(path(4), encode(&state).unwrap()).unwrap();
    store.mirror(&loaded).unwrap();
    assert_eq!(store.load().unwrap(), whole(&loaded));
}

#[test]
fn fields_of_a_newer_agent_are_kept_and_its_format_is_not_guessed() {
    let (directory, store) = store();
    let mut state = State::default();
    state.extra.insert("experiment".to_owned(), serde_json::json!({"attempts": 2}));
    let mut current = slot("1.0.0");
    current.extra.insert("pinned".to_owned(), serde_json::json!(true));
    state.current = Some(current);
    store.save(&mut state).unwrap();
    assert_eq!(store.load().unwrap(), whole(&state));

    state.generation = 8;
    state.format = FORMAT + 1;
    let text = encode(&state).unwrap();
    fs::write(directory.path().join("a"), text).unwrap();
    let expected = Loaded::TooNew { path: directory.path().join("a"), found: FORMAT + 1 };
    assert_eq!(store.load().unwrap(), expected);
}

#[test]
fn a_block_comes_with_the_switch_and_stays() {
    let block = |slot: &Slot| Blocked {
        digest: slot.digest,
        version: slot.version.clone(),
        reason: "bad".to_owned(),
        failed: false,
        extra: Extra::new(),
    };
    let (old, new) = (slot("1.0.0"), slot("2.0.0"));
    let mut state =
        State { current: Some(new.clone()), previous: Some(old.clone()), ..State::default() };
    let before = state.clone();
    state.begin(Intent { slot: old.clone(), trial: None, block: Some(block(&new)) });
    assert_eq!(state.blocked, []);
    let begun = state.clone();
    state.abandon();
    assert_eq!(state, before);

    let mut state = begun;
    state.confirm(Timestamp::UNIX_EPOCH);
    assert_eq!((state.current.clone(), state.previous.clone()), (Some(old), Some(new.clone())));
    assert_eq!(state.blocked, [block(&new)]);
    assert_eq!(state.forbids(&new), Some("bad".to_owned()));
    // Neither a switch nor its failure lifts it.
    state.begin(Intent { slot: new.clone(), trial: None, block: None });
    let mut abandoned = state.clone();
    abandoned.abandon();
    state.confirm(Timestamp::UNIX_EPOCH);
    assert_eq!((state.blocked, abandoned.blocked), (vec![block(&new)], vec![block(&new)]));
}

#[test]
fn what_passed_its_trial_is_what_can_be_gone_back_to() {
    let untried = |version| Slot { untried: true, ..slot(version) };
    let move_to = |state: &mut State, slot: Slot| {
        let trial = slot.untried.then(|| slot.trial(Timestamp::UNIX_EPOCH));
        state.begin(Intent { slot, trial, block: None });
        state.confirm(Timestamp::UNIX_EPOCH);
    };
    let mut state = State { current: Some(slot("1.0.0")), ..State::default() };
    for version in ["2.0.0", "3.0.0"] {
        move_to(&mut state, untried(version));
        assert_eq!(state.previous, Some(slot("1.0.0")));
        assert_eq!(
            state.trial.as_ref().map(|trial| trial.version.to_string()),
            Some(version.to_owned())
        );
    }
    assert_eq!(state.retained, [untried("2.0.0")]);
    // The same once more changes nothing of that.
    move_to(&mut state, slot("3.0.0"));
    assert_eq!((&state.previous, &state.current), (&Some(slot("1.0.0")), &Some(untried("3.0.0"))));
    move_to(&mut state, slot("1.0.0"));
    assert_eq!((&state.previous, &state.trial), (&Some(untried("3.0.0")), &None));
    // Nothing else is left: what takes over is watched.
    state.fall_back(untried("3.0.0"), Timestamp::UNIX_EPOCH);
    assert_eq!(state.trial.unwrap().version.to_string(), "3.0.0");
}

/// States as they lie on nodes, byte for byte. What these tests say of them
/// holds for every later agent.
mod fixtures {
    pub(super) const FULL: &[u8] = include_bytes!("fixtures/1-full");
    pub(super) const OLDEST: &[u8] = include_bytes!("fixtures/1-oldest");
    pub(super) const NEW_FIELDS: &[u8] = include_bytes!("fixtures/1-with-fields-of-tomorrow");
    pub(super) const FORMAT_2: &[u8] = include_bytes!("fixtures/2-of-tomorrow");
}

fn read(bytes: &[u8]) -> State {
    decode(bytes).unwrap().1.unwrap()
}

#[test]
fn a_state_of_format_1_is_read_and_written_byte_for_byte() {
    let state = read(fixtures::FULL);
    assert_eq!(encode(&state).unwrap().as_bytes(), fixtures::FULL);
    let digest = |letter: &str| letter.repeat(64).parse().unwrap();
    let slots = [&state.current, &state.previous, &state.pending];
    let digests = slots.map(|slot| slot.as_ref().unwrap().digest);
    assert_eq!(digests, [digest("a"), digest("b"), digest("c")]);
    assert_eq!(state.kept(), [digest("a"), digest("b"), digest("f")]);
    assert_eq!((state.blocked.len(), state.barred.len()), (1, 2));
    assert_eq!(state.held.as_ref().unwrap().reason, "freeze");
    assert_eq!(state.pinned.as_ref().unwrap().by, "cli uid 0");
    assert_eq!(state.trial.as_ref().unwrap().tally.started, 5);
    assert_eq!(state.pending_trial.as_ref().unwrap().digest, digest("c"));
}

#[test]
fn a_state_of_the_first_agents_is_read() {
    let (state, full) = (read(fixtures::OLDEST), read(fixtures::FULL));
    let expected = State {
        generation: 42,
        current: full.current,
        previous: full.previous,
        since: full.since,
        ..State::default()
    };
    assert_eq!(state, expected);
}

#[test]
fn fields_of_tomorrow_come_out_where_they_went_in() {
    let (directory, store) = store();
    fs::write(directory.path().join("a"), fixtures::NEW_FIELDS).unwrap();
    let Loaded::Valid(mut state, _) = store.load().unwrap() else { panic!() };
    store.save(&mut state).unwrap();
    let json = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap();
        let body = &text[..text.rfind(SUM_PREFIX).unwrap()];
        serde_json::from_str::<serde_json::Value>(body).unwrap()
    };
    let mut expected = json(fixtures::NEW_FIELDS);
    assert_eq!(expected.to_string().matches("from_tomorrow").count(), 12);
    expected["generation"] = 43.into();
    for name in ["a", "b"] {
        assert_eq!(json(&fs::read(directory.path().join(name)).unwrap()), expected);
    }
    // They change nothing of what this agent knows.
    state.extra.clear();
    assert_eq!(state.kept(), read(fixtures::FULL).kept());
}

#[test]
fn a_newer_format_is_not_read_and_an_older_generation_does_not_speak_for_it() {
    let (directory, store) = store();
    fs::write(directory.path().join("a"), fixtures::FULL).unwrap();
    let newer = directory.path().join("b");
    fs::write(&newer, fixtures::FORMAT_2).unwrap();
    assert_eq!(store.load().unwrap(), Loaded::TooNew { path: newer, found: 2 });
}
