// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Files that stop working: the process dies after the n-th effect, or the
//! disk answers with an error from then on.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::engine::tests::disturbed::{Disturbance, Disturbed};
use crate::os::files::{FileError, NewFile};

/// Real files up to a point.
pub(super) type FaultyFiles = Disturbed<Limited>;

/// So many effects, then the fault.
#[derive(Debug)]
pub(super) struct Limited {
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
        Disturbed(Arc::new(Limited { effects, effects_max, dead, fault }))
    }

    /// Works for ever, and does not wait for the disk.
    pub(super) fn unlimited() -> Self {
        Self::new(usize::MAX, Fault::Dead)
    }

    /// Whether the point was reached.
    pub(super) fn hit(&self) -> bool {
        self.0.dead.load(Ordering::Relaxed)
    }
}

impl Disturbance for Limited {
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

    fn look(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        if self.fault == Fault::Dead && self.dead.load(Ordering::Relaxed) {
            return Err(FileError::new(doing, path, io::Error::from_raw_os_error(EIO)));
        }
        Ok(())
    }

    fn write(&self, file: &mut dyn NewFile, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let written = self.effect("write", path);
        let half = if written.is_err() { bytes.len() / 2 } else { bytes.len() };
        file.write(&bytes[..half])?;
        written
    }
}

const EIO: i32 = 5;
