// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use dockerlogger_manifest::Extra;

use super::*;
use crate::engine::change::Which;

fn facts(installed: Option<&str>, offered: &str) -> Facts {
    let digest = |version: &str| crate::engine::digest::of(version.as_bytes());
    let target: Target = "x86_64-unknown-illumos".parse().unwrap();
    let artifact = serde_json::json!({
        "name": "a", "size": 1, "sha256": digest(offered), "files": []
    });
    Facts {
        channel: serde_json::from_value(serde_json::json!({
            "format": 1, "name": "stable", "release": offered
        }))
        .unwrap(),
        release: serde_json::from_value(serde_json::json!({
            "format": 1, "version": offered, "commit": "c", "built_at": "t", "drivers": [],
            "targets": {"x86_64-unknown-illumos": artifact},
        }))
        .unwrap(),
        target,
        current: installed.map(|version| (version.parse().unwrap(), digest(version))),
        damaged: false,
        blocked: Vec::new(),
        barred: Vec::new(),
        held: None,
        pinned: None,
    }
}

#[test]
fn moves_to_what_is_new_and_to_nothing_else() {
    let moves = |facts: &Facts| matches!(decide(facts), Decision::Move(_));
    assert!(moves(&facts(None, "1.0.0")));
    assert!(moves(&facts(Some("1.0.0"), "1.0.1")));
    assert!(!moves(&facts(Some("1.0.0"), "1.0.0")));
    assert!(!moves(&facts(Some("1.10.0"), "1.9.0")));
    // The same version with other content is another artifact, not an older one.
    let mut same = facts(Some("1.0.0"), "1.0.0");
    same.current = same.current.map(|(version, _)| (version, crate::engine::digest::of(b"x")));
    assert!(moves(&same));
    // What is damaged is installed again.
    let mut damaged = facts(Some("1.0.0"), "1.0.0");
    damaged.damaged = true;
    assert!(moves(&damaged));
}

#[test]
fn stays_for_a_reason() {
    let reason = |facts: &Facts| match decide(facts) {
        Decision::Stay(reason) => reason,
        Decision::Move(target) => panic!("{target:?}"),
    };
    let mut halted = facts(Some("1.0.0"), "2.0.0");
    halted.channel.halted = true;
    assert_eq!(reason(&halted).to_string(), "channel stable is halted at release 2.0.0");

    let mut blocked = facts(Some("1.0.0"), "2.0.0");
    let digest = crate::engine::digest::of(b"2.0.0");
    let version = "2.0.0".parse().unwrap();
    blocked.blocked.push(Blocked {
        digest,
        version,
        reason: "it broke".to_owned(),
        failed: false,
        extra: Extra::new(),
    });
    assert!(reason(&blocked).to_string().ends_with("is blocked on this node: it broke"));
    assert!(!reason(&blocked).is_refusal());

    assert!(reason(&facts(Some("2.0.0"), "1.0.0")).is_refusal());
    let mut elsewhere = facts(None, "1.0.0");
    elsewhere.target = "sparc64-sun-solaris".parse().unwrap();
    assert_eq!(
        reason(&elsewhere).to_string(),
        "release 1.0.0 has no artifact for sparc64-sun-solaris, only for x86_64-unknown-illumos"
    );
    assert!(reason(&elsewhere).is_refusal());
}

#[test]
fn a_release_that_is_blocked_gives_way_to_any_other() {
    let blocked = Blocked {
        digest: crate::engine::digest::of(b"2.0.0"),
        version: "2.0.0".parse().unwrap(),
        reason: "it failed".to_owned(),
        failed: false,
        extra: Extra::new(),
    };
    let barred = Barred {
        what: Which::Version("2.0.0".parse().unwrap()),
        reason: "it leaks".to_owned(),
        by: "alice".to_owned(),
        since: jiff::Timestamp::UNIX_EPOCH,
        extra: Extra::new(),
    };
    for (offered, moves) in [("1.0.0", true), ("2.0.0", false), ("3.0.0", true)] {
        let facts = facts(Some("2.0.0"), offered);
        let by_trial = Facts { blocked: vec![blocked.clone()], ..facts.clone() };
        for facts in [by_trial, Facts { barred: vec![barred.clone()], ..facts }] {
            let decision = decide(&facts);
            assert_eq!(matches!(decision, Decision::Move(_)), moves, "{offered}: {decision:?}");
            let stays = matches!(decision, Decision::Stay(Reason::Blocked { .. }));
            assert_eq!(stays, !moves, "{offered}: {decision:?}");
        }
    }
}

#[test]
fn an_operators_word_counts_more_than_the_channel() {
    let stays = |facts: &Facts| match decide(facts) {
        Decision::Stay(reason) => Some(reason.to_string()),
        Decision::Move(_) => None,
    };
    let (by, since) = ("socket uid 0".to_owned(), jiff::Timestamp::UNIX_EPOCH);
    let held = Held { reason: "freeze".to_owned(), by: by.clone(), since, extra: Extra::new() };
    let mut frozen = facts(Some("1.0.0"), "2.0.0");
    frozen.held = Some(held);
    assert_eq!(
        stays(&frozen).unwrap(),
        "this node is held by socket uid 0, release 2.0.0 waits: freeze"
    );
    // What is damaged is mended even so; another release is not.
    let mut mended = facts(Some("1.0.0"), "1.0.0");
    (mended.held, mended.damaged) = (frozen.held.clone(), true);
    assert_eq!(stays(&mended), None);

    let mut pinned = facts(Some("2.0.0"), "1.0.0");
    pinned.channel.halted = true;
    assert!(stays(&pinned).is_some());
    let version = "1.0.0".parse().unwrap();
    pinned.pinned = Some(Pinned { version, by: by.clone(), since, extra: Extra::new() });
    assert_eq!(stays(&pinned), None);

    let digest = crate::engine::digest::of(b"1.0.0");
    for what in [Which::Version("1.0.0".parse().unwrap()), Which::Digest(digest)] {
        let (reason, by) = ("it leaks".to_owned(), by.clone());
        pinned.barred = vec![Barred { what, reason, by, since, extra: Extra::new() }];
        let stayed = stays(&pinned).unwrap();
        assert!(stayed.ends_with("is blocked on this node: it leaks, by socket uid 0"), "{stayed}");
    }
}
