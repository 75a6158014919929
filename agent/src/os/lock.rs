// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The lock on an install root: held by one process at a time, released by
//! the kernel however that process ends.

use std::fmt;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::os::files::FileError;

/// Whoever can open the file, if only to read it, can lock it.
const MODE: u32 = 0o600;

/// A lock that is held until this is dropped.
pub(crate) trait Held: Send + fmt::Debug {}

impl Held for RootLock {}

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(crate) struct RootLock {
    file: File,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Somebody else holds it.
    #[error("held by another process")]
    Held {
        /// What the holder wrote into the file, if that is a process id.
        pid: Option<u32>,
    },
    /// The file could not be opened, locked or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl RootLock {
    /// Takes the lock, without waiting, and writes this process's id into it.
    pub(crate) fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |doing| move |e| LockError::File(FileError::new(doing, path, e));
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(path)
            .map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = match (&mut file).take(32).read_to_string(&mut text) {
                    Ok(_) => text.trim().parse().ok(),
                    Err(_) => None,
                };
                return Err(LockError::Held { pid });
            }
            Err(TryLockError::Error(e)) => return Err(failed("lock")(e)),
        }
        // Earlier agents let everybody read it.
        let mode = Permissions::from_mode(MODE);
        file.set_permissions(mode).map_err(failed("set the mode of"))?;
        file.set_len(0).map_err(failed("write"))?;
        file.seek(SeekFrom::Start(0)).map_err(failed("write"))?;
        writeln!(file, "{}", std::process::id()).map_err(failed("write"))?;
        Ok(Self { file })
    }
}

impl Drop for RootLock {
    fn drop(&mut self) {
        // Closing is not enough while a child, forked and not yet exec'd,
        // still has the descriptor. A failure leaves it to the last close.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_can_take_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for _ in 0..2 {
            let held = RootLock::take(&path).unwrap();
            assert_eq!(mode(), 0o600);
            let taken = RootLock::take(&path);
            let pid = Some(std::process::id());
            assert!(matches!(&taken, Err(LockError::Held { pid: by }) if *by == pid), "{taken:?}");
            drop(held);
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
    }
}
