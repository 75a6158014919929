// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What was refused and is offered again, artifacts and images: polls leave it alone, operators need not.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::json;

use crate::engine::tests::node::{Node, assert_says, chain, installed, now};
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

/// The list that an image API is asked for; a file of that name is the answer.
const LIST: &str = "images?name=dockerlogger&state=active&sort=published_at.desc&limit=10";

/// Where the file of an image is.
fn file_of(image: u8) -> String {
    format!("images/c0ffee00-0000-4000-8000-00000000000{image}/file")
}

/// Makes `image` the only one that the test server lists; its file is `content`,
/// and its manifest says the length that is given.
fn offer(node: &Node, image: u8, content: &[u8], size: usize) {
    let folder = &node.publisher.directory;
    let path = file_of(image);
    let uuid = path.split('/').nth(1).unwrap();
    fs::create_dir_all(folder.join("images").join(uuid)).unwrap();
    fs::write(folder.join(&path), content).unwrap();
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, content);
    let sha1: String = sha1.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let file = json!({"sha1": sha1, "size": size, "compression": "none"});
    let list = json!([{"uuid": uuid, "name": "dockerlogger", "state": "active",
                       "published_at": "2026-01-01T00:00:00Z", "files": [file]}]);
    fs::write(folder.join(LIST), list.to_string()).unwrap();
}

/// The publisher's repository as a bundle.
fn bundle(node: &Node) -> Vec<u8> {
    let path = node.scratch.path().join("bundle.tar");
    node.publisher.bundle(&path);
    fs::read(path).unwrap()
}

/// An image API over the publisher's directory.
fn imgapi(node: &Node) -> (Server, Source) {
    let server = Server::start(&node.publisher.directory, None);
    let source = server.source().to_string().replace("http://", "imgapi://");
    (server, source.parse().unwrap())
}

/// What each poll says, and how often it asked for the file of an image.
async fn polls<const N: usize>(
    engine: &mut Engine,
    (server, source): &(Server, Source),
    minutes: [i64; N],
    image: u8,
) -> [(Option<String>, usize); N] {
    let mut told = [const { (None, 0) }; N];
    for (told, minutes) in told.iter_mut().zip(minutes) {
        let error = ask(engine, Actor::Poll, source, minutes).await;
        let path = file_of(image);
        *told = (error, server.asked().iter().filter(|asked| asked.path == path).count());
    }
    told
}

#[tokio::test]
async fn polls_leave_an_image_alone_whose_file_is_not_what_its_manifest_says() {
    let mut node = installed().await;
    node.publisher.publish(&Recipe::new("2.0.0"));
    let content = bundle(&node);
    offer(&node, 1, &content, content.len());
    let api = imgapi(&node);
    let (server, source) = &api;
    server.fail(&file_of(1), Answer::Flipped, u32::MAX);
    let mut engine = node.open();
    let polled = polls(&mut engine, &api, [0, 5, 6, 12], 1).await;
    assert_eq!(polled.each_ref().map(|(_, fetched)| *fetched), [1, 1, 0, 0]);
    let [(first, _), _, _, (last, _)] = polled;
    assert_says(&first.unwrap(), &["the file of image c0ffee00-", "has SHA-1"]);
    let last = last.unwrap();
    let parts = ["image c0ffee00-", "was refused 2 times", "has SHA-1", "again after", "by hand"];
    assert_says(&last, &parts);
    // This is what `status` and `explain` show.
    let check = engine.view().last_check.unwrap();
    assert_eq!((check.at, check.error), (at(12), Some(last)));

    // An operator is not kept waiting; what he sees counts, too.
    assert!(ask(&mut engine, OPERATOR, source, 13).await.is_some());
    let [(error, fetched)] = polls(&mut engine, &api, [27], 1).await;
    assert_says(&error.unwrap(), &["was refused 3 times"]);
    assert_eq!(fetched, 1, "the operator's");
    // Another image is another matter, and the first one begins anew after it.
    offer(&node, 2, b"this is no bundle", 17);
    let [(error, fetched)] = polls(&mut engine, &api, [28], 2).await;
    assert_says(&error.unwrap(), &["not a release bundle"]);
    assert_eq!(fetched, 1);
    offer(&node, 1, &content, content.len());
    let [(error, fetched)] = polls(&mut engine, &api, [29], 1).await;
    assert_says(&error.unwrap(), &["has SHA-1"]);
    assert_eq!(fetched, 1);
    // One that is good is forgotten, whoever asked for it.
    let polled = polls(&mut engine, &api, [30], 1).await;
    assert_eq!(polled[0].1, 1);
    server.fail(&file_of(1), Answer::Flipped, 0);
    assert_eq!(ask(&mut engine, OPERATOR, source, 31).await, None);
    assert_eq!(node.logger_says(), "2.0.0");
    assert_eq!(polls(&mut engine, &api, [32], 1).await[0].0, None);
}

