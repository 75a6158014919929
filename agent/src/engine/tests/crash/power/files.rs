// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Real files until the power is cut before an effect.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::engine::tests::crash::invariants::Told;
use crate::engine::tests::crash::os::shut_down;
use crate::engine::tests::disturbed::{Disturbance, Disturbed};
use crate::engine::view::NodeView;
use crate::os::files::{FileError, NewFile};

/// Real files until the power is cut before an effect.
pub(super) type CutFiles = Disturbed<Cut>;

/// The cut.
#[derive(Debug)]
pub(super) struct Cut {
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
        let cut = Cut {
            mount: mount.to_owned(),
            at,
            flag,
            effects: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            told: Mutex::new(told.clone()),
            view: Mutex::new(None),
        };
        Disturbed(Arc::new(cut))
    }

    pub(super) fn watch(&self, view: watch::Receiver<NodeView>) {
        *self.0.view.lock().unwrap() = Some(view);
        self.0.hear();
    }

    /// What was told before the cut, and whether there was one.
    pub(super) fn finish(&self) -> (Told, bool) {
        if !self.0.dead.load(Ordering::Relaxed) {
            self.0.hear();
        }
        (self.0.told.lock().unwrap().clone(), self.0.dead.load(Ordering::Relaxed))
    }
}

impl Cut {
    fn hear(&self) {
        if let Some(view) = &*self.view.lock().unwrap() {
            self.told.lock().unwrap().hear(&view.borrow());
        }
    }
}

impl Disturbance for Cut {
    fn effect(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        self.look(doing, path)?;
        if self.effects.fetch_add(1, Ordering::Relaxed) != self.at {
            return Ok(());
        }
        self.hear();
        self.dead.store(true, Ordering::Relaxed);
        shut_down(&self.mount, self.flag).unwrap();
        self.look(doing, path)
    }

    fn look(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        if !self.dead.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(FileError::new(doing, path, io::Error::other("the power is off")))
    }

    fn write(&self, file: &mut dyn NewFile, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        // In two halves, so that a cut falls into the middle as well.
        let (one, two) = bytes.split_at(bytes.len() / 2);
        self.effect("write", path)?;
        file.write(one)?;
        self.effect("write", path)?;
        file.write(two)
    }

    fn syncs(&self) -> bool {
        true
    }

    fn available(&self) -> Option<u64> {
        Some(1 << 40)
    }
}
