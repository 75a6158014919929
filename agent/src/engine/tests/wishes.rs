// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Holds, pins, blocks and how many releases are kept.

use std::time::Duration;

use crate::engine::tests::node::{Node, check_settled, now};
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Actor, Change, ChangeError, Engine, Outcome, Reason};

async fn update(node: &Node, engine: &mut Engine) -> Outcome {
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap()
}

fn stayed(outcome: &Outcome) -> &Reason {
    match outcome {
        Outcome::Stayed(reason) => reason,
        Outcome::Moved { .. } => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn a_held_node_stays_until_it_is_released() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    node.update().await.unwrap();
    node.publisher.publish(&Recipe::new("2.0.0"));
    let mut engine = node.open();
    engine.act_for(Actor::Socket { uid: Some(7) });
    let hold = Change::Hold { reason: Some("freeze".to_owned()) };
    assert!(engine.change(hold.clone(), now()).await.unwrap().changed);
    assert!(!engine.change(hold, now()).await.unwrap().changed);
    assert!(matches!(stayed(&update(&node, &mut engine).await), Reason::Held { .. }));
    drop(engine);
    let mut engine = node.open();
    let held = engine.view().held.unwrap();
    assert_eq!((held.reason.as_str(), held.by.as_str()), ("freeze", "socket uid 7"));
    assert!(matches!(stayed(&update(&node, &mut engine).await), Reason::Held { .. }));
    engine.change(Change::ReleaseHold, now()).await.unwrap();
    assert!(matches!(update(&node, &mut engine).await, Outcome::Moved { .. }));
    let what: Vec<String> = engine.view().history.iter().map(|r| r.what.clone()).collect();
    assert_eq!(what, ["update", "hold", "release-hold", "update"]);
}

#[tokio::test]
async fn a_pinned_node_goes_to_its_release_and_stays_there() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    let mut engine = node.open();
    update(&node, &mut engine).await;
    node.publisher.publish(&Recipe::new("2.0.0"));
    update(&node, &mut engine).await;
    engine.change(Change::Pin { version: "1.0.0".parse().unwrap() }, now()).await.unwrap();
    // It is in the store still: nothing is fetched.
    let plan = engine.plan(&node.source(), now()).await.unwrap();
    let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    assert!(!steps.iter().any(|step| step.starts_with("fetch")), "{steps:?}");
    update(&node, &mut engine).await;
    assert_eq!(node.logger_says(), "1.0.0");
    let outcome = update(&node, &mut engine).await;
    assert!(matches!(stayed(&outcome), Reason::AlreadyInstalled { .. }), "{outcome:?}");
    engine.change(Change::Pin { version: "3.0.0".parse().unwrap() }, now()).await.unwrap();
    let error = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
    assert!(error.to_string().ends_with("and the source does not have it"), "{error}");
    engine.change(Change::Unpin, now()).await.unwrap();
    update(&node, &mut engine).await;
    assert_eq!(node.logger_says(), "2.0.0");
    drop(engine);
    check_settled(&node.root);
}

#[tokio::test]
async fn what_is_blocked_is_not_installed_and_what_runs_cannot_be_blocked() {
    let mut node = Node::new();
    let first = node.publisher.publish(&Recipe::new("1.0.0")).sha256;
    node.update().await.unwrap();
    let second = node.publisher.publish(&Recipe::new("2.0.0")).sha256;
    let mut engine = node.open();
    for what in [first.to_string(), "1.0.0".to_owned()] {
        let block = Change::Block { what: what.parse().unwrap(), reason: None };
        let error = engine.change(block, now()).await.unwrap_err();
        assert!(matches!(error, ChangeError::BlocksCurrent(_)), "{error}");
    }
    for what in [second.to_string(), "2.0.0".to_owned()] {
        let what: crate::engine::Which = what.parse().unwrap();
        let block = Change::Block { what: what.clone(), reason: None };
        engine.change(block, now()).await.unwrap();
        drop(engine);
        engine = node.open();
        assert!(matches!(stayed(&update(&node, &mut engine).await), Reason::Blocked { .. }));
        engine.change(Change::Unblock { what }, now()).await.unwrap();
    }
    update(&node, &mut engine).await;
    assert_eq!(node.logger_says(), "2.0.0");
    // A rollback's block is lifted by the same verb.
    engine.rollback(now()).await.unwrap();
    assert!(matches!(stayed(&update(&node, &mut engine).await), Reason::Blocked { .. }));
    engine.change(Change::Unblock { what: "2.0.0".parse().unwrap() }, now()).await.unwrap();
    assert!(matches!(update(&node, &mut engine).await, Outcome::Moved { .. }));
}

#[tokio::test]
async fn as_many_releases_are_kept_as_are_asked_for() {
    let mut node = Node::new();
    let mut engine = node.open_with(|config| (config.retain, config.trial) = (4, Duration::ZERO));
    let mut digests = Vec::new();
    for version in ["1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0"] {
        digests.push(node.publisher.publish(&Recipe::new(version)).sha256.to_string());
        update(&node, &mut engine).await;
    }
    drop(engine);
    let stored = |node: &Node| {
        let entries = std::fs::read_dir(node.root.join("store")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let mut newest = digests[1..].to_vec();
    newest.sort();
    assert_eq!(stored(&node), newest);
    // A restart keeps them, and so does an agent with a lower number until it installs something.
    let mut engine = node.open();
    assert_eq!(stored(&node), newest);
    assert_eq!(engine.view().notes, [""; 0]);
    node.publisher.publish(&Recipe::new("6.0.0"));
    update(&node, &mut engine).await;
    drop(engine);
    assert_eq!(stored(&node).len(), 2);
    check_settled(&node.root);
}
