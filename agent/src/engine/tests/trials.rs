// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Trials from their beginning to what comes after them.

use std::fs;

use dockerlogger_manifest::Digest;

use crate::api::Health;
use crate::engine::tests::node::{Node, check_settled, now};
use crate::engine::tests::processes::{fail_trial, pass_trial};
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Engine, Outcome, Reason, TrialEnd};

async fn update(node: &Node, engine: &mut Engine) -> Outcome {
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap()
}

/// A node that got these releases one after another, and the last one's trial failed.
async fn reverted(versions: &[&str]) -> (Node, Engine, Vec<Digest>) {
    let mut node = Node::new();
    let mut engine = node.open();
    let mut digests = Vec::new();
    for version in versions {
        digests.push(node.publisher.publish(&Recipe::new(version)).sha256);
        update(&node, &mut engine).await;
    }
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Reverted { .. }), "{end:?}");
    (node, engine, digests)
}

/// The medium loses the logger of a release.
fn corrupt(node: &Node, digest: &Digest) {
    let logger = node.root.join("store").join(digest.to_string()).join("logger");
    fs::remove_file(&logger).unwrap();
    fs::write(&logger, "rotten").unwrap();
}

fn reasons(engine: &Engine) -> String {
    serde_json::to_value(Health::of(&engine.view())).unwrap()["reasons"].to_string()
}

#[tokio::test]
async fn what_failed_stands_in_for_what_is_damaged_until_that_is_back() {
    let (node, engine, digests) = reverted(&["1.0.0", "2.0.0"]).await;
    drop(engine);
    corrupt(&node, &digests[0]);
    let mut engine = node.open();
    // A logger rather than none, and an alarm.
    assert_eq!(node.logger_says(), "2.0.0");
    let blocked = engine.view().blocked;
    assert_eq!(blocked[0].digest, digests[1]);
    let told = reasons(&engine);
    assert!(told.contains("release 2.0.0 should not run: it is blocked (3 of 3 loggers"), "{told}");
    assert!(told.contains("an update brings release 1.0.0 back"), "{told}");
    // The channel names what failed: the good one comes back all the same.
    let outcome = update(&node, &mut engine).await;
    let moved = Outcome::Moved {
        from: Some("2.0.0".parse().unwrap()),
        to: "1.0.0".parse().unwrap(),
        warnings: Vec::new(),
    };
    assert_eq!(outcome, moved);
    assert_eq!(node.logger_says(), "1.0.0");
    assert_eq!((engine.view().blocked, reasons(&engine)), (blocked, "[]".to_owned()));
    assert!(engine.view().history.last().unwrap().why.starts_with("release 1.0.0 was damaged"));
    let outcome = update(&node, &mut engine).await;
    assert!(matches!(outcome, Outcome::Stayed(Reason::Blocked { .. })), "{outcome:?}");
    drop(engine);
    check_settled(&node.root);
}

#[tokio::test]
async fn an_update_during_a_trial_keeps_what_passed_the_one_before() {
    let mut node = Node::new();
    let mut engine = node.open();
    let mut digests = Vec::new();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        digests.push(node.publisher.publish(&Recipe::new(version)).sha256);
        update(&node, &mut engine).await;
    }
    assert_eq!(engine.view().previous.unwrap().digest, digests[0]);
    assert!(!node.root.join("store").join(digests[1].to_string()).exists());
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Reverted { to, .. } if to.to_string() == "1.0.0"));
    assert_eq!(engine.view().trial, None);
    // A trial that is passed makes the release the one to go back to.
    for version in ["4.0.0", "5.0.0"] {
        digests.push(node.publisher.publish(&Recipe::new(version)).sha256);
        update(&node, &mut engine).await;
        if version == "4.0.0" {
            let end = pass_trial(&engine).unwrap();
            assert!(matches!(end, TrialEnd::Passed { .. }), "{end:?}");
        }
    }
    assert_eq!(engine.view().previous.unwrap().digest, digests[3]);
    drop(engine);
    check_settled(&node.root);
}

#[tokio::test]
async fn what_stands_in_gives_way_to_any_release_that_may_run() {
    let (mut node, engine, digests) = reverted(&["1.0.0", "2.0.0"]).await;
    drop(engine);
    corrupt(&node, &digests[0]);
    node.publisher.publish(&Recipe::new("3.0.0"));
    let mut engine = node.open();
    update(&node, &mut engine).await;
    assert_eq!(node.logger_says(), "3.0.0");
    assert_eq!(engine.view().stands_in, None);
}