#[tokio::test]
async fn an_image_that_does_not_verify_is_not_fetched_with_each_poll() {
    let mut node = installed().await;
    node.publisher.publish(&Recipe::new("2.0.0"));
    let (whole, length) = (bundle(&node), bundle(&node).len());
    let targets = format!("metadata/{}.targets.json", node.publisher.version);
    let signed = node.publisher.read(&targets);
    let forged = |content: &[u8]| {
        node.publisher.write(&targets, content);
        bundle(&node)
    };
    // What is remembered of it is enough to see that it is forged.
    let mut small = signed.clone();
    *small.last_mut().unwrap() = b' ';
    let small = forged(&small);
    // This is not remembered.
    let large = forged(&[&signed[..], b" "].concat());
    node.publisher.write(&targets, &signed);
    type Case<'a> = (&'a [u8], usize, &'a str, [usize; 5]);
    let cases: [Case<'_>; 5] = [
        (b"this is no bundle", 17, "not a release bundle", [1, 1, 0, 0, 1]),
        (&small, length, "refused targets metadata", [1, 0, 0, 0, 0]),
        (&large, large.len(), "longer than the", [1, 1, 0, 0, 1]),
        // The server says its length: not a byte is taken.
        (&whole, length + 1, "ended after", [1, 1, 1, 1, 1]),
        (&whole, length - 1, "longer than the", [1, 1, 1, 1, 1]),
    ];
    for (content, size, says, expected) in cases {
        offer(&node, 1, content, size);
        let api = imgapi(&node);
        let mut engine = node.open();
        let polled = polls(&mut engine, &api, [0, 5, 6, 12, 18], 1).await;
        assert_eq!(polled.each_ref().map(|(_, fetched)| *fetched), expected, "{says}");
        for (error, fetched) in polled {
            let error = error.unwrap();
            assert_says(&error, &[says]);
            let left_alone = fetched == 0 && expected[1] == 1;
            assert_eq!(error.contains("was refused 2 times"), left_alone, "{error}");
        }
        assert_eq!(node.logger_says(), "1.0.0");
    }
}

#[tokio::test]
async fn an_artifact_that_is_damaged_in_one_image_is_taken_from_the_next_one() {
    let mut node = installed().await;
    let artifact = node.publisher.publish(&Recipe::new("2.0.0"));
    let path = node.publisher.target_path(&artifact.name);
    let (whole, content) = (bundle(&node), node.publisher.read(&path));
    node.publisher.write(&path, &content.iter().map(|byte| byte ^ 1).collect::<Vec<_>>());
    let damaged = bundle(&node);
    offer(&node, 1, &damaged, damaged.len());
    let api = imgapi(&node);
    let mut engine = node.open();
    let polled = polls(&mut engine, &api, [0, 5, 6, 12], 1).await;
    assert_eq!(polled.each_ref().map(|(_, fetched)| *fetched), [1, 1, 0, 0]);
    let parts = ["release 2.0.0", "was refused 2 times", "refused the artifact"];
    assert_says(polled[3].0.as_ref().unwrap(), &parts);
    offer(&node, 2, &whole, whole.len());
    assert_eq!(polls(&mut engine, &api, [12], 2).await, [(None, 1)]);
    assert_eq!(node.logger_says(), "2.0.0");
}
