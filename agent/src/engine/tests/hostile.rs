// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Hostile repositories: one test per attack of the TUF specification (1.5.2),
//! in its order and by its names, and those that delegations add. Hostile
//! archives, whose metadata is in order, are in `archives`.
//!
//! Each is carried out on a node that runs release 1.0.0, once with each
//! verifier where it is about metadata. [`stays`] sees that it is refused for
//! the reason given, that the node runs what it ran, and that nothing is left.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::engine::tests::node::{
    Node, VERIFIERS, assert_says, chain, copy_tree, impatient, installed, installed_with, now,
};
use crate::engine::tests::publisher::{Key, Recipe, TarEntry, drivers, logger_script, pack};
use crate::engine::tests::server::{Answer, Server};
use crate::engine::{Outcome, Reason, Source};

mod archives;

/// A node that runs release 1.0.0, for each verifier.
async fn nodes() -> Vec<Node> {
    let mut nodes = Vec::new();
    for (_, begin) in VERIFIERS {
        nodes.push(installed_with(begin).await);
    }
    nodes
}

/// The update is refused for good, with these words, and release 1.0.0 runs on.
async fn stays(node: &Node, says: &[&str]) {
    stays_from(node, &node.source(), says).await;
}

async fn stays_from(node: &Node, source: &Source, says: &[&str]) {
    let refusal = node.refused_from(source).await;
    assert!(refusal.starts_with("Refused: "), "{refusal}");
    assert_says(&refusal, says);
    assert_eq!(node.logger_says(), "1.0.0");
}

/// Changes a metadata file as a mirror can: without any key.
fn edit(node: &Node, path: &str, change: impl Fn(&mut Value)) {
    let mut file: Value = serde_json::from_slice(&node.publisher.read(path)).unwrap();
    change(&mut file);
    node.publisher.write(path, file.to_string().as_bytes());
}

#[tokio::test]
async fn arbitrary_software() {
    for mut node in nodes().await {
        // A mirror puts another program in the artifact's place.
        let artifact = node.publisher.publish(&Recipe::new("2.0.0"));
        let path = node.publisher.target_path(&artifact.name);
        let honest = node.publisher.read(&path);
        let evil = vec![0; honest.len()];
        node.publisher.write(&path, &evil);
        stays(&node, &["refused the artifact logger-2.0.0-x86_64-unknown-test.tar.zst"]).await;
        node.publisher.write(&path, &honest);
        // It changes what is signed.
        edit(&node, "metadata/timestamp.json", |file| file["signed"]["version"] = 7.into());
        let directory = node.publisher.directory.display().to_string();
        let problem = "signature of timestamp metadata: 0 of 1 needed keys";
        stays(&node, &[&format!("refused timestamp metadata from {directory}: {problem}")]).await;
        node.publisher.write("metadata/timestamp.json", b"{");
        stays(&node, &["refused timestamp metadata", "not JSON"]).await;
        // It signs everything itself.
        node.publisher.online = Key::new(99);
        node.publisher.publish(&Recipe::new("3.0.0"));
        stays(&node, &[problem]).await;
    }
}

#[tokio::test]
async fn rollback() {
    for mut node in nodes().await {
        let old = node.scratch.path().join("old");
        copy_tree(&node.publisher.directory, &old);
        // Accepted, and nothing new in it.
        node.publisher.sign();
        node.update().await.unwrap();
        let floor = "timestamp version 1 is older than version 2, which this node accepted before";
        stays_from(&node, &Source::Directory(old), &[floor]).await;

        // The floor holds for bundles, too.
        node.publisher.version = 0;
        node.publisher.sign();
        let bundle = node.scratch.path().join("old.tar");
        node.publisher.bundle(&bundle);
        stays_from(&node, &Source::Import(bundle), &[floor]).await;

        // A new timestamp, signed by whoever has its key, over an older snapshot and older targets.
        node.publisher.version = 2;
        node.publisher.sign();
        node.update().await.unwrap();
        node.publisher.sign_timestamp(4, 2);
        stays(&node, &["snapshot (via timestamp) version 2 is older than version 3"]).await;
        let mut pins = node.publisher.pins.clone();
        pins.insert("targets.json".to_owned(), json!({"version": 2}));
        node.publisher.sign_snapshot(5, &pins);
        stays(&node, &["targets.json (via snapshot) version 2 is older than version 3"]).await;

        // Metadata that is newer, and a release that is older.
        node.publisher.version = 8;
        node.publisher.publish(&Recipe::new("0.9.0"));
        let says = "not installed: the channel names release 0.9.0, older than 1.0.0, which is \
                    installed; to go back on this node use rollback";
        stays(&node, &[says]).await;
    }
}

