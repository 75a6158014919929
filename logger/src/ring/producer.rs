// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The reader's side of the ring. Allocates nothing, formats nothing.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::handoff::Handoff;
use super::layout::{ENTRY_HEADER, EntryHeader, Kind, Place, padded, place, room_worth_waking};
use super::mapping::Writable;
use super::shared::Shared;
use super::{Amount, DropCause, Due, Gap};
use crate::record::Stream;

/// The most one read takes, in bytes.
pub(super) const READ_MAX: u64 = 64 << 10;

/// The least room worth a read, in bytes: more than a zfd queue holds.
const READ_MIN: u64 = 4096;

/// Payload of a gap entry: lines, bytes, first time, last time, cause.
const GAP_LEN: u64 = 40;

/// Writes entries, and counts what it cannot keep.
#[derive(Debug)]
pub(crate) struct Producer<'a> {
    area: Writable<'a>,
    reserved: Option<Place>,
    /// Behind the place of the next read, everything up to here is zeros.
    clean: u64,
    due: Due,
}

/// An entry that is complete and not published.
#[derive(Debug)]
#[must_use]
struct Sealed {
    end: u64,
}

impl<'a> Producer<'a> {
    pub(crate) fn new(area: Writable<'a>) -> Self {
        Self::going_on(area, Due::default())
    }

    /// Goes on for another producer of the ring, which had this to say.
    pub(crate) const fn going_on(area: Writable<'a>, due: Due) -> Self {
        Self { area, reserved: None, clean: 0, due }
    }

    /// What there was no room to say.
    pub(crate) const fn due(&self) -> Due {
        self.due
    }

