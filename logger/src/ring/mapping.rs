// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The shared memory itself: header, carry slots, data area.
//!
//! Why this is sound: the data area is only reached through [`Writable`] and
//! [`Readable`], of which [`Mapping::split`] makes one each per process. The
//! first hands out bytes that lie outside `tail..head`, the second bytes inside,
//! and each checks that before it makes a reference. `head` is stored by the
//! first alone and `tail` by the second alone, both through `&mut self`, so a
//! reference that was handed out ends before its bytes change sides. Between
//! processes the same holds as long as one process writes and one reads, which
//! the reader sees to: it forks a sender only after the last one has ended, and
//! uses no `Readable` of its own meanwhile. Everything else is atomic.

#![expect(unsafe_code, reason = "owns the shared mapping; the argument is in the module's text")]

use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::account::Account;
use super::handoff::Handoff;
use super::layout::array;
use super::shared::Shared;
use crate::record::Stream;

/// The first page of the mapping.
#[repr(C)]
struct Header {
    magic: AtomicU64,
    version: AtomicU64,
    capacity: AtomicU64,
    handoff: Handoff,
    shared: Shared,
}

/// What the splitter of one stream had not finished at some position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Carried {
    /// Bytes after the last record, at most [`CARRY_MAX`].
    pub(crate) bytes: Vec<u8>,
    /// Ordinal of the last piece sent of the line they belong to; 0: none.
    pub(crate) ordinal: u32,
    /// Identity and time of that line's first piece; without one, the time of the
    /// first byte.
    pub(crate) id: u64,
    pub(crate) first_ns: u64,
}

/// The longest unfinished piece of a line, in bytes.
pub(crate) const CARRY_MAX: usize = 64 << 10;

const MAGIC: u64 = u64::from_le_bytes(*b"dklogrng");
const VERSION: u64 = 1;
const PAGE: usize = 4096;
/// A page of description, then the bytes.
const SLOT: usize = PAGE + CARRY_MAX;
/// Where the account stands in a slot's description.
const ACCOUNT_AT: usize = 32;
const CARRY_AREA: usize = 4 * SLOT;
const DATA_AT: usize = PAGE + CARRY_AREA;

/// The mapping. Pages that are never touched cost nothing.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    capacity: usize,
}

impl Mapping {
    /// Maps a ring of `capacity` data bytes, rounded up to whole pages. The
    /// mapping is shared with every child forked later.
    pub(crate) fn create(capacity: usize) -> io::Result<Self> {
        let capacity = capacity.max(PAGE).next_multiple_of(PAGE);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                DATA_AT + capacity,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Self { base, capacity };
        let header = mapping.header();
        header.magic.store(MAGIC, Ordering::Relaxed);
        header.version.store(VERSION, Ordering::Relaxed);
        header.capacity.store(capacity as u64, Ordering::Relaxed);
        Ok(mapping)
    }

    /// Data bytes.
    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The two sides of the ring, of which a process uses one.
    pub(crate) fn split(&mut self) -> (Writable<'_>, Readable<'_>) {
        let (base, capacity) = (self.base, self.capacity);
        (
            Writable { base, capacity, mapping: PhantomData },
            Readable { base, capacity, mapping: PhantomData },
        )
    }

    fn header(&self) -> &Header {
        header(self.base)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and both sides borrow from it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), DATA_AT + self.capacity) };
    }
}

fn header<'a>(base: NonNull<u8>) -> &'a Header {
    const { assert!(size_of::<Header>() <= PAGE) };
    // SAFETY: `base` is page-aligned and starts a mapping of more than a page,
    // zeroed when made; every field is atomic and valid for any bits. Callers
    // bind the lifetime to the mapping.
    unsafe { base.cast().as_ref() }
}

/// The producer's side: everything outside `tail..head`.
#[derive(Debug)]
pub(crate) struct Writable<'a> {
    base: NonNull<u8>,
    capacity: usize,
    mapping: PhantomData<&'a Mapping>,
}

