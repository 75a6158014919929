// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Trials from their beginning to what comes after them.

use std::fs;
use std::time::{Duration, Instant};

use dockerlogger_manifest::Digest;

use crate::api::Health;
use crate::engine::core::Core;
use crate::engine::tests::node::{Node, check_settled, now, on_trial};
use crate::engine::tests::processes::{Blind, Quiet, fail_trial, pass_trial, quiet_trial, watch};
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Blocked, Change, Engine, Outcome, Reason, TrialEnd, Which};

async fn update(node: &Node, engine: &mut Engine) -> Outcome {
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap()
}

/// The same, and its trial failed.
async fn reverted(versions: &[&str]) -> (Node, Engine, Vec<Digest>) {
    let (node, engine, digests) = on_trial(versions).await;
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
    assert!(
        told.contains(
            "release 2.0.0 should not run: it is blocked (it failed containers of 3 of 3 owners"
        ),
        "{told}"
    );
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
    assert_eq!(engine.view().blocked, blocked);
    assert_eq!(reasons(&engine), blocked_reasons(&engine));
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
        if version == "1.0.0" {
            pass_trial(&engine).unwrap();
        }
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
async fn a_trial_that_saw_no_logger_makes_no_release_the_one_to_go_back_to() {
    let mut node = Node::new();
    let mut engine = node.open();
    let mut digests = Vec::new();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        digests.push(node.publisher.publish(&Recipe::new(version)).sha256);
        update(&node, &mut engine).await;
        let end = match version {
            "1.0.0" => pass_trial(&engine),
            "2.0.0" => quiet_trial(&engine),
            _ => fail_trial(&engine),
        };
        match end.unwrap() {
            TrialEnd::Passed { tally, .. } => {
                let told = engine.view().history.last().unwrap().why.clone();
                assert_eq!(tally.started, u32::from(version == "1.0.0"));
                assert_eq!(told.starts_with("no logger started in its trial"), tally.started == 0);
                assert!(!engine.on_trial(), "updates come on a quiet node, too");
            }
            TrialEnd::Reverted { to, .. } => {
                assert_eq!((version, to.to_string().as_str()), ("3.0.0", "1.0.0"));
            }
            end => panic!("{end:?}"),
        }
        drop(engine);
        check_settled(&node.root);
        engine = node.open();
    }
    assert_eq!(engine.view().current.unwrap().digest, digests[0]);
    assert_eq!(node.logger_says(), "1.0.0");
    assert!(!node.root.join("store").join(digests[1].to_string()).exists());
}

/// What is said of a node whose channel names a release that failed on it.
fn blocked_reasons(engine: &Engine) -> String {
    let Blocked { version, reason, .. } = engine.view().blocked[0].clone();
    let reason =
        format!("the source offers release {version}, which is blocked on this node: {reason}");
    serde_json::json!([reason]).to_string()
}

#[tokio::test]
async fn health_tells_of_a_release_that_failed_until_another_one_is_offered() {
    for lifts in [true, false] {
        let (mut node, mut engine, digests) = reverted(&["1.0.0", "2.0.0"]).await;
        let told = blocked_reasons(&engine);
        assert!(told.contains("this node went back to release 1.0.0 by itself"), "{told}");
        assert_eq!(reasons(&engine), told, "before the next check");
        update(&node, &mut engine).await;
        assert_eq!(reasons(&engine), told);
        // Nor does a restart forget it, nor a check that fails.
        drop(engine);
        engine = node.open();
        assert_eq!(reasons(&engine), told);
        engine.update(&"/nowhere".parse().unwrap(), now(), &mut |_| {}).await.unwrap_err();
        assert!(reasons(&engine).contains("by itself"), "{}", reasons(&engine));
        if lifts {
            let what = Which::Digest(digests[1]);
            engine.change(Change::Unblock { what }, now()).await.unwrap();
        } else {
            node.publisher.publish(&Recipe::new("2.0.1"));
        }
        update(&node, &mut engine).await;
        assert_eq!(reasons(&engine), "[]");
        // Whoever goes back himself knows it.
        engine.rollback(now()).await.unwrap();
        update(&node, &mut engine).await;
        assert_eq!(reasons(&engine), "[]");
    }
}

/// What a poll does once the current release has failed and there is no way back.
async fn polls_go_on(mut node: Node, mut engine: Engine, reason: &str) {
    assert!(!engine.on_trial());
    assert_eq!(node.logger_says(), "2.0.0", "a logger rather than none");
    let told = reasons(&engine);
    assert!(
        told.contains(
            "release 2.0.0 should not run: it is blocked (it failed containers of 3 of 3 owners"
        ),
        "{told}"
    );
    assert!(told.contains(reason), "{told}");
    let last = engine.view().history.last().unwrap().clone();
    assert_eq!((last.what.as_str(), last.who.as_str()), ("trial-failed", "agent"));
    drop(engine);
    engine = node.open();
    assert!(engine.view().stands_in.is_some() && !engine.on_trial());
    node.publisher.publish(&Recipe::new("2.0.1"));
    update(&node, &mut engine).await;
    assert_eq!(node.logger_says(), "2.0.1");
    assert_eq!(engine.view().blocked.len(), 1);
    assert_eq!(engine.view().stands_in, None);
}

#[tokio::test]
async fn a_trial_that_fails_with_no_way_back_ends_and_a_fixed_release_comes() {
    let (node, engine, digests) = on_trial(&["1.0.0", "2.0.0"]).await;
    corrupt(&node, &digests[0]);
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Failed { .. }), "{end:?}");
    polls_go_on(node, engine, "there is nothing to go back to; release 1.0.0 is damaged").await;
}

