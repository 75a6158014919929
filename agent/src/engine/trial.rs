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

use dockerlogger_manifest::{Digest, Extra, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::os::processes::{FileId, ProcessTable, Seen};

/// A logger that lived less than this ended early.
pub(crate) const EARLY: Duration = Duration::from_secs(10);
/// Fewer early ends than this prove nothing.
pub(crate) const EARLY_MIN: u32 = 3;
/// As many senders lost under living readers prove a fault.
pub(crate) const SENDERS_MIN: u32 = 3;
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
}

impl Tally {
    /// What is wrong with the release, if that is proven. Pure.
    pub(crate) fn verdict(self) -> Option<String> {
        let Self { started, ended_early, senders_lost } = self;
        let early = EARLY.as_secs();
        if ended_early >= EARLY_MIN && ended_early.saturating_mul(2) > started {
            return Some(format!(
                "{ended_early} of {started} loggers started in its trial ended within {early} seconds"
            ));
        }
        if senders_lost >= SENDERS_MIN {
            return Some(format!("{senders_lost} senders of its loggers died in its trial"));
        }
        None
    }
}

/// A process that runs the release.
#[derive(Debug, Clone, Copy)]
struct Logger {
    seen: Seen,
    /// None if it may have run before it was first seen.
    since: Option<Instant>,
    /// It is the child of another one.
    sender: bool,
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
        for (number, logger) in &self.loggers {
            if lives(number, logger) {
                continue;
            }
            let early = logger.since.is_some_and(|since| now.duration_since(since) < EARLY);
            if logger.sender {
                let reader = self.loggers.get(&logger.seen.parent);
                let orphan = reader.is_some_and(|reader| lives(&logger.seen.parent, reader));
                tally.senders_lost += u32::from(orphan);
            } else {
                tally.ended_early += u32::from(early);
            }
        }
        let counted = self.looked || self.counts_first;
        let mut loggers = HashMap::new();
        for (number, seen) in &running {
            let known = self.loggers.get(number).filter(|known| known.seen.birth == seen.birth);
            let logger = match known {
                Some(known) => *known,
                None => {
                    let sender = running.contains_key(&seen.parent);
                    tally.started += u32::from(counted && !sender);
                    Logger { seen: *seen, since: counted.then_some(now), sender }
                }
            };
            loggers.insert(*number, logger);
        }
        self.loggers = loggers;
        self.looked = true;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A machine whose processes are laid down by the test.
    #[derive(Default)]
    struct Machine(HashMap<u32, Seen>);

    impl ProcessTable for Machine {
        fn numbers(&self) -> io::Result<Vec<u32>> {
            Ok(self.0.keys().copied().collect())
        }

        fn look(&self, number: u32) -> Option<Seen> {
            self.0.get(&number).copied()
        }
    }

    struct Scene {
        machine: Machine,
        logger: FileId,
        other: FileId,
        watch: Watch,
        now: Instant,
        tally: Tally,
    }

    impl Scene {
        fn new(from_switch: bool) -> Self {
            let logger = crate::os::processes::file_id("/bin/sh".as_ref()).unwrap();
            let other = crate::os::processes::file_id("/".as_ref()).unwrap();
            let watch = Watch::new(logger, from_switch);
            let (machine, tally) = (Machine::default(), Tally::default());
            Self { machine, logger, other, watch, now: Instant::now(), tally }
        }

        fn run(&mut self, number: u32, parent: u32, file: FileId) {
            let birth = u64::from(number) + u64::try_from(self.machine.0.len()).unwrap();
            self.machine.0.insert(number, Seen { parent, birth, file });
        }

        fn after(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
            self.watch.look(&self.machine, self.now, &mut self.tally);
        }

        fn seen(&self) -> (u32, u32, u32) {
            (self.tally.started, self.tally.ended_early, self.tally.senders_lost)
        }
    }

    #[test]
    fn lives_are_counted_by_their_length() {
        let mut scene = Scene::new(true);
        scene.run(1, 0, scene.other);
        scene.run(10, 1, scene.logger);
        scene.run(11, 10, scene.logger);
        scene.after(0);
        assert_eq!(scene.seen(), (1, 0, 0), "a sender is no start");
        // A process executes a logger after it was seen as something else.
        scene.run(20, 1, scene.other);
        scene.after(100);
        scene.run(20, 1, scene.logger);
        scene.after(100);
        assert_eq!(scene.seen(), (2, 0, 0));
        // A container ends: reader and sender go together.
        scene.machine.0.remove(&10);
        scene.machine.0.remove(&11);
        scene.after(EARLY.as_secs() * 1000);
        assert_eq!(scene.seen(), (2, 0, 0), "it lived long enough");
        scene.run(30, 1, scene.logger);
        scene.after(100);
        scene.machine.0.remove(&30);
        scene.after(100);
        assert_eq!(scene.seen(), (3, 1, 0));
        assert_eq!(scene.tally.verdict(), None);
    }

    #[test]
    fn a_sender_that_dies_alone_is_a_fault() {
        let mut scene = Scene::new(true);
        scene.run(10, 1, scene.logger);
        for number in 0..SENDERS_MIN {
            assert_eq!(scene.tally.verdict(), None);
            scene.run(100 + number, 10, scene.logger);
            scene.after(100);
            scene.machine.0.remove(&(100 + number));
            scene.after(100);
        }
        assert_eq!(scene.seen(), (1, 0, SENDERS_MIN));
        assert!(scene.tally.verdict().is_some());
    }

    #[test]
    fn what_ran_before_the_watch_began_proves_nothing() {
        let mut scene = Scene::new(false);
        scene.run(10, 1, scene.logger);
        scene.after(0);
        scene.machine.0.remove(&10);
        scene.after(100);
        assert_eq!(scene.seen(), (0, 0, 0));
        scene.run(11, 1, scene.logger);
        scene.after(100);
        // The same number, another process.
        scene.run(12, 1, scene.other);
        scene.machine.0.remove(&11);
        scene.run(11, 1, scene.logger);
        scene.machine.0.get_mut(&11).unwrap().birth += 7;
        scene.after(100);
        assert_eq!(scene.seen(), (2, 1, 0));
    }

    #[test]
    fn most_starts_have_to_fail() {
        let verdict =
            |started, ended_early| Tally { started, ended_early, senders_lost: 0 }.verdict();
        assert_eq!(verdict(2, 2), None);
        assert!(verdict(3, 3).is_some());
        assert!(verdict(5, 3).is_some());
        assert_eq!(verdict(6, 3), None);
        assert_eq!(verdict(100, 20), None);
        assert_eq!(
            verdict(20, 15).unwrap(),
            "15 of 20 loggers started in its trial ended within 10 seconds"
        );
    }
}
