// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The trial of a new release: watching the loggers that start from it. Pure
//! over a table of processes.
//!
//! Why a logger is gone cannot be seen from outside: its exit ends the
//! container, and the container's end kills it, within milliseconds. What can
//! be seen is how long it lived, and that a sender died while its reader lives.
//! So a release fails when loggers that lived less than `EARLY` are at least
//! `EARLY_MIN` and more than half of those that started, or when
//! `SENDERS_MIN` senders were lost. A node whose containers all live for
//! seconds only needs a trial of `0s`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dockerlogger_manifest::status::StatusPage;
use dockerlogger_manifest::{Digest, Extra, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::os::processes::{FileId, ProcessTable, Seen};

/// A logger that lived less than this ended early.
pub(crate) const EARLY: Duration = Duration::from_secs(10);
/// Fewer early ends than this prove nothing.
const EARLY_MIN: u32 = 3;
/// As many senders lost under living readers prove a fault.
pub(crate) const SENDERS_MIN: u32 = 3;
/// As many loggers whose accounts do not add up prove a fault.
pub(crate) const LOSING_MIN: u32 = 3;
/// An account is judged when nothing moved in it for so long: counters of one
/// page are read a moment apart.
const SETTLED: Duration = Duration::from_secs(1);
/// How often an agent may begin to watch one release; one more means that it
/// never came to an end, and the release goes.
pub(crate) const ATTEMPTS_MAX: u32 = 3;
/// A process that runs something else is looked at again for so long: it may
/// be on its way to execute a logger.
const FRESH: Duration = Duration::from_secs(2);

/// A trial, as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The artifact on trial.
    pub digest: Digest,
    /// Its version.
    pub version: Version,
    /// When the switch was begun.
    pub since: Timestamp,
    /// How often an agent began to watch.
    pub attempts: u32,
    /// What was seen.
    pub tally: Tally,
    /// What newer agents wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What was seen of the loggers of a release on trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Loggers that started.
    pub started: u32,
    /// Of them, those that lived less than ten seconds.
    pub ended_early: u32,
    /// Senders that died while their reader lived.
    pub senders_lost: u32,
    /// Loggers that read what they neither delivered nor dropped for a cause nor hold.
    #[serde(default)]
    pub losing: u32,
}

impl Tally {
    /// What is wrong with the release, if that is proven. Pure.
    pub(crate) fn verdict(self) -> Option<String> {
        let Self { started, ended_early, senders_lost, losing } = self;
        let early = EARLY.as_secs();
        if ended_early >= EARLY_MIN && ended_early.saturating_mul(2) > started {
            return Some(format!(
                "{ended_early} of {started} loggers started in its trial ended within {early} seconds"
            ));
        }
        if senders_lost >= SENDERS_MIN {
            return Some(format!("{senders_lost} senders of its loggers died in its trial"));
        }
        if losing >= LOSING_MIN {
            return Some(format!(
                "{losing} of its loggers lost lines in its trial that they account for nowhere"
            ));
        }
        None
    }
}

/// The sums of a page's account, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Account {
    read: u64,
    /// Delivered, dropped for a cause, or held: at most so much is accounted for.
    explained: u64,
}

impl Account {
    fn of(page: &StatusPage) -> Self {
        let dropped: u64 = page.dropped.values().fold(0, |sum, one| sum.saturating_add(one.bytes));
        let explained = page.delivered.bytes.saturating_add(dropped);
        // With the headers that the ring has of its own: in the logger's favour.
        Self { read: page.read.bytes, explained: explained.saturating_add(page.ring.held) }
    }
}

/// What a reader's page has said so far.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// Restarts of its sender before the trial.
    restarts_before: u64,
    account: Account,
    /// Since when the account is what it is.
    since: Instant,
}

/// A process that runs the release.
#[derive(Debug, Clone, Copy)]
struct Logger {
    seen: Seen,
    /// None if it may have run before it was first seen.
    since: Option<Instant>,
    /// It is the child of another one.
    sender: bool,
    /// Senders of this reader that were seen to be gone.
    lost: u64,
    /// Of them, and of those that its page tells of, how many are in the tally.
    counted: u64,
    told: Option<Told>,
    losing: bool,
}

impl Logger {
    fn new(seen: Seen, since: Option<Instant>, sender: bool) -> Self {
        Self { seen, since, sender, lost: 0, counted: 0, told: None, losing: false }
    }

