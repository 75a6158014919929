// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Whether the zones see what is installed: the mount service shows them the root
//! at other places, and may not have run.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::config::{Config, DEFAULT_ROOT};

/// Between two looks.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// A place at which the zones find the logger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// The logger, as the node sees it there.
    pub path: PathBuf,
    /// Why it is not the installed one; none: it is.
    pub problem: Option<String>,
}

/// The places where the mount service shows the root: of the platform's default root
/// on illumos, and nowhere else.
pub(super) fn look(config: &Config) -> Vec<Mount> {
    if !cfg!(target_os = "illumos") || config.root != Path::new(DEFAULT_ROOT) {
        return Vec::new();
    }
    // What dockerinit executes, and what is there only on platforms that have the folder.
    let mut paths = vec![PathBuf::from("/lib/sdc/docker/logger")];
    if Path::new("/usr/docker").exists() {
        paths.push("/usr/docker/bin/logger".into());
    }
    look_at(&config.root, paths)
}

/// Compares each of `paths` with the logger of `root`; of a root without one there is nothing to see.
fn look_at(root: &Path, paths: Vec<PathBuf>) -> Vec<Mount> {
    let Ok(installed) = std::fs::metadata(root.join("bin/logger")) else { return Vec::new() };
    let seen = |path: PathBuf| {
        let problem = problem(&installed, std::fs::metadata(&path));
        Mount { path, problem }
    };
    paths.into_iter().map(seen).collect()
}

/// Not by device: a file system may have another one where it is mounted again.
fn problem(installed: &Metadata, seen: io::Result<Metadata>) -> Option<String> {
    let of = |file: &Metadata| (file.ino(), file.len(), file.mtime(), file.mtime_nsec());
    match seen {
        Ok(seen) if of(&seen) == of(installed) => None,
        Ok(_) => Some("it is another file than the installed one".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_place_shows_the_installed_logger_or_says_what_it_shows() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let look = || {
            let seen = look_at(&path("root"), vec![path("place/logger")]);
            seen.into_iter().map(|mount| mount.problem).collect::<Vec<_>>()
        };
        let problem = |part: &str| {
            let problems = look();
            assert!(matches!(&problems[..], [Some(it)] if it.contains(part)), "{problems:?}");
        };
        assert_eq!(look(), [], "nothing is installed");
        fs::create_dir_all(path("root/bin")).unwrap();
        fs::write(path("root/bin/logger"), "1").unwrap();
        problem("No such file");
        fs::create_dir(path("place")).unwrap();
        problem("No such file");
        // As a mount would show it.
        symlink(path("root/bin/logger"), path("place/logger")).unwrap();
        assert_eq!(look(), [None]);
        // Another release, which the place does not show.
        fs::rename(path("root/bin/logger"), path("old")).unwrap();
        fs::write(path("root/bin/logger"), "2").unwrap();
        fs::remove_file(path("place/logger")).unwrap();
        symlink(path("old"), path("place/logger")).unwrap();
        problem("another file");
    }
}
