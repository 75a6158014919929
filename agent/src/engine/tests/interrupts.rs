// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! An update that gives way: at once, without harm, and no later than its intent.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::tests::node::{assert_says, chain, check_settled, installed, now};
use crate::engine::tests::publisher::Recipe;
use crate::engine::tests::server::{Answer, Server};
use crate::engine::{Change, FailureKind, Interrupt, Outcome, Progress, Step};

/// Asks for an end as soon as `begun` says so.
fn ask_when(interrupt: Interrupt, begun: impl Fn() -> bool + Send + 'static) {
    thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !begun() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        interrupt.ask("a hold");
    });
}

#[tokio::test]
async fn a_transfer_gives_way_and_goes_on_where_it_was() {
    let mut node = installed().await;
    let mut recipe = Recipe::new("2.0.0");
    recipe.padding = 400_000;
    let artifact = node.publisher.publish(&recipe);
    let path = node.publisher.target_path(&artifact.name);
    let server = Server::start(&node.publisher.directory, Some((path.clone(), Answer::Stalled)));
    let mut engine = node.open_with(|config| config.limits.resume_bytes_min = 1);
    let before = engine.view();

    let partial = node.root.join(format!("tmp/partial-{}", artifact.sha256));
    let (kept, half) = (partial.clone(), artifact.size / 2);
    ask_when(engine.interrupt(), move || fs::metadata(&kept).is_ok_and(|kept| kept.len() == half));
    let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Temporary);
    assert_says(&chain(&error), &["it gave way: a hold"]);
    // Nothing was done, and it says nothing about the source.
    let after = engine.view();
    assert_eq!((&after.history, &after.last_check), (&before.history, &before.last_check));
    assert_eq!(fs::metadata(&partial).unwrap().len(), half);
    engine.change(Change::Hold { reason: None }, now()).await.unwrap();
    engine.change(Change::ReleaseHold, now()).await.unwrap();

    // Until that is taken back, nothing else begins.
    let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_says(&chain(&error), &["it gave way: a hold"]);
    engine.interrupt().clear();
    server.fail(&path, Answer::Stalled, 0);
    server.asked();
    engine.update(&server.source(), now(), &mut |_| {}).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.iter().find(|asked| asked.path == path).unwrap().from, half);
    assert_eq!(node.logger_says(), "2.0.0");
    drop(engine);
    check_settled(&node.root);
}

#[tokio::test]
async fn a_source_that_does_not_answer_is_not_waited_for() {
    let node = installed().await;
    let path = "metadata/timestamp.json";
    for answer in [Answer::Silent, Answer::Stalled] {
        let server = Server::start(&node.publisher.directory, Some((path.to_owned(), answer)));
        let mut engine = node.open();
        let last_check = engine.view().last_check;
        ask_when(engine.interrupt(), server.is_asked(path));
        let error = engine.plan(&server.source(), now()).await.unwrap_err();
        assert_says(&chain(&error), &["metadata/timestamp.json", "it gave way: a hold"]);
        assert_eq!(engine.view().last_check, last_check);
    }
}

#[tokio::test]
async fn what_is_begun_is_brought_to_its_end() {
    type Chosen = fn(&Step) -> bool;
    let steps: [(Chosen, bool); 3] = [
        (|step| matches!(step, Step::Probe { .. }), false),
        (|step| matches!(step, Step::RecordIntent { .. }), false),
        (|step| matches!(step, Step::Switch { .. }), true),
    ];
    for (chosen, done) in steps {
        let mut node = installed().await;
        node.publisher.publish(&Recipe::new("2.0.0"));
        let engine = node.open();
        let (interrupt, core) = (engine.interrupt(), Arc::clone(&engine.core));
        let source = node.source();
        let updated = tokio::task::spawn_blocking(move || {
            let mut ask = |sign: Progress| {
                if matches!(&sign, Progress::Step(step) if chosen(step)) {
                    interrupt.ask("a hold");
                }
            };
            core.lock().unwrap().update(&source, now(), &mut ask)
        });
        let updated = updated.await.unwrap();
        drop(engine);
        match updated {
            Ok(outcome) => assert!(done && matches!(outcome, Outcome::Moved { .. })),
            Err(error) => {
                assert!(!done && error.is_interrupted(), "{error}");
                assert_eq!(node.logger_says(), "1.0.0");
                node.update().await.unwrap();
            }
        }
        assert_eq!(node.logger_says(), "2.0.0");
        check_settled(&node.root);
    }
}
