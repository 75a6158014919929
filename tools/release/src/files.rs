// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Files that are either as they were or complete, whenever the machine stops.
//!
//! Every write is: temporary file in the same directory, write, fsync, rename,
//! fsync of the directory. Temporary files begin with [`TEMPORARY`].

use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use sha2::Digest as _;
use tempfile::NamedTempFile;

use dockerlogger_manifest::Digest;

/// What the names of unfinished files begin with.
const TEMPORARY: &str = ".tmp-";

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The operating system refused.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file that must never change would have changed.
    #[error("{} exists with other bytes and is never overwritten", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
    },
    /// A file is larger than anything of its kind may be.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
}

/// Adds action and path to an I/O error.
pub(crate) fn doing(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { action, path, source }
}

/// The SHA-256 digest of these bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// The whole file, if it is not larger than `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(doing("open", path))?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(doing("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        return Ok(bytes);
    }
    Err(FileError::TooLarge { path: path.to_owned(), limit })
}

/// The whole file, or `None` when there is no such file.
pub(crate) fn read_if_present(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    match read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the directory and its parents, durably.
pub(crate) fn create_dir(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(doing("create directory", path))?;
    sync_dir(parent(path))
}

/// Writes a file that must not change once it is there: the same bytes again
/// are fine, other bytes are refused.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let limit = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    match read_if_present(path, limit) {
        Ok(None) => {}
        Ok(Some(existing)) if existing == bytes => return Ok(()),
        Ok(Some(_)) | Err(FileError::TooLarge { .. }) => {
            return Err(FileError::Differs { path: path.to_owned() });
        }
        Err(error) => return Err(error),
    }
    let temporary = write_temporary(path, bytes)?;
    temporary.persist_noclobber(path).map_err(|error| doing("create", path)(error.error))?;
    sync_dir(parent(path))
}

/// Writes a file in place of the one that may be there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = write_temporary(path, bytes)?;
    temporary.persist(path).map_err(|error| doing("replace", path)(error.error))?;
    sync_dir(parent(path))
}

/// Removes what an interrupted run left in this directory.
pub(crate) fn remove_unfinished(directory: &Path) -> Result<(), FileError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(doing("list", directory)(error)),
    };
    for entry in entries {
        let path = entry.map_err(doing("list", directory))?.path();
        if path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()))
        {
            std::fs::remove_file(&path).map_err(doing("remove", &path))?;
        }
    }
    Ok(())
}

fn write_temporary(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, FileError> {
    let directory = parent(path);
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(doing("create a temporary file in", directory))?;
    temporary.write_all(bytes).map_err(doing("write", temporary.path()))?;
    temporary.as_file().sync_all().map_err(doing("sync", temporary.path()))?;
    Ok(temporary)
}

fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(doing("sync", path))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_may_be_written_again_but_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write_new(&path, b"one").unwrap();
        write_new(&path, b"one").unwrap();
        for other in [&b"two"[..], b"on", b"one more"] {
            let error = write_new(&path, other).unwrap_err();
            assert!(
                error.to_string().ends_with("exists with other bytes and is never overwritten"),
                "{error}"
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o600, 0o600);
    }

    #[test]
    fn only_unfinished_files_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(".tmp-x1"), "half").unwrap();
        std::fs::write(directory.path().join("keep"), "whole").unwrap();
        remove_unfinished(directory.path()).unwrap();
        remove_unfinished(&directory.path().join("absent")).unwrap();
        let names: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["keep"]);
    }

    #[test]
    fn a_read_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(matches!(read(&path, 4), Err(FileError::TooLarge { limit: 4, .. })));
    }
}
