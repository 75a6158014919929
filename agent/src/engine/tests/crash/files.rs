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

use rustix::io::Errno;
use tokio::sync::watch;

use crate::engine::tests::crash::disk::Disk;
use crate::engine::tests::crash::effect::Effect;
use crate::engine::tests::crash::invariants::Told;
use crate::engine::view::NodeView;
use crate::os::files::{FileError, FileKind, Files, NewFile, Stat};
use crate::os::lock::{Held, LockError};

/// Turns an effect into the effects of a wrong engine. None is the end of the run.
pub(super) type Rewrite = Box<dyn FnMut(Option<&Effect>) -> Vec<Effect> + Send>;

/// Errors instead of effects, or instead of what would be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trouble {
    pub(super) with: With,
    /// The number of the effect or look that fails.
    pub(super) at: usize,
    /// The error code.
    pub(super) code: i32,
    /// Whether every later one fails, too.
    pub(super) lasting: bool,
    /// Nothing fails but what is done to this path.
    pub(super) only: Option<&'static str>,
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    /// What changes the disk.
    Effects,
    /// What only looks at it: a file is opened, read, listed, asked for.
    Looks,
}

impl Trouble {
    fn hits(&self, with: With, number: usize, path: &Path) -> bool {
        self.with == with
            && (number == self.at || (self.lasting && number > self.at))
            && self.only.is_none_or(|only| path == Path::new(only))
    }
}

/// The moment before an effect.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) disk: Disk,
    /// What the world was told by then.
    pub(super) told: Told,
    /// The effect that follows.
    pub(super) next: String,
    /// Whether this life of the engine has told anything yet.
    pub(super) speaks: bool,
}

/// A computer: the disk, and whoever watches it.
struct Machine {
    disk: Disk,
    effects: usize,
    /// What was looked at, in order.
    looks: Vec<PathBuf>,
    moments: Vec<Moment>,
    told: Told,
    view: Option<watch::Receiver<NodeView>>,
    rewrite: Option<Rewrite>,
    trouble: Option<Trouble>,
    failed: Vec<PathBuf>,
    /// Every note and every alarm that could be read.
    said: Vec<String>,
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
            looks: Vec::new(),
            moments: Vec::new(),
            told,
            view: None,
            rewrite: None,
            trouble: None,
            failed: Vec::new(),
            said: Vec::new(),
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
        machine.view = Some(view);
        machine.hear();
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

    /// What is on the disk, for whoever is not the engine.
    pub(super) fn disk(&self) -> Disk {
        self.machine().disk.clone()
    }

    /// Effects so far.
    pub(super) fn effects(&self) -> usize {
        self.machine().effects
    }

    /// What was looked at so far, in order.
    pub(super) fn looks(&self) -> Vec<PathBuf> {
        self.machine().looks.clone()
    }

    /// What effects and looks were refused, in order.
    pub(super) fn failed(&self) -> Vec<PathBuf> {
        self.machine().failed.clone()
    }

    /// The notes and alarms so far.
    pub(super) fn said(&self) -> Vec<String> {
        let mut machine = self.machine();
        machine.hear();
        machine.said.clone()
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap()
    }

    fn effect(&self, effect: &Effect) -> Result<(), FileError> {
        let mut machine = self.machine();
        if let Some(trouble) = machine.trouble
            && trouble.hits(With::Effects, machine.effects, effect.path())
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

    /// As the kernel sees it: no look of the engine's.
    fn found(&self, path: &Path) -> Option<Stat> {
        self.machine().disk.stat(path)
    }

    /// Before something is read. That a path is not there is an answer to some
    /// questions and an error of others: of these alone it takes the place.
    fn look(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        let mut machine = self.machine();
        let number = machine.looks.len();
        machine.looks.push(path.to_owned());
        let absent = Errno::NOENT.raw_os_error();
        match machine.trouble {
            Some(trouble)
                if trouble.hits(With::Looks, number, path)
                    && (trouble.code != absent || matches!(doing, "open" | "list")) =>
            {
                machine.failed.push(path.to_owned());
                let error = io::Error::from_raw_os_error(trouble.code);
                Err(FileError::new(doing, path, error))
            }
            _ => Ok(()),
        }
    }
}

impl Machine {
    fn perform(&mut self, effect: &Effect) -> io::Result<()> {
        self.record(format!("{} {}", effect.doing(), effect.path().display()));
        self.disk.apply(effect)
    }

    fn hear(&mut self) {
        let Some(view) = &self.view else { return };
        let view = view.borrow();
        self.told.hear(&view);
        for note in view.notes.iter().chain(&view.alarms) {
            if !self.said.contains(note) {
                self.said.push(note.clone());
            }
        }
    }

    fn record(&mut self, next: String) {
        self.hear();
        let (disk, told, speaks) = (self.disk.clone(), self.told.clone(), self.view.is_some());
        self.moments.push(Moment { disk, told, next, speaks });
    }
}

/// A file that is read; one look, which may fail when half of it was given.
struct ModelReader {
    files: ModelFiles,
    path: PathBuf,
    rest: Cursor<Vec<u8>>,
    looked: bool,
    error: Option<io::Error>,
}

impl Read for ModelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.looked {
            self.looked = true;
            if let Err(failed) = self.files.look("read", &self.path) {
                self.error = Some(failed.source);
                let bytes = self.rest.get_mut();
                bytes.truncate(bytes.len() / 2);
            }
        }
        match (self.rest.read(buffer)?, &self.error) {
            (0, Some(error)) => Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap())),
            (count, _) => Ok(count),
        }
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
        match self.found(path) {
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
        match self.found(path) {
            None => Ok(()),
            Some(_) => self.effect(&Effect::Unlink(path.to_owned())),
        }
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        match self.found(path) {
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
        self.look("open", path)?;
        let bytes = self.machine().disk.read(path).map_err(|e| FileError::new("open", path, e))?;
        let (path, rest) = (path.to_owned(), Cursor::new(bytes));
        Ok(Box::new(ModelReader { files: self.clone(), path, rest, looked: false, error: None }))
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, FileError> {
        self.look("stat", path)?;
        Ok(self.found(path))
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>, FileError> {
        self.look("read link", path)?;
        Ok(self.machine().disk.read_link(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, FileError> {
        self.look("list", path)?;
        match self.machine().disk.list(path) {
            Ok(names) => Ok(names.into_iter().map(OsString::from).collect()),
            Err(e) => Err(FileError::new("list", path, e)),
        }
    }

    fn available(&self, path: &Path) -> Result<u64, FileError> {
        self.look("ask for free space at", path)?;
        Ok(1 << 40)
    }
}

#[derive(Debug)]
struct ModelLock;

impl Held for ModelLock {}
