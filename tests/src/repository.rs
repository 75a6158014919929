// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The release engineer: keys, releases and repositories, all made by the real `release` tool.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::node::version_of;
use crate::programs;

/// The channel of every repository here.
pub const CHANNEL: &str = "stable";

/// How hard artifacts are compressed here: nobody downloads them a thousand times.
const QUICK_LEVEL: &str = "3";

/// A repository with its keys, in a folder of its own.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Makes keys; the repository itself comes with the first [`Repository::publish`].
    pub fn create(folder: &Path) -> Repository {
        fs::create_dir_all(folder).expect("a scratch folder can be made");
        let repository = Repository { folder: folder.to_owned() };
        release(&["keygen", "--keys", path_text(&repository.keys())]);
        repository
    }

    /// A repository that [`Repository::create`] made, or a copy of one.
    pub fn open(folder: &Path) -> Repository {
        Repository { folder: folder.to_owned() }
    }

    /// Builds and publishes the logger as it is.
    pub fn publish_first(&self) {
        self.publish(&programs::logger(), &[]);
    }

    /// Builds and publishes the next logger.
    pub fn publish_next(&self) {
        self.publish(&programs::logger_next(), &[]);
    }

    /// Packs `logger` and publishes it on the channel, with further flags of `release publish`.
    pub fn publish(&self, logger: &Path, flags: &[&str]) {
        let out = self.pack(logger, &programs::target(), &[]);
        self.publish_packed(&out, flags);
    }

    /// Packs `logger` for `target`; returns the folder with `release.json`.
    pub fn pack(&self, logger: &Path, target: &str, flags: &[&str]) -> PathBuf {
        let name = logger.file_name().and_then(|name| name.to_str()).unwrap_or("logger");
        let out = self.folder.join(format!("release-{name}-{target}"));
        let mut arguments = vec![
            "build",
            "--logger",
            path_text(logger),
            "--target",
            target,
            "--commit",
            "4f2a91c",
            "--out",
        ];
        arguments.push(path_text(&out));
        if !flags.contains(&"--level") {
            arguments.extend(["--level", QUICK_LEVEL]);
        }
        arguments.extend_from_slice(flags);
        release(&arguments);
        out
    }

    /// Publishes what [`Repository::pack`] made.
    pub fn publish_packed(&self, out: &Path, flags: &[&str]) {
        let (repo, keys) = (self.tree(), self.keys());
        let mut arguments = vec!["publish", "--repo", path_text(&repo), "--keys", path_text(&keys)];
        arguments.extend(["--release", path_text(out), "--channel", CHANNEL]);
        arguments.extend_from_slice(flags);
        release(&arguments);
    }

    /// Writes everything a node needs into one file.
    pub fn bundle(&self, file: &Path) {
        release(&["bundle", "--repo", path_text(&self.tree()), "--out", path_text(file)]);
    }

    /// The folder a server or a node reads.
    pub fn tree(&self) -> PathBuf {
        self.folder.join("repo")
    }

    /// The folder with the keys.
    pub fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// The root of trust that nodes are given.
    pub fn trust_anchor(&self) -> PathBuf {
        self.keys().join("1.root.json")
    }

    /// Copies the tree as it is now, to be served again later.
    pub fn copy_tree(&self, to: &Path) {
        copy_folder(&self.tree(), to);
    }
}

/// A copy of a logger that calls itself another version: every place where the text of its version is in the file is
/// overwritten. Both texts must have one length.
///
/// # Panics
/// When the copy does not print the new version.
pub fn renumbered(logger: &Path, from: &str, to: &str, folder: &Path) -> PathBuf {
    assert_eq!(from.len(), to.len(), "the two versions have to be of one length");
    let mut program = fs::read(logger).expect("the logger can be read");
    let mut at = 0;
    while let Some(found) =
        program[at..].windows(from.len()).position(|bytes| bytes == from.as_bytes())
    {
        program[at + found..at + found + to.len()].copy_from_slice(to.as_bytes());
        at += found + to.len();
    }
    let file = folder.join(format!("logger-{to}"));
    let written = folder.join(format!("logger-{to}.written"));
    fs::write(&written, program).expect("a scratch file can be written");
    fs::set_permissions(&written, fs::Permissions::from_mode(0o755))
        .expect("a scratch file can be made executable");
    programs::copy(&written, &file);
    assert_eq!(
        version_of(&file).as_deref(),
        Some(to),
        "a logger built as {from} could not be renumbered"
    );
    file
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a scratch folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}

/// Runs the release tool, which must succeed.
///
/// # Panics
/// With what it said, when it fails.
#[track_caller]
pub fn release(arguments: &[&str]) -> Output {
    let output = try_release(arguments);
    assert!(
        output.status.success(),
        "release {} ended with {}: {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs the release tool.
pub fn try_release(arguments: &[&str]) -> Output {
    Command::new(programs::release())
        .args(arguments)
        .output()
        .expect("the release tool can be executed")
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("scratch folders have UTF-8 names")
}