#[tokio::test]
async fn indefinite_freeze() {
    for mut node in nodes().await {
        for role in ["timestamp", "snapshot", "targets"] {
            node.publisher.expires.insert(role, "2026-06-01T11:59:59Z");
            node.publisher.publish(&Recipe::new("2.0.0"));
            let directory = node.publisher.directory.display();
            let says = format!(
                "Refused: {role} metadata from {directory} expired at 2026-06-01T11:59:59Z; \
                 this node's clock says 2026-06-01T12:00:00Z"
            );
            stays(&node, &[&says]).await;
            node.publisher.expires.clear();
        }
        // A mirror that stands still: the bytes that were good an hour ago.
        node.publisher.expires.insert("timestamp", "2026-06-01T12:00:01Z");
        node.publisher.publish(&Recipe::new("1.0.0"));
        node.update().await.unwrap();
        let later = now() + SignedDuration::from_hours(1);
        let error = node.open().update(&node.source(), later, &mut |_| {}).await.unwrap_err();
        assert_says(&chain(&error), &["timestamp metadata", "expired at 2026-06-01T12:00:01Z"]);
        assert_eq!(node.logger_says(), "1.0.0");
    }
}

#[tokio::test]
async fn endless_data() {
    let mut node = installed().await;
    node.publisher.rotate(Key::new(1), Key::new(2));
    let artifact = node.publisher.publish(&Recipe::new("2.0.0"));
    let artifact = node.publisher.target_path(&artifact.name);
    let length = node.publisher.read(&artifact).len();
    for (path, limit) in [
        ("metadata/2.root.json", 512 << 10),
        ("metadata/timestamp.json", 16 << 10),
        ("metadata/2.snapshot.json", node.publisher.read("metadata/2.snapshot.json").len()),
        ("metadata/2.targets.json", node.publisher.read("metadata/2.targets.json").len()),
        (&artifact, length),
    ] {
        let server =
            Server::start(&node.publisher.directory, Some((path.to_owned(), Answer::Endless)));
        let says = format!("longer than the {limit} bytes allowed");
        stays_from(&node, &server.source(), &[&says]).await;
    }
}

#[tokio::test]
async fn slow_retrieval() {
    let mut node = installed().await;
    let artifact = node.publisher.publish(&Recipe::new("2.0.0"));
    let artifact = node.publisher.target_path(&artifact.name);
    for path in ["metadata/timestamp.json", "metadata/2.targets.json", &artifact] {
        let server =
            Server::start(&node.publisher.directory, Some((path.to_owned(), Answer::Stalled)));
        let mut engine = node.open_with(impatient);
        let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
        assert_says(&chain(&error), &["slower than 1024 bytes a second for 1 seconds"]);
        assert_eq!(node.logger_says(), "1.0.0");
    }
}

