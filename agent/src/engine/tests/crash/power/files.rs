// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Real files until the power is cut before an effect.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::engine::tests::crash::invariants::Told;
use crate::engine::tests::crash::os::shut_down;
use crate::engine::view::NodeView;
use crate::os::files::{FileError, Files, NewFile, RealFiles, Stat};

/// Real files until the power is cut before an effect.
#[derive(Debug, Clone)]
pub(super) struct CutFiles {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mount: PathBuf,
    at: usize,
    flag: u32,
    effects: AtomicUsize,
    dead: AtomicBool,
    told: Mutex<Told>,
    view: Mutex<Option<watch::Receiver<NodeView>>>,
}

impl CutFiles {
    pub(super) fn new(mount: &Path, at: usize, flag: u32, told: &Told) -> Self {
        let shared = Shared {
            mount: mount.to_owned(),
            at,
            flag,
            effects: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            told: Mutex::new(told.clone()),
            view: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn watch(&self, view: watch::Receiver<NodeView>) {
        *self.shared.view.lock().unwrap() = Some(view);
        self.shared.hear();
    }

    /// What was told before the cut, and whether there was one.
    pub(super) fn finish(&self) -> (Told, bool) {
        if !self.shared.dead.load(Ordering::Relaxed) {
            self.shared.hear();
        }
        (self.shared.told.lock().unwrap().clone(), self.shared.dead.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn hear(&self) {
        if let Some(view) = &*self.view.lock().unwrap() {
            self.told.lock().unwrap().hear(&view.borrow());
        }
    }

    fn effect(&self, path: &Path) -> Result<(), FileError> {
        self.look(path)?;
        if self.effects.fetch_add(1, Ordering::Relaxed) != self.at {
            return Ok(());
        }
        self.hear();
        self.dead.store(true, Ordering::Relaxed);
        shut_down(&self.mount, self.flag).unwrap();
        self.look(path)
    }

    fn look(&self, path: &Path) -> Result<(), FileError> {
        if !self.dead.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(FileError::new("reach", path, io::Error::other("the power is off")))
    }
}

struct CutNewFile {
    file: Box<dyn NewFile>,
    path: PathBuf,
    shared: Arc<Shared>,
}

impl NewFile for CutNewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        // In two halves, so that a cut falls into the middle as well.
        let (one, two) = bytes.split_at(bytes.len() / 2);
        self.shared.effect(&self.path)?;
        self.file.write(one)?;
        self.shared.effect(&self.path)?;
        self.file.write(two)
    }

    fn set_mode(&mut self, mode: u32) -> Result<(), FileError> {
        self.shared.effect(&self.path)?;
        self.file.set_mode(mode)
    }

    fn sync(&mut self) -> Result<(), FileError> {
        self.shared.effect(&self.path)?;
        self.file.sync()
    }
}

impl Files for CutFiles {
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.make_dir(path, mode)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        self.shared.effect(path)?;
        let (file, path) = (RealFiles.create(path)?, path.to_owned());
        Ok(Box::new(CutNewFile { file, path, shared: Arc::clone(&self.shared) }))
    }

    fn append(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        self.shared.effect(path)?;
        let (file, path) = (RealFiles.append(path)?, path.to_owned());
        Ok(Box::new(CutNewFile { file, path, shared: Arc::clone(&self.shared) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.shared.effect(to)?;
        RealFiles.rename(from, to)
    }

    fn symlink(&self, target: &Path, path: &Path) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.symlink(target, path)
    }

    fn unlink(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.unlink(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.sync_dir(path)
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

    fn available(&self, _: &Path) -> Result<u64, FileError> {
        Ok(1 << 40)
    }
}
