// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the medium does to a node: a copy of the state that cannot be read, a release that is damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dockerlogger_tests::SOON;
use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use dockerlogger_tests::repository::copy_folder;
use dockerlogger_tests::until::until;
use serde_json::{Value, json};

use super::fixture::{expect_untouched, publisher};

/// A file of mode 0 cannot be read, not by an agent of root's either: it is without the privilege to do so.
fn mind_modes(node: &mut Node) {
    if rustix::process::geteuid().is_root() {
        let without = "-dac_override,-dac_read_search";
        node.set_launcher(&["setpriv", "--bounding-set", without, "--inh-caps", without, "--"]);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn copies(node: &Node) -> [PathBuf; 2] {
    ["a", "b"].map(|name| node.root().join("state").join(name))
}

#[track_caller]
fn assert_says(text: &Value, parts: &[&str]) {
    let text = text.to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn a_copy_of_the_state_that_cannot_be_read_is_replaced_and_the_agent_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    for (number, lost) in ["state/a", "state/b"].into_iter().enumerate() {
        let folder = scratch.path().join(number.to_string());
        let mut node = publisher.node(&folder, publisher.first_tree().to_str().unwrap());
        mind_modes(&mut node);
        set_mode(&node.root().join(lost), 0o000);
        node.start();
        let status = node.get("/status").json();
        assert_eq!(
            (&status["current"]["version"], &status["hold"]),
            (&json!(VERSION), &Value::Null)
        );
        assert_says(&status["alarms"], &["could not be read", lost, "Permission denied"]);
        assert_eq!(status["health"]["state"], "degraded");
        let [a, b] = copies(&node).map(|path| fs::read(path).unwrap());
        assert_eq!(a, b);
        node.expect(&["block", "9.9.9"]);
        assert_eq!(node.get("/status").json()["barred"][0]["what"], "9.9.9");
        assert!(node.expect(&["history"]).contains("could not be read"));
        node.stop();
        expect_untouched(&node, VERSION);
    }
}

#[test]
fn a_copy_of_the_state_that_cannot_be_replaced_either_holds_changes_until_it_can() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let tree = publisher.first_tree();
    let mut node = publisher.node(&scratch.path().join("node"), tree.to_str().unwrap());
    mind_modes(&mut node);
    let [lost, _] = copies(&node);
    let directory = lost.parent().unwrap();
    set_mode(&lost, 0o000);
    set_mode(directory, 0o500);
    node.start();
    let status = node.get("/status").json();
    assert_eq!(status["current"]["version"], VERSION);
    assert_says(&status["hold"], &["state/.new-a", "Permission denied"]);
    assert_says(&status["alarms"], &["could not be read", "state/a"]);
    for verb in [&["update"][..], &["rollback"], &["block", "9.9.9"], &["hold"]] {
        let (code, said) = node.refused(verb);
        assert_eq!(code, 1, "{verb:?}: {said}");
        assert!(said.contains("state/.new-a"), "{verb:?}: {said}");
    }
    assert_eq!(node.logger_version().as_deref(), Some(VERSION));

    set_mode(directory, 0o700);
    node.expect(&["block", "9.9.9"]);
    let status = node.get("/status").json();
    assert_eq!((&status["barred"][0]["what"], &status["hold"]), (&json!("9.9.9"), &Value::Null));
    node.stop();
    expect_untouched(&node, VERSION);
}

#[test]
fn a_state_that_cannot_be_read_at_all_stops_the_agent_and_leaves_what_runs() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let tree = publisher.next_tree();
    let mut node = publisher.node(&scratch.path().join("node"), tree.to_str().unwrap());
    mind_modes(&mut node);
    for copy in copies(&node) {
        set_mode(&copy, 0o000);
    }
    for verb in [&["run"][..], &["update"], &["status"]] {
        let (_, said) = node.refused(verb);
        assert!(said.contains("state/a") && said.contains("Permission denied"), "{verb:?}: {said}");
    }
    assert_eq!(node.logger_version().as_deref(), Some(VERSION));
    for copy in copies(&node) {
        set_mode(&copy, 0o600);
    }
    node.set_launcher(&[]);
    node.expect(&["update"]);
    expect_untouched(&node, NEXT_VERSION);
}

/// While it is on trial, too: nothing else would bring it back.
#[test]
fn a_damaged_release_is_shown_as_such_and_fetched_again_when_the_source_is_there() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let tree = scratch.path().join("tree");
    let mut node = publisher.node(&scratch.path().join("node"), tree.to_str().unwrap());
    node.set("poll_interval", "1s".into());
    fs::remove_file(node.logger_file().unwrap()).unwrap();
    let damaged = |status: &Value| {
        assert_eq!(status["current"]["version"], VERSION, "{status}");
        assert_says(&status["current"]["damage"], &["logger is missing", "\"startable\":false"]);
        assert_says(&status["health"], &["degraded", VERSION, "is damaged", "fetches it again"]);
    };
    // Nobody but who looks.
    let status = node.expect(&["status", "--json"]);
    damaged(&serde_json::from_str(&status).unwrap());
    assert!(node.expect(&["status"]).contains(", damaged since "), "{status}");
    let explained = node.expect(&["explain"]);
    assert!(explained.contains("it is damaged (logger is missing"), "{explained}");
    assert!(!node.expect(&["drivers"]).contains("syslog"));

    node.start();
    let status = node.get("/status").json();
    damaged(&status);
    assert_eq!(status["trial"]["version"], VERSION);
    let since = status["current"]["damage"]["since"].clone();
    let drivers = node.get("/drivers").json();
    assert_eq!(drivers["logger"], Value::Null);
    assert!(!drivers.to_string().contains("syslog"), "{drivers}");
    assert_eq!(node.get("/drivers/syslog").status, 404);
    let explained = node.get("/explain").json();
    assert_eq!((&explained["release"], &explained["damage"]["since"]), (&json!(VERSION), &since));
    let history = node.get("/history").json();
    let last =
        history["records"].as_array().unwrap().iter().find(|record| record["what"] == "damaged");
    assert_says(last.unwrap_or(&Value::Null), &["logger is missing"]);
    node.stop();
    node.start();
    assert_eq!(node.get("/status").json()["current"]["damage"]["since"], since, "it is on record");

    copy_folder(&publisher.first_tree(), &tree);
    until("the release to be fetched again", SOON, || {
        let status = node.get("/status").json();
        if status["current"]["damage"].is_null() { Ok(()) } else { Err(status) }
    });
    assert_eq!(node.logger_version().as_deref(), Some(VERSION));
    let drivers = node.get("/drivers").json();
    assert_eq!(drivers["logger"]["version"], VERSION);
    assert!(drivers.to_string().contains("syslog"), "{drivers}");
}
