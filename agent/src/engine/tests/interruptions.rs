// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Every scenario once per effect, with the process killed at that effect:
//! what is on disk must hold before anybody repairs it, the next start must
//! repair it, twice must be once, and the scenario must then succeed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::tests::faults::{Fault, FaultyFiles};
use crate::engine::tests::node::{Node, chain, check, check_settled, copy_tree, now, updated};
use crate::engine::tests::publisher::{Key, Recipe};
use crate::engine::{Engine, FailureKind, OpenError, Outcome};

#[derive(Clone, Copy, PartialEq)]
enum Scenario {
    Update,
    Rollback,
}

impl Scenario {
    async fn run(self, node: &Node, engine: &mut Engine) -> Result<Outcome, String> {
        match self {
            Self::Update => {
                let update = engine.update(&node.source(), now(), &mut |_| {}).await;
                update.map_err(|e| chain(&e))
            }
            Self::Rollback => engine.rollback(now()).await.map_err(|e| chain(&e)),
        }
    }
}

/// Kills the scenario at every effect, from opening the root to the end.
async fn kill_everywhere(node: &Node, base: &Path, scenario: Scenario, after: &str) -> usize {
    for effects in 0.. {
        let root = fresh_copy(node, base);
        let before = base.exists().then(|| check(base)).flatten();
        let files = FaultyFiles::new(effects, Fault::Dead);
        let moved = match node.open_on(&root, Arc::new(files.clone())) {
            Ok(mut engine) => scenario.run(node, &mut engine).await.is_ok(),
            Err(_) => false,
        };
        // Before any repair.
        let linked = if root.join("state").exists() { check(&root) } else { None };
        assert!(before.is_none() || linked.is_some(), "effect {effects}: the link is gone");
        if files.hit() {
            repair_with_kills(node, &root, effects);
        }
        let mut engine = node.open_on(&root, Arc::new(FaultyFiles::unlimited())).unwrap();
        let view = engine.view();
        let current = view.current.as_ref().map(|current| current.version.to_string());
        if moved {
            assert_eq!(
                current.as_deref(),
                Some(after),
                "effect {effects}: acknowledged, then lost"
            );
        }
        drop(engine);
        let settled = check_settled(&root);
        engine = node.open_on(&root, Arc::new(FaultyFiles::unlimited())).unwrap();
        assert_eq!(engine.view().notes, [""; 0], "effect {effects}: repaired twice");
        assert_eq!(settled, check_settled(&root));
        if current.as_deref() != Some(after) {
            scenario.run(node, &mut engine).await.unwrap();
        }
        assert_eq!(engine.view().current.unwrap().version.to_string(), after);
        drop(engine);
        check_settled(&root);
        if !files.hit() {
            assert!(moved);
            return effects;
        }
    }
    unreachable!()
}

/// Kills the repair as well, at each of its effects, on copies.
fn repair_with_kills(node: &Node, root: &Path, effects: usize) {
    // Every third state: the repairs of neighbours differ little, the time does not.
    if !effects.is_multiple_of(3) {
        return;
    }
    for repair_effects in 0.. {
        let copy = node.scratch.path().join("repair");
        if copy.exists() {
            fs::remove_dir_all(&copy).unwrap();
        }
        if root.exists() {
            copy_tree(root, &copy);
        }
        let files = FaultyFiles::new(repair_effects, Fault::Dead);
        let opened = node.open_on(&copy, Arc::new(files.clone())).is_ok();
        if copy.join("state").exists() {
            check(&copy);
        }
        node.open_on(&copy, Arc::new(FaultyFiles::unlimited())).unwrap();
        check_settled(&copy);
        if !files.hit() {
            assert!(opened);
            return;
        }
    }
}

fn fresh_copy(node: &Node, base: &Path) -> PathBuf {
    let root = node.scratch.path().join("killed");
    if root.exists() {
        fs::remove_dir_all(&root).unwrap();
    }
    if base.exists() {
        copy_tree(base, &root);
    }
    root
}

#[tokio::test]
async fn a_first_install_survives_a_kill_at_every_effect() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    let absent = node.scratch.path().join("absent");
    let effects = kill_everywhere(&node, &absent, Scenario::Update, "1.0.0").await;
    assert!(effects > 50, "only {effects} effects");
}

#[tokio::test]
async fn an_update_survives_a_kill_at_every_effect() {
    let (mut node, _) = updated(&["1.0.0", "2.0.0"]).await;
    // New keys, so that the root chain is written under fire as well.
    node.publisher.rotate(Key::new(11), Key::new(12));
    node.publisher.publish(&Recipe::new("3.0.0"));
    let effects = kill_everywhere(&node, &node.root, Scenario::Update, "3.0.0").await;
    assert!(effects > 60, "only {effects} effects");
}

#[tokio::test]
async fn a_rollback_survives_a_kill_at_every_effect() {
    let (node, _) = updated(&["1.0.0", "2.0.0"]).await;
    let effects = kill_everywhere(&node, &node.root, Scenario::Rollback, "1.0.0").await;
    assert!(effects > 20, "only {effects} effects");
}

/// A full disk, a read-only root, a disk that fails once: the old release runs
/// on, the error names a path, and the next attempt succeeds.
#[tokio::test]
async fn errors_of_the_disk_leave_the_old_release() {
    const ENOSPC: i32 = 28;
    const EROFS: i32 = 30;
    const EIO: i32 = 5;
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    node.update().await.unwrap();
    node.publisher.publish(&Recipe::new("2.0.0"));
    // A disk that stays bad fails alike at neighbouring effects; one failure may fall anywhere.
    for (fault, step) in
        [(Fault::Always(ENOSPC), 4), (Fault::Always(EROFS), 7), (Fault::Once(EIO), 1)]
    {
        for effects in (0..).step_by(step) {
            let root = fresh_copy(&node, &node.root);
            let files = FaultyFiles::new(effects, fault);
            match node.open_on(&root, Arc::new(files.clone())) {
                Ok(mut engine) => {
                    let update = engine.update(&node.source(), now(), &mut |_| {}).await;
                    if let Err(error) = &update {
                        let text = chain(error);
                        assert_eq!(error.kind(), FailureKind::Local, "{text}");
                        assert!(text.contains(root.to_str().unwrap()), "no path in \"{text}\"");
                        check(&root);
                        if fault == Fault::Once(EIO) {
                            // The same engine goes on as if nothing had happened.
                            engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
                        }
                    }
                }
                Err(error) => assert!(matches!(error, OpenError::Layout(_)), "{error}"),
            }
            check(&root);
            let mut engine = node.open_on(&root, Arc::new(FaultyFiles::unlimited())).unwrap();
            engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
            assert_eq!(engine.view().current.unwrap().version.to_string(), "2.0.0");
            drop(engine);
            check_settled(&root);
            if !files.hit() {
                break;
            }
        }
    }
}
