// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What was refused and is offered again: polls leave it alone, operators need not.

use jiff::{SignedDuration, Timestamp};

use crate::engine::tests::node::{assert_says, chain, installed, now};
use crate::engine::tests::publisher::Recipe;
use crate::engine::tests::server::{Answer, Server};
use crate::engine::{Actor, Engine, Source};

const OPERATOR: Actor = Actor::Socket { uid: Some(0) };

fn at(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// Updates for `actor`; the error, if that is what comes of it.
async fn ask(engine: &mut Engine, actor: Actor, source: &Source, minutes: i64) -> Option<String> {
    engine.act_for(actor);
    let updated = engine.update(source, at(minutes), &mut |_| {}).await;
    updated.err().map(|error| chain(&error))
}

#[tokio::test]
async fn polls_leave_an_artifact_alone_that_was_refused_twice() {
    let mut node = installed().await;
    let artifact = node.publisher.publish(&Recipe::new("2.0.0"));
    let path = node.publisher.target_path(&artifact.name);
    let server = Server::start(&node.publisher.directory, None);
    let source = server.source();
    server.fail(&path, Answer::Flipped, u32::MAX);
    let mut engine = node.open();
    let fetched = || server.asked().iter().filter(|asked| asked.path == path).count();

    // What came may have been damaged on the way: the next poll asks again.
    for minutes in [0, 5] {
        let error = ask(&mut engine, Actor::Poll, &source, minutes).await.unwrap();
        assert_says(&error, &["refused the artifact"]);
        assert_eq!(fetched(), 1);
    }
    // Then ten minutes, a quarter more or less.
    for minutes in [6, 12] {
        let error = ask(&mut engine, Actor::Poll, &source, minutes).await.unwrap();
        let parts = ["release 2.0.0", "was refused 2 times", "refused the artifact", "again after"];
        assert_says(&error, &parts);
        assert_eq!(fetched(), 0);
        // This is what `status` and `explain` show.
        let check = engine.view().last_check.unwrap();
        assert_eq!((check.at, check.error.unwrap()), (at(minutes), error));
    }
    // An operator is not kept waiting; what he sees counts, too.
    assert!(ask(&mut engine, OPERATOR, &source, 13).await.is_some());
    assert_eq!(fetched(), 1);
    let error = ask(&mut engine, Actor::Poll, &source, 27).await.unwrap();
    assert_says(&error, &["was refused 3 times"]);
    assert!(ask(&mut engine, Actor::Poll, &source, 39).await.is_some());
    assert_eq!(fetched(), 1);
    // Another source of the same artifact is asked all the same.
    let mirrors = Source::Mirrors(vec![source, node.source()]);
    assert_eq!(ask(&mut engine, Actor::Poll, &mirrors, 40).await, None);
    assert_eq!(fetched(), 0);
    assert_eq!(node.logger_says(), "2.0.0");
    let passed = &engine.view().last_check.unwrap().passed_over[0];
    assert_says(&passed.why, &["was refused 4 times"]);
}

#[tokio::test]
async fn a_release_that_fails_its_probe_is_left_alone_wherever_it_comes_from() {
    let mut node = installed().await;
    let mut recipe = Recipe::new("2.0.0");
    recipe.says = "1.9.9".to_owned();
    node.publisher.publish(&recipe);
    let mut engine = node.open();
    let server = Server::start(&node.publisher.directory, None);
    for minutes in [0, 5] {
        let error = ask(&mut engine, Actor::Poll, &node.source(), minutes).await.unwrap();
        assert_says(&error, &["failed its probe"]);
    }
    let mirrors = Source::Mirrors(vec![node.source(), server.source()]);
    let error = ask(&mut engine, Actor::Poll, &mirrors, 6).await.unwrap();
    assert_says(&error, &["release 2.0.0", "was refused 2 times", "failed its probe"]);
    // Another release is another matter.
    node.publisher.publish(&Recipe::new("2.0.1"));
    assert_eq!(ask(&mut engine, Actor::Poll, &node.source(), 7).await, None);
    assert_eq!(node.logger_says(), "2.0.1");
}
