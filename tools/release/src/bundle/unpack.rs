// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Unpacks a bundle for inspection: nothing in it can reach outside.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::repository::MAX_TARGET_BYTES;

/// The most files a bundle may have.
const MAX_FILES: usize = 10_000;
/// The most bytes a bundle may unpack to (4 GiB).
const MAX_BYTES: u64 = 4 << 30;

/// A file is not a bundle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// It cannot be read as a tar.
    #[error("failed to unpack {}", path.display())]
    Io {
        /// The bundle.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds something a bundle does not hold.
    #[error("{} is not a bundle: {entry:?} is not a file below metadata/ or targets/", path.display())]
    Entry {
        /// The bundle.
        path: PathBuf,
        /// What it holds.
        entry: String,
    },
    /// It is too large.
    #[error("{} has more than {MAX_FILES} files or {MAX_BYTES} bytes", path.display())]
    TooLarge {
        /// The bundle.
        path: PathBuf,
    },
}

/// Unpacks a bundle into a directory that is removed when dropped.
pub(crate) fn unpack(path: &Path) -> Result<TempDir, UnpackError> {
    let failed = |source| UnpackError::Io { path: path.to_owned(), source };
    let too_large = || UnpackError::TooLarge { path: path.to_owned() };
    let directory = tempfile::tempdir().map_err(failed)?;
    let mut archive = tar::Archive::new(File::open(path).map_err(failed)?);
    let mut left = MAX_BYTES;
    for (count, entry) in archive.entries().map_err(failed)?.enumerate() {
        let mut entry = entry.map_err(failed)?;
        let name = entry.path().map_err(failed)?.into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular || !is_ours(&name) {
            return Err(UnpackError::Entry {
                path: path.to_owned(),
                entry: name.display().to_string(),
            });
        }
        left = left.checked_sub(entry.size()).ok_or_else(too_large)?;
        if count >= MAX_FILES || entry.size() > MAX_TARGET_BYTES {
            return Err(too_large());
        }
        let target = directory.path().join(&name);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut file = File::create_new(&target).map_err(failed)?;
        io::copy(&mut entry.by_ref().take(MAX_TARGET_BYTES), &mut file).map_err(failed)?;
    }
    Ok(directory)
}

fn is_ours(name: &Path) -> bool {
    let normal = name.components().all(|part| matches!(part, Component::Normal(_)));
    normal
        && (name.starts_with("metadata") || name.starts_with("targets"))
        && name.components().count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_repository_are_unpacked() {
        for name in ["metadata/1.root.json", "targets/releases/x.json"] {
            assert!(is_ours(Path::new(name)), "{name}");
        }
        for name in ["/metadata/x", "metadata/../x", "../metadata/x", "metadata", "etc/passwd", ""]
        {
            assert!(!is_ours(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "metadata/timestamp.json", "/etc/passwd").unwrap();
        builder.finish().unwrap();
        let message = unpack(&path).unwrap_err().to_string();
        assert!(message.contains("\"metadata/timestamp.json\" is not a file below"), "{message}");
    }
}
