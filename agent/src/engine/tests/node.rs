// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A node for tests: a scratch root beside a publisher's repository.

use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dockerlogger_manifest::Digest;
use jiff::Timestamp;

use crate::engine::layout::{Layout, Link};
use crate::engine::state::{Loaded, StateStore};
use crate::engine::tests::processes::pass_trial;
use crate::engine::tests::publisher::{Publisher, Recipe, target};
use crate::engine::tests::tough_verifier;
use crate::engine::trust::{self, Begin};
use crate::engine::{Engine, EngineConfig, OpenError, Outcome, Source, UpdateError};
use crate::os::{Files, RealFiles};

pub(super) struct Node {
    pub(super) publisher: Publisher,
    pub(super) root: PathBuf,
    pub(super) scratch: tempfile::TempDir,
    /// What verifies its metadata.
    pub(super) begin: Begin,
}

/// Both verifiers, by the library each stands on.
pub(super) const VERIFIERS: [(&str, Begin); 2] =
    [("sigstore-tuf", trust::begin), ("tough", tough_verifier::begin)];

pub(super) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

impl Node {
    pub(super) fn new() -> Self {
        // Open to whom loggers are probed as.
        let open = fs::Permissions::from_mode(0o755);
        let scratch = tempfile::Builder::new().permissions(open).tempdir().unwrap();
        let publisher = Publisher::new(&scratch.path().join("repository"));
        Self { publisher, root: scratch.path().join("root"), scratch, begin: trust::begin }
    }

    pub(super) fn config(&self, root: &Path) -> EngineConfig {
        let channel = "stable".parse().unwrap();
        let mut config =
            EngineConfig::new(root.to_owned(), self.publisher.anchor(), channel, target());
        config.reserve_bytes = 4096;
        config.limits.retry_pause = Duration::from_millis(2);
        config
    }

    pub(super) fn source(&self) -> Source {
        Source::Directory(self.publisher.directory.clone())
    }

    pub(super) fn open(&self) -> Engine {
        self.open_with(|_| {})
    }

    /// With another configuration.
    pub(super) fn open_with(&self, change: impl FnOnce(&mut EngineConfig)) -> Engine {
        let mut config = self.config(&self.root);
        change(&mut config);
        let engine = Engine::open_on(config, Arc::new(RealFiles), now()).unwrap();
        engine.core.lock().unwrap().trust.verify_with(self.begin);
        engine
    }

    pub(super) fn open_on(&self, root: &Path, files: Arc<dyn Files>) -> Result<Engine, OpenError> {
        Engine::open_on(self.config(root), files, now())
    }

    /// Opens, updates, and closes again.
    pub(super) async fn update(&self) -> Result<Outcome, UpdateError> {
        self.open().update(&self.source(), now(), &mut |_| {}).await
    }

    /// The same, for a refusal: its whole chain. Sees that nothing changed.
    pub(super) async fn refused(&self) -> String {
        self.refused_from(&self.source()).await
    }

    pub(super) async fn refused_from(&self, source: &Source) -> String {
        let mut engine = self.open();
        let before = engine.view();
        let updated = engine.update(source, now(), &mut |_| {}).await;
        let error = updated.expect_err("it is refused");
        let after = engine.view();
        assert_eq!((&before.current, &before.previous), (&after.current, &after.previous));
        assert_eq!(after.last_check.clone().unwrap().error.unwrap(), chain(&error));
        drop(engine);
        assert!(fs::read_dir(self.root.join("tmp")).unwrap().next().is_none(), "litter in tmp");
        check(&self.root);
        format!("{:?}: {}", error.kind(), chain(&error))
    }

