// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The engine's files over a [`Disk`]: every effect is recorded with the disk
//! as it was before, may be changed by a seeded fault, and may fail.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::engine::tests::crash::disk::Disk;
use crate::engine::tests::crash::effect::Effect;
use crate::engine::tests::crash::invariants::Told;
use crate::engine::view::NodeView;
use crate::os::files::{FileError, FileKind, Files, NewFile, Stat};
use crate::os::lock::{Held, LockError};

/// Turns an effect into the effects of a wrong engine. None is the end of the run.
pub(super) type Rewrite = Box<dyn FnMut(Option<&Effect>) -> Vec<Effect> + Send>;

/// Errors instead of effects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trouble {
    /// The number of the effect that fails.
    pub(super) at: usize,
    /// The error code.
    pub(super) code: i32,
    /// Whether every later effect fails, too.
    pub(super) lasting: bool,
}

/// The moment before an effect.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) disk: Disk,
    /// What the world was told by then.
    pub(super) told: Told,
    /// The effect that follows.
    pub(super) next: String,
}

/// A computer: the disk, and whoever watches it.
struct Machine {
    disk: Disk,
    effects: usize,
    moments: Vec<Moment>,
    told: Told,
    view: Option<watch::Receiver<NodeView>>,
    rewrite: Option<Rewrite>,
    trouble: Option<Trouble>,
    failed: Vec<PathBuf>,
}

#[derive(Clone)]
pub(super) struct ModelFiles {
    machine: Arc<Mutex<Machine>>,
}

impl fmt::Debug for ModelFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelFiles")
    }
}

impl ModelFiles {
    pub(super) fn new(disk: Disk, told: Told) -> Self {
        let machine = Machine {
            disk,
            effects: 0,
            moments: Vec::new(),
            told,
            view: None,
            rewrite: None,
            trouble: None,
            failed: Vec::new(),
        };
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    pub(super) fn rewritten(self, rewrite: Option<Rewrite>) -> Self {
        self.machine().rewrite = rewrite;
        self
    }

    pub(super) fn troubled(self, trouble: Option<Trouble>) -> Self {
        self.machine().trouble = trouble;
        self
    }

    /// From now on, what this says counts as told.
    pub(super) fn watch(&self, view: watch::Receiver<NodeView>) {
        let mut machine = self.machine();
        machine.told.hear(&view.borrow());
        machine.view = Some(view);
    }

    /// Ends the run: every moment of it, the last one being its end.
    pub(super) fn finish(&self) -> Vec<Moment> {
        let mut machine = self.machine();
        let rest = machine.rewrite.as_mut().map(|rewrite| rewrite(None)).unwrap_or_default();
        for effect in rest {
            machine.perform(&effect).unwrap();
        }
        machine.record("the end".to_owned());
        std::mem::take(&mut machine.moments)
    }

    /// Effects so far.
    pub(super) fn effects(&self) -> usize {
        self.machine().effects
    }

    /// What effects were refused, in order.
    pub(super) fn failed(&self) -> Vec<PathBuf> {
        self.machine().failed.clone()
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap()
    }

    fn effect(&self, effect: &Effect) -> Result<(), FileError> {
        let mut machine = self.machine();
        if let Some(trouble) = machine.trouble
            && (machine.effects == trouble.at || (trouble.lasting && machine.effects > trouble.at))
        {
            machine.effects += 1;
            machine.record(format!("failing to {} {}", effect.doing(), effect.path().display()));
            machine.disk.fail(effect);
            machine.failed.push(effect.path().to_owned());
            let error = io::Error::from_raw_os_error(trouble.code);
            return Err(FileError::new(effect.doing(), effect.path(), error));
        }
        machine.effects += 1;
        let effects = match &mut machine.rewrite {
            Some(rewrite) => rewrite(Some(effect)),
            None => vec![effect.clone()],
        };
        for effect in effects {
            let failed = |e| FileError::new(effect.doing(), effect.path(), e);
            machine.perform(&effect).map_err(failed)?;
        }
        Ok(())
    }
}

impl Machine {
    fn perform(&mut self, effect: &Effect) -> io::Result<()> {
        self.record(format!("{} {}", effect.doing(), effect.path().display()));
        self.disk.apply(effect)
    }

    fn record(&mut self, next: String) {
        if let Some(view) = &self.view {
            self.told.hear(&view.borrow());
        }
        self.moments.push(Moment { disk: self.disk.clone(), told: self.told.clone(), next });
    }
}

struct ModelNewFile {
    files: ModelFiles,
    path: PathBuf,
}

impl NewFile for ModelNewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.files.effect(&Effect::Write(self.path.clone(), bytes.to_vec()))
    }

    // Of what was not made durable, this disk keeps what it likes anyway.
    fn write_back(&mut self) -> Result<(), FileError> {
        Ok(())
    }

    fn set_mode(&mut self, mode: u32) -> Result<(), FileError> {
        self.files.effect(&Effect::SetMode(self.path.clone(), mode))
    }

    fn sync(&mut self) -> Result<(), FileError> {
        self.files.effect(&Effect::SyncFile(self.path.clone()))
    }
}

// What would change nothing is no effect: a kernel answers it without looking at the disk.
impl Files for ModelFiles {
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        match self.stat(path)? {
            Some(Stat { kind: FileKind::Directory, .. }) => Ok(()),
            _ => self.effect(&Effect::MakeDir(path.to_owned(), mode)),
        }
    }

    fn create(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        self.effect(&Effect::Create(path.to_owned()))?;
        Ok(Box::new(ModelNewFile { files: self.clone(), path: path.to_owned() }))
    }

    fn append(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        Ok(Box::new(ModelNewFile { files: self.clone(), path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.effect(&Effect::Rename(from.to_owned(), to.to_owned()))
    }

    fn symlink(&self, target: &Path, path: &Path) -> Result<(), FileError> {
        self.effect(&Effect::Symlink(target.to_owned(), path.to_owned()))
    }

    fn unlink(&self, path: &Path) -> Result<(), FileError> {
        match self.stat(path)? {
            None => Ok(()),
            Some(_) => self.effect(&Effect::Unlink(path.to_owned())),
        }
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        match self.stat(path)? {
            None => Ok(()),
            Some(_) => self.effect(&Effect::RemoveDir(path.to_owned())),
        }
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FileError> {
        self.effect(&Effect::SyncDir(path.to_owned()))
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn Held>, LockError> {
        // One engine at a time: the explorer sees to it.
        Ok(Box::new(ModelLock))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FileError> {
        match self.machine().disk.read(path) {
            Ok(bytes) => Ok(Box::new(Cursor::new(bytes))),
            Err(e) => Err(FileError::new("open", path, e)),
        }
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, FileError> {
        Ok(self.machine().disk.stat(path))
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>, FileError> {
        Ok(self.machine().disk.read_link(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, FileError> {
        match self.machine().disk.list(path) {
            Ok(names) => Ok(names.into_iter().map(OsString::from).collect()),
            Err(e) => Err(FileError::new("list", path, e)),
        }
    }

    fn available(&self, _: &Path) -> Result<u64, FileError> {
        Ok(1 << 40)
    }
}

#[derive(Debug)]
struct ModelLock;

impl Held for ModelLock {}
