// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A publisher that all agent tests share: releases are packed once, and copied as often as a test wants to change them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use dockerlogger_tests::repository::{Repository, copy_folder};
use rustix::process::Pid;

/// What the publisher had at two moments.
pub(crate) struct Publisher {
    folder: PathBuf,
}

impl Publisher {
    /// The tree with the first release.
    pub(crate) fn first_tree(&self) -> PathBuf {
        self.folder.join("first")
    }

    /// The tree with both releases, the next one current.
    pub(crate) fn next_tree(&self) -> PathBuf {
        self.repository().tree()
    }

    /// The root of trust of both.
    pub(crate) fn trust_anchor(&self) -> PathBuf {
        self.repository().trust_anchor()
    }

    /// The folder with the first release, packed and not signed.
    pub(super) fn first_packed(&self) -> PathBuf {
        self.folder.join("packed-first")
    }

    /// The folder with the next release, packed and not signed.
    pub(super) fn next_packed(&self) -> PathBuf {
        self.folder.join("packed-next")
    }

    /// A copy of keys and tree at the time of the first release, to publish what one likes.
    pub(super) fn copy(&self, folder: &Path) -> Repository {
        copy_folder(&self.repository().keys(), &folder.join("keys"));
        copy_folder(&self.first_tree(), &folder.join("repo"));
        Repository::open(folder)
    }

    /// A node in `folder` on which the first release is installed, with `source` to update from.
    pub(super) fn node(&self, folder: &Path, source: &str) -> Node {
        let first_tree = self.first_tree();
        let mut node = Node::new(folder, &self.trust_anchor(), first_tree.to_str());
        node.expect(&["update"]);
        assert_eq!(
            node.logger_version().as_deref(),
            Some(VERSION),
            "the first release is installed"
        );
        node.set("source", source.into());
        node
    }

    fn repository(&self) -> Repository {
        Repository::open(&self.folder.join("publisher"))
    }
}

/// The publisher of this test run.
pub(crate) fn publisher() -> &'static Publisher {
    static PUBLISHER: OnceLock<Publisher> = OnceLock::new();
    PUBLISHER.get_or_init(|| {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_those_of_the_dead(parent);
        let folder = parent.join(format!("publisher-{}", std::process::id()));
        let publisher = Publisher { folder: folder.clone() };
        let repository = Repository::create(&folder.join("publisher"));
        let target = dockerlogger_tests::programs::target();
        std::thread::scope(|scope| {
            let pack = |logger: PathBuf, to: PathBuf| {
                let (repository, target) = (&repository, &target);
                scope.spawn(move || fs::rename(repository.pack(&logger, target, &[]), to).unwrap())
            };
            pack(dockerlogger_tests::programs::logger(), publisher.first_packed());
            pack(dockerlogger_tests::programs::logger_next(), publisher.next_packed());
        });
        repository.publish_packed(&publisher.first_packed(), &[]);
        repository.copy_tree(&publisher.first_tree());
        repository.publish_packed(&publisher.next_packed(), &[]);
        publisher
    })
}

/// Nothing runs at the end of a test run, so the next one tidies up.
fn remove_those_of_the_dead(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix("publisher-")?.parse().ok())
            .and_then(Pid::from_raw);
        if pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_err()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The node has exactly this release, working, and nothing lies about.
#[track_caller]
pub(super) fn expect_untouched(node: &Node, version: &str) {
    assert_eq!(node.logger_version().as_deref(), Some(version), "the running version is untouched");
    assert_eq!(node.litter(), Vec::<PathBuf>::new(), "nothing is left in tmp");
}

/// `VERSION` and `NEXT_VERSION` differ, or nothing here means anything.
const _: () = assert!(
    VERSION.len() == NEXT_VERSION.len() && VERSION.as_bytes()[2] != NEXT_VERSION.as_bytes()[2]
);
