// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The words through which the two sides hand bytes to each other and wake each
//! other. Safe code over atomics; model-checked with loom.
//!
//! ```text
//! producer                        consumer
//! write bytes                     start_waiting      (waiting := 1)
//! publish        (head :=)        fence
//! fence                           look at head: new? then do not sleep
//! waiting = 1? then wake          sleep
//! ```
//!
//! With a fence on both sides one of the two looks always sees the other's
//! store, so a consumer never sleeps over bytes that were published. The way back
//! (the producer waits for room) needs no fence of its own: both sides *swap*
//! the word, so one of the swaps comes second and sees what the first had stored.

use super::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Positions and wake-up words, at the head of the mapping. Zeroed memory is a
/// valid value of it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Handoff {
    head: Line<AtomicU64>,
    tail: Line<AtomicU64>,
    words: Line<Words>,
}

/// Keeps what two processes store apart, so that they do not fight for a line.
#[derive(Debug)]
#[repr(C, align(64))]
struct Line<T>(T);

#[derive(Debug)]
#[repr(C)]
struct Words {
    consumer_waiting: AtomicU32,
    producer_waiting: AtomicU32,
    finished: AtomicU32,
}

/// The producer's half.
impl Handoff {
    /// Where the next entry goes; only the producer moves it.
    pub(super) fn own_head(&self) -> u64 {
        self.head.0.load(Ordering::Relaxed)
    }

    /// Everything before it is the producer's again.
    pub(super) fn tail(&self) -> u64 {
        self.tail.0.load(Ordering::Acquire)
    }

    /// Hands everything before `head` to the consumer.
    pub(super) fn publish(&self, head: u64) {
        self.head.0.store(head, Ordering::Release);
    }

    /// After publishing: whether the consumer sleeps and must be woken.
    pub(crate) fn consumer_waits(&self) -> bool {
        fence(Ordering::SeqCst);
        self.words.0.consumer_waiting.load(Ordering::Relaxed) != 0
    }

    /// The consumer is about to be woken, or does not exist: one wake-up is
    /// enough until it waits again.
    pub(crate) fn forget_waiting(&self) {
        self.words.0.consumer_waiting.store(0, Ordering::Relaxed);
    }

    /// Asks to be woken when there is room; true if that is news. To be followed
    /// by another look.
    pub(crate) fn ask_for_room(&self) -> bool {
        self.words.0.producer_waiting.swap(1, Ordering::SeqCst) == 0
    }

    /// No further entry will come.
    pub(crate) fn finish(&self) {
        self.words.0.finished.store(1, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

/// The consumer's half.
impl Handoff {
    /// Everything before it may be read.
    pub(super) fn head(&self) -> u64 {
        self.head.0.load(Ordering::Acquire)
    }

    /// Where the consumer goes on; only the consumer moves it.
    pub(super) fn own_tail(&self) -> u64 {
        self.tail.0.load(Ordering::Relaxed)
    }

    /// Gives everything before `tail` back. What its lowest bits mean is between
    /// those who store and load it.
    pub(super) fn release(&self, tail: u64) {
        self.tail.0.store(tail, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// Before sleeping, and before the last look at the ring.
    pub(crate) fn start_waiting(&self) {
        self.words.0.consumer_waiting.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Awake again.
    pub(crate) fn stop_waiting(&self) {
        self.words.0.consumer_waiting.store(0, Ordering::Relaxed);
    }

    /// Whether the producer waits for room.
    pub(crate) fn room_is_wanted(&self) -> bool {
        self.words.0.producer_waiting.load(Ordering::Relaxed) != 0
    }

    /// After a release: whether the producer is to be woken.
    pub(crate) fn take_room_request(&self) -> bool {
        self.words.0.producer_waiting.swap(0, Ordering::SeqCst) != 0
    }

    /// Whether the producer has said that no further entry will come.
    pub(crate) fn is_finished(&self) -> bool {
        self.words.0.finished.load(Ordering::Acquire) != 0
    }
}

impl Handoff {
    /// Where the tail stands in this structure, for who reads it from a file.
    pub(super) const TAIL_AT: usize = std::mem::offset_of!(Self, tail);

    /// Both positions, before either side exists.
    pub(super) fn start_at(&self, tail: u64, head: u64) {
        self.tail.0.store(tail, Ordering::Relaxed);
        self.head.0.store(head, Ordering::Relaxed);
        let Words { consumer_waiting, producer_waiting, finished } = &self.words.0;
        for word in [consumer_waiting, producer_waiting, finished] {
            word.store(0, Ordering::Relaxed);
        }
    }

    #[cfg(all(test, loom))]
    fn new() -> Self {
        Self {
            head: Line(AtomicU64::new(0)),
            tail: Line(AtomicU64::new(0)),
            words: Line(Words {
                consumer_waiting: AtomicU32::new(0),
                producer_waiting: AtomicU32::new(0),
                finished: AtomicU32::new(0),
            }),
        }
    }
}

#[cfg(all(test, loom))]
mod tests;
