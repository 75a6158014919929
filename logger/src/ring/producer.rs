// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The reader's side of the ring. Allocates nothing, formats nothing.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::handoff::Handoff;
use super::layout::{ENTRY_HEADER, EntryHeader, Kind, Place, padded, place, room_worth_waking};
use super::mapping::Writable;
use super::shared::Shared;
use super::{Amount, DropCause, Gap};
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
    /// What was dropped of each stream since its last entry.
    gaps: [Option<Gap>; 2],
}

/// An entry that is complete and not published.
#[derive(Debug)]
#[must_use]
struct Sealed {
    end: u64,
}

impl<'a> Producer<'a> {
    pub(crate) const fn new(area: Writable<'a>) -> Self {
        Self { area, reserved: None, gaps: [None; 2] }
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
        if !self.flush_gaps() {
            return None;
        }
        let place =
            place(self.area.head(), self.area.tail(), self.area.capacity(), READ_MIN, READ_MAX)?;
        self.reserved = Some(place);
        self.area.free_mut(place.at + ENTRY_HEADER, place.room)
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
        let gap = self.gaps[stream.index()].get_or_insert(Gap {
            lines: 0,
            bytes: 0,
            first_ns: time_ns,
            last_ns: time_ns,
            cause,
        });
        gap.lines += read.lines;
        gap.bytes += read.bytes;
        gap.last_ns = time_ns;
    }

    fn count_read(&self, read: Amount) {
        let shared = self.shared();
        count(&shared.reads, 1);
        count(&shared.bytes_read, read.bytes);
        count(&shared.lines_read, read.lines);
    }

    /// Puts markers in the place of what was dropped, once there is room. True
    /// when no marker is due any more.
    pub(crate) fn flush_gaps(&mut self) -> bool {
        if self.gaps == [None; 2] {
            return true;
        }
        if self.held() > self.area.capacity() / 8 * 7 {
            return false;
        }
        for stream in Stream::BOTH {
            let Some(gap) = self.gaps[stream.index()] else { continue };
            let (head, tail) = (self.area.head(), self.area.tail());
            let Some(place) = place(head, tail, self.area.capacity(), GAP_LEN, GAP_LEN) else {
                return false;
            };
            let Some(payload) = self.area.free_mut(place.at + ENTRY_HEADER, GAP_LEN) else {
                return false;
            };
            let cause = gap.cause.index() as u64;
            let fields = [gap.lines, gap.bytes, gap.first_ns, gap.last_ns, cause];
            for (bytes, field) in payload.chunks_exact_mut(8).zip(fields) {
                bytes.copy_from_slice(&field.to_le_bytes());
            }
            self.gaps[stream.index()] = None;
            let entry = self.seal_entry(place, Kind::Gap, GAP_LEN, stream, gap.last_ns);
            self.publish(entry);
        }
        true
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
        self.mark_gap(
            Stream::Stdout,
            Gap {
                lines: lost.lines,
                bytes: lost.bytes,
                first_ns: time_ns,
                last_ns: time_ns,
                cause,
            },
        );
    }

    /// A marker for what was counted elsewhere goes out before the next entry.
    pub(crate) fn mark_gap(&mut self, stream: Stream, more: Gap) {
        match &mut self.gaps[stream.index()] {
            Some(gap) => {
                gap.lines += more.lines;
                gap.bytes += more.bytes;
                gap.last_ns = more.last_ns;
            }
            gap => *gap = Some(more),
        }
    }

    /// What comes next, another run of the container wrote: whatever line is
    /// open ends here. False when there is no room for that.
    pub(crate) fn mark_break(&mut self, time_ns: u64) -> bool {
        let place = place(self.area.head(), self.area.tail(), self.area.capacity(), 0, 0);
        let Some(place) = place else { return false };
        let entry = self.seal_entry(place, Kind::Break, 0, Stream::Stdout, time_ns);
        self.publish(entry);
        true
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
        let head = self.area.head();
        if place.at - head >= ENTRY_HEADER {
            self.write_header(
                head,
                EntryHeader { len: 0, kind: Kind::Pad, stream, time_ns, seal: 0 },
            );
        }
        let len_field = u32::try_from(len).unwrap_or(u32::MAX);
        self.write_header(place.at, EntryHeader { len: len_field, kind, stream, time_ns, seal: 0 });
        Sealed { end: place.at + ENTRY_HEADER + padded(len) }
    }

    fn publish(&mut self, entry: Sealed) {
        self.area.publish(entry.end);
    }

    /// The checksum is for who finds the entry in a file; without one, nobody.
    fn write_header(&mut self, at: u64, mut header: EntryHeader) {
        let generation = self.area.generation();
        if generation != 0
            && let Some(payload) = self.area.free_mut(at + ENTRY_HEADER, header.len.into())
        {
            header = header.sealed(generation, at, payload);
        }
        if let Some(bytes) = self.area.free_mut(at, ENTRY_HEADER) {
            bytes.copy_from_slice(&header.encode());
        }
    }
}

/// Counters have one writer each, so a load and a store will do.
fn count(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}
