// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Rollbacks: what they go to and what they refuse.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dockerlogger_manifest::Release;
use dockerlogger_manifest::status::Life;
use jiff::SignedDuration;

use crate::engine::error::ProbeError;
use crate::engine::probe::Prober;
use crate::engine::tests::node::{Node, assert_says, chain, check_settled, now, on_trial};
use crate::engine::tests::processes::{QUIET_LOOKS, Quiet, fail_trial, page, pass_trial, watch};
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Change, Engine, FailureKind, Outcome, RollbackError, TrialEnd};
use crate::os::pages::{Heard, Keeper, Pages};
use crate::os::processes::{FileId, ProcessTable, Seen};
use crate::os::zones::{Owner, Zone};

/// A node that cannot run any logger.
#[derive(Debug)]
struct Unable;

impl Prober for Unable {
    fn prove(&self, _: &Path, _: &Release, _: Duration) -> Result<(), ProbeError> {
        let source = std::io::Error::from_raw_os_error(8);
        Err(ProbeError::Start { command: "logger version".to_owned(), source })
    }
}

async fn unblock(engine: &mut Engine, what: &str) {
    engine.change(Change::Unblock { what: what.parse().unwrap() }, now()).await.unwrap();
}

/// Refused, and nothing has changed.
async fn refused(node: &Node, engine: &mut Engine) -> String {
    let (before, says) = (engine.view(), node.logger_says());
    let error = engine.rollback(now()).await.unwrap_err();
    assert_eq!((engine.view(), node.logger_says()), (before, says));
    chain(&error)
}

#[tokio::test]
async fn rolls_back_and_forth_and_does_not_return_by_itself() {
    let mut node = Node::new();
    let mut engine = node.open();
    let error = engine.rollback(now()).await.unwrap_err();
    assert!(matches!(error, RollbackError::NoPrevious), "{error}");
    assert_eq!(error.kind(), FailureKind::Refused);

    node.publisher.publish(&Recipe::new("1.0.0"));
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    let second = node.publisher.publish(&Recipe::new("2.0.0"));
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();

    let outcome = engine.rollback(now()).await.unwrap();
    assert!(matches!(outcome, Outcome::Moved { to, .. } if to.to_string() == "1.0.0"));
    assert_eq!(node.logger_says(), "1.0.0");
    let blocked = engine.view().blocked;
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0].digest, second.sha256);
    let stayed = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    let Outcome::Stayed(reason) = stayed else { panic!("{stayed:?}") };
    assert_eq!(
        reason.to_string(),
        format!(
            "release 2.0.0 ({}) is blocked on this node: rolled back to release 1.0.0 by the operator",
            second.sha256
        )
    );
    // The block is on disk, and a newer release is not blocked.
    drop(engine);
    let mut engine = node.open();
    assert_eq!(engine.view().blocked, blocked);

    // Once more is not forward again, unless an operator says so.
    let error = engine.rollback(now()).await.unwrap_err();
    let second = second.sha256;
    assert_eq!(
        error.to_string(),
        format!(
            "the previous release 2.0.0 ({second}) is blocked on this node: rolled back to \
             release 1.0.0 by the operator; unblock it first"
        )
    );
    assert_eq!(error.kind(), FailureKind::Refused);
    unblock(&mut engine, "2.0.0").await;
    engine.rollback(now()).await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
    assert_eq!(engine.view().blocked, []);
    assert_eq!(engine.view().trial.unwrap().digest, second, "forward is on trial");
    drop(engine);
    check_settled(&node.root);
}

