// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Files that stop working: the process dies after the n-th effect, or the
//! disk answers with an error from then on.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::os::files::{FileError, Files, NewFile, RealFiles, Stat};

/// Real files up to a point.
#[derive(Debug, Clone)]
pub(super) struct FaultyFiles {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    effects: AtomicUsize,
    effects_max: usize,
    dead: AtomicBool,
    fault: Fault,
}

/// What happens at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing works any more, as after a kill; a write stops half-way.
    Dead,
    /// One effect fails with this error code; everything else works.
    Once(i32),
    /// Every effect fails with this error code; reading works.
    Always(i32),
}

impl FaultyFiles {
    /// Works for `effects_max` effects.
    pub(super) fn new(effects_max: usize, fault: Fault) -> Self {
        let (effects, dead) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { effects, effects_max, dead, fault }) }
    }

    /// Works for ever, and does not wait for the disk.
    pub(super) fn unlimited() -> Self {
        Self::new(usize::MAX, Fault::Dead)
    }

    /// Whether the point was reached.
    pub(super) fn hit(&self) -> bool {
        self.shared.dead.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn effect(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        let effects = self.effects.fetch_add(1, Ordering::Relaxed);
        if effects < self.effects_max {
            return Ok(());
        }
        self.dead.store(true, Ordering::Relaxed);
        let code = match self.fault {
            Fault::Dead => EIO,
            Fault::Once(_) if effects > self.effects_max => return Ok(()),
            Fault::Once(code) | Fault::Always(code) => code,
        };
        Err(FileError::new(doing, path, io::Error::from_raw_os_error(code)))
    }

    fn look(&self, path: &Path) -> Result<(), FileError> {
        if self.fault == Fault::Dead && self.dead.load(Ordering::Relaxed) {
            return Err(FileError::new("look at", path, io::Error::from_raw_os_error(EIO)));
        }
        Ok(())
    }
}

const EIO: i32 = 5;

struct FaultyNewFile {
    file: Box<dyn NewFile>,
    path: PathBuf,
    shared: Arc<Shared>,
}

impl NewFile for FaultyNewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let written = self.shared.effect("write", &self.path);
        if written.is_err() {
            self.file.write(&bytes[..bytes.len() / 2])?;
        } else {
            self.file.write(bytes)?;
        }
        written
    }

    fn set_mode(&mut self, mode: u32) -> Result<(), FileError> {
        self.shared.effect("set the mode of", &self.path)?;
        self.file.set_mode(mode)
    }

    fn sync(&mut self) -> Result<(), FileError> {
        self.shared.effect("fsync", &self.path)
    }
}

impl Files for FaultyFiles {
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.shared.effect("create directory", path)?;
        RealFiles.make_dir(path, mode)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        self.shared.effect("create", path)?;
        let (file, path) = (RealFiles.create(path)?, path.to_owned());
        Ok(Box::new(FaultyNewFile { file, path, shared: Arc::clone(&self.shared) }))
    }

    fn append(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        self.shared.effect("open", path)?;
        let (file, path) = (RealFiles.append(path)?, path.to_owned());
        Ok(Box::new(FaultyNewFile { file, path, shared: Arc::clone(&self.shared) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.shared.effect("rename a new version to", to)?;
        RealFiles.rename(from, to)
    }

    fn symlink(&self, target: &Path, path: &Path) -> Result<(), FileError> {
        self.shared.effect("link", path)?;
        RealFiles.symlink(target, path)
    }

    fn unlink(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect("remove", path)?;
        RealFiles.unlink(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect("remove directory", path)?;
        RealFiles.remove_dir(path)
    }

    // A kill loses nothing that was not synced: power cuts need a model, not a disk.
    fn sync_dir(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect("fsync", path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FileError> {
        self.shared.look(path)?;
        RealFiles.open(path)
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, FileError> {
        self.shared.look(path)?;
        RealFiles.stat(path)
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>, FileError> {
        self.shared.look(path)?;
        RealFiles.read_link(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, FileError> {
        self.shared.look(path)?;
        RealFiles.list(path)
    }

    fn available(&self, path: &Path) -> Result<u64, FileError> {
        self.shared.look(path)?;
        RealFiles.available(path)
    }
}
