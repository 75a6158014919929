// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Processes that are laid down, for trials, and trials of them.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use dockerlogger_manifest::status::{FORMAT, Life, MAGIC, PAGE_BYTES, StatusPage, at};

use crate::engine::core::Core;
use crate::engine::tests::node::{chain, now};
use crate::engine::{Engine, TrialEnd};
use crate::os::pages::{Heard, Keeper, Pages};
use crate::os::processes::{self, FileId, ProcessTable, Seen};
use crate::os::zones::{Owner, Zone};

/// Looks, one second apart, after which a trial is over in which every logger
/// ends at once; with some to spare for pauses after an error of the disk.
pub(super) const FAILING_LOOKS: u32 = 8;

/// No logger at first, then three of three owners, then none again: they crashed.
#[derive(Default)]
pub(super) struct Loggers(Cell<u32>);

impl ProcessTable for Loggers {
    fn numbers(&self) -> io::Result<Vec<u32>> {
        self.0.set(self.0.get() + 1);
        Ok(if self.0.get() == 2 { vec![101, 102, 103] } else { Vec::new() })
    }

    fn look(&self, number: u32) -> Option<Seen> {
        let file = processes::file_id(Path::new("/")).ok()?;
        Some(Seen { parent: 1, birth: u64::from(number), file, zone: Zone(number.into(), 1) })
    }

    fn pages(&self, readers: &[Keeper]) -> Pages {
        let mut page = vec![0; PAGE_BYTES];
        page[at::MAGIC..][..8].copy_from_slice(&MAGIC.to_le_bytes());
        page[at::FORMAT..][..4].copy_from_slice(&FORMAT.to_le_bytes());
        let life = if self.0.get() == 2 { Life::Runs } else { Life::Crashed { signal: 6 } };
        page[at::LIFE..][..4].copy_from_slice(&life.code().to_le_bytes());
        let page = StatusPage::decode(&page).unwrap();
        readers.iter().map(|reader| (*reader, Heard::Page(Box::new(page.clone())))).collect()
    }

    fn owner(&self, zone: Zone, _: u32) -> Owner {
        Owner(zone.0.to_string())
    }

    fn file_id(&self, _: &Path) -> io::Result<FileId> {
        processes::file_id(Path::new("/"))
    }
}

/// The same for a trial in which nothing happens.
pub(super) const QUIET_LOOKS: u32 = 70;

/// Nothing runs.
pub(super) struct Quiet;

impl ProcessTable for Quiet {
    fn numbers(&self) -> io::Result<Vec<u32>> {
        Ok(Vec::new())
    }

    fn look(&self, _: u32) -> Option<Seen> {
        None
    }

    fn owner(&self, zone: Zone, _: u32) -> Owner {
        Owner(zone.0.to_string())
    }

    fn file_id(&self, _: &Path) -> io::Result<FileId> {
        processes::file_id(Path::new("/"))
    }
}

/// Looks so many times at a trial.
pub(super) fn watch(
    core: &mut Core,
    table: &dyn ProcessTable,
    looks: u32,
    between: Duration,
) -> Result<TrialEnd, String> {
    let mut clock = Instant::now();
    for _ in 0..looks {
        match core.watch_trial(table, clock, now()) {
            Ok(TrialEnd::Running) => clock += between,
            Ok(end) => return Ok(end),
            Err(e) => return Err(chain(&e)),
        }
    }
    Err("the trial goes on".to_owned())
}

/// Has every logger of the release on trial end at once.
pub(super) fn fail_trial(engine: &Engine) -> Result<TrialEnd, String> {
    let (table, second) = (Loggers::default(), Duration::from_secs(1));
    watch(&mut engine.core.lock().unwrap(), &table, FAILING_LOOKS, second)
}

/// Has nothing happen until the trial of the release is over.
pub(super) fn pass_trial(engine: &Engine) -> Result<TrialEnd, String> {
    watch(&mut engine.core.lock().unwrap(), &Quiet, QUIET_LOOKS, Duration::from_secs(1))
}
