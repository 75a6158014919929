// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::io;

use dockerlogger_manifest::status::{Life, StatusPage};

use super::ending::GRACE;
use super::logger::SETTLED;
use super::*;
use crate::engine::tests::processes::page;
use crate::os::pages::{Heard, Pages};

mod histories;

/// A machine whose processes are laid down by the test.
#[derive(Default)]
struct Machine {
    processes: HashMap<u32, Seen>,
    pages: Pages,
    /// Of zones whose owner is not their number.
    owners: HashMap<Zone, Owner>,
}

const HOST: Zone = Zone(0, 0);

impl ProcessTable for Machine {
    fn numbers(&self) -> io::Result<Vec<u32>> {
        Ok(self.processes.keys().copied().collect())
    }

    fn look(&self, number: u32) -> Option<Seen> {
        self.processes.get(&number).copied()
    }

    fn pages(&self, readers: &[Keeper]) -> Pages {
        let heard = readers.iter().filter_map(|reader| Some((*reader, self.pages.get(reader)?)));
        heard.map(|(reader, heard)| (reader, heard.clone())).collect()
    }

    fn owner(&self, zone: Zone, _: u32) -> Owner {
        self.owners.get(&zone).cloned().unwrap_or_else(|| Owner(zone.0.to_string()))
    }

    fn host(&self) -> Option<Zone> {
        Some(HOST)
    }
}

/// The files that processes run.
#[derive(Debug, Clone, Copy)]
struct Files {
    on_trial: FileId,
    before: FileId,
    other: FileId,
}

impl Files {
    fn new() -> Self {
        let file = |path: &str| crate::os::processes::file_id(path.as_ref()).unwrap();
        Self { on_trial: file("/bin/sh"), before: file("/dev/null"), other: file("/") }
    }
}

struct Scene {
    machine: Machine,
    files: Files,
    watch: Watch,
    now: Instant,
    tally: Tally,
    births: u64,
    verdict: Option<String>,
}

impl Scene {
    fn new(from_switch: bool) -> Self {
        let files = Files::new();
        let watch = Watch::new(files.on_trial, vec![files.before], from_switch);
        let (machine, tally) = (Machine::default(), Tally::default());
        Self { machine, files, watch, now: Instant::now(), tally, births: 0, verdict: None }
    }

    fn run(&mut self, number: u32, parent: u32, zone: u64, file: FileId) {
        self.births += 1;
        let seen = Seen { parent, birth: self.births, file, zone: Zone(zone, 0) };
        self.machine.processes.insert(number, seen);
    }

    /// A logger with its page, which is on trial.
    fn logger(&mut self, number: u32, zone: u64) {
        self.run(number, 1, zone, self.files.on_trial);
        self.say(number, zone, page(Life::Runs, [0; 4]));
    }

    fn say(&mut self, number: u32, zone: u64, page: StatusPage) {
        let keeper = Keeper { zone: Zone(zone, 0), number };
        self.machine.pages.insert(keeper, Heard::Page(Box::new(page)));
    }

    fn no_page(&mut self, number: u32, zone: u64, newest: Option<Duration>) {
        let keeper = Keeper { zone: Zone(zone, 0), number };
        self.machine.pages.insert(keeper, Heard::Nothing { newest });
    }

    fn end(&mut self, numbers: &[u32]) {
        self.machine.processes.retain(|number, _| !numbers.contains(number));
    }

    /// Every process of a zone ends at once, without a word.
    fn halt(&mut self, zone: u64) {
        self.machine.processes.retain(|_, seen| seen.zone != Zone(zone, 0));
    }

    fn after(&mut self, pause: Duration) {
        self.now += pause;
        let verdict = self.watch.look(&self.machine, self.now, &mut self.tally).unwrap();
        self.verdict = self.verdict.take().or(verdict);
    }

    fn soon(&mut self) {
        self.after(Duration::from_millis(25));
    }

    fn seen(&self) -> (u32, u32, u32) {
        (self.tally.started, self.tally.died, self.tally.senders_lost)
    }
}

