// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Floors: what sets those of versions and of the clock, what lifts them, and
//! what must do neither.

use std::fs;

use serde_json::{Value, json};

use crate::engine::tests::node::{
    Node, VERIFIERS, assert_says, chain, copy_tree, installed, installed_with, now,
};
use crate::engine::tests::publisher::{Key, Recipe};
use crate::engine::tests::server::{Answer, Server};
use crate::engine::{Actor, Source};

/// What a mirror can add: signatures that are none, in the name of a key to come.
fn with_junk(bytes: &[u8], key: &Key) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(bytes).unwrap();
    let signatures = file["signatures"].as_array_mut().unwrap();
    signatures.extend(["00", "01"].map(|junk| json!({"keyid": key.id(), "sig": junk})));
    serde_json::to_vec(&file).unwrap()
}

/// Adds junk to the stored timestamp, as agents that took it have stored it.
fn spoil_stored(node: &Node, key: &Key) {
    let path = node.root.join("trust/timestamp.json");
    fs::write(&path, with_junk(&fs::read(&path).unwrap(), key)).unwrap();
}

#[tokio::test]
async fn junk_in_the_name_of_a_key_to_come_is_refused_before_it_counts() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        node.publisher.publish(&Recipe::new("1.1.0"));
        let honest = node.publisher.read("metadata/timestamp.json");
        node.publisher.write("metadata/timestamp.json", &with_junk(&honest, &Key::new(12)));
        let refusal = node.refused().await;
        assert_says(&refusal, &["refused timestamp metadata", "signs it more than once"]);
        node.publisher.write("metadata/timestamp.json", &honest);
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "1.1.0");
    }
}

#[tokio::test]
async fn junk_that_was_stored_ends_no_updates_when_its_key_comes_to_count() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        spoil_stored(&node, &Key::new(12));
        node.update().await.unwrap();
        spoil_stored(&node, &Key::new(12));
        node.publisher.rotate(Key::new(11), Key::new(12));
        node.publisher.publish(&Recipe::new("1.1.0"));
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "1.1.0");
    }
}

#[tokio::test]
async fn junk_that_was_stored_lifts_no_floor_of_a_key_that_stays() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        let old = node.scratch.path().join("old");
        node.publisher.others = vec![Key::new(12)];
        node.publisher.rotate(Key::new(1), Key::new(2));
        copy_tree(&node.publisher.directory, &old);
        fs::remove_file(node.publisher.directory.join("metadata/2.root.json")).unwrap();
        node.publisher.signing = 1;
        node.publisher.sign();
        node.update().await.unwrap();
        spoil_stored(&node, &Key::new(12));
        let refusal = node.refused_from(&Source::Directory(old)).await;
        assert_says(&refusal, &["timestamp version 1 is older than version 2"]);
        assert_eq!(node.open().view().trust.unwrap().root, 2);
    }
}

#[tokio::test]
async fn damage_to_what_is_stored_lifts_no_floor() {
    for (_, begin) in VERIFIERS {
        let node = installed_with(begin).await;
        let path = node.root.join("trust/timestamp.json");
        let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        file["signatures"][0]["sig"] = "ab".repeat(64).into();
        fs::write(&path, file.to_string()).unwrap();
        let refusal = node.refused().await;
        assert_says(&refusal, &["Local: the stored metadata", "0 of 1 needed keys"]);
    }
}

/// A clock two months ahead meets a delegated role that has expired by then.
#[tokio::test]
async fn a_clock_ahead_leaves_no_floor_where_a_delegated_role_was_refused() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        let site = Key::new(40);
        node.publisher.delegate("targets", "site", &site, &["releases/*", "logger-*"]);
        node.publisher.list = "site".to_owned();
        node.publisher.expires.insert("site", "2026-07-01T00:00:00Z");
        node.publisher.add_release(&Recipe::new("2.0.0"));
        node.publisher.list = "targets".to_owned();
        node.publisher.point_channel("2.0.0", false);
        node.publisher.sign();
        let ahead = "2026-08-01T00:00:00Z".parse().unwrap();
        let refused = node.open().update(&node.source(), ahead, &mut |_| {}).await;
        assert_says(&chain(&refused.unwrap_err()), &["site metadata", "expired at 2026-07-01"]);
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "2.0.0");
    }
}

/// Nor does a builder's clock: what a delegated role says of its builds is no
/// time that has been when the role itself has expired by then.
#[tokio::test]
async fn a_build_in_the_future_raises_no_floor_beyond_the_role_that_lists_it() {
    let mut node = installed().await;
    node.publisher.delegate("targets", "site", &Key::new(40), &["releases/*", "logger-*"]);
    node.publisher.list = "site".to_owned();
    // The fixture's builds are of May; "now" of the first update is before.
    node.publisher.expires.insert("site", "2026-04-01T00:00:00Z");
    node.publisher.add_release(&Recipe::new("2.0.0"));
    node.publisher.list = "targets".to_owned();
    node.publisher.point_channel("2.0.0", false);
    node.publisher.sign();
    fs::remove_file(node.root.join("trust/clock")).unwrap();
    let early = "2026-03-01T00:00:00Z".parse().unwrap();
    node.open().update(&node.source(), early, &mut |_| {}).await.unwrap();
    let floor = fs::read_to_string(node.root.join("trust/clock")).unwrap();
    assert_eq!(floor, "2026-03-01T00:00:00Z\n");
}

