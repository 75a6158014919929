// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What both sides count and say, by plain stores: the status page, laid out as
//! [`dockerlogger_manifest::status`] says.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

use dockerlogger_manifest::status::{
    self, CAUSES, CAUSES_MAX, Life, NAME_BYTES, NOTE_TEXT_BYTES, PAGE_BYTES, at,
};

use super::{Account, DropCause};
use crate::suspects::Spot;

/// What both sides may read and store at any time. Zeroed memory is a valid
/// value of it.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Shared {
    magic: AtomicU64,
    format: AtomicU32,
    sink: AtomicU32,
    reader_pid: AtomicU32,
    /// The sender's process; 0: none. Stored by both.
    pub(crate) sender_pid: AtomicU32,
    started_ns: AtomicU64,
    ring_capacity: AtomicU64,
    ring_head: AtomicU64,
    ring_tail: AtomicU64,
    ring_kind: AtomicU32,
    /// Whether the reader runs, or why it ended: [`Life::code`].
    pub(crate) life: AtomicU32,
    driver: Text<NAME_BYTES>,
    version: Text<NAME_BYTES>,
    container: Text<NAME_BYTES>,
    /// Everything read from the container, kept or not.
    pub(crate) bytes_read: AtomicU64,
    /// Newlines in it.
    pub(crate) lines_read: AtomicU64,
    /// Reads that returned bytes.
    pub(crate) reads: AtomicU64,
    /// Bytes of the container that the sink has taken.
    pub(crate) delivered_bytes: AtomicU64,
    /// Newlines in them.
    pub(crate) delivered_lines: AtomicU64,
    /// Frames that the sink has taken.
    pub(crate) sent_records: AtomicU64,
    /// Their bytes.
    pub(crate) sent_bytes: AtomicU64,
    /// Of what was read, the part that was found in the spool at the start.
    pub(crate) recovered_bytes: AtomicU64,
    /// Newlines in it.
    pub(crate) recovered_lines: AtomicU64,
    /// Senders started after the first.
    pub(crate) sender_restarts: AtomicU64,
    /// Bytes read and not delivered, by [`DropCause`].
    pub(crate) dropped_bytes: [AtomicU64; CAUSES_MAX],
    /// Reads not kept, by [`DropCause`]; the sender drops none.
    pub(crate) dropped_reads: [AtomicU64; CAUSES_MAX],
    /// Newlines in what was not delivered, by [`DropCause`].
    pub(crate) dropped_lines: [AtomicU64; CAUSES_MAX],
    /// The record that the sender is at work on: its entry's position and one,
    /// 0 for none, and its offset.
    work: [AtomicU64; 2],
    last_error: Note,
    spool_problem: Note,
}

const _: () = {
    assert!(cfg!(target_endian = "little"), "the page's numbers are little endian");
    assert!(size_of::<Shared>() <= PAGE_BYTES);
    assert!(CAUSES.len() == DropCause::COUNT);
    assert!(offset_of!(Shared, magic) == at::MAGIC);
    assert!(offset_of!(Shared, format) == at::FORMAT);
    assert!(offset_of!(Shared, sink) == at::SINK);
    assert!(offset_of!(Shared, reader_pid) == at::READER_PID);
    assert!(offset_of!(Shared, sender_pid) == at::SENDER_PID);
    assert!(offset_of!(Shared, started_ns) == at::STARTED);
    assert!(offset_of!(Shared, ring_capacity) == at::RING_CAPACITY);
    assert!(offset_of!(Shared, ring_head) == at::RING_HEAD);
    assert!(offset_of!(Shared, ring_tail) == at::RING_TAIL);
    assert!(offset_of!(Shared, ring_kind) == at::RING_KIND);
    assert!(offset_of!(Shared, life) == at::LIFE);
    assert!(offset_of!(Shared, driver) == at::DRIVER);
    assert!(offset_of!(Shared, version) == at::VERSION);
    assert!(offset_of!(Shared, container) == at::CONTAINER);
    assert!(offset_of!(Shared, bytes_read) == at::COUNTERS);
    assert!(offset_of!(Shared, sender_restarts) == at::COUNTERS + 72);
    assert!(offset_of!(Shared, dropped_bytes) == at::DROPPED_BYTES);
    assert!(offset_of!(Shared, dropped_reads) == at::DROPPED_READS);
    assert!(offset_of!(Shared, dropped_lines) == at::DROPPED_LINES);
    assert!(offset_of!(Shared, last_error) == at::LAST_ERROR);
    assert!(offset_of!(Shared, spool_problem) == at::SPOOL_PROBLEM);
    assert!(offset_of!(Shared, spool_problem) + size_of::<Note>() == at::END);
};

/// What the sender last saw of the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkState {
    Up,
    Down,
}

/// What a page says from the start to the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Description<'a> {
    pub(crate) driver: &'a str,
    pub(crate) container: &'a str,
    pub(crate) started_ns: u64,
    pub(crate) reader_pid: u32,
    /// What was wrong with the spool.
    pub(crate) spool_problem: Option<&'a str>,
}

