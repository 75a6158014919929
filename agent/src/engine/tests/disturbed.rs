// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Real files with something in between that may refuse: every effect is asked
//! for first, and so is every look.

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::os::files::{FileError, Files, NewFile, RealFiles, Stat};

/// What comes in between.
pub(super) trait Disturbance: fmt::Debug + Send + Sync + 'static {
    /// Before an effect; an error takes its place.
    fn effect(&self, doing: &'static str, path: &Path) -> Result<(), FileError>;
    /// Before anything is read; an error takes its place.
    fn look(&self, doing: &'static str, path: &Path) -> Result<(), FileError>;
    /// Writes, or a part of it.
    fn write(&self, file: &mut dyn NewFile, _: &Path, bytes: &[u8]) -> Result<(), FileError> {
        file.write(bytes)
    }
    /// Whether what is to be durable really is made so: a kill loses nothing that was not.
    fn syncs(&self) -> bool {
        false
    }
    /// What is said to be free, if not what is.
    fn available(&self) -> Option<u64> {
        None
    }
}

/// The files.
#[derive(Debug)]
pub(super) struct Disturbed<D>(pub(super) Arc<D>);

impl<D> Clone for Disturbed<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct DisturbedFile<D> {
    file: Box<dyn NewFile>,
    path: PathBuf,
    disturbance: Arc<D>,
}

impl<D: Disturbance> NewFile for DisturbedFile<D> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.disturbance.write(&mut *self.file, &self.path, bytes)
    }

    fn write_back(&mut self) -> Result<(), FileError> {
        self.disturbance.effect("write back", &self.path)?;
        self.file.write_back()
    }

    fn set_mode(&mut self, mode: u32) -> Result<(), FileError> {
        self.disturbance.effect("set the mode of", &self.path)?;
        self.file.set_mode(mode)
    }

    fn sync(&mut self) -> Result<(), FileError> {
        self.disturbance.effect("fsync", &self.path)?;
        if self.disturbance.syncs() { self.file.sync() } else { Ok(()) }
    }
}

impl<D: Disturbance> Files for Disturbed<D> {
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.0.effect("create directory", path)?;
        RealFiles.make_dir(path, mode)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        self.0.effect("create", path)?;
        let (file, path) = (RealFiles.create(path)?, path.to_owned());
        Ok(Box::new(DisturbedFile { file, path, disturbance: Arc::clone(&self.0) }))
    }

    fn append(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        self.0.effect("open", path)?;
        let (file, path) = (RealFiles.append(path)?, path.to_owned());
        Ok(Box::new(DisturbedFile { file, path, disturbance: Arc::clone(&self.0) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.0.effect("rename a new version to", to)?;
        RealFiles.rename(from, to)
    }

    fn symlink(&self, target: &Path, path: &Path) -> Result<(), FileError> {
        self.0.effect("link", path)?;
        RealFiles.symlink(target, path)
    }

    fn unlink(&self, path: &Path) -> Result<(), FileError> {
        self.0.effect("remove", path)?;
        RealFiles.unlink(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        self.0.effect("remove directory", path)?;
        RealFiles.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FileError> {
        self.0.effect("fsync", path)?;
        if self.0.syncs() { RealFiles.sync_dir(path) } else { Ok(()) }
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FileError> {
        self.0.look("open", path)?;
        RealFiles.open(path)
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, FileError> {
        self.0.look("stat", path)?;
        RealFiles.stat(path)
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>, FileError> {
        self.0.look("read link", path)?;
        RealFiles.read_link(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, FileError> {
        self.0.look("list", path)?;
        RealFiles.list(path)
    }

    fn available(&self, path: &Path) -> Result<u64, FileError> {
        match self.0.available() {
            Some(bytes) => Ok(bytes),
            None => {
                self.0.look("ask for free space at", path)?;
                RealFiles.available(path)
            }
        }
    }
}
