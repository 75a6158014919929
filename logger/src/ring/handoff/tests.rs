// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Reader and sender as loom sees them: every interleaving, every value that a
//! load may return. A lost wake-up is a deadlock, a byte read before it was
//! published or overwritten before it was given back is a race; loom reports
//! both.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p dockerlogger --release loom_`.

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::Handoff;
use crate::ring::sync::model;

/// A pipe that carries wake-ups: one byte or none, taken by whoever sleeps on it.
#[derive(Default)]
struct Pipe {
    full: Mutex<bool>,
    filled: Condvar,
}

impl Pipe {
    fn wake(&self) {
        *self.full.lock().unwrap() = true;
        self.filled.notify_one();
    }

    fn sleep(&self) {
        let mut full = self.full.lock().unwrap();
        while !*full {
            full = self.filled.wait(full).unwrap();
        }
        *full = false;
    }
}

struct Model {
    handoff: Handoff,
    slots: [UnsafeCell<u64>; SLOTS],
    wake: Pipe,
    room: Pipe,
}

/// Room for one entry at a time, so that both sides have to wait.
const SLOTS: usize = 1;

#[expect(unsafe_code, reason = "the model's data area; loom checks every access")]
mod area {
    use super::*;

    pub(super) fn write(model: &Model, position: u64) {
        let slot = &model.slots[usize::try_from(position).unwrap() % SLOTS];
        // SAFETY: loom ends the run if another access is not ordered with this.
        slot.with_mut(|slot| unsafe { *slot = position + 100 });
    }

    pub(super) fn read(model: &Model, position: u64) -> u64 {
        let slot = &model.slots[usize::try_from(position).unwrap() % SLOTS];
        // SAFETY: as above.
        slot.with(|slot| unsafe { *slot })
    }
}

fn produce(model: &Model, entries: u64) {
    let handoff = &model.handoff;
    let has_room = |head: u64| head < handoff.tail() + SLOTS as u64;
    for head in 0..entries {
        // The reader's `has_room`, then its poll.
        while !has_room(head) {
            if handoff.ask_for_room() {
                model.wake.wake();
            }
            if has_room(head) {
                break;
            }
            model.room.sleep();
        }
        area::write(model, head);
        handoff.publish(head + 1);
        if handoff.consumer_waits() {
            handoff.forget_waiting();
            model.wake.wake();
        }
    }
    handoff.finish();
    model.wake.wake();
}

/// The sender's loop; ends when no more will come.
fn consume(model: &Model) -> u64 {
    let handoff = &model.handoff;
    let mut position = 0;
    loop {
        let last = handoff.is_finished();
        while position < handoff.head() {
            assert_eq!(area::read(model, position), position + 100);
            position += 1;
            handoff.release(position);
            if handoff.take_room_request() {
                model.room.wake();
            }
        }
        if last {
            return position;
        }
        handoff.start_waiting();
        if position < handoff.head() || handoff.is_finished() {
            handoff.stop_waiting();
            continue;
        }
        model.wake.sleep();
        handoff.stop_waiting();
    }
}

fn run(entries: u64, preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        let model = Arc::new(Model {
            handoff: Handoff::new(),
            slots: std::array::from_fn(|_| UnsafeCell::new(0)),
            wake: Pipe::default(),
            room: Pipe::default(),
        });
        let consumer = Arc::clone(&model);
        let consumer = thread::spawn(move || consume(&consumer));
        produce(&model, entries);
        assert_eq!(consumer.join().unwrap(), entries);
    });
}

#[test]
fn loom_no_wake_up_is_lost_and_nothing_is_read_early() {
    run(3, 2);
}

/// One entry, and the producer stays silent after it: only the wake-up for that
/// entry can end the consumer's sleep.
fn one_entry_and_silence() {
    loom::model(|| {
        let model = Arc::new(Model {
            handoff: Handoff::new(),
            slots: std::array::from_fn(|_| UnsafeCell::new(0)),
            wake: Pipe::default(),
            room: Pipe::default(),
        });
        let producer = Arc::clone(&model);
        let producer = thread::spawn(move || {
            area::write(&producer, 0);
            producer.handoff.publish(1);
            if producer.handoff.consumer_waits() {
                producer.handoff.forget_waiting();
                producer.wake.wake();
            }
        });
        while model.handoff.head() == 0 {
            model.handoff.start_waiting();
            if model.handoff.head() == 0 {
                model.wake.sleep();
            }
            model.handoff.stop_waiting();
        }
        assert_eq!(area::read(&model, 0), 100);
        producer.join().unwrap();
    });
}

#[test]
fn loom_a_single_entry_wakes() {
    one_entry_and_silence();
}

#[test]
fn loom_the_model_notices_missing_fences() {
    // A thread of its own: loom's panic leaves its marks on the thread.
    let seeded = std::thread::spawn(|| {
        model::leave_fences_out();
        one_entry_and_silence();
    });
    let panic = seeded.join().expect_err("without fences, a wake-up can be lost");
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(message.contains("deadlock"), "{message}");
}
