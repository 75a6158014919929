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

mod sides;

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use dockerlogger_manifest::status::PAGE_BYTES;

use super::handoff::Handoff;
use super::recovery::{self, Found};
use super::shared::Shared;
use super::slots::{Carried, SLOT, SLOTS};
use crate::os;
pub(super) use sides::Readable;
use sides::View;
pub(super) use sides::Writable;

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
/// To be raised with every change of entries, slots or the header before `shared`
/// that a logger of another version would misread. An open entry it takes for a
/// torn one, and a tail with a revision for none.
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
        let capacity = Self::rounded(capacity);
        let base = map(DATA_AT + capacity, None)?;
        Ok(Self { base, capacity, generation: 0, page: None })
    }

    /// `capacity` as a ring has it: whole pages, at least one.
    pub(crate) fn rounded(capacity: usize) -> usize {
        capacity.max(PAGE).next_multiple_of(PAGE)
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

    /// From here on, a file that is cut short does not end the process. For the
    /// one ring that a process works with.
    pub(crate) fn guard(&self) {
        if self.generation != 0 {
            os::guard(0, self.base.as_ptr() as usize, DATA_AT + self.capacity);
        }
        if let Some(page) = self.page {
            os::guard(1, page.as_ptr() as usize, PAGE_BYTES);
        }
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
        DATA_AT + Self::rounded(capacity)
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
        let capacity = Self::rounded(capacity);
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
    /// entry may have whole ones behind it. `meanwhile` is called every
    /// [`SLICE_BYTES`](super::SLICE_BYTES).
    pub(crate) fn go_on(&mut self, found: &Found, meanwhile: &mut dyn FnMut()) {
        self.generation = found.generation;
        let header = self.header();
        // Whoever goes on writes the header that the reader could not.
        header.handoff.start_at(found.commit, found.open.map_or(found.head, |(at, _)| at));
        header.handover.store(0, Ordering::Relaxed);
        self.forget_counts();
        let capacity = self.capacity as u64;
        let (mut writable, mut readable) = self.split();
        readable.forget_account(found.bad_slots > 0);
        if let Some((at, len)) = found.open {
            writable.close(at, len);
            writable.publish(found.head);
        }
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
            if at.is_multiple_of(super::SLICE_BYTES) {
                meanwhile();
            }
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
        let view = View { base, capacity, generation, shared, mapping };
        let (writable, readable) = (Writable(view), Readable(view));
        writable.shared().describe_ring(capacity as u64, generation != 0);
        writable.shared().show_head(writable.head());
        writable.shared().show_tail(writable.tail());
        (writable, readable)
    }

    fn header(&self) -> &Header {
        header(self.base)
    }
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

#[cfg(test)]
mod tests;
