// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the history says, and that nothing changes without it.

use std::fs;
use std::sync::Arc;

use crate::engine::tests::faults::{Fault, FaultyFiles};
use crate::engine::tests::node::{Node, check_settled, copy_tree, now, updated};
use crate::engine::tests::processes::{fail_trial, pass_trial};
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Actor, Engine};

fn told(engine: &Engine) -> Vec<String> {
    let records = engine.view().history;
    let told = records.iter().map(|r| {
        let (from, to) = (r.from.as_deref().unwrap_or("-"), r.to.as_deref().unwrap_or("-"));
        format!("{} {from} {to} by {}: {}", r.what, r.who, r.why)
    });
    told.collect()
}

#[tokio::test]
async fn every_change_is_on_record_with_who_and_why() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    let mut engine = node.open();
    engine.act_for(Actor::Poll);
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    // Nothing to do is nothing to record.
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    node.publisher.publish(&Recipe::new("1.1.0"));
    engine.act_for(Actor::Socket { uid: Some(0) });
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    engine.rollback(now()).await.unwrap();
    let from = node.publisher.directory.display().to_string();
    let expected = [
        format!("update - 1.0.0 by poll: channel stable of {from} names release 1.0.0"),
        format!("update 1.0.0 1.1.0 by socket uid 0: channel stable of {from} names release 1.1.0"),
        "rollback 1.1.0 1.0.0 by socket uid 0: the operator asked for the previous release"
            .to_owned(),
    ];
    assert_eq!(told(&engine), expected);
    drop(engine);
    let engine = node.open();
    assert_eq!(told(&engine), expected, "the history survives a restart");
    assert_eq!(engine.view().last_check.unwrap().outcome, "installed release 1.1.0");
}

#[tokio::test]
async fn a_repair_is_on_record_too() {
    let (node, digests) = updated(&["1.0.0", "2.0.0"]).await;
    fs::remove_dir_all(node.root.join("store").join(digests[1].to_string())).unwrap();
    let engine = node.open();
    let last = told(&engine).pop().unwrap();
    assert!(last.starts_with("repair - 1.0.0 by agent: release 2.0.0 is damaged ("), "{last}");
}

#[tokio::test]
async fn the_end_of_a_trial_is_on_record() {
    let mut node = Node::new();
    let mut engine = node.open();
    for version in ["1.0.0", "2.0.0"] {
        node.publisher.publish(&Recipe::new(version));
        engine.act_for(Actor::Poll);
        engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
        match version {
            "1.0.0" => pass_trial(&engine).unwrap(),
            _ => fail_trial(&engine).unwrap(),
        };
    }
    let told = told(&engine);
    assert_eq!(told[1], "trial-passed - 1.0.0 by agent: 1 loggers started in its trial, 0 died");
    assert!(
        told[3].starts_with(
            "trial-revert 2.0.0 1.0.0 by agent: it failed containers of 3 of 3 owners"
        ),
        "{told:?}"
    );
    assert_eq!(told.len(), 4);
}

/// A disk that fails once, anywhere: a change on record that did not happen is
/// followed by that.
#[tokio::test]
async fn a_change_that_failed_is_on_record_as_such() {
    const EIO: i32 = 5;
    let (mut node, _) = updated(&["1.0.0", "2.0.0"]).await;
    node.publisher.publish(&Recipe::new("3.0.0"));
    let base = node.scratch.path().join("base");
    copy_tree(&node.root, &base);
    for (rollback, said) in [(false, "update 2.0.0 3.0.0"), (true, "rollback 2.0.0 1.0.0")] {
        let mut failures = 0;
        for effects in 0.. {
            fs::remove_dir_all(&node.root).unwrap();
            copy_tree(&base, &node.root);
            let files = FaultyFiles::new(effects, Fault::Once(EIO));
            let Ok(mut engine) = node.open_on(&node.root, Arc::new(files.clone())) else {
                continue;
            };
            let failed = match rollback {
                false => engine.update(&node.source(), now(), &mut |_| {}).await.is_err(),
                true => engine.rollback(now()).await.is_err(),
            };
            let told = told(&engine);
            let begun = told.iter().position(|record| record.starts_with(said));
            let failure =
                begun.and_then(|begun| told[begun..].iter().find(|r| r.starts_with("failed ")));
            assert_eq!(failure.is_some(), failed && begun.is_some(), "effect {effects}: {told:?}");
            if let Some(failure) = failure {
                failures += 1;
                let (what, moved) = said.split_once(' ').unwrap();
                assert!(
                    failure.starts_with(&format!(
                        "failed {moved} by agent: the {what} failed: cannot "
                    )),
                    "{failure}"
                );
                assert!(failure.contains("Input/output error"), "{failure}");
            }
            if !files.hit() {
                break;
            }
        }
        assert!(failures > 2, "{said}: {failures}");
    }
}

/// Wherever the disk fails, what changed was on record before.
#[tokio::test]
async fn no_change_without_a_record() {
    const ENOSPC: i32 = 28;
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    node.update().await.unwrap();
    node.publisher.publish(&Recipe::new("2.0.0"));
    let base = node.scratch.path().join("base");
    copy_tree(&node.root, &base);
    let mut moved = 0;
    for effects in 0.. {
        fs::remove_dir_all(&node.root).unwrap();
        copy_tree(&base, &node.root);
        let files = FaultyFiles::new(effects, Fault::Always(ENOSPC));
        if let Ok(mut engine) = node.open_on(&node.root, Arc::new(files.clone())) {
            let _ended = engine.update(&node.source(), now(), &mut |_| {}).await;
        }
        let says = node.logger_says();
        let engine = node.open_on(&node.root, Arc::new(FaultyFiles::unlimited())).unwrap();
        if says == "2.0.0" {
            moved += 1;
            assert!(told(&engine).iter().any(|r| r.starts_with("update 1.0.0 2.0.0 ")));
        }
        drop(engine);
        check_settled(&node.root);
        if !files.hit() {
            break;
        }
    }
    assert!(moved > 1, "the switch was never reached");
}