#[test]
fn why_a_logger_ended_is_found_out() {
    let runs = Some(Life::Runs);
    let asked = Some(Life::Asked);
    let crashed = Some(Life::Crashed { signal: 6 });
    // What its page says before and after its end; whether its zone outlives it; deaths.
    let cases = [
        (runs, Some(Life::StreamsEnded), true, 0),
        (runs, asked, true, 0),
        (runs, Some(Life::DrainTimedOut), true, 0),
        (runs, Some(Life::Unknown(77)), true, 0),
        (runs, crashed, false, 1),
        (runs, Some(Life::Failed { status: 70 }), false, 1),
        (asked, asked, true, 0),
        (crashed, crashed, true, 1),
        (None, crashed, true, 1),
        // Without a word.
        (runs, runs, true, 1),
        (runs, runs, false, 0),
        (Some(Life::Unsaid), Some(Life::Unsaid), true, 0),
        (None, None, false, 0),
    ];
    for (before, after, outlived, died) in cases {
        let mut scene = Scene::new(true);
        scene.run(1, 0, 5, scene.files.other);
        scene.soon();
        scene.run(10, 1, 5, scene.files.on_trial);
        before.into_iter().for_each(|life| scene.say(10, 5, page(life, [0; 4])));
        scene.after(Duration::from_secs(15));
        after.into_iter().for_each(|life| scene.say(10, 5, page(life, [0; 4])));
        if outlived {
            scene.end(&[10])
        } else {
            scene.halt(5)
        }
        scene.soon();
        scene.after(GRACE);
        assert_eq!(scene.seen(), (1, died, 0), "{before:?} {after:?} {outlived}");
        assert_eq!(scene.tally.refused, 0);
        scene.after(GRACE);
        assert_eq!(scene.seen(), (1, died, 0), "once");
    }
    let mut scene = Scene::new(true);
    scene.logger(10, 5);
    scene.soon();
    scene.say(10, 5, page(Life::Failed { status: 78 }, [0; 4]));
    scene.halt(5);
    scene.soon();
    assert_eq!((scene.tally.died, scene.tally.refused), (0, 1));
}

#[test]
fn a_logger_that_never_had_a_page_died_at_its_start() {
    let old = Duration::from_secs(60);
    // The newest page of others in its zone.
    for (newest, died) in [(None, 1), (Some(old), 1), (Some(Duration::ZERO), 0)] {
        let mut scene = Scene::new(true);
        scene.run(10, 1, 5, scene.files.on_trial);
        scene.no_page(10, 5, newest);
        scene.soon();
        scene.halt(5);
        scene.soon();
        scene.after(GRACE);
        assert_eq!(scene.seen(), (1, died, 0), "{newest:?}");
    }
    // Its page came while it was away.
    let mut scene = Scene::new(true);
    scene.run(10, 1, 5, scene.files.on_trial);
    scene.no_page(10, 5, None);
    scene.soon();
    scene.halt(5);
    scene.say(10, 5, page(Life::Runs, [0; 4]));
    scene.soon();
    scene.after(GRACE);
    assert_eq!(scene.seen(), (1, 0, 0));
}

#[test]
fn another_life_of_a_zone_is_not_the_one_that_ended() {
    let mut scene = Scene::new(true);
    scene.logger(10, 5);
    scene.run(11, 1, 5, scene.files.other);
    scene.soon();
    // Halted and booted between two looks.
    scene.halt(5);
    scene.logger(20, 5);
    scene.run(21, 1, 5, scene.files.other);
    scene.soon();
    scene.after(GRACE);
    assert_eq!(scene.seen(), (2, 0, 0));
    // The same number, another process.
    scene.halt(5);
    scene.logger(20, 5);
    scene.soon();
    scene.after(GRACE);
    assert_eq!(scene.seen(), (3, 0, 0));
}

#[test]
fn outside_of_zones_silence_says_nothing() {
    let mut scene = Scene::new(true);
    scene.run(1, 0, HOST.0, scene.files.other);
    scene.soon();
    scene.logger(10, HOST.0);
    scene.soon();
    scene.end(&[10]);
    scene.soon();
    scene.after(GRACE);
    assert_eq!(scene.seen(), (1, 0, 0));
}