impl<'a> Writable<'a> {
    pub(super) fn shared(&self) -> &'a Shared {
        &header(self.base).shared
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    pub(super) fn handoff(&self) -> &'a Handoff {
        &header(self.base).handoff
    }

    pub(super) fn head(&self) -> u64 {
        self.handoff().own_head()
    }

    pub(super) fn tail(&self) -> u64 {
        self.handoff().tail()
    }

    /// `len` free bytes from `position`; `None` if they are not all free or not
    /// in one piece.
    pub(super) fn free_mut(&mut self, position: u64, len: u64) -> Option<&mut [u8]> {
        let end = position.checked_add(len)?;
        if position < self.head() || end > self.tail() + self.capacity() {
            return None;
        }
        let (offset, len) = within(position, len, self.capacity)?;
        // SAFETY: inside the data area by `within`; outside `tail..head` by the
        // check, so the consumer makes no reference to it; `&mut self` keeps this
        // side from making a second one.
        Some(unsafe {
            std::slice::from_raw_parts_mut(self.base.as_ptr().add(DATA_AT + offset), len)
        })
    }

    /// Hands everything before `head` to the consumer.
    pub(super) fn publish(&mut self, head: u64) {
        debug_assert!(head >= self.head() && head <= self.tail() + self.capacity());
        self.handoff().publish(head);
    }
}

/// The consumer's side: everything inside `tail..head`, and the carry slots.
#[derive(Debug)]
pub(crate) struct Readable<'a> {
    base: NonNull<u8>,
    capacity: usize,
    mapping: PhantomData<&'a Mapping>,
}

impl<'a> Readable<'a> {
    pub(super) fn shared(&self) -> &'a Shared {
        &header(self.base).shared
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    pub(super) fn handoff(&self) -> &'a Handoff {
        &header(self.base).handoff
    }

    pub(super) fn head(&self) -> u64 {
        self.handoff().head()
    }

    pub(super) fn tail(&self) -> u64 {
        self.handoff().own_tail()
    }

    /// `len` published bytes from `position`; `None` if they are not all
    /// published or not in one piece.
    pub(super) fn published(&self, position: u64, len: u64) -> Option<&[u8]> {
        let end = position.checked_add(len)?;
        if position < self.tail() || end > self.head() {
            return None;
        }
        let (offset, len) = within(position, len, self.capacity)?;
        // SAFETY: inside the data area by `within`; inside `tail..head` by the
        // check, so the producer makes no reference to it until `tail` passes
        // it, and storing `tail` takes `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(DATA_AT + offset), len) })
    }

    /// Gives everything before `tail` back, and with it stores what is carried
    /// over that position and what became of everything before it. One commit
    /// point: the store of `tail`.
    pub(super) fn release(&mut self, tail: u64, carried: &[Carried; 2], account: &Account) {
        let before = self.tail();
        debug_assert!(tail >= before && tail <= self.head());
        if tail == before {
            return;
        }
        for (stream, carried) in [Stream::Stdout, Stream::Stderr].into_iter().zip(carried) {
            let spare = (0..2).find(|&n| self.slot_position(stream, n) != before).unwrap_or(0);
            self.write_slot(stream, spare, tail, carried);
            if stream == Stream::Stdout {
                let slot = self.slot_mut(stream, spare);
                slot[ACCOUNT_AT..ACCOUNT_AT + Account::ENCODED].copy_from_slice(&account.encode());
            }
        }
        // Fenced: the next release must not begin to overwrite the slots of this
        // position's predecessor before this position is visible.
        self.handoff().release(tail);
    }

    /// What the sender before this one carried over `tail`.
    pub(super) fn carried(&mut self) -> [Carried; 2] {
        let tail = self.tail();
        [Stream::Stdout, Stream::Stderr].map(|stream| {
            (0..2)
                .find(|&n| tail > 0 && self.slot_position(stream, n) == tail)
                .map(|n| read_slot(self.slot_mut(stream, n)))
                .unwrap_or_default()
        })
    }

    /// What became of everything before `tail`.
    pub(super) fn account(&mut self) -> Account {
        let tail = self.tail();
        (0..2)
            .find(|&n| tail > 0 && self.slot_position(Stream::Stdout, n) == tail)
            .map(|n| Account::decode(&self.slot_mut(Stream::Stdout, n)[ACCOUNT_AT..]))
            .unwrap_or_default()
    }

    fn slot_position(&mut self, stream: Stream, n: usize) -> u64 {
        u64::from_le_bytes(array(self.slot_mut(stream, n), 0))
    }

    fn write_slot(&mut self, stream: Stream, n: usize, position: u64, carried: &Carried) {
        let slot = self.slot_mut(stream, n);
        let len = carried.bytes.len().min(CARRY_MAX);
        let len_field = u32::try_from(len).unwrap_or(0);
        slot[..8].copy_from_slice(&position.to_le_bytes());
        slot[8..12].copy_from_slice(&len_field.to_le_bytes());
        slot[12..16].copy_from_slice(&carried.ordinal.to_le_bytes());
        slot[16..24].copy_from_slice(&carried.id.to_le_bytes());
        slot[24..32].copy_from_slice(&carried.first_ns.to_le_bytes());
        slot[PAGE..PAGE + len].copy_from_slice(&carried.bytes[..len]);
    }

    fn slot_mut(&mut self, stream: Stream, n: usize) -> &mut [u8] {
        let index = 2 * usize::from(stream == Stream::Stderr) + n.min(1);
        // SAFETY: one of the four slots between header and data; only this side
        // touches them, and `&mut self` keeps it to one reference.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(PAGE + index * SLOT), SLOT) }
    }
}

