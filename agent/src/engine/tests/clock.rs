// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Clocks that lie: neither 1970 nor 2100 lets anything old in, and neither
//! shuts a node out for good.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use crate::engine::tests::node::{Node, chain, copy_tree};
use crate::engine::tests::publisher::{Key, Recipe};
use crate::engine::{Actor, Outcome, Source};

const SOON: &str = "2026-06-10T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn update_at(node: &Node, now: &str) -> Result<Outcome, String> {
    let mut engine = node.open();
    engine.update(&node.source(), at(now), &mut |_| {}).await.map_err(|e| chain(&e))
}

/// A publisher whose timestamp is good until [`SOON`], and a node that runs its first release.
async fn scene() -> Node {
    let mut node = Node::new();
    node.publisher.expires.insert("timestamp", SOON);
    node.publisher.publish(&Recipe::new("1.0.0"));
    node.update().await.unwrap();
    node
}

#[tokio::test]
async fn a_clock_at_1970_opens_no_way_back() {
    let mut node = scene().await;
    let past = node.scratch.path().join("past");
    copy_tree(&node.publisher.directory, &past);
    node.publisher.publish(&Recipe::new("2.0.0"));
    update_at(&node, "1970-01-01T00:00:00Z").await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");

    // The old tree is refused by its version, whatever the clock says.
    let source = Source::Directory(past);
    for clock in ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z"] {
        let mut engine = node.open();
        let mut quiet = |_| {};
        let update = engine.update_unless_expired(&source, true, at(clock), &mut quiet);
        let error = chain(&update.await.unwrap_err());
        assert!(error.contains("timestamp version 1 is older than version 2"), "{error}");
    }

    // What expired before the node last accepted anything is refused in 1970, too.
    node.publisher.expires.insert("timestamp", "2026-05-31T00:00:00Z");
    node.publisher.publish(&Recipe::new("3.0.0"));
    let error = update_at(&node, "1970-01-01T00:00:00Z").await.unwrap_err();
    assert!(
        error.ends_with(
            "expired at 2026-05-31T00:00:00Z; this node's clock says 1970-01-01T00:00:00Z, and it \
             accepted metadata at 2026-06-01T12:00:00Z already"
        ),
        "{error}"
    );
    assert_eq!(node.logger_says(), "2.0.0");
}

#[tokio::test]
async fn a_clock_at_2100_shuts_nothing_for_good() {
    let mut node = scene().await;
    node.publisher.publish(&Recipe::new("2.0.0"));
    let error = update_at(&node, "2100-01-01T00:00:00Z").await.unwrap_err();
    assert!(error.contains("expired at "), "{error}");
    assert_eq!(node.logger_says(), "1.0.0");
    // A bundle is installed, with a warning, and raises no floor.
    let bundle = node.scratch.path().join("bundle.tar");
    node.publisher.bundle(&bundle);
    let mut engine = node.open();
    let clock = at("2100-01-01T00:00:00Z");
    let outcome = engine.update(&Source::Import(bundle), clock, &mut |_| {}).await.unwrap();
    let Outcome::Moved { warnings, .. } = outcome else { panic!("{outcome:?}") };
    assert!(warnings.iter().any(|warning| warning.contains("expired at")), "{warnings:?}");
    drop(engine);
    node.publisher.publish(&Recipe::new("3.0.0"));
    node.update().await.unwrap();
    assert_eq!(node.logger_says(), "3.0.0");
}

/// However far ahead a clock runs without metadata having expired, what is signed later is good.
#[tokio::test]
async fn the_floor_stays_below_the_expiry_of_what_was_accepted() {
    let mut node = scene().await;
    update_at(&node, "2026-06-09T23:00:00Z").await.unwrap();
    let floor = fs::read_to_string(node.root.join("trust/clock")).unwrap();
    assert_eq!(floor, "2026-06-09T23:00:00Z\n");
    node.publisher.publish(&Recipe::new("2.0.0"));
    node.update().await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
    // A floor that cannot be read is none; the next acceptance sets it again.
    fs::write(node.root.join("trust/clock"), "noon").unwrap();
    node.update().await.unwrap();
    let floor = fs::read_to_string(node.root.join("trust/clock")).unwrap();
    assert_eq!(floor, "2026-06-01T12:00:00Z\n");
}

#[tokio::test]
async fn the_build_of_a_release_is_a_time_that_has_been() {
    let mut node = scene().await;
    assert!(Path::new(&node.root.join("trust/clock")).exists());
    fs::remove_file(node.root.join("trust/clock")).unwrap();
    // Built on 2026-05-01: what expired before then is refused even by a clock that never was right.
    update_at(&node, "1970-01-01T00:00:00Z").await.unwrap();
    let floor = fs::read_to_string(node.root.join("trust/clock")).unwrap();
    assert_eq!(floor, "2026-05-01T00:00:00Z\n");
    node.publisher.expires.insert("timestamp", "2026-04-01T00:00:00Z");
    node.publisher.publish(&Recipe::new("2.0.0"));
    let error = update_at(&node, "1970-01-01T00:00:00Z").await.unwrap_err();
    assert!(error.contains("expired at 2026-04-01"), "{error}");
}

#[tokio::test]
async fn an_operator_may_take_what_has_expired_and_that_is_on_record() {
    let mut node = scene().await;
    node.publisher.publish(&Recipe::new("2.0.0"));
    let late = "2026-07-01T00:00:00Z";
    update_at(&node, late).await.unwrap_err();
    let mut engine = node.open();
    engine.act_for(Actor::Socket { uid: Some(0) });
    let (source, mut quiet) = (node.source(), |_| {});
    let update = engine.update_unless_expired(&source, true, at(late), &mut quiet);
    let Outcome::Moved { warnings, .. } = update.await.unwrap() else { panic!("it stayed") };
    assert_eq!(
        warnings,
        [
            "timestamp metadata expired at 2026-06-10T00:00:00Z; this node's clock says 2026-07-01T00:00:00Z"
        ]
    );
    let records = engine.view().history;
    let told: Vec<(&str, &str)> =
        records.iter().map(|record| (record.what.as_str(), record.who.as_str())).collect();
    assert_eq!(
        told[told.len() - 2..],
        [("allow-expired", "socket uid 0"), ("update", "socket uid 0")]
    );
}

#[tokio::test]
async fn a_node_that_slept_follows_three_roots_at_once() {
    let mut node = scene().await;
    for seed in [11, 21, 31] {
        node.publisher.rotate(Key::new(seed), Key::new(seed + 1));
    }
    node.publisher.publish(&Recipe::new("2.0.0"));
    node.update().await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
    assert_eq!(node.open().view().trust.unwrap().root, 4);
    // One that is missing in between stops the node where it is.
    for seed in [41, 51] {
        node.publisher.rotate(Key::new(seed), Key::new(seed + 1));
    }
    fs::remove_file(node.publisher.directory.join("metadata/5.root.json")).unwrap();
    node.publisher.publish(&Recipe::new("3.0.0"));
    let error = node.refused().await;
    assert!(error.contains("signature of timestamp metadata"), "{error}");
    assert_eq!(node.open().view().trust.unwrap().root, 4);
}