#[tokio::test]
async fn a_release_that_failed_its_trial_does_not_come_back_by_a_rollback() {
    let (node, mut engine, _) = on_trial(&["1.0.0", "2.0.0"]).await;
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Reverted { .. }), "{end:?}");
    let refusal = refused(&node, &mut engine).await;
    assert_says(&refusal, &["release 2.0.0 (", "3 of 3 owners", "; unblock it first"]);

    // With the operator's word it comes as by an update: on trial, and with the one that it
    // replaces to go back to.
    unblock(&mut engine, "2.0.0").await;
    engine.rollback(now()).await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
    assert_eq!(engine.view().trial.unwrap().version.to_string(), "2.0.0");
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Reverted { .. }), "{end:?}");
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn what_an_operator_blocked_does_not_come_back_by_a_rollback() {
    let (node, mut engine, _) = on_trial(&["1.0.0", "2.0.0"]).await;
    let digest = engine.view().previous.unwrap().digest.to_string();
    for what in ["1.0.0", &digest] {
        let reason = Some("it leaks".to_owned());
        engine.change(Change::Block { what: what.parse().unwrap(), reason }, now()).await.unwrap();
        let refusal = refused(&node, &mut engine).await;
        assert_says(&refusal, &["release 1.0.0 (", "it leaks, by agent; unblock it first"]);
        unblock(&mut engine, what).await;
    }
    engine.rollback(now()).await.unwrap();
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn what_fails_its_probe_is_not_gone_forward_to() {
    let (node, mut engine, _) = on_trial(&["1.0.0", "2.0.0"]).await;
    engine.rollback(now()).await.unwrap();
    unblock(&mut engine, "2.0.0").await;
    // As signed, and not what this node can run any more.
    engine.core.lock().unwrap().prober = Arc::new(Unable);
    let refusal = refused(&node, &mut engine).await;
    assert_says(&refusal, &["the logger of release 2.0.0 failed its probe: "]);
}

#[tokio::test]
async fn a_damaged_release_is_not_gone_back_to() {
    let (node, mut engine, _) = on_trial(&["1.0.0", "2.0.0"]).await;
    let digest = engine.view().previous.unwrap().digest;
    fs::remove_dir_all(node.root.join("store").join(digest.to_string())).unwrap();
    let refusal = refused(&node, &mut engine).await;
    assert_says(&refusal, &["the previous release 1.0.0 (", ") is damaged on disk"]);
}

/// Three loggers of three owners that have run for long, and lost senders in their time.
struct Veterans;

impl ProcessTable for Veterans {
    fn numbers(&self) -> io::Result<Vec<u32>> {
        Ok(vec![101, 102, 103])
    }

    fn look(&self, number: u32) -> Option<Seen> {
        let file = Quiet.file_id(Path::new("/")).ok()?;
        Some(Seen { parent: 1, birth: 1, file, zone: Zone(number.into(), 1) })
    }

    fn pages(&self, readers: &[Keeper]) -> Pages {
        let page = page(Life::Runs, [0, 0, 0, 5]);
        readers.iter().map(|reader| (*reader, Heard::Page(Box::new(page.clone())))).collect()
    }

    fn owner(&self, zone: Zone, _: u32) -> Owner {
        Owner(zone.0.to_string())
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        Quiet.file_id(path)
    }
}

#[tokio::test]
async fn loggers_that_ran_a_release_before_have_no_part_in_its_trial() {
    let (node, mut engine, _) = on_trial(&["1.0.0", "2.0.0"]).await;
    pass_trial(&engine).unwrap();
    let later = now() + SignedDuration::from_hours(1);
    engine.rollback(later).await.unwrap();
    unblock(&mut engine, "2.0.0").await;
    engine.rollback(later).await.unwrap();
    let look = |engine: &Engine, looks| {
        watch(&mut engine.core.lock().unwrap(), &Veterans, looks, Duration::from_secs(1))
    };
    let passes = |engine: &Engine| {
        let end = look(engine, QUIET_LOOKS).unwrap();
        let TrialEnd::Passed { tally, .. } = end else { panic!("{end:?}") };
        assert_eq!((tally.started, tally.senders_lost), (0, 0));
    };
    passes(&engine);
    // Nor where an operator chooses one that is still here.
    engine.change(Change::Pin { version: "1.0.0".parse().unwrap() }, later).await.unwrap();
    engine.update(&node.source(), later, &mut |_| {}).await.unwrap();
    assert_eq!(node.logger_says(), "1.0.0");
    passes(&engine);
    drop((node, engine));

    // What was just unpacked nobody can have run before.
    let (_node, engine, _) = on_trial(&["1.0.0", "2.0.0"]).await;
    let end = look(&engine, QUIET_LOOKS).unwrap();
    assert!(matches!(end, TrialEnd::Reverted { .. }), "{end:?}");
}