    /// What both sides count and say.
    pub(crate) fn shared(&self) -> &'a Shared {
        self.area.shared()
    }

    /// The wake-up words.
    pub(crate) fn handoff(&self) -> &'a Handoff {
        self.area.handoff()
    }

    /// Bytes not yet given back by the consumer.
    pub(crate) fn held(&self) -> u64 {
        self.area.head() - self.area.tail()
    }

    /// Where the next entry goes, or a pad before it.
    #[cfg(test)]
    pub(crate) fn position(&self) -> u64 {
        self.area.head()
    }

    /// Data bytes of the ring.
    pub(crate) const fn capacity(&self) -> u64 {
        self.area.capacity()
    }

    /// Room for one read of 4 KiB to 64 KiB, in one piece. `None`: full; after
    /// drops, until an eighth of the ring is free, so that a gap is long rather
    /// than many.
    pub(crate) fn reserve(&mut self) -> Option<&mut [u8]> {
        if !self.flush_due() {
            return None;
        }
        let place =
            place(self.area.head(), self.area.tail(), self.area.capacity(), READ_MIN, READ_MAX)?;
        self.reserved = Some(place);
        self.area.free_mut(place.at + ENTRY_HEADER, place.room)
    }

    /// Room as for [`Self::reserve`], which is said to be for a read at `time_ns`:
    /// if the reader is killed before it knows how much that gave, whoever opens
    /// the file finds what there is.
    pub(crate) fn begin_read(&mut self, stream: Stream, time_ns: u64) -> Option<&mut [u8]> {
        self.reserve()?;
        let place = self.reserved?;
        let begin = place.at + ENTRY_HEADER;
        if self.area.generation() != 0 {
            // Most of it is from the last time.
            let (dirty, end) = (self.clean.max(begin), begin + place.room);
            if let Some(room) = end.checked_sub(dirty).and_then(|n| self.area.free_mut(dirty, n)) {
                room.fill(0);
                self.clean = end;
            }
            fence(Ordering::Release);
            self.write_headers(place, Kind::Open, place.room, stream, time_ns);
        }
        self.area.free_mut(begin, place.room)
    }

    /// Whether there is so much room that the consumer would wake who waits for it.
    pub(crate) fn has_much_room(&mut self) -> bool {
        let free = self.area.capacity() - self.held();
        free >= room_worth_waking(self.area.capacity()) && self.reserve().is_some()
    }

    /// Publishes the first `len` bytes of what was reserved last.
    pub(crate) fn commit(&mut self, len: usize, stream: Stream, time_ns: u64) {
        let Some(place) = self.reserved.take() else { return };
        let len = (len as u64).min(place.room);
        let read = self.area.free_mut(place.at + ENTRY_HEADER, len).map(|bytes| Amount::of(bytes));
        // In this order, whenever we are killed: what is counted is found in the
        // file, and what was delivered had been counted.
        let entry = self.seal_entry(place, Kind::Bytes, len, stream, time_ns);
        fence(Ordering::Release);
        self.count_read(read.unwrap_or_default());
        self.publish(entry);
    }

    /// Counts `bytes` that were read and not kept.
    pub(crate) fn note_drop(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        time_ns: u64,
        cause: DropCause,
    ) {
        let read = Amount::of(bytes);
        self.count_read(read);
        let (index, shared) = (cause.index(), self.shared());
        count(&shared.dropped_reads[index], 1);
        count(&shared.dropped_bytes[index], read.bytes);
        count(&shared.dropped_lines[index], read.lines);
        self.mark_gap(stream, Gap::of(read, time_ns, cause));
    }

    fn count_read(&self, read: Amount) {
        let shared = self.shared();
        count(&shared.reads, 1);
        count(&shared.bytes_read, read.bytes);
        count(&shared.lines_read, read.lines);
    }

    /// Puts markers in the place of what was dropped, once there is room. True
    /// when no marker is due any more.
    pub(crate) fn flush_due(&mut self) -> bool {
        if self.due.is_empty() {
            return true;
        }
        if self.held() > self.area.capacity() / 8 * 7 {
            return false;
        }
        while let Some((stream, gap)) = self.due.first_gap() {
            let Some(place) = self.place(GAP_LEN) else { return false };
            let Some(payload) = self.area.free_mut(place.at + ENTRY_HEADER, GAP_LEN) else {
                return false;
            };
            let cause = gap.cause.index() as u64;
            let fields = [gap.lines, gap.bytes, gap.first_ns, gap.last_ns, cause];
            for (bytes, field) in payload.chunks_exact_mut(8).zip(fields) {
                bytes.copy_from_slice(&field.to_le_bytes());
            }
            self.due.forget_gap(stream, gap.cause);
            let entry = self.seal_entry(place, Kind::Gap, GAP_LEN, stream, gap.last_ns);
            self.publish(entry);
        }
        if let Some(time_ns) = self.due.break_ns() {
            self.due.forget_break();
            self.mark_break(time_ns);
        }
        self.due.is_empty()
    }

    /// Copies the entry of another ring, if there is room.
    pub(crate) fn copy_in(&mut self, bytes: &[u8], stream: Stream, time_ns: u64) -> bool {
        let Some(room) = self.reserve().and_then(|room| room.get_mut(..bytes.len())) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.commit(bytes.len(), stream, time_ns);
        true
    }

    /// Counts what was found in a spool as if it had been read now.
    pub(crate) fn count_recovered(&mut self, held: Amount) {
        let shared = self.shared();
        count(&shared.recovered_bytes, held.bytes);
        count(&shared.recovered_lines, held.lines);
        count(&shared.bytes_read, held.bytes);
        count(&shared.lines_read, held.lines);
    }

    /// Counts what was there once and could not be kept.
    pub(crate) fn note_loss(&mut self, lost: Amount, time_ns: u64, cause: DropCause) {
        let (index, shared) = (cause.index(), self.shared());
        count(&shared.bytes_read, lost.bytes);
        count(&shared.lines_read, lost.lines);
        count(&shared.dropped_bytes[index], lost.bytes);
        count(&shared.dropped_lines[index], lost.lines);
        self.mark_gap(Stream::Stdout, Gap::of(lost, time_ns, cause));
    }

    /// A marker for what was counted elsewhere goes out before the next entry.
    pub(crate) fn mark_gap(&mut self, stream: Stream, more: Gap) {
        self.due.add_gap(stream, more);
    }

    /// What comes next, another run of the container wrote: whatever line is
    /// open ends here. Said at once, or when there is room.
    pub(crate) fn mark_break(&mut self, time_ns: u64) {
        let Some(place) = self.place(0) else {
            self.due.add_break(time_ns);
            return;
        };
        let entry = self.seal_entry(place, Kind::Break, 0, Stream::Stdout, time_ns);
        self.publish(entry);
    }

    /// The place for an entry of `len` payload bytes.
    fn place(&self, len: u64) -> Option<Place> {
        place(self.area.head(), self.area.tail(), self.area.capacity(), len, len)
    }

    /// Writes the headers of an entry whose payload is in place. From here on,
    /// recovery finds it; the consumer does not yet.
    fn seal_entry(
        &mut self,
        place: Place,
        kind: Kind,
        len: u64,
        stream: Stream,
        time_ns: u64,
    ) -> Sealed {
        self.write_headers(place, kind, len, stream, time_ns);
        Sealed { end: place.at + ENTRY_HEADER + padded(len) }
    }

    /// Of a pad in front of it too, where one is needed.
    fn write_headers(&mut self, place: Place, kind: Kind, len: u64, stream: Stream, time_ns: u64) {
        let head = self.area.head();
        if place.at - head >= ENTRY_HEADER {
            let pad = EntryHeader { len: 0, kind: Kind::Pad, stream, time_ns, seal: 0 };
            self.area.write_header(head, pad);
        }
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.area.write_header(place.at, EntryHeader { len, kind, stream, time_ns, seal: 0 });
    }

    fn publish(&mut self, entry: Sealed) {
        self.area.publish(entry.end);
    }
}

/// Counters have one writer each, so a load and a store will do.
fn count(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}
