// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::*;
use crate::engine::view::Blocked;

/// Digest and version by one letter.
fn digest(letter: char) -> Digest {
    crate::engine::digest::of(letter.to_string().as_bytes())
}

fn slot(letter: char) -> Slot {
    let version = format!("{}.0.0", u32::from(letter) - u32::from('A') + 1);
    Slot {
        version: version.parse().unwrap(),
        digest: digest(letter),
        installed_at: Timestamp::UNIX_EPOCH,
        untried: false,
        extra: Extra::new(),
    }
}

fn release(letter: char) -> Release {
    let version = slot(letter).version;
    serde_json::from_value(serde_json::json!({
        "format": 1, "version": version, "commit": "c", "built_at": "2026-01-01T00:00:00Z",
        "drivers": [], "targets": {},
    }))
    .unwrap()
}

/// "Ab?C": whole releases in capitals, damaged ones in small letters, before "?" what cannot be read.
fn entries(text: &str) -> BTreeMap<Digest, Result<Release, Flaw>> {
    let mut entries = BTreeMap::new();
    let mut last = None;
    for letter in text.chars() {
        let name = letter.to_ascii_uppercase();
        let entry = match (letter, last) {
            ('?', Some(last)) => (last, Err(Flaw::Unreadable("out of reach".to_owned()))),
            _ if letter.is_uppercase() => (digest(name), Ok(release(name))),
            _ => (digest(name), Err(Flaw::Damaged("rotten".to_owned()))),
        };
        last = Some(entry.0);
        entries.extend([entry]);
    }
    entries
}

fn named(digest_: Digest) -> String {
    ('A'..='F')
        .find(|letter| digest(*letter) == digest_)
        .map_or("?".to_owned(), |letter| letter.to_string())
}

/// One row: state as "current previous pending" ("-" for none), link, entries;
/// answers the repairs and the state afterwards.
fn check(state: &str, link: &str, store: &str) -> String {
    let slots: Vec<Option<Slot>> =
        state.chars().map(|letter| (letter != '-').then(|| slot(letter))).collect();
    let [current, previous, pending] = <[_; 3]>::try_from(slots).unwrap();
    let state = State { generation: 5, current, previous, pending, ..State::default() };
    let link = match link {
        "-" => Link::Absent,
        "foreign" => Link::Foreign,
        letter => Link::To(digest(letter.chars().next().unwrap())),
    };
    let found = Found {
        state: Loaded::Valid(Box::new(state), Copies::Both),
        link,
        entries: entries(store),
        strangers: Vec::new(),
        retain: 2,
    };
    let recovery = recover(&found, Timestamp::UNIX_EPOCH);
    assert_eq!(recovery.hold, None);
    let mut words: Vec<String> = recovery
        .repairs
        .iter()
        .map(|repair| match repair {
            Repair::Switch(digest) => format!("switch {}", named(*digest)),
            Repair::SyncLink => "sync".to_owned(),
            Repair::RemoveLink => "unlink".to_owned(),
            Repair::Save => "save".to_owned(),
            Repair::Discard(name) => format!("discard {}", named(name.parse().unwrap())),
        })
        .collect();
    words.sort();
    let after = [&recovery.state.current, &recovery.state.previous, &recovery.state.pending]
        .map(|slot| slot.as_ref().map_or("-".to_owned(), |slot| named(slot.digest)))
        .concat();
    let damaged = if recovery.damage.is_some() { " damaged" } else { "" };
    format!("{after}{damaged}: {}", words.join(", "))
}

#[test]
fn the_table() {
    let rows = [
        // Nothing was begun.
        (("---", "-", ""), "---: "),
        (("BA-", "B", "AB"), "BA-: "),
        (("BA-", "A", "AB"), "BA-: switch B"),
        (("BA-", "-", "AB"), "BA-: switch B"),
        (("BA-", "F", "AB"), "BA-: switch B"),
        (("BA-", "foreign", "AB"), "BA-: switch B"),
        (("BA-", "B", "ABC"), "BA-: discard C"),
        (("BA-", "B", "ABc"), "BA-: discard C"),
        (("BA-", "B", "aB"), "B--: discard A, save"),
        (("BA-", "B", "B"), "B--: save"),
        // An interrupted switch to C.
        (("BAC", "C", "ABC"), "CB-: discard A, save, sync"),
        (("BAC", "B", "ABC"), "BA-: discard C, save"),
        (("BAC", "-", "ABC"), "BA-: discard C, save, switch B"),
        (("BAC", "C", "AB"), "BA-: save, switch B"),
        (("BAC", "C", "ABc"), "BA-: discard C, save, switch B"),
        (("--C", "C", "C"), "C--: save, sync"),
        (("--C", "-", "C"), "---: discard C, save"),
        (("--C", "C", ""), "---: save, unlink"),
        // An interrupted rollback to A.
        (("BAA", "A", "AB"), "AB-: save, sync"),
        (("BAA", "B", "AB"), "BA-: save"),
        // The current release is damaged.
        (("BA-", "B", "Ab"), "A--: discard B, save, switch A"),
        (("BA-", "B", "A"), "A--: save, switch A"),
        // A damaged release cannot be gone back to.
        (("BAC", "C", "AbC"), "C--: discard A, discard B, save, sync"),
        (("BA-", "B", "ab"), "B-- damaged: discard A, save"),
        (("B--", "B", "b"), "B-- damaged: "),
        (("B--", "B", ""), "B-- damaged: "),
        (("B-B", "B", "B"), "B--: save, sync"),
        // What cannot be read is kept, and nothing takes its place.
        (("BA-", "B", "AB?"), "BA- damaged: "),
        (("BA-", "B", "A?B"), "BA-: "),
        (("BA-", "B", "A?b"), "BA- damaged: "),
        (("BA-", "A", "AB?"), "BA- damaged: switch B"),
        (("BA-", "B", "ABC?"), "BA-: discard C"),
        (("BAC", "B", "AB?C"), "BA- damaged: discard C, save"),
        (("BAC", "C", "A?BC"), "CB-: discard A, save, sync"),
    ];
    for ((state, link, store), expected) in rows {
        assert_eq!(
            check(state, link, store),
            expected,
            "state {state}, link {link}, store {store}"
        );
    }
}

