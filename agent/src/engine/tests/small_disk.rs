// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A disk with as much room as an update asks for, and not a byte more: what the
//! agent itself left there must not be in its way.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::tests::disturbed::{Disturbance, Disturbed};
use crate::engine::tests::node::{Node, chain, now};
use crate::engine::tests::processes::pass_trial;
use crate::engine::tests::publisher::Recipe;
use crate::engine::tests::server::{Answer, Server};
use crate::engine::{Engine, FailureKind, Source, Step};
use crate::os::files::{FileError, NewFile};

/// A file system with so many bytes for what is in `root`.
#[derive(Debug)]
struct Small {
    root: PathBuf,
    capacity: AtomicU64,
}

impl Disturbance for Small {
    fn effect(&self, _: &'static str, _: &Path) -> Result<(), FileError> {
        Ok(())
    }

    fn look(&self, _: &'static str, _: &Path) -> Result<(), FileError> {
        Ok(())
    }

    fn write(&self, file: &mut dyn NewFile, _: &Path, bytes: &[u8]) -> Result<(), FileError> {
        file.write(bytes)
    }

    fn syncs(&self) -> bool {
        false
    }

    fn available(&self) -> Option<u64> {
        let used = ["tmp", "store"].map(|name| length_of(&self.root.join(name)));
        Some(self.capacity.load(Ordering::Relaxed).saturating_sub(used.iter().sum()))
    }
}

fn length_of(path: &Path) -> u64 {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries.map(|entry| length_of(&entry.unwrap().path())).sum();
    }
    fs::metadata(path).unwrap().len()
}

/// What a plan asks for.
async fn asked_for(engine: &mut Engine, source: &Source) -> u64 {
    let plan = engine.plan(source, now()).await.unwrap();
    let space = plan.steps.iter().find_map(|step| match step {
        Step::CheckSpace { needed, reserve } => Some(needed + reserve),
        _ => None,
    });
    space.unwrap()
}

#[tokio::test]
async fn what_is_left_of_updates_that_failed_makes_room() {
    let mut node = Node::new();
    let small = Small { root: node.root.clone(), capacity: AtomicU64::new(u64::MAX) };
    let disk = Disturbed(Arc::new(small));
    let mut config = node.config(&node.root);
    (config.limits.resume_bytes_min, config.limits.retries) = (1, 0);
    let mut engine = Engine::open_on(config, Arc::new(disk.clone()), now()).unwrap();
    node.publisher.publish(&Recipe::new("1.0.0"));
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    pass_trial(&engine).unwrap();

    let server = Server::start(&node.publisher.directory, None);
    let mut large = Recipe::new("2.0.0");
    large.padding = 400_000;
    let artifact = node.publisher.publish(&large);
    let room = asked_for(&mut engine, &server.source()).await;
    let used = length_of(&node.root.join("store"));
    disk.0.capacity.store(used + room, Ordering::Relaxed);
    let cut_off = async |engine: &mut Engine, node: &Node, name: &str| {
        server.fail(&node.publisher.target_path(name), Answer::CutOff, 1);
        let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Temporary, "{}", chain(&error));
        assert!(length_of(&node.root.join("tmp")) > 100_000);
    };
    // Its own beginning, then that of another release.
    cut_off(&mut engine, &node, &artifact.name).await;
    cut_off(&mut engine, &node, &artifact.name).await;
    large.version = "3.0.0".to_owned();
    // It does not say what it is: its probe fails, and it stays in store/.
    node.publisher.publish(&large);
    let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
    assert!(chain(&error).contains("failed its probe"), "{}", chain(&error));
    assert!(length_of(&node.root.join("store")) > used + 100_000);
    (large.version, large.says) = ("4.0.0".to_owned(), "4.0.0".to_owned());
    let artifact = node.publisher.publish(&large);
    cut_off(&mut engine, &node, &artifact.name).await;
    // From a folder nothing is resumed.
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    assert_eq!(node.logger_says(), "4.0.0");
    let left: Vec<_> = fs::read_dir(node.root.join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