fn read_slot(slot: &[u8]) -> Carried {
    let len = usize::try_from(u32::from_le_bytes(array(slot, 8))).unwrap_or(0).min(CARRY_MAX);
    Carried {
        bytes: slot[PAGE..PAGE + len].to_vec(),
        ordinal: u32::from_le_bytes(array(slot, 12)),
        id: u64::from_le_bytes(array(slot, 16)),
        first_ns: u64::from_le_bytes(array(slot, 24)),
    }
}

/// Offset and length in the data area, if they lie there in one piece.
fn within(position: u64, len: u64, capacity: usize) -> Option<(usize, usize)> {
    let offset = usize::try_from(position % capacity as u64).ok()?;
    let len = usize::try_from(len).ok()?;
    (offset.checked_add(len)? <= capacity).then_some((offset, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carry(text: &str) -> [Carried; 2] {
        let carried = |bytes: &[u8]| Carried { bytes: bytes.to_vec(), ..Carried::default() };
        [carried(text.as_bytes()), carried(b"")]
    }

    fn account(records: u64) -> Account {
        Account { records, ..Account::default() }
    }

    #[test]
    fn a_sender_that_dies_before_it_commits_changes_nothing() {
        let mut mapping = Mapping::create(PAGE).unwrap();
        let (mut writable, mut readable) = mapping.split();
        writable.publish(64);
        assert_eq!(readable.carried(), carry(""));
        readable.release(16, &carry("first"), &account(1));
        assert_eq!(readable.account(), account(1));
        assert_eq!(readable.carried(), carry("first"));
        for slot_written in ["dies here", "and its successor here"] {
            let spare = (0..2).find(|&n| readable.slot_position(Stream::Stdout, n) != 16).unwrap();
            let carried = &carry(slot_written)[0];
            readable.write_slot(Stream::Stdout, spare, 32, carried);
            assert_eq!(readable.carried(), carry("first"));
            assert_eq!(readable.account(), account(1));
        }
        readable.release(32, &carry("second"), &account(2));
        assert_eq!(readable.account(), account(2));
        assert_eq!(readable.carried(), carry("second"));
    }

    #[test]
    fn neither_side_reaches_the_bytes_of_the_other() {
        let mut mapping = Mapping::create(1).unwrap();
        assert_eq!(mapping.capacity(), PAGE);
        let (mut writable, mut readable) = mapping.split();
        assert!(readable.published(0, 8).is_none());
        writable.free_mut(0, 4096).unwrap().fill(7);
        assert!(writable.free_mut(0, 4097).is_none());
        writable.publish(4096);
        assert!(writable.free_mut(0, 8).is_none());
        assert!(writable.free_mut(4096, 8).is_none());
        assert_eq!(readable.published(4088, 8), Some([7; 8].as_slice()));
        assert!(readable.published(4088, 16).is_none());
        readable.release(8, &carry(""), &account(0));
        assert!(readable.published(0, 8).is_none());
        assert!(writable.free_mut(4096, 8).is_some());
        // Free, but not in one piece.
        readable.release(4096, &carry(""), &account(0));
        writable.publish(4104);
        assert!(writable.free_mut(8184, 16).is_none());
    }
}