/// Bytes of text, zeros behind them.
#[derive(Debug)]
#[repr(C)]
struct Text<const N: usize>([AtomicU8; N]);

/// A text that changes. Whoever looks at it while it does, sees an odd count.
#[derive(Debug, Default)]
#[repr(C)]
struct Note {
    stores: AtomicU32,
    len: AtomicU32,
    time_ns: AtomicU64,
    text: Text<NOTE_TEXT_BYTES>,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self([const { AtomicU8::new(0) }; N])
    }
}

impl<const N: usize> Text<N> {
    /// Stores as much as fits, and says how much that is.
    fn set(&self, text: &str) -> usize {
        let len = text.floor_char_boundary(N.min(text.len()));
        let bytes = text.bytes().take(len).chain(std::iter::repeat(0));
        for (place, byte) in self.0.iter().zip(bytes) {
            place.store(byte, Ordering::Relaxed);
        }
        len
    }
}

impl Note {
    fn set(&self, text: &str, time_ns: u64) {
        // One that died in the middle left an odd count.
        let stores = self.stores.load(Ordering::Relaxed) | 1;
        self.stores.store(stores, Ordering::Relaxed);
        fence(Ordering::Release);
        let len = self.text.set(text);
        self.len.store(u32::try_from(len).unwrap_or(0), Ordering::Relaxed);
        self.time_ns.store(time_ns, Ordering::Relaxed);
        self.stores.store(stores.wrapping_add(1), Ordering::Release);
    }
}

impl Shared {
    /// Completes the page; the magic number comes last.
    pub(crate) fn describe(&self, what: &Description<'_>) {
        self.reader_pid.store(what.reader_pid, Ordering::Relaxed);
        self.started_ns.store(what.started_ns, Ordering::Relaxed);
        self.driver.set(what.driver);
        self.version.set(crate::VERSION);
        self.container.set(what.container);
        if let Some(problem) = what.spool_problem {
            self.spool_problem.set(problem, what.started_ns);
        }
        self.life.store(Life::Runs.code(), Ordering::Relaxed);
        self.format.store(status::FORMAT, Ordering::Relaxed);
        self.magic.store(status::MAGIC, Ordering::Release);
    }

    /// How large the ring is, and where.
    pub(super) fn describe_ring(&self, capacity: u64, is_file: bool) {
        self.ring_capacity.store(capacity, Ordering::Relaxed);
        self.ring_kind.store(is_file.into(), Ordering::Relaxed);
    }

    /// What the ring holds; each side stores its own position.
    pub(super) fn show_head(&self, head: u64) {
        self.ring_head.store(head, Ordering::Relaxed);
    }

    /// See [`Self::show_head`].
    pub(super) fn show_tail(&self, tail: u64) {
        self.ring_tail.store(tail, Ordering::Relaxed);
    }

    pub(crate) fn sink(&self) -> SinkState {
        if self.sink.load(Ordering::Relaxed) == 2 { SinkState::Down } else { SinkState::Up }
    }

    pub(crate) fn set_sink(&self, state: SinkState) {
        self.sink.store(if state == SinkState::Up { 1 } else { 2 }, Ordering::Relaxed);
    }

    /// Keeps what went wrong with the sink. For the sender, which alone stores it.
    pub(crate) fn note_error(&self, text: &str) {
        self.last_error.set(text, crate::os::wall_ns());
    }

    /// The last of them.
    #[cfg(test)]
    pub(crate) fn last_error(&self) -> String {
        let Note { len, text, .. } = &self.last_error;
        let len = usize::try_from(len.load(Ordering::Relaxed)).unwrap_or(0);
        let bytes = text.0.iter().take(len).map(|byte| byte.load(Ordering::Relaxed)).collect();
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// The sender is at work on this record, or on none.
    pub(crate) fn set_work(&self, spot: Option<Spot>) {
        if let Some(spot) = spot {
            self.work[1].store(spot.offset, Ordering::Relaxed);
        }
        self.work[0].store(spot.map_or(0, |spot| spot.position + 1), Ordering::Relaxed);
    }

    /// What the sender is at work on, or was when it died.
    pub(crate) fn work(&self) -> Option<Spot> {
        let position = self.work[0].load(Ordering::Relaxed).checked_sub(1)?;
        Some(Spot { position, offset: self.work[1].load(Ordering::Relaxed) })
    }

    /// Shows the sender's whole account. For the sender, which alone stores it.
    pub(crate) fn show(&self, account: &Account) {
        for (counter, value) in [
            (&self.delivered_bytes, account.delivered.bytes),
            (&self.delivered_lines, account.delivered.lines),
            (&self.sent_records, account.records),
            (&self.sent_bytes, account.sent_bytes),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
        for (cause, amount) in [
            (DropCause::Empty, account.empty),
            (DropCause::Oversize, account.oversize),
            (DropCause::Poison, account.poison),
        ] {
            self.dropped_bytes[cause.index()].store(amount.bytes, Ordering::Relaxed);
            self.dropped_lines[cause.index()].store(amount.lines, Ordering::Relaxed);
        }
    }
}