    /// What `bin/logger` says when it is run through the link.
    pub(super) fn logger_says(&self) -> String {
        let output = std::process::Command::new(self.root.join("bin/logger"))
            .arg("version")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

pub(super) fn chain(error: &dyn Error) -> String {
    crate::report::chain(error).to_string()
}

/// What must hold at every instant, opened or not: `bin/logger` is absent or
/// a whole release that the state explains, and the current release is whole.
pub(super) fn check(root: &Path) -> Option<Digest> {
    let layout = Layout::new(Arc::new(RealFiles), root.to_owned());
    let states = StateStore::new(Arc::new(RealFiles), layout.state());
    let whole = |digest: &Digest| layout.verify(digest, 1 << 20).unwrap().unwrap();
    let state = match states.load().unwrap() {
        Loaded::Valid(state, _) => *state,
        Loaded::Absent => crate::engine::state::State::default(),
        other => panic!("{other:?}"),
    };
    let explained: Vec<Digest> =
        [&state.current, &state.pending].into_iter().flatten().map(|slot| slot.digest).collect();
    if let Some(current) = &state.current {
        whole(&current.digest);
    }
    match layout.link().unwrap() {
        Link::Absent => {
            assert!(state.current.is_none(), "the link is gone");
            None
        }
        Link::To(digest) => {
            whole(&digest);
            assert!(explained.contains(&digest), "the link is not explained");
            Some(digest)
        }
        Link::Foreign => panic!("a foreign link"),
    }
}

/// What must hold once the root was opened: nothing half done, no litter.
pub(super) fn check_settled(root: &Path) -> Option<Digest> {
    let linked = check(root);
    let layout = Layout::new(Arc::new(RealFiles), root.to_owned());
    let states = StateStore::new(Arc::new(RealFiles), layout.state());
    let names = |folder: &str| -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("tmp"), [""; 0], "litter in tmp");
    assert!(names("bin").iter().all(|name| name == "logger"), "litter in bin");
    assert!(names("state").iter().all(|name| name == "a" || name == "b"), "litter in state");
    assert!(names("trust").iter().all(|name| !name.starts_with('.')), "litter in trust");
    match states.load().unwrap() {
        Loaded::Valid(state, _) => {
            assert_eq!(state.pending, None);
            assert_eq!(state.current.as_ref().map(|slot| slot.digest), linked);
            let mut kept: Vec<String> = [&state.current, &state.previous]
                .into_iter()
                .flatten()
                .map(|slot| slot.digest.to_string())
                .collect();
            kept.sort();
            assert_eq!(names("store"), kept, "unexplained releases in the store");
        }
        Loaded::Absent => assert_eq!(names("store"), [""; 0]),
        other => panic!("{other:?}"),
    }
    linked
}

/// Copies a root, links and modes included.
pub(super) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_tree(&from, &to);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else {
            fs::copy(&from, &to).unwrap();
            assert_eq!(from.metadata().unwrap().mode(), to.metadata().unwrap().mode());
        }
    }
}

/// Makes a node one that waits for no server longer than a second.
pub(super) fn impatient(config: &mut EngineConfig) {
    config.limits.answer_timeout = Duration::from_secs(1);
    config.limits.speed_window = Duration::from_secs(1);
}

/// A node that got these releases one after another, each by an agent of its own.
pub(super) async fn updated(versions: &[&str]) -> (Node, Vec<Digest>) {
    let mut node = Node::new();
    let mut digests = Vec::new();
    for version in versions {
        digests.push(node.publisher.publish(&Recipe::new(version)).sha256);
        node.update().await.unwrap();
    }
    (node, digests)
}

/// A node that got these releases one after another; the last one is on trial.
pub(super) async fn on_trial(versions: &[&str]) -> (Node, Engine, Vec<Digest>) {
    on_trial_with(Arc::new(RealFiles), versions).await
}

pub(super) async fn on_trial_with(
    files: Arc<dyn Files>,
    versions: &[&str],
) -> (Node, Engine, Vec<Digest>) {
    let mut node = Node::new();
    let mut engine = node.open_on(&node.root, files).unwrap();
    let mut digests = Vec::new();
    for version in versions {
        digests.push(node.publisher.publish(&Recipe::new(version)).sha256);
        pass_trial(&engine).unwrap();
        engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    }
    (node, engine, digests)
}

/// A node that has release 1.0.0.
pub(super) async fn installed() -> Node {
    installed_with(trust::begin).await
}

pub(super) async fn installed_with(begin: Begin) -> Node {
    let mut node = Node { begin, ..Node::new() };
    node.publisher.publish(&Recipe::new("1.0.0"));
    node.update().await.unwrap();
    node
}

/// The refusal tells all of this.
#[track_caller]
pub(super) fn assert_says(refusal: &str, parts: &[&str]) {
    for part in parts {
        assert!(refusal.contains(part), "no \"{part}\" in \"{refusal}\"");
    }
}
