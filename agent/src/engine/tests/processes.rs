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
        let life = if self.0.get() == 2 { Life::Runs } else { Life::Crashed { signal: 6 } };
        let page = page(life, [0; 4]);
        readers.iter().map(|reader| (*reader, Heard::Page(Box::new(page.clone())))).collect()
    }

    fn owner(&self, zone: Zone, _: u32) -> Owner {
        Owner(zone.0.to_string())
    }

    fn file_id(&self, _: &Path) -> io::Result<FileId> {
        processes::file_id(Path::new("/"))
    }
}

/// The same for a trial in which nothing bad happens.
pub(super) const QUIET_LOOKS: u32 = 70;

/// No logger at first, then one that goes on.
#[derive(Default)]
pub(super) struct Steady(Cell<bool>);

impl ProcessTable for Steady {
    fn numbers(&self) -> io::Result<Vec<u32>> {
        Ok(if self.0.replace(true) { vec![101] } else { Vec::new() })
    }

    fn look(&self, number: u32) -> Option<Seen> {
        Loggers::default().look(number)
    }

    fn pages(&self, readers: &[Keeper]) -> Pages {
        let page = page(Life::Runs, [0; 4]);
        readers.iter().map(|reader| (*reader, Heard::Page(Box::new(page.clone())))).collect()
    }

    fn owner(&self, zone: Zone, process: u32) -> Owner {
        Quiet.owner(zone, process)
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        Quiet.file_id(path)
    }
}

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

/// Nobody can say what runs.
pub(super) struct Blind;

impl ProcessTable for Blind {
    fn numbers(&self) -> io::Result<Vec<u32>> {
        Err(io::Error::other("there is no /proc"))
    }

    fn look(&self, number: u32) -> Option<Seen> {
        Quiet.look(number)
    }

    fn owner(&self, zone: Zone, process: u32) -> Owner {
        Quiet.owner(zone, process)
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        Quiet.file_id(path)
    }
}

/// A logger's page, with bytes read and delivered, what is held, and the restarts of
/// its sender.
pub(crate) fn page(life: Life, [read, delivered, held, restarts]: [u64; 4]) -> StatusPage {
    let mut bytes = vec![0; PAGE_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..][..value.len()].copy_from_slice(value);
    put(at::MAGIC, &MAGIC.to_le_bytes());
    put(at::FORMAT, &FORMAT.to_le_bytes());
    put(at::LIFE, &life.code().to_le_bytes());
    put(at::RING_CAPACITY, &(1_u64 << 20).to_le_bytes());
    put(at::RING_HEAD, &held.to_le_bytes());
    put(at::COUNTERS, &read.to_le_bytes());
    put(at::COUNTERS + 24, &delivered.to_le_bytes());
    put(at::COUNTERS + 72, &restarts.to_le_bytes());
    StatusPage::decode(&bytes).unwrap()
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

/// Has a logger start and go on until the trial of the release is over.
pub(super) fn pass_trial(engine: &Engine) -> Result<TrialEnd, String> {
    sit_out(engine, &Steady::default())
}

/// Has nothing happen until then.
pub(super) fn quiet_trial(engine: &Engine) -> Result<TrialEnd, String> {
    sit_out(engine, &Quiet)
}

fn sit_out(engine: &Engine, table: &dyn ProcessTable) -> Result<TrialEnd, String> {
    watch(&mut engine.core.lock().unwrap(), table, QUIET_LOOKS, Duration::from_secs(1))
}
