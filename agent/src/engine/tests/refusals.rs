// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is refused for other reasons than an attack (see `hostile`), and how it is said. Every case leaves the old release in
//! place and nothing in `tmp/`; [`Node::refused`] sees to that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;

use crate::engine::tests::node::{Node, assert_says, chain, impatient, installed, now};
use crate::engine::tests::publisher::{Recipe, drivers, logger_script, target};
use crate::engine::tests::server::{Answer, Server};
use crate::engine::{FailureKind, OpenError, Source};

#[tokio::test]
async fn a_release_for_another_platform_only() {
    let mut node = installed().await;
    let mut recipe = Recipe::new("2.0.0");
    recipe.target = "sparc64-sun-solaris".parse().unwrap();
    node.publisher.publish(&recipe);
    assert_eq!(
        node.refused().await,
        "Refused: not installed: release 2.0.0 has no artifact for x86_64-unknown-test, only for \
         sparc64-sun-solaris"
    );
}

#[tokio::test]
async fn documents_that_contradict_each_other() {
    let mut node = installed().await;
    node.publisher.add_release(&Recipe::new("2.0.0"));
    let release = node.publisher.read(&node.publisher.target_path("releases/2.0.0.json"));
    node.publisher.add_target("releases/3.0.0.json", &release);
    node.publisher.point_channel("3.0.0", false);
    node.publisher.sign();
    assert_says(
        &node.refused().await,
        &["releases/3.0.0.json is not acceptable: it says it is release 2.0.0"],
    );

    let channel = json!({"format": 2, "name": "stable", "release": "3.0.0"});
    node.publisher.add_target("channels/stable.json", channel.to_string().as_bytes());
    node.publisher.sign();
    assert_says(&node.refused().await, &["it has format 2, this agent knows 1 to 1"]);

    node.publisher.point_channel("4.0.0", false);
    node.publisher.sign();
    assert_says(&node.refused().await, &["releases/4.0.0.json", "the repository does not list it"]);

    let mut artifact = node.publisher.add_release(&Recipe::new("5.0.0"));
    artifact.size += 1;
    node.publisher.add_target(&artifact.name, b"something else");
    node.publisher.point_channel("5.0.0", false);
    node.publisher.sign();
    assert_says(&node.refused().await, &["the repository says 14 and "]);
}

#[tokio::test]
async fn a_logger_that_is_not_the_release() {
    let mut node = installed().await;
    let mut recipe = Recipe::new("2.0.0");
    recipe.says = "1.9.9".to_owned();
    node.publisher.publish(&recipe);
    assert_says(
        &node.refused().await,
        &[
            "Refused: the logger of release 2.0.0 failed its probe: ",
            "/logger version says \"1.9.9\", the release says \"2.0.0\"",
        ],
    );

    // The manifest promises a driver that the logger lacks.
    let mut recipe = Recipe::new("3.0.0");
    let script = logger_script("3.0.0", &drivers());
    recipe.drivers[0].name = "gelf".to_owned();
    recipe.packed = None;
    let honest = Recipe { drivers: drivers(), ..Recipe::new("3.0.0") };
    let artifact = node.publisher.add_release(&honest);
    let mut release: serde_json::Value = serde_json::from_slice(
        &node.publisher.read(&node.publisher.target_path("releases/3.0.0.json")),
    )
    .unwrap();
    release["drivers"] = serde_json::to_value(&recipe.drivers).unwrap();
    node.publisher.add_target("releases/3.0.0.json", release.to_string().as_bytes());
    node.publisher.point_channel("3.0.0", false);
    node.publisher.sign();
    assert_eq!(artifact.files[0].size, u64::try_from(script.len()).unwrap());
    assert_says(&node.refused().await, &["its drivers are fixture, the release says gelf"]);
}

#[tokio::test]
async fn loggers_that_hang_shout_or_fail() {
    let cases = [
        ("4.0.0; exec sleep 600", "did not end within 1 seconds"),
        ("4.0.0; exec cat /dev/zero", "printed more than 1048576 bytes"),
        ("4.0.0; echo sad news >&2; exit 3", "ended with exit status: 3; stderr: \"sad news\""),
        ("4.0.0; kill -SEGV $$", "ended with signal: 11"),
    ];
    for (says, expected) in cases {
        let mut node = installed().await;
        let mut recipe = Recipe::new("4.0.0");
        recipe.says = says.to_owned();
        node.publisher.publish(&recipe);
        let mut engine =
            node.open_with(|config| config.limits.probe_timeout = Duration::from_secs(1));
        let error = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
        assert_says(&chain(&error), &[expected]);
        assert_eq!(error.kind(), FailureKind::Refused);
        assert_eq!(node.logger_says(), "1.0.0");
    }
}

