// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The agent is replaced by an older one, and by a newer one again.

use std::fs;
use std::path::PathBuf;

use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fixture::{expect_untouched, publisher};

const SUM: &str = "sha256 ";

fn states(node: &Node) -> Vec<PathBuf> {
    let generations = ["a", "b"].map(|name| node.root().join("state").join(name));
    generations.into_iter().filter(|path| path.exists()).collect()
}

fn read(path: &PathBuf) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text[..text.rfind(SUM).unwrap()]).unwrap()
}

/// Writes every generation of the state anew, as another agent would.
fn rewrite(node: &Node, change: impl Fn(&mut Value)) {
    for path in states(node) {
        let mut state = read(&path);
        change(&mut state);
        let body = format!("{state:#}\n");
        let sum: String =
            Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(&path, format!("{body}{SUM}{sum}\n")).unwrap();
    }
}

#[test]
fn an_agent_that_was_downgraded_serves_what_is_installed_and_changes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let mut node =
        publisher.node(&scratch.path().join("node"), publisher.next_tree().to_str().unwrap());
    let known: Vec<Vec<u8>> = states(&node).iter().map(|path| fs::read(path).unwrap()).collect();
    rewrite(&node, |state| {
        state["format"] = 2.into();
        state["current"] = json!({"slots": [1, 2]});
        state["mode"] = "of tomorrow".into();
    });
    let newer: Vec<Vec<u8>> = states(&node).iter().map(|path| fs::read(path).unwrap()).collect();

    node.start();
    let drivers = node.get("/drivers");
    assert_eq!(drivers.status, 200, "{}", drivers.text());
    assert!(drivers.text().contains("syslog"), "{}", drivers.text());
    let status = node.get("/status").json();
    assert_eq!(status["current"]["version"], VERSION, "{status}");
    assert!(status.to_string().contains("has format 2, this agent knows up to 1"), "{status}");
    for verb in [&["update"][..], &["rollback"], &["block", "9.9.9"], &["hold"]] {
        let (code, said) = node.refused(verb);
        assert_eq!(code, 1, "{verb:?}: {said}");
        assert!(said.contains("has format 2"), "{verb:?}: {said}");
    }
    node.stop();
    expect_untouched(&node, VERSION);
    let after: Vec<Vec<u8>> = states(&node).iter().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(after, newer, "the newer agent finds its state as it left it");

    // The newer agent again: this one, for which format 2 is format 1.
    for (path, bytes) in states(&node).iter().zip(known) {
        fs::write(path, bytes).unwrap();
    }
    node.expect(&["update"]);
    expect_untouched(&node, NEXT_VERSION);
}

#[test]
fn fields_of_a_newer_agent_pass_through_an_older_one() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let node =
        publisher.node(&scratch.path().join("node"), publisher.next_tree().to_str().unwrap());
    rewrite(&node, |state| {
        state["of_tomorrow"] = json!({"a": [1, null]});
        state["current"]["of_tomorrow"] = 7.into();
    });
    node.expect(&["update"]);
    expect_untouched(&node, NEXT_VERSION);
    let newest = states(&node).iter().map(read).max_by_key(|state| state["generation"].as_u64());
    let newest = newest.unwrap();
    assert_eq!(newest["of_tomorrow"], json!({"a": [1, null]}), "{newest}");
    assert_eq!(newest["previous"]["of_tomorrow"], 7, "{newest}");
}
