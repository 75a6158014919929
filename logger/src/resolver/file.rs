// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Opening the files of a zone that somebody else writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Take};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file of the zone cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pipe, a device, a directory: reading it might never end.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// Which file.
        path: PathBuf,
    },
    /// Longer than is read.
    #[error("{} has {bytes} bytes; at most {limit_bytes} are read", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        limit_bytes: u64,
    },
}

/// Opens `path` if it is there: a regular file of at most `limit_bytes`, of
/// which no more than that can be read even if it grows.
pub(super) fn open(path: &Path, limit_bytes: u64) -> Result<Option<Take<File>>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    // Opening a named pipe would wait for a writer otherwise.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular { path: path.to_owned() });
    }
    let bytes = metadata.len();
    if bytes > limit_bytes {
        return Err(FileError::TooLarge { path: path.to_owned(), bytes, limit_bytes });
    }
    Ok(Some(file.take(limit_bytes)))
}