#[test]
fn what_is_blocked_takes_over_only_where_nothing_else_is_whole_and_stays_blocked() {
    let block = |letter| Blocked {
        digest: digest(letter),
        version: slot(letter).version,
        reason: "it failed".to_owned(),
        failed: false,
        extra: Extra::new(),
    };
    // C runs, B failed before it, A is kept besides.
    let after = |store: &str, lost: Option<char>| {
        let state = State {
            current: Some(slot('C')),
            previous: Some(slot('B')),
            retained: vec![slot('A')],
            blocked: vec![block('B')],
            lost: lost.map(slot),
            ..State::default()
        };
        let found = Found {
            state: Loaded::Valid(Box::new(state), Copies::Both),
            link: Link::To(digest('C')),
            entries: entries(store),
            strangers: Vec::new(),
            retain: 3,
        };
        let recovery = recover(&found, Timestamp::UNIX_EPOCH);
        assert_eq!(recovery.state.blocked, [block('B')]);
        assert_eq!(recovery.damage, None);
        let switch = recovery.repairs.iter().find_map(|repair| match repair {
            Repair::Switch(digest) => Some(named(*digest)),
            _ => None,
        });
        let current = named(recovery.state.current.unwrap().digest);
        assert_eq!(switch.unwrap_or("C".to_owned()), current);
        let lost = recovery.state.lost.map_or("-".to_owned(), |slot| named(slot.digest));
        format!("{current}, {lost} is lost: {}", recovery.notes.join("; "))
    };
    assert_eq!(after("ABC", None), "C, - is lost: ");
    assert_eq!(
        after("ABc", None),
        "A, - is lost: release 3.0.0 is damaged (rotten); went back to release 1.0.0"
    );
    assert_eq!(
        after("aBc", None),
        "B, C is lost: release 3.0.0 is damaged (rotten); went back to release 2.0.0; release \
         2.0.0 is blocked (it failed) and runs because no other is whole; release 1.0.0, which \
         was kept, is damaged: rotten"
    );
    // Nothing may run that never should: there is a difference between two of them.
    assert!(after("aBc", Some('D')).starts_with("B, C is lost"));
}

#[test]
fn a_copy_of_the_state_that_is_not_like_the_other_is_made_anew_before_anything_else() {
    let after = |copies, pending: Option<char>| {
        let (current, pending) = (Some(slot('A')), pending.map(slot));
        let state = State { current, pending, ..State::default() };
        let recovery = recover(&found_with(state, copies, 'A', "A"), Timestamp::UNIX_EPOCH);
        (recovery.mirror, recovery.repairs, recovery.alarm)
    };
    assert_eq!(after(Copies::Both, None), (false, Vec::new(), None));
    assert_eq!(after(Copies::Behind, None), (true, Vec::new(), None));
    assert_eq!(after(Copies::Behind, Some('B')), (true, vec![Repair::Save], None));
    let problem = || "state/b: what is wrong".to_owned();
    for (copies, says) in [
        (Copies::Damaged { problem: problem() }, "was damaged"),
        (Copies::Unreadable { problem: problem() }, "could not be read"),
    ] {
        for (pending, expected) in [(None, Vec::new()), (Some('B'), vec![Repair::Save])] {
            let (mirror, repairs, alarm) = after(copies.clone(), pending);
            assert_eq!((mirror, repairs), (true, expected));
            let says = format!("one copy of the state {says} (state/b: what is wrong)");
            assert!(alarm.unwrap().starts_with(&says));
        }
    }
}

/// A state of which one copy is like that, a link and a store.
fn found_with(state: State, copies: Copies, link: char, store: &str) -> Found {
    Found {
        state: Loaded::Valid(Box::new(state), copies),
        link: Link::To(digest(link)),
        entries: entries(store),
        strangers: Vec::new(),
        retain: 2,
    }
}

