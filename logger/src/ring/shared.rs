// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What both sides count and say, by plain stores.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Account, DropCause};
use crate::suspects::Spot;

/// What both sides may read and store at any time.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Shared {
    sink: AtomicU32,
    /// Everything read from the container, kept or not.
    pub(crate) bytes_read: AtomicU64,
    /// Newlines in it.
    pub(crate) lines_read: AtomicU64,
    /// Reads that returned bytes.
    pub(crate) reads: AtomicU64,
    /// Bytes read and not delivered, by [`DropCause`].
    pub(crate) dropped_bytes: [AtomicU64; DropCause::COUNT],
    /// Reads not kept, by [`DropCause`]; the sender drops none.
    pub(crate) dropped_reads: [AtomicU64; DropCause::COUNT],
    /// Newlines in what was not delivered, by [`DropCause`].
    pub(crate) dropped_lines: [AtomicU64; DropCause::COUNT],
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
    /// The record that the sender is at work on: its entry's position and one,
    /// 0 for none, and its offset.
    work: [AtomicU64; 2],
}

/// What the sender last saw of the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkState {
    Up,
    Down,
}

impl Shared {
    /// Forgets what a former run counted.
    pub(super) fn clear(&self) {
        let Self {
            sink,
            bytes_read,
            lines_read,
            reads,
            dropped_bytes,
            dropped_reads,
            dropped_lines,
            delivered_bytes,
            delivered_lines,
            sent_records,
            sent_bytes,
            recovered_bytes,
            recovered_lines,
            sender_restarts,
            work,
        } = self;
        sink.store(0, Ordering::Relaxed);
        let single = [
            bytes_read,
            lines_read,
            reads,
            delivered_bytes,
            delivered_lines,
            sent_records,
            sent_bytes,
            recovered_bytes,
            recovered_lines,
            sender_restarts,
        ];
        let by_cause = [dropped_bytes, dropped_reads, dropped_lines];
        for counter in single.into_iter().chain(by_cause.into_iter().flatten()).chain(work) {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn sink(&self) -> SinkState {
        if self.sink.load(Ordering::Relaxed) == 0 { SinkState::Up } else { SinkState::Down }
    }

    pub(crate) fn set_sink(&self, state: SinkState) {
        self.sink.store(u32::from(state == SinkState::Down), Ordering::Relaxed);
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
