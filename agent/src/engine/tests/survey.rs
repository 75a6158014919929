// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Looking at a root leaves no trace, whatever state it is in.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::engine::tests::node::{Node, chain, installed, now};
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Change, NodeView, OpenError, survey};

/// Every path below a root, with all that a change would change.
fn traces(root: &Path) -> Vec<(PathBuf, u64, i64, i64, u32, u64)> {
    let mut traces = Vec::new();
    let mut rest = vec![root.to_owned()];
    while let Some(path) = rest.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            rest.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let (changed, nanos) = (meta.ctime(), meta.ctime_nsec());
        traces.push((path, meta.ino(), changed, nanos, meta.mode(), meta.len()));
    }
    traces.sort();
    traces
}

fn look(node: &Node) -> NodeView {
    let before = traces(&node.root);
    let view = survey(&node.config(&node.root), now()).unwrap();
    assert_eq!(traces(&node.root), before);
    view
}

#[tokio::test]
async fn a_healthy_root_is_shown_as_its_engine_shows_it_even_while_it_is_held() {
    let mut node = installed().await;
    node.publisher.publish(&Recipe::new("2.0.0"));
    let mut engine = node.open();
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    engine.change(Change::Hold { reason: None }, now()).await.unwrap();
    engine
        .change(Change::Block { what: "9.0.0".parse().unwrap(), reason: None }, now())
        .await
        .unwrap();
    assert_eq!(look(&node), engine.view());
    drop(engine);
    assert_eq!(look(&node), node.open().view());
}

#[tokio::test]
async fn what_is_to_be_repaired_is_told_and_left() {
    let node = installed().await;
    // As an interruption and a bad medium leave things.
    fs::write(node.root.join("tmp/litter"), "x").unwrap();
    fs::remove_file(node.root.join("bin/logger")).unwrap();
    fs::write(node.root.join("state/a"), "x").unwrap();
    let told = look(&node);
    let repaired = node.open().view();
    assert_eq!(told.notes, ["the next start will say: bin/logger was set to release 1.0.0 again"]);
    assert_eq!((&told.alarms, told.alarms.len()), (&repaired.alarms, 1));
    assert_eq!(told.current, repaired.current);
    assert!(!node.root.join("tmp/litter").exists());

    for copy in ["a", "b"] {
        fs::write(node.root.join("state").join(copy), "x").unwrap();
    }
    assert!(look(&node).hold.unwrap().starts_with("the state is lost"));
}

#[tokio::test]
async fn a_node_without_a_root_has_nothing_and_one_that_is_closed_says_so() {
    let node = Node::new();
    let view = survey(&node.config(&node.root), now()).unwrap();
    assert_eq!((view.current, view.hold), (None, None));
    assert!(!node.root.exists());
    fs::create_dir(&node.root).unwrap();
    assert_eq!(look(&node).hold, None);

    node.update().await.unwrap_err();
    let closed = node.root.join("state");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read what is closed.
    if fs::read_dir(&closed).is_err() {
        let error = survey(&node.config(&node.root), now()).unwrap_err();
        assert!(matches!(error, OpenError::Look(_)), "{error}");
        assert!(chain(&error).contains(closed.to_str().unwrap()), "{error}");
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}
