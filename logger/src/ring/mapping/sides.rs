// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The two sides of the mapping; why they are sound, [`super`] says.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use dockerlogger_manifest::status::PAGE_BYTES;

use super::{DATA_AT, Header, Mapping, PAGE, header};
use crate::record::Stream;
use crate::ring::account::Account;
use crate::ring::handoff::Handoff;
use crate::ring::layout::{ENTRY_HEADER, EntryHeader, Kind};
use crate::ring::shared::Shared;
use crate::ring::slots::{self, Carried, SLOT};

/// The mapping, as both sides see it. It can be copied; the sides, whose methods
/// make references, cannot.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) base: NonNull<u8>,
    pub(super) capacity: usize,
    /// 0: the ring is not a file.
    pub(super) generation: u64,
    pub(super) shared: NonNull<Shared>,
    pub(super) mapping: PhantomData<&'a Mapping>,
}

impl<'a> View<'a> {
    fn shared(&self) -> &'a Shared {
        // SAFETY: mapped for as long as the mapping lives; atomics, valid for any
        // bits.
        unsafe { self.shared.as_ref() }
    }

    fn header(&self) -> &'a Header {
        header(self.base)
    }

    /// Where `len` bytes at `position` begin, and their number; `None` if they do
    /// not lie in the data area in one piece.
    fn span(&self, position: u64, len: u64) -> Option<(NonNull<u8>, usize)> {
        let offset = usize::try_from(position % self.capacity as u64).ok()?;
        let len = usize::try_from(len).ok()?;
        // SAFETY: the mapping goes on for `capacity` bytes from `DATA_AT`.
        (offset.checked_add(len)? <= self.capacity)
            .then(|| (unsafe { self.base.add(DATA_AT + offset) }, len))
    }
}

/// The producer's side: everything outside `tail..head`.
#[derive(Debug)]
pub(crate) struct Writable<'a>(pub(super) View<'a>);

impl<'a> Writable<'a> {
    pub(in crate::ring) fn shared(&self) -> &'a Shared {
        self.0.shared()
    }

    pub(in crate::ring) const fn capacity(&self) -> u64 {
        self.0.capacity as u64
    }

    /// 0: the ring is not a file, and its entries need no seal.
    pub(in crate::ring) const fn generation(&self) -> u64 {
        self.0.generation
    }

    pub(in crate::ring) fn handoff(&self) -> &'a Handoff {
        &self.0.header().handoff
    }

    pub(in crate::ring) fn head(&self) -> u64 {
        self.handoff().own_head()
    }

    pub(in crate::ring) fn tail(&self) -> u64 {
        slots::position_of(self.handoff().tail())
    }

    /// `len` free bytes from `position`; `None` if they are not all free or not
    /// in one piece.
    pub(in crate::ring) fn free_mut(&mut self, position: u64, len: u64) -> Option<&mut [u8]> {
        let end = position.checked_add(len)?;
        if position < self.head() || end > self.tail() + self.capacity() {
            return None;
        }
        let (start, len) = self.0.span(position, len)?;
        // SAFETY: inside the data area by `span`; outside `tail..head` by the
        // check, so the consumer makes no reference to it; `&mut self` keeps this
        // side from making a second one.
        Some(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len) })
    }

    /// Writes the header of an entry whose payload is in place, with the checksum
    /// that an entry of a file has: for who finds it there. Without a file, nobody
    /// does.
    pub(in crate::ring) fn write_header(&mut self, at: u64, mut header: EntryHeader) {
        let generation = self.generation();
        let len = if header.kind == Kind::Open { 0 } else { header.len.into() };
        if generation != 0
            && let Some(payload) = self.free_mut(at + ENTRY_HEADER, len)
        {
            header = header.sealed(generation, at, payload);
        }
        if let Some(bytes) = self.free_mut(at, ENTRY_HEADER) {
            bytes.copy_from_slice(&header.encode());
        }
    }

    /// The read that the entry at `at` was left open for gave `len` bytes.
    pub(super) fn close(&mut self, at: u64, len: u64) {
        let Some(bytes) = self.free_mut(at, ENTRY_HEADER) else { return };
        let len = u32::try_from(len).unwrap_or(0);
        let header = EntryHeader { len, kind: Kind::Bytes, ..EntryHeader::decode(bytes) };
        self.write_header(at, header);
    }

    /// Hands everything before `head` to the consumer.
    pub(in crate::ring) fn publish(&mut self, head: u64) {
        debug_assert!(head >= self.head() && head <= self.tail() + self.capacity());
        self.handoff().publish(head);
        self.shared().show_head(head);
    }
}

/// The consumer's side: everything inside `tail..head`, and the carry slots.
#[derive(Debug)]
pub(crate) struct Readable<'a>(pub(super) View<'a>);

