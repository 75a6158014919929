// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The file that frames are added to.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use super::dir::{Dir, MODE};
use super::{FilesError, step};
use crate::driver::LogFiles;

/// The current file, open and locked. Dropping it lets go of both.
#[derive(Debug)]
pub(super) struct Current {
    dir: Dir,
    file: File,
    /// Device and number: what it is besides its name.
    identity: (u64, u64),
    bytes: u64,
    /// When it was last looked at whether it still has its name.
    looked_ns: u64,
}

impl Current {
    /// Opens the file, made if there is none, and goes on behind its last whole
    /// line.
    pub(super) fn open(place: &LogFiles, dir: Dir) -> Result<Self, FilesError> {
        let failed = |doing| move |source| step(doing, place, source);
        let file = dir.append(&place.name).map_err(failed("open"))?;
        let metadata = file.metadata().map_err(failed("open"))?;
        if !metadata.is_file() {
            return Err(FilesError::Strange { path: place.path() });
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FilesError::Busy { path: place.path() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        if metadata.len() == 0 {
            // Whatever the umask is. Where it cannot be done the lines matter more.
            let _ = file.set_permissions(Permissions::from_mode(MODE.bits()));
        }
        let identity = (metadata.dev(), metadata.ino());
        // Nobody adds to it now that it is locked.
        let len = file.metadata().map_err(failed("open"))?.len();
        let mut current = Self { dir, file, identity, bytes: len, looked_ns: 0 };
        current.mend().map_err(failed("mend the end of"))?;
        Ok(current)
    }

    pub(super) const fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it still has a name, and had its own a moment ago, in a directory
    /// that had its own: what is added to a file with another is not lost.
    pub(super) fn is_named(&mut self, place: &LogFiles, now_ns: u64) -> bool {
        if now_ns.saturating_sub(self.looked_ns) < LOOK_NS {
            return self.file.metadata().is_ok_and(|metadata| metadata.nlink() > 0);
        }
        self.looked_ns = now_ns;
        let named = std::fs::symlink_metadata(place.path());
        named.is_ok_and(|named| (named.dev(), named.ino()) == self.identity)
    }

    /// Adds `bytes`, which are whole frames. Of what was written, whole frames
    /// stay: `whole` says how many bytes those are. Returns them, and why there
    /// are not more.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        whole: impl Fn(usize) -> usize,
    ) -> (usize, io::Result<()>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.dir.write(&self.file, rest) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kept = whole(bytes.len() - rest.len());
                    // If this fails, the file is mended when it is opened again.
                    let _ = self.dir.truncate(&self.file, self.bytes + kept as u64);
                    return (kept, Err(error));
                }
            }
        }
        self.bytes += bytes.len() as u64;
        (bytes.len(), Ok(()))
    }

    /// Cuts off the beginning of a line that nobody ended: its writer died, and
    /// the line comes again. A tail of that length that is no line of ours is
    /// left, and ended.
    fn mend(&mut self) -> io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        let mut end = self.bytes;
        while end > 0 && self.bytes - end < TORN_MAX {
            let start = end.saturating_sub(BLOCK_BYTES as u64);
            let len = usize::try_from(end - start).unwrap_or(BLOCK_BYTES);
            self.file.read_exact_at(&mut block[..len], start)?;
            if let Some(at) = memchr::memrchr(b'\n', &block[..len]) {
                let whole = start + at as u64 + 1;
                if whole < self.bytes {
                    self.dir.truncate(&self.file, whole)?;
                    self.bytes = whole;
                }
                return Ok(());
            }
            end = start;
        }
        if end > 0 {
            self.dir.write(&self.file, b"\n")?;
            self.bytes += 1;
        } else if self.bytes > 0 {
            self.dir.truncate(&self.file, 0)?;
            self.bytes = 0;
        }
        Ok(())
    }
}

/// How often its name is looked at.
const LOOK_NS: u64 = 5_000_000;

const BLOCK_BYTES: usize = 16 << 10;

/// No frame is longer than this, unless its attributes are.
const TORN_MAX: u64 = 1 << 20;
