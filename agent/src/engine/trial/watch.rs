// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Watching loggers: from one look at the processes and pages to the next.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use crate::engine::trial::Tally;
use crate::engine::trial::judge::{Age, Fault, Judge, Side};
use crate::os::pages::Keeper;
use crate::os::processes::{FileId, ProcessTable, Seen};
use crate::os::zones::{Owner, Zone};

mod ending;
mod logger;

use ending::Ending;
use logger::Logger;

/// A process that runs something else is looked at again for so long: it may
/// be on its way to execute a logger.
const FRESH: Duration = Duration::from_secs(2);

/// Loggers of one zone whose pages are asked for at once: one is usual.
const ASKED_MAX: usize = 32;

/// A process that runs something else.
#[derive(Debug, Clone, Copy)]
struct Other {
    since: Instant,
    /// As it was seen last.
    seen: Option<Seen>,
}

/// The memory between two looks at the processes.
#[derive(Debug)]
pub(crate) struct Watch {
    file: FileId,
    /// What releases before are.
    before: Vec<FileId>,
    loggers: HashMap<u32, Logger>,
    others: HashMap<u32, Other>,
    /// Loggers that are gone, and it is not yet known why.
    endings: Vec<Ending>,
    owners: HashMap<Zone, Owner>,
    judge: Judge,
    /// Whether everything that runs now counts as started in the trial.
    counts_first: bool,
    looked: bool,
}

impl Watch {
    /// Watches the loggers that run `file`, and beside them those that run a file
    /// of `before`. `from_switch` says that none ran `file` earlier: then those
    /// that run it already have just started.
    pub(crate) fn new(file: FileId, before: Vec<FileId>, from_switch: bool) -> Self {
        Self {
            file,
            before,
            loggers: HashMap::new(),
            others: HashMap::new(),
            endings: Vec::new(),
            owners: HashMap::new(),
            judge: Judge::default(),
            counts_first: from_switch,
            looked: false,
        }
    }

    /// One look; adds what happened since the last one to `tally`. Says what is
    /// wrong with the release, if that is proven. An error: nothing was seen, and
    /// nothing is known of the time since the last look.
    pub(crate) fn look(
        &mut self,
        table: &dyn ProcessTable,
        now: Instant,
        tally: &mut Tally,
    ) -> io::Result<Option<String>> {
        let numbers = table.numbers()?;
        let running = self.take_in(table, &numbers, now);
        self.miss(&running, now);
        self.welcome(table, &running, now, tally);
        self.age(now);
        self.hear(table, now, tally);
        self.settle(table, now, tally);
        self.looked = true;
        Ok(self.judge.verdict(*tally))
    }

    /// The loggers that run now.
    fn take_in(
        &mut self,
        table: &dyn ProcessTable,
        numbers: &[u32],
        now: Instant,
    ) -> HashMap<u32, (Seen, Side)> {
        let mut running = HashMap::new();
        let mut others = HashMap::with_capacity(numbers.len());
        for &number in numbers {
            let known = self.others.get(&number).copied();
            if let Some(known) = known
                && now.saturating_duration_since(known.since) > FRESH
            {
                others.insert(number, known);
                continue;
            }
            let seen = table.look(number);
            match seen.and_then(|seen| Some((seen, self.side_of(seen.file)?))) {
                Some(logger) => drop(running.insert(number, logger)),
                None => {
                    let since = known.map_or(now, |known| known.since);
                    others.insert(number, Other { since, seen });
                }
            }
        }
        self.others = others;
        running
    }

    fn side_of(&self, file: FileId) -> Option<Side> {
        match file {
            file if file == self.file => Some(Side::OnTrial),
            file if self.before.contains(&file) => Some(Side::Before),
            _ => None,
        }
    }

