// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A directory and what is done in it by name. Every change goes through here,
//! so that tests can let any one of them fail, or be the last.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::files::{is_named, open_dir};

/// An open directory.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    #[cfg(test)]
    faults: Faults,
}

impl Dir {
    /// Opens a directory, which is no symbolic link.
    pub(super) fn open(path: &str) -> io::Result<Self> {
        Ok(Self {
            fd: open_dir(path)?,
            #[cfg(test)]
            faults: Faults::default(),
        })
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            #[cfg(test)]
            faults: self.faults.clone(),
        })
    }

    pub(super) fn exists(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file to read.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        Ok(rustix::fs::openat(&self.fd, name, OFlags::RDONLY | SAFE, Mode::empty())?.into())
    }

    /// Opens a file to read and add to, made if there is none.
    pub(super) fn append(&self, name: &str) -> io::Result<File> {
        self.change()?;
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | SAFE;
        Ok(rustix::fs::openat(&self.fd, name, flags, MODE)?.into())
    }

    /// Makes an empty file that nobody else writes, or takes over one that a dead
    /// writer left.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        self.change()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | SAFE;
        let file = File::from(rustix::fs::openat(&self.fd, name, flags, MODE)?);
        file.try_lock()?;
        // It may have been completed while it was opened.
        if !is_named(&self.fd, name, &file) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.truncate(&file, 0)?;
        Ok(file)
    }

    /// Writes the front of `bytes`, at least one byte.
    pub(super) fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        self.change().inspect_err(|_| {
            // Whoever dies here may have written something.
            if self.faults.are_new() {
                let _ = rustix::io::write(file, &bytes[..bytes.len() / 2]);
            }
        })?;
        Ok(rustix::io::write(file, bytes)?)
    }

    /// Cuts a file off behind its first `len` bytes.
    pub(super) fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        self.change()?;
        file.set_len(len)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change()?;
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Renames a file, if there is one.
    pub(super) fn rename_if_there(&self, from: &str, to: &str) -> io::Result<()> {
        match self.rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a file, if there is one.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.change()?;
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(error) if error != rustix::io::Errno::NOENT => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Has every name on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.change()?;
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests count here")]
    const fn change(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Never a symbolic link, and never a wait for whoever reads a pipe.
const SAFE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Readable for the group, as Docker has it.
pub(super) const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);

#[cfg(test)]
pub(super) use faults::Faults;

#[cfg(test)]
mod faults {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Dir;

    /// Which changes fail. Clones count together.
    #[derive(Debug, Clone, Default)]
    pub(in super::super) struct Faults {
        made: Arc<AtomicU64>,
        /// The first that fails, counted from 1; 0: none.
        from: u64,
        /// How many do.
        count: u64,
    }

    impl Faults {
        /// `count` changes fail from the one numbered `from` on.
        pub(in super::super) fn new(from: u64, count: u64) -> Self {
            Self { made: Arc::default(), from, count }
        }

        /// Whether the last change was the first that failed.
        pub(super) fn are_new(&self) -> bool {
            self.made.load(Ordering::Relaxed) == self.from
        }

        /// Whether it came to that.
        pub(in super::super) fn were_met(&self) -> bool {
            self.from > 0 && self.made.load(Ordering::Relaxed) >= self.from
        }
    }

    impl Dir {
        pub(in super::super) fn with_faults(self, faults: Faults) -> Self {
            Self { faults, ..self }
        }

        pub(super) fn change(&self) -> io::Result<()> {
            let made = self.faults.made.fetch_add(1, Ordering::Relaxed) + 1;
            let Faults { from, count, .. } = self.faults;
            if from > 0 && (from..from.saturating_add(count)).contains(&made) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            Ok(())
        }
    }
}