#[test]
fn loggers_are_found_when_they_are_executed_and_senders_are_none() {
    let mut scene = Scene::new(true);
    scene.logger(10, 5);
    scene.run(11, 10, 5, scene.files.on_trial);
    scene.run(20, 1, 6, scene.files.other);
    scene.soon();
    assert_eq!(scene.seen(), (1, 0, 0));
    scene.run(20, 1, 6, scene.files.on_trial);
    scene.soon();
    assert_eq!(scene.seen(), (2, 0, 0));
    scene.run(30, 1, 7, scene.files.before);
    scene.soon();
    assert_eq!(scene.seen(), (2, 0, 0), "not on trial");
    let mut scene = Scene::new(false);
    scene.logger(10, 5);
    scene.soon();
    assert_eq!(scene.seen(), (0, 0, 0), "it did not start in the trial");
}

#[test]
fn a_sender_is_lost_when_its_reader_is_seen_to_live_on() {
    let mut scene = Scene::new(true);
    scene.logger(10, 5);
    scene.run(11, 10, 5, scene.files.on_trial);
    scene.soon();
    scene.end(&[11]);
    scene.soon();
    assert_eq!(scene.seen(), (1, 0, 0), "it may be its end");
    scene.soon();
    assert_eq!(scene.seen(), (1, 0, 1));
    // At an orderly end, a look comes between the two.
    scene.run(12, 10, 5, scene.files.on_trial);
    scene.soon();
    scene.end(&[12]);
    scene.soon();
    scene.say(10, 5, page(Life::StreamsEnded, [0; 4]));
    scene.end(&[10]);
    scene.soon();
    scene.after(GRACE);
    assert_eq!(scene.seen(), (1, 0, 1));
}

#[test]
fn senders_that_die_between_two_looks_are_on_the_page() {
    let mut scene = Scene::new(true);
    scene.logger(10, 5);
    scene.run(20, 10, 5, scene.files.on_trial);
    scene.soon();
    // One is seen to go, and the page tells of it too.
    scene.end(&[20]);
    scene.say(10, 5, page(Life::Runs, [0, 0, 0, 1]));
    scene.soon();
    scene.soon();
    assert_eq!(scene.tally.senders_lost, 1);
    scene.say(10, 5, page(Life::Runs, [0, 0, 0, 3]));
    scene.soon();
    assert_eq!(scene.tally.senders_lost, 3);

    // What was before the watch began is not its matter.
    let mut scene = Scene::new(false);
    scene.logger(10, 5);
    scene.say(10, 5, page(Life::Runs, [0, 0, 0, 7]));
    scene.soon();
    assert_eq!(scene.tally.senders_lost, 0);
    scene.say(10, 5, page(Life::Runs, [0, 0, 0, 8]));
    scene.soon();
    assert_eq!(scene.tally.senders_lost, 1);
}

#[test]
fn an_account_that_does_not_add_up_is_a_fault_once_it_settles() {
    let mut scene = Scene::new(true);
    for number in 10..13 {
        scene.logger(number, u64::from(number));
        scene.say(number, number.into(), page(Life::Runs, [100, 60, 30, 0]));
    }
    scene.soon();
    scene.after(SETTLED / 2);
    // It was only under way.
    scene.say(10, 10, page(Life::Runs, [100, 100, 0, 0]));
    scene.after(SETTLED / 2);
    assert_eq!(scene.tally.losing, 2);
    scene.after(5 * SETTLED);
    assert_eq!(scene.tally.losing, 2, "each is counted once");
    assert_eq!(scene.verdict, None);
    scene.say(10, 10, page(Life::Runs, [200, 100, 0, 0]));
    scene.soon();
    scene.after(SETTLED);
    let why = scene.verdict.unwrap();
    assert!(why.ends_with("3 loggers lost lines that they account for nowhere"), "{why}");
}
