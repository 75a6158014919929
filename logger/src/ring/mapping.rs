// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The shared memory itself: header, carry slots, data area; anonymous, or a file.
//!
//! Why this is sound: the data area is only reached through [`Writable`] and
//! [`Readable`], of which [`Mapping::split`] makes one each per process. The
//! first hands out bytes that lie outside `tail..head`, the second bytes inside,
//! and each checks that before it makes a reference. `head` is stored by the
//! first alone and `tail` by the second alone, both through `&mut self`, so a
//! reference that was handed out ends before its bytes change sides. Between
//! processes the same holds as long as one process writes and one reads, which
//! the reader sees to: it forks a sender only after the last one has ended, and
//! uses no `Readable` of its own meanwhile; a file is locked against other
//! loggers. Everything else is atomic.

#![expect(unsafe_code, reason = "owns the shared mapping; the argument is in the module's text")]

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use dockerlogger_manifest::status::PAGE_BYTES;

use super::account::Account;
use super::handoff::Handoff;
use super::recovery::{self, Found};
use super::shared::Shared;
use super::slots::{self, Carried, SLOT, SLOTS};
use crate::record::Stream;

/// The first page of the mapping. What stands before `shared` is the file's
/// format; the rest means something to this run only.
#[repr(C)]
struct Header {
    /// [`MAGIC`], [`VERSION`], capacity, generation; 0 in a ring without a file.
    constants: [AtomicU64; 4],
    /// Their checksum.
    seal: AtomicU64,
    handoff: Handoff,
    /// A new logger waits for this one's sender to let go of the file.
    handover: AtomicU32,
    shared: Shared,
}

pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"dklogrng");
/// To be raised with every change of entries, slots or the header before
/// `shared`.
pub(super) const VERSION: u64 = 1;
pub(super) const PAGE: usize = 4096;
/// Where the data area begins, behind the header's page and the carry slots.
pub(super) const DATA_AT: usize = PAGE + SLOTS * SLOT;
/// The largest data area, in bytes; the largest `max-buffer-size`.
pub(super) const CAPACITY_MAX: u64 = 1 << 30;
/// Where the positions and the word stand in a file.
pub(super) const HEAD_AT: usize = 64;
pub(super) const TAIL_AT: usize = 128;
pub(crate) const HANDOVER_AT: usize = 256;

/// The mapping. Pages that are never touched cost nothing.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    capacity: usize,
    /// Of the file; 0: there is none.
    generation: u64,
    /// The counters, in a page of their own; `None`: in the header.
    page: Option<NonNull<Shared>>,
}

impl Mapping {
    /// Maps a ring of `capacity` data bytes, rounded up to whole pages. The
    /// mapping is shared with every child forked later.
    pub(crate) fn create(capacity: usize) -> io::Result<Self> {
        let capacity = rounded(capacity);
        let base = map(DATA_AT + capacity, None)?;
        Ok(Self { base, capacity, generation: 0, page: None })
    }

    /// `capacity` as a ring has it: whole pages, at least one.
    pub(crate) fn rounded(capacity: usize) -> usize {
        rounded(capacity)
    }

    /// Counts from zero.
    pub(crate) fn forget_counts(&mut self) {
        // SAFETY: the counters are atomics, valid for zeros; `&mut self` says that
        // neither side exists, and no other process does yet.
        unsafe { self.shared().write_bytes(0, 1) };
    }

    /// Moves the counters into a file of [`PAGE_BYTES`] bytes, for others to read.
    pub(crate) fn show_in(&mut self, file: &File) -> io::Result<()> {
        let page = map(PAGE_BYTES, Some(file))?.cast::<Shared>();
        // SAFETY: both are mapped, the page for longer than the structure is, and
        // neither side exists that could store into either.
        unsafe { page.copy_from_nonoverlapping(self.shared(), 1) };
        self.unmap_page();
        self.page = Some(page);
        Ok(())
    }

    fn unmap_page(&mut self) {
        if let Some(page) = self.page.take() {
            // SAFETY: mapped with this length by `show_in`, and used by neither
            // side: they borrow from `self`.
            unsafe { libc::munmap(page.as_ptr().cast(), PAGE_BYTES) };
        }
    }

    fn shared(&self) -> NonNull<Shared> {
        self.page.unwrap_or_else(|| {
            // SAFETY: the header is mapped, and this stays inside it.
            unsafe { self.base.add(offset_of!(Header, shared)).cast() }
        })
    }

