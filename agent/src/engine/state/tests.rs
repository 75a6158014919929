// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::fs;

use super::*;
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
        extra: Extra::new(),
    }
}

#[test]
fn the_newest_whole_generation_wins() {
    let (directory, store) = store();
    assert_eq!(store.load().unwrap(), Loaded::Absent);
    let mut state = State::default();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        state.current = Some(slot(version));
        store.save(&mut state).unwrap();
    }
    assert_eq!(store.load().unwrap(), Loaded::Valid(Box::new(state.clone())));

    // The newest is damaged: the one before speaks.
    let newest = directory.path().join("b");
    let text = fs::read_to_string(&newest).unwrap();
    for damage in [text.replace("3.0.0", "3.0.1"), text[..text.len() / 2].to_owned(), String::new()]
    {
        fs::write(&newest, damage).unwrap();
        let Loaded::Valid(older) = store.load().unwrap() else { panic!() };
        assert_eq!(older.current, Some(slot("2.0.0")));
    }
    fs::write(directory.path().join("a"), "garbage\n").unwrap();
    let Loaded::Lost { problem } = store.load().unwrap() else { panic!() };
    assert!(problem.contains("/a: it is cut off; "), "{problem}");
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
    assert_eq!(store.load().unwrap(), Loaded::Valid(Box::new(state.clone())));

    state.generation = 8;
    state.format = FORMAT + 1;
    let text = encode(&state).unwrap();
    fs::write(directory.path().join("a"), text).unwrap();
    let expected = Loaded::TooNew { path: directory.path().join("a"), found: FORMAT + 1 };
    assert_eq!(store.load().unwrap(), expected);
}

#[test]
fn what_is_current_is_never_blocked() {
    let block = |slot: &Slot| Blocked {
        digest: slot.digest,
        version: slot.version.clone(),
        reason: "bad".to_owned(),
    };
    let (old, new) = (slot("1.0.0"), slot("2.0.0"));
    let mut state =
        State { current: Some(new.clone()), previous: Some(old.clone()), ..State::default() };
    let before = state.clone();
    state.begin(old.clone(), Some(block(&new)));
    let begun = state.clone();
    state.abandon();
    assert_eq!(state, before);

    let mut state = begun;
    state.confirm(Timestamp::UNIX_EPOCH);
    assert_eq!((state.current.clone(), state.previous.clone()), (Some(old), Some(new.clone())));
    assert_eq!(state.blocked, [block(&new)]);
    state.begin(new, None);
    state.confirm(Timestamp::UNIX_EPOCH);
    assert_eq!(state.blocked, []);
}