#[tokio::test]
async fn extraneous_dependencies() {
    for mut node in nodes().await {
        // A release has no dependencies but the artifact it names; that has to be listed as well.
        let artifact = node.publisher.add_release(&Recipe::new("2.0.0"));
        node.publisher.point_channel("2.0.0", false);
        node.publisher.unlist(&artifact.name);
        node.publisher.sign();
        stays(&node, &["the repository does not list", &artifact.name]).await;
        // Nor has the archive room for what the release does not list: see `archives`.
        let mut recipe = Recipe::new("3.0.0");
        let logger = TarEntry::file("logger", 0o555, &logger_script("3.0.0", &drivers()));
        let evil = TarEntry::file("lib/libevil.so", 0o555, b"evil");
        recipe.packed = Some(pack(&[logger, evil]));
        node.publisher.publish(&recipe);
        stays(&node, &["\"lib/libevil.so\": the release does not list it"]).await;
    }
}

#[tokio::test]
async fn mix_and_match() {
    for mut node in nodes().await {
        node.publisher.publish(&Recipe::new("2.0.0"));
        node.publisher.sign();
        // Each is signed well, and as long as the other; they never were current together.
        for role in ["snapshot", "targets"] {
            let path = format!("metadata/3.{role}.json");
            let honest = node.publisher.read(&path);
            let older = node.publisher.read(&format!("metadata/2.{role}.json"));
            node.publisher.write(&path, &older);
            let problem = format!("{role}.json: sha256 mismatch");
            stays(&node, &[&format!("refused {role} metadata"), &problem]).await;
            node.publisher.write(&path, &honest);
        }
    }
}

#[tokio::test]
async fn wrong_threshold() {
    for mut node in nodes().await {
        node.publisher.others = vec![Key::new(3), Key::new(4)];
        node.publisher.threshold = 2;
        node.publisher.rotate(Key::new(1), Key::new(2));
        node.publisher.signing = 1;
        node.publisher.publish(&Recipe::new("2.0.0"));
        stays(&node, &["signature of timestamp metadata: 1 of 2 needed keys"]).await;
        // The same key twice is one key.
        edit(&node, "metadata/timestamp.json", |file| {
            let signature = file["signatures"][0].clone();
            file["signatures"].as_array_mut().unwrap().push(signature);
        });
        stays(&node, &["refused timestamp metadata"]).await;
        // One good signature and one that is none.
        edit(&node, "metadata/timestamp.json", |file| {
            file["signatures"][1]["keyid"] = Key::new(3).id().into();
        });
        stays(&node, &["signature of timestamp metadata: 1 of 2 needed keys"]).await;
        node.publisher.signing = 2;
        node.publisher.sign();
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "2.0.0");
    }
}

#[tokio::test]
async fn key_compromise() {
    for mut node in nodes().await {
        // The online key was copied. The publisher replaces it; the thief goes on with the old one.
        node.publisher.rotate(Key::new(1), Key::new(22));
        node.publisher.sign();
        node.update().await.unwrap();
        node.publisher.online = Key::new(2);
        node.publisher.publish(&Recipe::new("6.6.6"));
        stays(&node, &["signature of timestamp metadata: 0 of 1 needed keys"]).await;

        // The thief's own root is signed by the thief alone.
        let other = Node::new();
        let mut thief = other.publisher;
        thief.rotate(Key::new(2), Key::new(51));
        thief.rotate(Key::new(60), Key::new(61));
        node.publisher.write("metadata/3.root.json", &thief.read("metadata/3.root.json"));
        stays(&node, &["refused root metadata", "signature of root metadata: 0 of 1 needed keys"])
            .await;
        // Or it skips the versions in between.
        node.publisher.write("metadata/3.root.json", &node.publisher.read("metadata/1.root.json"));
        stays(&node, &["expected root version 3, got 1"]).await;
    }
}

#[tokio::test]
async fn fast_forward() {
    for mut node in nodes().await {
        // The thief signs with numbers that the publisher will never reach.
        node.publisher.version = 1 << 60;
        node.publisher.sign();
        node.update().await.unwrap();
        node.publisher.version = 1;
        node.publisher.publish(&Recipe::new("2.0.0"));
        let floor = format!("timestamp version 2 is older than version {}", (1_u64 << 60) + 1);
        stays(&node, &[&floor]).await;
        // New keys lift the floors that the old ones set.
        node.publisher.rotate(Key::new(1), Key::new(22));
        node.publisher.publish(&Recipe::new("2.0.0"));
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "2.0.0");
    }
}