#[tokio::test]
async fn a_trial_that_fails_does_not_go_back_to_what_an_operator_blocked() {
    let (node, mut engine, _) = on_trial(&["1.0.0", "2.0.0"]).await;
    let block = Change::Block { what: "1.0.0".parse().unwrap(), reason: Some("leaks".to_owned()) };
    engine.change(block, now()).await.unwrap();
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Failed { .. }), "{end:?}");
    polls_go_on(node, engine, "release 1.0.0 is blocked: leaks, by agent").await;
}

#[tokio::test]
async fn what_a_failed_release_cannot_go_back_to_comes_from_the_source() {
    let (node, mut engine, digests) = on_trial(&["1.0.0", "2.0.0"]).await;
    corrupt(&node, &digests[0]);
    // Whether that is noticed at the end of the trial or by a restart before it.
    for restarts in [true, false] {
        if restarts {
            drop(engine);
            engine = node.open();
            assert_eq!(engine.view().previous, None);
        }
        let end = fail_trial(&engine).unwrap();
        assert!(matches!(end, TrialEnd::Failed { .. }), "{end:?}");
        update(&node, &mut engine).await;
        assert_eq!(node.logger_says(), "1.0.0");
        assert_eq!(reasons(&engine), blocked_reasons(&engine));
        assert_eq!(engine.view().trial, None, "it passed its own");
        if restarts {
            let unblock = Change::Unblock { what: "2.0.0".parse().unwrap() };
            engine.change(unblock, now()).await.unwrap();
            update(&node, &mut engine).await;
            corrupt(&node, &digests[0]);
        }
    }
}

#[tokio::test]
async fn a_trial_goes_back_to_any_release_that_is_kept() {
    let mut node = Node::new();
    let mut engine = node.open_with(|config| config.retain = 3);
    let mut digests = Vec::new();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        digests.push(node.publisher.publish(&Recipe::new(version)).sha256);
        update(&node, &mut engine).await;
        if version != "3.0.0" {
            pass_trial(&engine).unwrap();
        }
    }
    corrupt(&node, &digests[1]);
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Reverted { to, .. } if to.to_string() == "1.0.0"));
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn a_first_release_that_fails_stays_with_an_alarm_until_another_comes() {
    let (mut node, mut engine, digests) = on_trial(&["1.0.0"]).await;
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Failed { .. }), "{end:?}");
    assert_eq!(node.logger_says(), "1.0.0");
    assert_eq!(engine.view().blocked[0].digest, digests[0]);
    let told = reasons(&engine);
    assert!(told.contains("loggers died; there is nothing to go back to"), "{told}");
    let outcome = update(&node, &mut engine).await;
    assert!(matches!(outcome, Outcome::Stayed(Reason::Blocked { .. })), "{outcome:?}");
    // The publisher takes it back: an older one is as good.
    node.publisher.publish(&Recipe::new("0.9.0"));
    update(&node, &mut engine).await;
    assert_eq!(node.logger_says(), "0.9.0");
    assert!(engine.on_trial());
}

#[tokio::test]
async fn what_never_passed_is_gone_back_to_and_watched() {
    let mut node = Node::new();
    let mut engine = node.open();
    for version in ["1.0.0", "2.0.0"] {
        node.publisher.publish(&Recipe::new(version));
        update(&node, &mut engine).await;
    }
    // None of the two has passed: better the one that has not failed.
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Reverted { to, .. } if to.to_string() == "1.0.0"));
    assert_eq!(engine.view().trial.unwrap().version.to_string(), "1.0.0");
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Failed { .. }), "{end:?}");
    assert_eq!(engine.view().blocked.len(), 2);
}

#[tokio::test]
async fn time_in_which_nobody_looked_does_not_count() {
    let (_node, engine, _) = on_trial(&["1.0.0", "2.0.0"]).await;
    let mut core = engine.core.lock().unwrap();
    let mut clock = Instant::now();
    let mut look = |core: &mut Core, seconds: u64| {
        clock += Duration::from_secs(seconds);
        core.watch_trial(&Quiet, clock, now()).unwrap()
    };
    // A slow order between every two looks.
    for _ in 0..100 {
        assert_eq!(look(&mut core, 61), TrialEnd::Running);
    }
    for _ in 0..29 {
        assert_eq!(look(&mut core, 2), TrialEnd::Running);
    }
    assert_eq!(look(&mut core, 3600), TrialEnd::Running);
    assert!(matches!(look(&mut core, 2), TrialEnd::Passed { .. }));
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

#[tokio::test]
async fn time_in_which_nobody_can_look_does_not_count_and_is_said() {
    let (_node, engine, _) = on_trial(&["1.0.0"]).await;
    let second = Duration::from_secs(1);
    let begin = |table: &dyn crate::os::processes::ProcessTable, looks| {
        watch(&mut engine.core.lock().unwrap(), table, looks, second)
    };
    begin(&Quiet, 1).unwrap_err();
    assert_eq!(engine.view().unwatched, None);
    begin(&Blind, 600).unwrap_err();
    let why = "cannot list the processes: there is no /proc";
    assert_eq!(engine.view().unwatched.as_deref(), Some(why));
    let told = reasons(&engine);
    assert!(told.contains(&format!("trial of release 1.0.0 does not go on: {why}")), "{told}");
    // Sight is back: the whole time is still to come.
    begin(&Quiet, 60).unwrap_err();
    assert_eq!((engine.view().unwatched, reasons(&engine).as_str()), (None, "[]"));
    let end = begin(&Quiet, 10).unwrap();
    assert!(matches!(end, TrialEnd::Passed { .. }), "{end:?}");
}