    /// Bytes of a file for a ring of `capacity` data bytes.
    pub(crate) fn file_len(capacity: usize) -> usize {
        DATA_AT + rounded(capacity)
    }

    /// Begins a ring in a file of zeros, [`Self::file_len`] bytes long, at
    /// `position`, with what is carried over it. The magic number comes last:
    /// without it, the file is an empty one.
    pub(crate) fn begin(
        file: &File,
        capacity: usize,
        generation: u64,
        position: u64,
        carried: &[Carried; 2],
    ) -> io::Result<Self> {
        let capacity = rounded(capacity);
        let generation = generation.max(1);
        let base = map(DATA_AT + capacity, Some(file))?;
        let mut mapping = Self { base, capacity, generation, page: None };
        let (_, mut readable) = mapping.split();
        readable.handoff().start_at(position, position);
        readable.carry_over(position, carried);
        let constants = [MAGIC, VERSION, capacity as u64, generation];
        let header = mapping.header();
        header.seal.store(recovery::seal(constants).into(), Ordering::Relaxed);
        for (place, value) in header.constants.iter().zip(constants).rev() {
            place.store(value, Ordering::Release);
        }
        Ok(mapping)
    }

    /// Maps a file to look at: the bytes are whatever somebody left there.
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let limit = DATA_AT + usize::try_from(CAPACITY_MAX).unwrap_or(usize::MAX - DATA_AT);
        if !(DATA_AT..=limit).contains(&len) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let base = map(len, Some(file))?;
        Ok(Self { base, capacity: len - DATA_AT, generation: 0, page: None })
    }

    /// All of it, for [`super::recover`].
    pub(crate) fn image(&mut self) -> &[u8] {
        // SAFETY: the mapping is this long, and `&mut self` says that neither
        // side of the ring exists in this process; in others, the lock on the
        // file sees to it.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), DATA_AT + self.capacity) }
    }

    /// Goes on with what [`super::recover`] found: forgets what a former run
    /// counted, and what stands where entries will be written, because a torn
    /// entry may have whole ones behind it.
    pub(crate) fn go_on(&mut self, found: &Found) {
        self.generation = found.generation;
        let header = self.header();
        header.handoff.start_at(found.tail, found.head);
        header.handover.store(0, Ordering::Relaxed);
        self.forget_counts();
        let capacity = self.capacity as u64;
        let (mut writable, mut readable) = self.split();
        readable.forget_account(found.bad_slots > 0);
        let (mut at, end) = (found.head, found.tail + capacity);
        while at < end {
            let to_page = PAGE as u64 - at % PAGE as u64;
            let len = to_page.min(end - at);
            if let Some(page) = writable.free_mut(at, len)
                // A page that is not written to stays clean.
                && page.iter().any(|&byte| byte != 0)
            {
                page.fill(0);
            }
            at += len;
        }
    }

    /// Data bytes.
    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The two sides of the ring, of which a process uses one.
    pub(crate) fn split(&mut self) -> (Writable<'_>, Readable<'_>) {
        let Self { base, capacity, generation, .. } = *self;
        let (shared, mapping) = (self.shared(), PhantomData);
        let writable = Writable { base, capacity, generation, shared, mapping };
        let readable = Readable { base, capacity, generation, shared, mapping };
        writable.shared().describe_ring(capacity as u64, generation != 0);
        writable.shared().show_head(writable.head());
        writable.shared().show_tail(writable.tail());
        (writable, readable)
    }

    fn header(&self) -> &Header {
        header(self.base)
    }
}

fn rounded(capacity: usize) -> usize {
    capacity.max(PAGE).next_multiple_of(PAGE)
}

/// Maps `len` bytes of a file, or of memory.
fn map(len: usize, file: Option<&File>) -> io::Result<NonNull<u8>> {
    let kind = if file.is_some() { 0 } else { libc::MAP_ANON };
    // SAFETY: a new mapping at an address of the kernel's choice.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | kind,
            file.map_or(-1, AsRawFd::as_raw_fd),
            0,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(base.cast::<u8>()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and both sides borrow from it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), DATA_AT + self.capacity) };
        self.unmap_page();
    }
}

