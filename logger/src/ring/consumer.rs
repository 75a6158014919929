// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The sender's side of the ring.

use std::sync::atomic::AtomicU32;

use dockerlogger_manifest::status::PAGE_BYTES;

use super::handoff::Handoff;
use super::layout::{ENTRY_HEADER, EntryHeader, Kind, array, header_at, room_worth_waking};
use super::mapping::Readable;
use super::shared::Shared;
use super::slots::Carried;
use super::{Account, Amount, DropCause, Gap};
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
    /// When it was read, nanoseconds since 1970: its first byte; each byte that
    /// follows counts as read a nanosecond later.
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
    /// What comes behind it, another run of the container wrote.
    Break,
}

impl<'a> Consumer<'a> {
    pub(crate) const fn new(area: Readable<'a>) -> Self {
        Self { area }
    }

    /// What both sides count and say.
    pub(crate) fn shared(&self) -> &'a Shared {
        self.area.shared()
    }

    /// The wake-up words.
    pub(crate) fn handoff(&self) -> &'a Handoff {
        self.area.handoff()
    }

    /// Where to start, and what was unfinished there.
    pub(crate) fn resume(&mut self) -> (u64, [Carried; 2]) {
        (self.area.tail(), self.area.carried())
    }

    /// What the sink has not taken: for the reader, when there is no sender.
    pub(crate) fn undelivered(&mut self) -> Amount {
        let (mut position, carried) = self.resume();
        let mut left = Amount::default();
        for carried in &carried {
            left.add(Amount::of(&carried.bytes));
        }
        while let Some(entry) = self.entry(position) {
            position = entry.next;
            if let Payload::Bytes(bytes) = entry.payload {
                left.add(Amount::of(bytes));
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
            let next = header.next(at, self.area.capacity());
            if header.kind == Kind::Pad {
                at = next;
                continue;
            }
            let bytes = self.area.published(at + ENTRY_HEADER, u64::from(header.len))?;
            let payload = match header.kind {
                Kind::Gap => Payload::Gap(gap(bytes)),
                Kind::Break => Payload::Break,
                Kind::Bytes | Kind::Pad | Kind::Open => Payload::Bytes(bytes),
            };
            return Some(Entry { stream: header.stream, time_ns: header.time_ns, payload, next });
        }
    }

    /// After a release: whether the producer waits for room and is to be woken. It
    /// is not woken for every entry, but has its wish kept until there is much.
    pub(crate) fn take_room_request(&self) -> bool {
        let (capacity, head) = (self.area.capacity(), self.area.head());
        let free = capacity - (head - self.area.tail());
        free >= room_worth_waking(capacity) && self.handoff().take_room_request()
    }

    /// The position of the last release.
    pub(crate) fn tail(&self) -> u64 {
        self.area.tail()
    }

    /// The status page as it is now, in bytes.
    pub(crate) fn page(&self) -> [u8; PAGE_BYTES] {
        self.area.page()
    }

    /// Of a ring that is a file: not 0 while a new logger waits for it.
    pub(crate) fn handover_word(&self) -> Option<&'a AtomicU32> {
        self.area.handover_word()
    }

    /// What became of everything before the last release.
    pub(crate) fn account(&mut self) -> Account {
        self.area.account()
    }

    /// Gives back everything before `position`, over which `carried` is kept;
    /// `account` is what became of all of it since the start.
    pub(crate) fn release(&mut self, position: u64, carried: &[Carried; 2], account: &Account) {
        self.area.release(position, carried, account);
    }
}

fn gap(bytes: &[u8]) -> Gap {
    let field = |n: usize| u64::from_le_bytes(array(bytes, 8 * n));
    let cause = usize::try_from(field(4)).ok().and_then(|n| DropCause::ALL.get(n));
    let cause = cause.copied().unwrap_or(DropCause::BufferFull);
    Gap { lines: field(0), bytes: field(1), first_ns: field(2), last_ns: field(3), cause }
}