#[test]
fn a_copy_that_does_not_lead_to_what_runs_is_not_believed_when_the_other_cannot_be_read() {
    let held = |copies, [current, previous, pending]: [Option<char>; 3], link, store| {
        let (current, previous) = (current.map(slot), previous.map(slot));
        let state = State { current, previous, pending: pending.map(slot), ..State::default() };
        let found = found_with(state, copies, link, store);
        let recovery = recover(&found, Timestamp::UNIX_EPOCH);
        if let Some(hold) = &recovery.hold {
            assert!(hold.contains("state/a: EIO") && hold.contains(&digest(link).to_string()));
            assert_eq!((recovery.mirror, recovery.repairs), (false, Vec::new()));
            assert_eq!(recovery.state.current.unwrap().digest, digest(link), "what runs is shown");
        }
        recovery.hold.is_some()
    };
    let problem = || "state/a: EIO".to_owned();
    let unreadable = || Copies::Unreadable { problem: problem() };
    // As an interruption, or damage to the current release, leaves things.
    for (slots, link, store) in [
        ([Some('B'), Some('A'), None], 'B', "AB"),
        ([Some('B'), Some('A'), Some('C')], 'B', "ABC"),
        ([Some('B'), Some('A'), Some('C')], 'C', "ABC"),
        ([None, None, Some('C')], 'C', "C"),
        ([Some('B'), Some('A'), None], 'A', "Ab"),
        ([Some('B'), Some('A'), None], 'A', "A"),
    ] {
        assert!(!held(unreadable(), slots, link, store), "{slots:?} {link} {store}");
    }
    // As a newer generation, in one copy only, could leave them.
    for (slots, link, store) in [
        ([Some('B'), Some('A'), None], 'C', "ABC"),
        ([Some('B'), Some('A'), None], 'A', "AB"),
        ([Some('B'), Some('A'), Some('A')], 'C', "ABC"),
        ([None, None, None], 'C', "C"),
    ] {
        assert!(held(unreadable(), slots, link, store), "{slots:?} {link} {store}");
        // What is damaged will not say more the next time.
        assert!(!held(Copies::Damaged { problem: problem() }, slots, link, store));
    }
}

#[test]
fn while_there_is_one_copy_of_the_state_nothing_is_changed_and_what_it_says_is_shown() {
    let (current, pending) = (Some(slot('B')), Some(slot('C')));
    let state = State { current, pending, ..State::default() };
    let full = std::io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
    let error = FileError::new("create", "state/.new-a".as_ref(), full);
    for (store, damaged) in [("BC", false), ("bC", true), ("B?C", true)] {
        let found = found_with(state.clone(), Copies::Behind, 'C', store);
        let recovery = stand_by(&found, &state, &error, Timestamp::UNIX_EPOCH);
        assert_eq!((&recovery.state, &recovery.repairs), (&state, &Vec::new()));
        assert_eq!(recovery.damage.is_some(), damaged, "{store}");
        let hold = recovery.hold.unwrap();
        assert!(hold.contains("cannot create state/.new-a: No space left on device"), "{hold}");
    }
}

#[test]
fn without_a_state_the_link_speaks() {
    let found = |state, link, store| Found {
        state,
        link,
        entries: entries(store),
        strangers: vec!["litter".to_owned()],
        retain: 2,
    };
    let now = Timestamp::UNIX_EPOCH;
    let recovery = recover(&found(Loaded::Absent, Link::To(digest('A')), "A"), now);
    assert_eq!(recovery.state.current.unwrap().version, slot('A').version);
    assert!(recovery.repairs.contains(&Repair::Save));
    assert!(recovery.repairs.contains(&Repair::Discard("litter".to_owned())));

    // A damaged release that the link names is all there is: it stays.
    let recovery = recover(&found(Loaded::Absent, Link::To(digest('A')), "aB"), now);
    assert_eq!(recovery.state, State::default());
    assert_eq!(
        recovery.repairs,
        [Repair::Discard(digest('B').to_string()), Repair::Discard("litter".to_owned())]
    );

    // A lost state: nothing is changed, nothing is guessed, and it is said how to go on.
    let lost = Loaded::Lost { problem: "state/a: it is cut off".to_owned() };
    let recovery = recover(&found(lost, Link::To(digest('A')), "AB"), now);
    assert_eq!(recovery.repairs, []);
    assert_eq!(recovery.state.current.unwrap().digest, digest('A'));
    assert_eq!(
        recovery.hold.unwrap(),
        "the state is lost (state/a: it is cut off); remove state/a and state/b to accept what \
         bin/logger names"
    );

    let newer = Loaded::TooNew { path: "state/b".into(), found: FORMAT + 1 };
    let recovery = recover(&found(newer, Link::To(digest('A')), "AB"), now);
    assert_eq!(recovery.repairs, []);
    assert_eq!(recovery.state.current.unwrap().digest, digest('A'));
    assert!(recovery.hold.unwrap().starts_with("state/b has format 2, this agent knows up to 1"));
}
