// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Floors: what sets those of versions and of the clock, what lifts them, and
//! what must do neither.

use std::fs;

use serde_json::{Value, json};

use crate::engine::Source;
use crate::engine::tests::node::{Node, VERIFIERS, assert_says, copy_tree, installed_with};
use crate::engine::tests::publisher::{Key, Recipe};

/// What a mirror can add: signatures that are none, in the name of a key to come.
fn with_junk(bytes: &[u8], key: &Key) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(bytes).unwrap();
    let signatures = file["signatures"].as_array_mut().unwrap();
    signatures.extend(["00", "01"].map(|junk| json!({"keyid": key.id(), "sig": junk})));
    serde_json::to_vec(&file).unwrap()
}

/// Adds junk to the stored timestamp, as agents that took it have stored it.
fn spoil_stored(node: &Node, key: &Key) {
    let path = node.root.join("trust/timestamp.json");
    fs::write(&path, with_junk(&fs::read(&path).unwrap(), key)).unwrap();
}

#[tokio::test]
async fn junk_in_the_name_of_a_key_to_come_is_refused_before_it_counts() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        node.publisher.publish(&Recipe::new("1.1.0"));
        let honest = node.publisher.read("metadata/timestamp.json");
        node.publisher.write("metadata/timestamp.json", &with_junk(&honest, &Key::new(12)));
        let refusal = node.refused().await;
        assert_says(&refusal, &["refused timestamp metadata", "signs it more than once"]);
        node.publisher.write("metadata/timestamp.json", &honest);
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "1.1.0");
    }
}

#[tokio::test]
async fn junk_that_was_stored_ends_no_updates_when_its_key_comes_to_count() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        spoil_stored(&node, &Key::new(12));
        node.update().await.unwrap();
        spoil_stored(&node, &Key::new(12));
        node.publisher.rotate(Key::new(11), Key::new(12));
        node.publisher.publish(&Recipe::new("1.1.0"));
        node.update().await.unwrap();
        assert_eq!(node.logger_says(), "1.1.0");
    }
}

#[tokio::test]
async fn junk_that_was_stored_lifts_no_floor_of_a_key_that_stays() {
    for (_, begin) in VERIFIERS {
        let mut node = installed_with(begin).await;
        let old = node.scratch.path().join("old");
        node.publisher.others = vec![Key::new(12)];
        node.publisher.rotate(Key::new(1), Key::new(2));
        copy_tree(&node.publisher.directory, &old);
        fs::remove_file(node.publisher.directory.join("metadata/2.root.json")).unwrap();
        node.publisher.signing = 1;
        node.publisher.sign();
        node.update().await.unwrap();
        spoil_stored(&node, &Key::new(12));
        let refusal = node.refused_from(&Source::Directory(old)).await;
        assert_says(&refusal, &["timestamp version 1 is older than version 2"]);
        assert_eq!(node.open().view().trust.unwrap().root, 2);
    }
}

#[tokio::test]
async fn damage_to_what_is_stored_lifts_no_floor() {
    for (_, begin) in VERIFIERS {
        let node = installed_with(begin).await;
        let path = node.root.join("trust/timestamp.json");
        let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        file["signatures"][0]["sig"] = "ab".repeat(64).into();
        fs::write(&path, file.to_string()).unwrap();
        let refusal = node.refused().await;
        assert_says(&refusal, &["Local: the stored metadata", "0 of 1 needed keys"]);
    }
}
