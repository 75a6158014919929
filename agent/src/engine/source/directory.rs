// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A repository as a directory on this node.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::engine::error::FetchError;
use crate::engine::source::{Expect, Pieces, Repository};

/// Reads below one directory.
#[derive(Debug)]
pub(super) struct DirectoryRepository {
    root: PathBuf,
}

impl DirectoryRepository {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

/// Opens a file that others put there, and tells its length. Links are followed;
/// nobody waits for the other end of a fifo.
pub(super) fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, metadata.len()))
}

impl Repository for DirectoryRepository {
    fn open(
        &mut self,
        path: &str,
        expect: Expect,
        from: u64,
    ) -> Result<Box<dyn Pieces>, FetchError> {
        let path = self.root.join(path);
        let failed = |source| FetchError::File { path: path.clone(), source };
        let (mut file, length) = match open_regular(&path) {
            Ok(opened) => opened,
            // An absent file is an answer; an absent repository is not.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.root.is_dir() => {
                return Err(FetchError::NotFound);
            }
            Err(e) => return Err(failed(e)),
        };
        let limit = expect.bytes_max();
        if length > limit {
            return Err(FetchError::TooLong { limit });
        }
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        Ok(Box::new(file))
    }

    fn is_network(&self) -> bool {
        false
    }
}