impl<'a> Readable<'a> {
    pub(in crate::ring) fn shared(&self) -> &'a Shared {
        self.0.shared()
    }

    pub(in crate::ring) const fn capacity(&self) -> u64 {
        self.0.capacity as u64
    }

    /// Of a ring that is a file: not 0 while a new logger wants it.
    pub(in crate::ring) fn handover_word(&self) -> Option<&'a AtomicU32> {
        (self.0.generation != 0).then(|| &self.0.header().handover)
    }

    pub(in crate::ring) fn handoff(&self) -> &'a Handoff {
        &self.0.header().handoff
    }

    pub(in crate::ring) fn head(&self) -> u64 {
        self.handoff().head()
    }

    pub(in crate::ring) fn tail(&self) -> u64 {
        slots::position_of(self.commit())
    }

    /// The tail and its revision.
    fn commit(&self) -> u64 {
        self.handoff().own_tail()
    }

    /// `len` published bytes from `position`; `None` if they are not all
    /// published or not in one piece.
    pub(in crate::ring) fn published(&self, position: u64, len: u64) -> Option<&[u8]> {
        let end = position.checked_add(len)?;
        if position < self.tail() || end > self.head() {
            return None;
        }
        let (start, len) = self.0.span(position, len)?;
        // SAFETY: inside the data area by `span`; inside `tail..head` by the
        // check, so the producer makes no reference to it until `tail` passes
        // it, and storing `tail` takes `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), len) })
    }

    /// Gives everything before `tail` back, and with it stores what is carried
    /// over that position and what became of everything before it. One commit
    /// point: the store of `tail`, with another revision if it is where it was.
    pub(in crate::ring) fn release(
        &mut self,
        tail: u64,
        carried: &[Carried; 2],
        account: &Account,
    ) {
        let before = self.commit();
        debug_assert!(tail >= self.tail() && tail <= self.head());
        let commit = if tail == self.tail() { slots::next_revision(before) } else { tail };
        for (stream, carried) in Stream::BOTH.into_iter().zip(carried) {
            let spare = (0..2).find(|&n| self.slot_position(stream, n) != before).unwrap_or(0);
            let generation = self.0.generation;
            let slot = self.slot_mut(stream, spare);
            slots::write(slot, generation, commit, carried);
            if stream == Stream::Stdout {
                slots::write_account(slot, account);
            }
        }
        // Fenced: the next release must not begin to overwrite the slots of this
        // position's predecessor before this position is visible.
        self.handoff().release(commit);
        self.shared().show_tail(tail);
    }

    /// What the sender before this one carried over `tail`.
    pub(in crate::ring) fn carried(&mut self) -> [Carried; 2] {
        Stream::BOTH.map(|stream| {
            let slot = self.slot_of_tail(stream);
            slot.map_or_else(Carried::default, |n| slots::read(self.slot_mut(stream, n)))
        })
    }

    /// The status page as it is now, in bytes.
    pub(in crate::ring) fn page(&self) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        let words = self.0.shared.cast::<AtomicU64>();
        for (n, place) in page.chunks_exact_mut(8).take(size_of::<Shared>() / 8).enumerate() {
            // SAFETY: within the structure, which is made of atomics and aligned
            // to eight bytes.
            let word = unsafe { words.add(n).as_ref() };
            place.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        page
    }

    /// What became of everything before `tail`.
    pub(in crate::ring) fn account(&mut self) -> Account {
        let slot = self.slot_of_tail(Stream::Stdout);
        slot.map_or_else(Account::default, |n| slots::account(self.slot_mut(Stream::Stdout, n)))
    }

    /// At the start of a file: what is carried over its first position.
    pub(super) fn carry_over(&mut self, position: u64, carried: &[Carried; 2]) {
        let generation = self.0.generation;
        for (stream, carried) in Stream::BOTH.into_iter().zip(carried) {
            slots::write(self.slot_mut(stream, 0), generation, position, carried);
        }
    }

    /// A new run counts from zero. Slots that do not verify are emptied.
    pub(super) fn forget_account(&mut self, check: bool) {
        for stream in Stream::BOTH {
            let generation = self.0.generation;
            let Some(n) = self.slot_of_tail(stream) else { continue };
            let slot = self.slot_mut(stream, n);
            slots::write_account(slot, &Account::default());
            if check && !slots::verifies(slot, generation) {
                let position = slots::position(slot);
                slots::write(slot, generation, position, &Carried::default());
            }
        }
    }

    fn slot_of_tail(&mut self, stream: Stream) -> Option<usize> {
        let commit = self.commit();
        (0..2).find(|&n| commit > 0 && self.slot_position(stream, n) == commit)
    }

    pub(super) fn slot_position(&mut self, stream: Stream, n: usize) -> u64 {
        slots::position(self.slot_mut(stream, n))
    }

    pub(super) fn slot_mut(&mut self, stream: Stream, n: usize) -> &mut [u8] {
        let at = PAGE + slots::index(stream, n) * SLOT;
        // SAFETY: one of the four slots between header and data; only this side
        // touches them, and `&mut self` keeps it to one reference.
        unsafe { std::slice::from_raw_parts_mut(self.0.base.add(at).as_ptr(), SLOT) }
    }
}
