// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::io;

use dockerlogger_manifest::status::{FORMAT, MAGIC, PAGE_BYTES, at};

use super::*;
use crate::os::pages::Pages;

/// A machine whose processes are laid down by the test.
#[derive(Default)]
struct Machine(HashMap<u32, Seen>, Pages);

impl ProcessTable for Machine {
    fn numbers(&self) -> io::Result<Vec<u32>> {
        Ok(self.0.keys().copied().collect())
    }

    fn look(&self, number: u32) -> Option<Seen> {
        self.0.get(&number).copied()
    }

    fn pages(&self, readers: &[u32]) -> Pages {
        self.1.clone().into_iter().filter(|(reader, _)| readers.contains(reader)).collect()
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
        |started, ended_early| Tally { started, ended_early, ..Tally::default() }.verdict();
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

/// A page with its account and the restarts of its sender.
fn page(read: u64, delivered: u64, held: u64, restarts: u64) -> StatusPage {
    let mut bytes = vec![0; PAGE_BYTES];
    let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(at::MAGIC, MAGIC);
    put(at::FORMAT, u64::from(FORMAT));
    put(at::RING_CAPACITY, 1 << 20);
    put(at::RING_HEAD, held);
    put(at::COUNTERS, read);
    put(at::COUNTERS + 24, delivered);
    put(at::COUNTERS + 72, restarts);
    StatusPage::decode(&bytes).unwrap()
}

#[test]
fn an_account_that_does_not_add_up_is_a_fault_once_it_settles() {
    let mut scene = Scene::new(true);
    for number in 0..LOSING_MIN {
        scene.run(10 + number, 1, scene.logger);
        scene.machine.1.insert(10 + number, page(100, 60, 30, 0));
    }
    scene.after(0);
    scene.after(900);
    // It was only under way.
    scene.machine.1.insert(10, page(100, 100, 0, 0));
    scene.after(200);
    assert_eq!(scene.tally.losing, LOSING_MIN - 1);
    assert_eq!(scene.tally.verdict(), None);
    scene.after(5000);
    assert_eq!(scene.tally.losing, LOSING_MIN - 1, "each is counted once");
    scene.machine.1.insert(10, page(200, 100, 0, 0));
    scene.after(0);
    scene.after(1000);
    assert_eq!(
        scene.tally.verdict().unwrap(),
        "3 of its loggers lost lines in its trial that they account for nowhere"
    );
}

#[test]
fn senders_that_die_between_two_looks_are_on_the_page() {
    let mut scene = Scene::new(true);
    scene.run(10, 1, scene.logger);
    scene.run(20, 10, scene.logger);
    scene.after(0);
    // One is seen to go, and the page tells of it too.
    scene.machine.0.remove(&20);
    scene.after(100);
    scene.machine.1.insert(10, page(0, 0, 0, 1));
    scene.after(100);
    assert_eq!(scene.tally.senders_lost, 1);
    scene.machine.1.insert(10, page(0, 0, 0, 3));
    scene.after(100);
    assert_eq!(scene.tally.senders_lost, 3);
    assert!(scene.tally.verdict().is_some());

    // What was before the watch began is not its matter.
    let mut scene = Scene::new(false);
    scene.run(10, 1, scene.logger);
    scene.machine.1.insert(10, page(0, 0, 0, 7));
    scene.after(0);
    assert_eq!(scene.tally.senders_lost, 0);
    scene.machine.1.insert(10, page(0, 0, 0, 8));
    scene.after(100);
    assert_eq!(scene.tally.senders_lost, 1);
}