    /// What has become of those that are gone.
    fn miss(&mut self, running: &HashMap<u32, (Seen, Side)>, now: Instant) {
        let lives = |number: &u32, logger: &Logger| {
            running.get(number).is_some_and(|(seen, _)| seen.birth == logger.seen.birth)
        };
        let (mut left, gone): (HashMap<_, _>, HashMap<_, _>) =
            self.loggers.drain().partition(|(number, logger)| lives(number, logger));
        for reader in left.values_mut() {
            reader.mourn();
        }
        for (number, logger) in gone {
            if logger.sender {
                if let Some(reader) = left.get_mut(&logger.seen.parent) {
                    reader.bereaved += 1;
                }
                continue;
            }
            let zone = logger.seen.zone;
            let loggers = left.iter().map(|(number, logger)| (*number, logger.seen));
            // Known before this look: what comes after an end is another life of the zone.
            let others = self.others.iter().filter(|(_, other)| other.since < now);
            let others = others.filter_map(|(number, other)| Some((*number, other.seen?)));
            let companions = loggers.chain(others).filter(|(_, seen)| seen.zone == zone);
            self.endings.push(Ending::new(number, logger, now, companions));
        }
        self.loggers = left;
    }

    /// Those that are new.
    fn welcome(
        &mut self,
        table: &dyn ProcessTable,
        running: &HashMap<u32, (Seen, Side)>,
        now: Instant,
        tally: &mut Tally,
    ) {
        let in_trial = self.looked || self.counts_first;
        for (&number, &(seen, side)) in running {
            if self.loggers.contains_key(&number) {
                continue;
            }
            let sender = running.contains_key(&seen.parent);
            let since_start = in_trial && side == Side::OnTrial;
            if !sender {
                let owner = table.owner(seen.zone, number);
                let owner = self.owners.entry(seen.zone).or_insert(owner);
                self.judge.saw(owner, side, Age::ZERO);
                tally.started += u32::from(since_start);
            }
            self.loggers.insert(number, Logger::new(seen, side, sender, since_start, now));
        }
    }

    /// Those that are a while older now.
    fn age(&mut self, now: Instant) {
        for reader in self.loggers.values_mut().filter(|logger| !logger.sender) {
            let Some(owner) = self.owners.get(&reader.seen.zone) else { continue };
            while reader.age < Age::of(reader.life_until(now)) {
                reader.age = reader.age.next();
                self.judge.saw(owner, reader.side, reader.age);
            }
        }
    }

    /// What readers say, those that are gone among them.
    fn hear(&mut self, table: &dyn ProcessTable, now: Instant, tally: &mut Tally) {
        let readers = self.loggers.iter().filter(|(_, logger)| !logger.sender);
        let readers = readers.map(|(number, logger)| (*number, logger.seen.zone));
        let gone = self.endings.iter().map(|ending| (ending.number, ending.logger.seen.zone));
        let mut asked: HashMap<Zone, HashSet<u32>> = HashMap::new();
        for (number, zone) in gone.chain(readers) {
            let asked = asked.entry(zone).or_default();
            if asked.len() < ASKED_MAX {
                asked.insert(number);
            }
        }
        let keepers = asked.into_iter().flat_map(|(zone, numbers)| {
            numbers.into_iter().map(move |number| Keeper { zone, number })
        });
        let pages = table.pages(&keepers.collect::<Vec<_>>());
        let heard = |number, logger: &Logger| pages.get(&Keeper { zone: logger.seen.zone, number });
        for (number, logger) in &mut self.loggers {
            if let Some(heard) = heard(*number, logger) {
                logger.hear(heard, now);
            }
        }
        for Ending { number, logger, .. } in &mut self.endings {
            if let Some(heard) = heard(*number, logger) {
                logger.hear(heard, now);
            }
        }
        for logger in self.loggers.values_mut() {
            let news = logger.count(tally);
            if news && let Some(owner) = self.owners.get(&logger.seen.zone) {
                self.judge.blame(owner, logger.side, logger.age, Fault::Failed);
            }
        }
    }

    /// Those of which it is known by now why they ended, or never will be.
    fn settle(&mut self, table: &dyn ProcessTable, now: Instant, tally: &mut Tally) {
        let host = table.host();
        let (settled, waiting) = self.endings.drain(..).partition(|ending| ending.is_over(now));
        self.endings = waiting;
        for ending in settled {
            let Some(fault) = ending.fault(table, host) else { continue };
            let logger = &ending.logger;
            if logger.side == Side::OnTrial {
                match fault {
                    Fault::Failed => tally.died += 1,
                    Fault::Refused => tally.refused += 1,
                }
            }
            if !logger.is_blamed()
                && let Some(owner) = self.owners.get(&logger.seen.zone)
            {
                self.judge.blame(owner, logger.side, logger.age, fault);
            }
        }
    }
}

#[cfg(test)]
mod tests;