#[tokio::test]
async fn a_timestamp_is_a_floor_although_its_snapshot_is_withheld() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        let old = node.scratch.path().join("old");
        copy_tree(&node.publisher.directory, &old);
        node.publisher.publish(&Recipe::new("1.1.0"));
        let withheld = node.publisher.directory.join("metadata/2.snapshot.json");
        let kept = fs::read(&withheld).unwrap();
        fs::remove_file(&withheld).unwrap();
        assert_says(&node.refused().await, &["metadata/2.snapshot.json", "not found"]);
        assert_eq!(node.open().view().trust.unwrap().timestamp, 2);
        let refusal = node.refused_from(&Source::Directory(old)).await;
        assert_says(&refusal, &["timestamp version 1 is older than version 2"]);
        fs::write(&withheld, kept).unwrap();
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "1.1.0");
        let mut left: Vec<_> = fs::read_dir(node.root.join("trust"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["2.snapshot.json", "2.targets.json", "clock", "timestamp.json"]);
    }
}

#[tokio::test]
async fn a_snapshot_is_a_floor_although_its_targets_are_withheld() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        node.publisher.publish(&Recipe::new("1.1.0"));
        let withheld = node.publisher.directory.join("metadata/2.targets.json");
        let kept = fs::read(&withheld).unwrap();
        fs::remove_file(&withheld).unwrap();
        assert_says(&node.refused().await, &["metadata/2.targets.json", "not found"]);
        // Whoever has the keys of timestamp and snapshot alone goes back to the first targets.
        let mut pins = node.publisher.pins.clone();
        let first = json!({"version": 1});
        let honest = pins.insert("targets.json".to_owned(), first).unwrap();
        node.publisher.sign_snapshot(3, &pins);
        let refusal = node.refused().await;
        assert_says(&refusal, &["targets.json (via snapshot) version 1 is older than version 2"]);
        pins.insert("targets.json".to_owned(), honest);
        fs::write(&withheld, kept).unwrap();
        node.publisher.sign_snapshot(4, &pins);
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "1.1.0");
    }
}

#[tokio::test]
async fn withholding_targets_for_ever_fills_no_disk() {
    let mut node = installed().await;
    let mut engine = node.open();
    for version in 2..=8 {
        node.publisher.publish(&Recipe::new(&format!("1.{version}.0")));
        let list = format!("metadata/{version}.targets.json");
        fs::remove_file(node.publisher.directory.join(list)).unwrap();
        let refused = engine.update(&node.source(), now(), &mut |_| {}).await;
        assert_says(&chain(&refused.unwrap_err()), &["targets.json", "not found"]);
        assert_eq!(engine.view().trust.unwrap().snapshot, version);
        let names = fs::read_dir(node.root.join("trust")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let (timestamp, snapshot) =
            (format!("1-{version}.timestamp.json"), format!("1-{version}.snapshot.json"));
        let whole = ["1.snapshot.json", "1.targets.json", "clock", "timestamp.json"];
        assert_eq!(names, [&[snapshot.as_str(), timestamp.as_str()], &whole[..]].concat());
    }
}

#[tokio::test]
async fn new_keys_and_the_floors_they_lift_are_on_record() {
    let mut node = installed().await;
    node.publisher.rotate(Key::new(11), Key::new(12));
    let mut engine = node.open();
    engine.act_for(Actor::Poll);
    // Twice in vain, for the mirror has the new root and not yet what its keys sign.
    for _ in 0..2 {
        engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
    }
    node.publisher.version = 0;
    node.publisher.publish(&Recipe::new("1.1.0"));
    // And once with a timestamp alone.
    let targets = node.publisher.read("metadata/1.targets.json");
    node.publisher.write("metadata/1.targets.json", b"{}");
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
    node.publisher.write("metadata/1.targets.json", &targets);
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    let told: Vec<String> = engine
        .view()
        .history
        .iter()
        .skip(1)
        .map(|record| {
            let (from, to) = (record.from.as_deref().unwrap(), record.to.as_deref().unwrap());
            format!("{} by {}: {from} -> {to}: {}", record.what, record.who, record.why)
        })
        .collect();
    let from = node.publisher.directory.display().to_string();
    assert_eq!(told, [
        format!("new-root by poll: root 1 -> root 2: root 1 vouches for a root of {from}; it replaces the keys of root, timestamp, snapshot, targets"),
        "lift-floors by poll: timestamp 1 -> timestamp 1: the keys of the timestamp role were replaced; its stored version no longer counts".to_owned(),
        format!("update by poll: 1.0.0 -> 1.1.0: channel stable of {from} names release 1.1.0"),
    ]);
}

/// Stores like S3 answer so for what they do not have, to whoever may not list it.
#[tokio::test]
async fn a_server_that_forbids_what_it_does_not_have_has_no_newer_root() {
    let mut node = installed().await;
    node.publisher.publish(&Recipe::new("1.1.0"));
    let next = ("metadata/2.root.json".to_owned(), Answer::Status(403));
    let server = Server::start(&node.publisher.directory, Some(next));
    node.open().update(&server.source(), now(), &mut |_| {}).await.unwrap();
    assert_eq!(node.logger_says(), "1.1.0");
    // Anything else that is forbidden is an error, and so is any other refusal of a root.
    for (path, status) in [("metadata/timestamp.json", 403), ("metadata/2.root.json", 401)] {
        let fault = (path.to_owned(), Answer::Status(status));
        let server = Server::start(&node.publisher.directory, Some(fault));
        let refusal = node.refused_from(&server.source()).await;
        assert_says(&refusal, &[&format!("the server answered {status}")]);
    }
}
