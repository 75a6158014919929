// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The sender's side of the ring.

use super::layout::{ENTRY_HEADER, EntryHeader, Kind, array, header_at, padded};
use super::mapping::{Carried, Readable, Shared};
use super::{DropCause, Gap};
use crate::record::Stream;

/// Reads entries, and gives them back once the sink has taken them.
#[derive(Debug)]
pub(crate) struct Consumer<'a> {
    area: Readable<'a>,
}

/// One entry of the ring.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) stream: Stream,
    /// When it was read, nanoseconds since 1970.
    pub(crate) time_ns: u64,
    pub(crate) payload: Payload<'a>,
    /// The position behind it.
    pub(crate) next: u64,
}

/// What an entry holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    /// Bytes as they were read.
    Bytes(&'a [u8]),
    /// Bytes are missing here.
    Gap(Gap),
}

/// What is left of a container's output when nobody will send it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Undelivered {
    /// Newlines in it.
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

impl Undelivered {
    fn add(&mut self, bytes: &[u8]) {
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.bytes += bytes.len() as u64;
    }
}

impl<'a> Consumer<'a> {
    pub(crate) const fn new(area: Readable<'a>) -> Self {
        Self { area }
    }

    /// What both sides count and say.
    pub(crate) fn shared(&self) -> &'a Shared {
        self.area.shared()
    }

    /// Where to start, and what was unfinished there.
    pub(crate) fn resume(&mut self) -> (u64, [Carried; 2]) {
        (self.area.tail(), self.area.carried())
    }

    /// What the sink has not taken: for the reader, when there is no sender.
    pub(crate) fn undelivered(&mut self) -> Undelivered {
        let (mut position, carried) = self.resume();
        let mut left = Undelivered::default();
        for carried in &carried {
            left.add(&carried.bytes);
        }
        while let Some(entry) = self.entry(position) {
            position = entry.next;
            if let Payload::Bytes(bytes) = entry.payload {
                left.add(bytes);
            }
        }
        left
    }

    /// The entry at `position`, which is not before the last release.
    pub(crate) fn entry(&self, position: u64) -> Option<Entry<'_>> {
        let mut at = position;
        loop {
            if self.area.head() <= at {
                return None;
            }
            at = header_at(at, self.area.capacity());
            let header = EntryHeader::decode(self.area.published(at, ENTRY_HEADER)?);
            let len = u64::from(header.len);
            let next = at + ENTRY_HEADER + padded(len);
            if header.kind == Kind::Pad {
                at = next;
                continue;
            }
            let bytes = self.area.published(at + ENTRY_HEADER, len)?;
            let payload = if header.kind == Kind::Gap {
                Payload::Gap(gap(bytes))
            } else {
                Payload::Bytes(bytes)
            };
            return Some(Entry { stream: header.stream, time_ns: header.time_ns, payload, next });
        }
    }

    /// Gives back everything before `position`, over which `carried` is kept.
    pub(crate) fn release(&mut self, position: u64, carried: &[Carried; 2]) {
        self.area.release(position, carried);
    }
}

fn gap(bytes: &[u8]) -> Gap {
    let field = |n: usize| u64::from_le_bytes(array(bytes, 8 * n));
    let cause = if field(4) == 0 { DropCause::SinkDown } else { DropCause::BufferFull };
    Gap { lines: field(0), bytes: field(1), first_ns: field(2), last_ns: field(3), cause }
}
