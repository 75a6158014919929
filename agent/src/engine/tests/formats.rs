// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Agents of two generations on one root, and publishers that are ahead of a node.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::engine::change::Which;
use crate::engine::digest;
use crate::engine::tests::node::{Node, assert_says, chain, installed, now};
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Actor, Change, FailureKind};

/// Rewrites both generations of the state, as another agent would.
fn rewrite(root: &Path, change: impl Fn(&mut Value)) {
    for path in states(root) {
        let text = fs::read_to_string(&path).unwrap();
        let body = &text[..text.rfind("sha256 ").unwrap()];
        let mut state: Value = serde_json::from_str(body).unwrap();
        change(&mut state);
        let body = format!("{state:#}\n");
        fs::write(&path, format!("{body}sha256 {}\n", digest::of(body.as_bytes()))).unwrap();
    }
}

fn states(root: &Path) -> Vec<PathBuf> {
    let generations = ["a", "b"].map(|name| root.join("state").join(name));
    generations.into_iter().filter(|path| path.exists()).collect()
}

fn bytes(root: &Path) -> Vec<Vec<u8>> {
    states(root).iter().map(|path| fs::read(path).unwrap()).collect()
}

#[tokio::test]
async fn an_older_agent_stands_by_under_the_state_of_a_newer_one() {
    let mut node = installed().await;
    node.publisher.publish(&Recipe::new("2.0.0"));
    rewrite(&node.root, |state| {
        state["format"] = 2.into();
        state["current"] = json!({"release": "1.0.0", "novel": [1, 2]});
        state.as_object_mut().unwrap().remove("blocked");
    });
    let before = (bytes(&node.root), fs::read_link(node.root.join("bin/logger")).unwrap());

    let mut engine = node.open();
    let view = engine.view();
    // It shows what the node runs, and says why it does nothing.
    assert_eq!(view.current.unwrap().version.to_string(), "1.0.0");
    let hold = view.hold.unwrap();
    assert_says(&hold, &["/state/", "has format 2, this agent knows up to 1", "not changed until"]);
    let error = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_says(&chain(&error), &["has format 2, this agent knows up to 1"]);
    assert_eq!(error.kind(), FailureKind::Local);
    let error = engine.rollback(now()).await.unwrap_err();
    assert_says(&chain(&error), &["has format 2"]);
    engine.act_for(Actor::Socket { uid: Some(0) });
    let change = Change::Block { what: Which::Version("9.0.0".parse().unwrap()), reason: None };
    assert_says(&chain(&engine.change(change, now()).await.unwrap_err()), &["has format 2"]);
    drop(engine);
    let after = (bytes(&node.root), fs::read_link(node.root.join("bin/logger")).unwrap());
    assert_eq!(before, after);
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn the_newer_agent_finds_what_it_left() {
    let mut node = installed().await;
    let newer = bytes(&node.root);
    rewrite(&node.root, |state| state["format"] = 2.into());
    drop(node.open());
    // The newer agent is this one, for which format 2 is format 1.
    for (path, bytes) in states(&node.root).iter().zip(newer) {
        fs::write(path, bytes).unwrap();
    }
    node.publisher.publish(&Recipe::new("2.0.0"));
    node.update().await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
}

#[tokio::test]
async fn fields_of_tomorrow_outlive_an_update_and_a_rollback() {
    let mut node = installed().await;
    rewrite(&node.root, |state| {
        state["experiment"] = json!({"attempts": 2});
        state["current"]["seal"] = "x".into();
    });
    node.publisher.publish(&Recipe::new("2.0.0"));
    node.update().await.unwrap();
    let newest = || {
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            serde_json::from_str::<Value>(&text[..text.rfind("sha256 ").unwrap()]).unwrap()
        };
        let states: Vec<Value> = states(&node.root).iter().map(read).collect();
        states.into_iter().max_by_key(|state| state["generation"].as_u64()).unwrap()
    };
    let state = newest();
    assert_eq!(
        (&state["experiment"]["attempts"], &state["previous"]["seal"]),
        (&2.into(), &"x".into())
    );
    assert_eq!(state["current"]["version"], "2.0.0");
    node.open().rollback(now()).await.unwrap();
    let state = newest();
    assert_eq!(
        (&state["experiment"]["attempts"], &state["current"]["seal"]),
        (&2.into(), &"x".into())
    );
}

#[tokio::test]
async fn documents_of_a_newer_format_are_refused_and_their_new_fields_are_not() {
    let mut node = installed().await;
    let mut recipe = Recipe::new("2.0.0");
    recipe.extra.insert("from_tomorrow".to_owned(), json!({"a": [1]}));
    node.publisher.publish(&recipe);
    let channel = json!({"format": 1, "name": "stable", "release": "2.0.0", "from_tomorrow": 1});
    node.publisher.add_target("channels/stable.json", channel.to_string().as_bytes());
    node.publisher.sign();
    node.update().await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
    let stored = node.open().view().current.unwrap();
    assert_eq!(stored.release.unwrap().extra["from_tomorrow"], json!({"a": [1]}));

    for (name, says) in [
        ("channels/stable.json", "channels/stable.json"),
        ("releases/2.0.0.json", "releases/2.0.0.json"),
    ] {
        let path = node.publisher.target_path(name);
        let mut document: Value = serde_json::from_slice(&node.publisher.read(&path)).unwrap();
        document["format"] = 2.into();
        node.publisher.add_target(name, document.to_string().as_bytes());
        node.publisher.sign();
        assert_says(&node.refused().await, &[says, "it has format 2, this agent knows 1 to 1"]);
        assert_eq!(node.logger_says(), "2.0.0");
        document["format"] = 1.into();
        node.publisher.add_target(name, document.to_string().as_bytes());
        node.publisher.sign();
    }
}

/// Trust that a newer agent wrote is metadata as it was signed: there is nothing to misread.
#[tokio::test]
async fn files_that_this_agent_does_not_know_stay() {
    let node: Node = installed().await;
    let (trust, history) = (node.root.join("trust/mirrors"), node.root.join("history/novel"));
    for path in [&trust, &history] {
        fs::write(path, "kept").unwrap();
    }
    node.update().await.unwrap();
    for path in [&trust, &history] {
        assert_eq!(fs::read(path).unwrap(), b"kept");
    }
}