fn header<'a>(base: NonNull<u8>) -> &'a Header {
    const {
        assert!(size_of::<Header>() <= PAGE);
        assert!(offset_of!(Header, handoff) == HEAD_AT);
        assert!(offset_of!(Header, handoff) + Handoff::TAIL_AT == TAIL_AT);
        assert!(offset_of!(Header, handover) == HANDOVER_AT);
    };
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
    generation: u64,
    shared: NonNull<Shared>,
    mapping: PhantomData<&'a Mapping>,
}

impl<'a> Writable<'a> {
    pub(super) fn shared(&self) -> &'a Shared {
        // SAFETY: mapped for as long as the mapping lives; atomics, valid for any
        // bits.
        unsafe { self.shared.as_ref() }
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// 0: the ring is not a file, and its entries need no seal.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
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
        self.shared().show_head(head);
    }
}

/// The consumer's side: everything inside `tail..head`, and the carry slots.
#[derive(Debug)]
pub(crate) struct Readable<'a> {
    base: NonNull<u8>,
    capacity: usize,
    generation: u64,
    shared: NonNull<Shared>,
    mapping: PhantomData<&'a Mapping>,
}

impl<'a> Readable<'a> {
    pub(super) fn shared(&self) -> &'a Shared {
        // SAFETY: mapped for as long as the mapping lives; atomics, valid for any
        // bits.
        unsafe { self.shared.as_ref() }
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// Whether the ring is a file that a new logger wants.
    pub(super) fn handover_is_wanted(&self) -> bool {
        header(self.base).handover.load(Ordering::Relaxed) != 0
    }

    /// Whether the ring is a file.
    pub(super) const fn is_file(&self) -> bool {
        self.generation != 0
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
        for (stream, carried) in STREAMS.into_iter().zip(carried) {
            let spare = (0..2).find(|&n| self.slot_position(stream, n) != before).unwrap_or(0);
            let generation = self.generation;
            let slot = self.slot_mut(stream, spare);
            slots::write(slot, generation, tail, carried);
            if stream == Stream::Stdout {
                slots::write_account(slot, account);
            }
        }
        // Fenced: the next release must not begin to overwrite the slots of this
        // position's predecessor before this position is visible.
        self.handoff().release(tail);
        self.shared().show_tail(tail);
    }

    /// What the sender before this one carried over `tail`.
    pub(super) fn carried(&mut self) -> [Carried; 2] {
        STREAMS.map(|stream| {
            let slot = self.slot_of_tail(stream);
            slot.map_or_else(Carried::default, |n| slots::read(self.slot_mut(stream, n)))
        })
    }

    /// The status page as it is now, in bytes.
    pub(super) fn page(&self) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        let words = self.shared.cast::<AtomicU64>();
        for (n, place) in page.chunks_exact_mut(8).take(size_of::<Shared>() / 8).enumerate() {
            // SAFETY: within the structure, which is made of atomics and aligned
            // to eight bytes.
            let word = unsafe { words.add(n).as_ref() };
            place.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        page
    }

    /// What became of everything before `tail`.
    pub(super) fn account(&mut self) -> Account {
        let slot = self.slot_of_tail(Stream::Stdout);
        slot.map_or_else(Account::default, |n| slots::account(self.slot_mut(Stream::Stdout, n)))
    }

    /// At the start of a file: what is carried over its first position.
    fn carry_over(&mut self, position: u64, carried: &[Carried; 2]) {
        let generation = self.generation;
        for (stream, carried) in STREAMS.into_iter().zip(carried) {
            slots::write(self.slot_mut(stream, 0), generation, position, carried);
        }
    }

    /// A new run counts from zero. Slots that do not verify are emptied.
    fn forget_account(&mut self, check: bool) {
        for stream in STREAMS {
            let generation = self.generation;
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
        let tail = self.tail();
        (0..2).find(|&n| tail > 0 && self.slot_position(stream, n) == tail)
    }

    fn slot_position(&mut self, stream: Stream, n: usize) -> u64 {
        slots::position(self.slot_mut(stream, n))
    }

    fn slot_mut(&mut self, stream: Stream, n: usize) -> &mut [u8] {
        let index = slots::index(stream == Stream::Stderr, n);
        // SAFETY: one of the four slots between header and data; only this side
        // touches them, and `&mut self` keeps it to one reference.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(PAGE + index * SLOT), SLOT) }
    }
}

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

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
            slots::write(readable.slot_mut(Stream::Stdout, spare), 0, 32, carried);
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