#[tokio::test]
async fn no_room() {
    let mut node = installed().await;
    node.publisher.publish(&Recipe::new("2.0.0"));
    let mut engine = node.open_with(|config| config.reserve_bytes = u64::MAX / 2);
    let error = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Local);
    assert_says(
        &error.to_string(),
        &["bytes available, release 2.0.0 needs 2", "and 9223372036854775807 stay in reserve"],
    );
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn anchors_that_are_none() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    let anchor = node.scratch.path().join("anchor.json");
    let mut engine = node.open_with(|config| config.trust_anchor.clone_from(&anchor));
    let error = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
    let path = anchor.display();
    assert_eq!(chain(&error), format!("cannot use the trust anchor {path}: there is no such file"));
    assert_eq!(error.kind(), FailureKind::Local);
    fs::write(&anchor, "{}").unwrap();
    let error = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_says(&chain(&error), &["cannot use the trust anchor", "missing `signed`"]);
}

#[tokio::test]
async fn damaged_floors_are_not_skipped() {
    let mut node = installed().await;
    let path = node.root.join("trust/1.targets.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "{}").unwrap();
    node.publisher.publish(&Recipe::new("2.0.0"));
    let refusal = node.refused().await;
    assert_says(
        &refusal,
        &["Local: the stored metadata", "1.targets.json does not verify; remove"],
    );
    fs::remove_dir_all(node.root.join("trust")).unwrap();
    node.update().await.unwrap();
}

#[tokio::test]
async fn sources_that_are_not_there() {
    let node = installed().await;
    let absent = node.scratch.path().join("absent");
    let refusal = node.refused_from(&Source::Directory(absent.clone())).await;
    assert_says(&refusal, &["Local: cannot fetch metadata/2.root.json", "cannot read"]);
    let refusal = node.refused_from(&Source::Bundle(absent.join("b.tar"))).await;
    assert_says(&refusal, &["Local: cannot fetch the repository", "b.tar"]);
    let path = node.scratch.path().join("text.tar");
    fs::write(&path, vec![b'x'; 4096]).unwrap();
    let refusal = node.refused_from(&Source::Bundle(path)).await;
    assert_says(&refusal, &["Refused: ", "not a release bundle: "]);
}

#[tokio::test]
async fn http_servers_good_and_bad() {
    let mut node = installed().await;
    let artifact = node.publisher.publish(&Recipe::new("2.0.0"));
    let path = node.publisher.target_path(&artifact.name);
    let timestamp = "metadata/timestamp.json";
    let cases = [
        (timestamp, Answer::Endless, "Refused: ", "longer than the 16384 bytes allowed"),
        (timestamp, Answer::Status(404), "Refused: ", "not found"),
        (timestamp, Answer::Status(403), "Refused: ", "the server answered 403"),
        (timestamp, Answer::Status(503), "Temporary: ", "the server answered 503"),
        (timestamp, Answer::Reset, "Temporary: ", "the request failed"),
        (timestamp, Answer::Silent, "Temporary: ", "no answer within 1 seconds"),
        ("metadata/2.root.json", Answer::Status(500), "Temporary: ", "the server answered 500"),
        (&path, Answer::Endless, "Refused: ", "longer than the "),
        (&path, Answer::Truncated, "Temporary: ", "ended after "),
        (&path, Answer::CutOff, "Temporary: ", "the request failed"),
        (&path, Answer::Stalled, "Temporary: ", "slower than 1024 bytes a second for 1 seconds"),
    ];
    for (path, answer, kind, says) in cases {
        let server = Server::start(&node.publisher.directory, Some((path.to_owned(), answer)));
        let mut engine = node.open_with(impatient);
        let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
        let refusal = format!("{:?}: {}", error.kind(), chain(&error));
        assert!(
            refusal.starts_with(kind) && refusal.contains(says),
            "{path} {answer:?}: {refusal}"
        );
        assert_eq!(node.logger_says(), "1.0.0");
    }
    let server = Server::start(&node.publisher.directory, None);
    node.open().update(&server.source(), now(), &mut |_| {}).await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
    let source = server.source();
    drop(server);
    let refusal = node.refused_from(&source).await;
    assert_says(&refusal, &["Temporary: cannot fetch metadata/2.root.json"]);
}

#[tokio::test]
async fn roots_that_cannot_be_set_up() {
    let node = Node::new();
    fs::write(&node.root, "a file").unwrap();
    let error = crate::engine::Engine::open(node.config(&node.root)).unwrap_err();
    assert!(matches!(error, OpenError::Layout(_)));
    let text = chain(&error);
    assert_says(&text, &["cannot set up the install root: cannot create directory"]);
    assert_eq!(target().as_str(), "x86_64-unknown-test");
}