#[tokio::test]
async fn delegated_roles_beyond_their_trust() {
    for mut node in nodes().await {
        let (beta, stranger) = (Key::new(30), Key::new(31));
        let paths = ["releases/2.*.json", "logger-2.*"];
        node.publisher.delegate("targets", "beta", &beta, &paths);
        // What lists the channel is not asked for it, ...
        node.publisher.list = "beta".to_owned();
        node.publisher.publish(&Recipe::new("2.0.0"));
        assert_eq!(node.update().await.unwrap(), stayed("1.0.0"));
        // ... nor for a release that its delegator keeps to itself.
        node.publisher.list = "targets".to_owned();
        node.publisher.point_channel("3.0.0", false);
        node.publisher.list = "beta".to_owned();
        node.publisher.add_release(&Recipe::new("3.0.0"));
        node.publisher.sign();
        stays(&node, &["releases/3.0.0.json", "the repository does not list it"]).await;

        // A list that was changed, one that nobody vouches for, and one that has expired.
        node.publisher.list = "targets".to_owned();
        node.publisher.point_channel("2.0.0", false);
        node.publisher.sign();
        let number = node.publisher.version;
        let path = format!("metadata/{number}.beta.json");
        edit(&node, &path, |file| {
            file["signatures"] = json!([stranger.signature(&file["signed"])])
        });
        stays(&node, &["refused beta metadata", "beta.json: sha256 mismatch"]).await;
        let number = number + 1;
        let mut pins = node.publisher.pins.clone();
        let pin = node.publisher.sign_list(number, "beta", Some(&stranger));
        pins.insert("beta.json".to_owned(), pin);
        node.publisher.sign_snapshot(number, &pins);
        stays(&node, &["refused beta metadata", "signature of beta metadata: 0 of 1 needed keys"])
            .await;
        node.publisher.version = number;
        node.publisher.expires.insert("beta", "2026-06-01T11:59:59Z");
        node.publisher.sign();
        stays(&node, &["beta metadata", "expired at 2026-06-01T11:59:59Z"]).await;

        // All is well, and a bundle that has expired is a warning.
        let bundle = node.scratch.path().join("bundle.tar");
        node.publisher.bundle(&bundle);
        let mut engine = node.open();
        let outcome = engine.update(&Source::Import(bundle), now(), &mut |_| {}).await.unwrap();
        let Outcome::Moved { warnings, .. } = outcome else { panic!("{outcome:?}") };
        let warned = |it: &String| it.starts_with("beta metadata expired at 2026-06-01T11:59:59Z");
        assert_eq!(warnings.iter().filter(|it| warned(it)).count(), 1, "{warnings:?}");
        assert_eq!(node.logger_says(), "2.0.0");
    }
}

#[tokio::test]
async fn delegations_without_an_end() {
    for mut node in nodes().await {
        let key = Key::new(30);
        // In a circle: every role is asked once.
        for (delegator, role) in [("targets", "a"), ("a", "b"), ("b", "a"), ("b", "targets")] {
            node.publisher.delegate(delegator, role, &key, &["releases/*"]);
        }
        node.publisher.point_channel("2.0.0", false);
        node.publisher.sign();
        stays(&node, &["releases/2.0.0.json", "the repository does not list it"]).await;
        // In a line that is longer than anybody needs.
        let mut delegator = "b".to_owned();
        for number in 0..40 {
            let role = format!("c{number}");
            node.publisher.delegate(&delegator, &role, &key, &["releases/*"]);
            delegator = role;
        }
        node.publisher.sign();
        let says = "the search for releases/2.0.0.json has visited 32 roles before it";
        stays(&node, &["refused c30 metadata", says]).await;
    }
}

fn stayed(version: &str) -> Outcome {
    Outcome::Stayed(Reason::AlreadyInstalled { version: version.parse().unwrap() })
}