    /// Takes in what its page says now.
    fn hear(&mut self, page: &StatusPage, now: Instant, tally: &mut Tally) {
        let (restarts, account) = (page.sender_restarts, Account::of(page));
        let before = if self.since.is_some() { 0 } else { restarts };
        let told = self.told.get_or_insert(Told { restarts_before: before, account, since: now });
        if told.account != account {
            (told.account, told.since) = (account, now);
        }
        let settled = now.saturating_duration_since(told.since) >= SETTLED;
        if settled && account.read > account.explained && !self.losing {
            self.losing = true;
            tally.losing += 1;
        }
        let restarts = restarts.saturating_sub(told.restarts_before);
        self.count(restarts.max(self.lost), tally);
    }

    /// So many of its senders are gone, by one way of seeing it.
    fn count(&mut self, gone: u64, tally: &mut Tally) {
        let news = gone.saturating_sub(self.counted);
        self.counted = self.counted.max(gone);
        tally.senders_lost =
            tally.senders_lost.saturating_add(u32::try_from(news).unwrap_or(u32::MAX));
    }
}

/// The memory between two looks at the processes.
#[derive(Debug)]
pub(crate) struct Watch {
    file: FileId,
    loggers: HashMap<u32, Logger>,
    /// Processes that run something else, and since when they are known.
    others: HashMap<u32, Instant>,
    /// Whether everything that runs now counts as started in the trial.
    counts_first: bool,
    looked: bool,
}

impl Watch {
    /// Watches the loggers that run `file`. `from_switch` says that none ran it
    /// before: then those that run already have just started.
    pub(crate) fn new(file: FileId, from_switch: bool) -> Self {
        let (loggers, others) = (HashMap::new(), HashMap::new());
        Self { file, loggers, others, counts_first: from_switch, looked: false }
    }

    /// One look; adds what happened since the last one to `tally`.
    pub(crate) fn look(&mut self, table: &dyn ProcessTable, now: Instant, tally: &mut Tally) {
        let Ok(numbers) = table.numbers() else { return };
        let mut running = HashMap::new();
        let mut others = HashMap::with_capacity(numbers.len());
        for number in numbers {
            let known = self.others.get(&number).copied();
            if known.is_some_and(|since| now.saturating_duration_since(since) > FRESH) {
                others.extend(known.map(|since| (number, since)));
                continue;
            }
            match table.look(number) {
                Some(seen) if seen.file == self.file => drop(running.insert(number, seen)),
                _ => drop(others.insert(number, known.unwrap_or(now))),
            }
        }
        self.others = others;
        let lives = |number: &u32, logger: &Logger| {
            running.get(number).is_some_and(|seen| seen.birth == logger.seen.birth)
        };
        let mut bereaved = Vec::new();
        for (number, logger) in &self.loggers {
            if lives(number, logger) {
                continue;
            }
            let early = logger.since.is_some_and(|since| now.duration_since(since) < EARLY);
            if logger.sender {
                bereaved.push(logger.seen.parent);
            } else {
                tally.ended_early += u32::from(early);
            }
        }
        let senders_only =
            |reader: &u32| self.loggers.get(reader).is_some_and(|logger| lives(reader, logger));
        bereaved.retain(senders_only);
        let counted = self.looked || self.counts_first;
        let mut loggers = HashMap::new();
        for (number, seen) in &running {
            let known = self.loggers.get(number).filter(|known| known.seen.birth == seen.birth);
            let logger = match known {
                Some(known) => *known,
                None => {
                    let sender = running.contains_key(&seen.parent);
                    tally.started += u32::from(counted && !sender);
                    Logger::new(*seen, counted.then_some(now), sender)
                }
            };
            loggers.insert(*number, logger);
        }
        for reader in bereaved {
            if let Some(reader) = loggers.get_mut(&reader) {
                reader.lost += 1;
                reader.count(reader.lost, tally);
            }
        }
        let readers = loggers.iter().filter(|(_, logger)| !logger.sender);
        let readers: Vec<u32> = readers.map(|(number, _)| *number).collect();
        for (number, page) in table.pages(&readers) {
            if let Some(reader) = loggers.get_mut(&number) {
                reader.hear(&page, now, tally);
            }
        }
        self.loggers = loggers;
        self.looked = true;
    }
}

#[cfg(test)]
mod tests;
