// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a ring file still holds after whatever happened to it. Pure: bytes in,
//! positions and problems out.
//!
//! The positions in the header are where to begin, not what to believe: entries
//! count from `tail` on for as long as their seals are right, whether the stored
//! `head` had reached them or not. So an entry that was complete when the reader
//! was killed is found, and one that was torn ends the walk, as does whatever is
//! left of an earlier lap. Nothing before `tail` is looked at.
//!
//! A reader may be killed when the kernel has given it bytes and it has not
//! written how many. It has said before where they would be, and that all of that
//! was zeros: so they end with the last byte that is none. Zeros that the
//! container itself wrote last are lost then, and nothing else.

use super::Amount;
use super::layout::{ENTRY_HEADER, EntryHeader, Kind, PAYLOAD_MAX, array, header_at, padded};
use super::mapping::{CAPACITY_MAX, DATA_AT, HEAD_AT, MAGIC, PAGE, TAIL_AT, VERSION};
use super::slots;
use crate::record::Stream;

/// A ring file to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) capacity: usize,
    pub(crate) generation: u64,
    pub(crate) tail: u64,
    /// As it is stored, with the revision of what is carried over it.
    pub(crate) commit: u64,
    /// Behind the last entry that is whole.
    pub(crate) head: u64,
    /// The last of them, if it was being read when its reader died: where it is,
    /// and its bytes.
    pub(crate) open: Option<(u64, u64)>,
    /// What those entries and the carry slots hold.
    pub(crate) held: Amount,
    /// Ring space between there and where the stored head was.
    pub(crate) lost_bytes: u64,
    /// Carry slots for `tail` that are not as they were written.
    pub(crate) bad_slots: u32,
}

/// Why a file is not a ring to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// It was made and never begun.
    #[error("it is empty")]
    Empty,
    /// It begins with something else.
    #[error("it is not a ring")]
    Magic,
    /// Another version of this program wrote it.
    #[error("it has format {found}, expected {VERSION}")]
    Version {
        /// What it says.
        found: u64,
    },
    /// Capacity, generation or their checksum do not fit together.
    #[error("its header does not verify")]
    Header,
    /// It is longer or shorter than its header says.
    #[error("it is {found} bytes long, expected {expected}")]
    Length {
        /// Bytes.
        found: u64,
        /// Bytes.
        expected: u64,
    },
    /// Where reading should go on is no place for an entry.
    #[error("its position {tail} is none")]
    Position {
        /// As stored.
        tail: u64,
    },
}

/// Looks at a whole ring file. `meanwhile` is called every [`SLICE_BYTES`].
///
/// # Errors
/// When nothing of it can be used.
pub(crate) fn recover(image: &[u8], meanwhile: &mut dyn FnMut()) -> Result<Found, Damage> {
    let field = |at: usize| u64::from_le_bytes(array(image, at));
    let constants = [field(0), field(8), field(16), field(24)];
    let [magic, version, capacity, generation] = constants;
    if image.len() < PAGE || constants == [0; 4] {
        return Err(Damage::Empty);
    }
    if magic != MAGIC {
        return Err(Damage::Magic);
    }
    if version != VERSION {
        return Err(Damage::Version { found: version });
    }
    let page = PAGE as u64;
    if field(32) != u64::from(seal(constants))
        || generation == 0
        || !(page..=CAPACITY_MAX).contains(&capacity)
        || !capacity.is_multiple_of(page)
    {
        return Err(Damage::Header);
    }
    let expected = DATA_AT as u64 + capacity;
    if image.len() as u64 != expected {
        return Err(Damage::Length { found: image.len() as u64, expected });
    }
    let commit = field(TAIL_AT);
    let tail = slots::position_of(commit);
    if tail > POSITION_MAX {
        return Err(Damage::Position { tail });
    }
    let mut found = Found {
        capacity: image.len() - DATA_AT,
        generation,
        tail,
        commit,
        head: tail,
        open: None,
        held: Amount::default(),
        lost_bytes: 0,
        bad_slots: 0,
    };
    let data = image.get(DATA_AT..).unwrap_or_default();
    let mut slice_end = tail + SLICE_BYTES;
    while let Some(Whole { next, bytes, open }) = entry(data, &found) {
        found.head = next;
        found.held.add(bytes);
        found.open = open;
        if open.is_some() {
            break;
        }
        if next >= slice_end {
            slice_end = next + SLICE_BYTES;
            meanwhile();
        }
    }
    let stored = field(HEAD_AT);
    if stored > found.head && stored <= tail + capacity {
        found.lost_bytes = stored - found.head;
    }
    for stream in Stream::BOTH {
        match carry_slot(image, commit, stream) {
            Some(slot) if slots::verifies(slot, generation) => {
                found.held.add(Amount::of(&slots::read(slot).bytes));
            }
            None if commit == tail => {}
            // Who stores a revision has written a slot.
            Some(_) | None => found.bad_slots += 1,
        }
    }
    Ok(found)
}

/// The checksum of the header's constants: magic, version, capacity, generation.
pub(super) fn seal(constants: [u64; 4]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for field in constants {
        sum.update(&field.to_le_bytes());
    }
    sum.finalize()
}

/// An entry to go on with.
struct Whole {
    /// The position behind it.
    next: u64,
    /// Its source bytes.
    bytes: Amount,
    /// See [`Found::open`].
    open: Option<(u64, u64)>,
}

/// The whole entry at `found.head`.
fn entry(data: &[u8], found: &Found) -> Option<Whole> {
    let capacity = found.capacity as u64;
    let limit = found.tail + capacity;
    let at = header_at(found.head, capacity);
    let bytes_at = |position: u64, len: u64| {
        let offset = usize::try_from(position % capacity).ok()?;
        data.get(offset..offset.checked_add(usize::try_from(len).ok()?)?)
    };
    if at + ENTRY_HEADER > limit {
        return None;
    }
    let header = EntryHeader::decode(bytes_at(at, ENTRY_HEADER)?);
    let len = u64::from(header.len);
    let next = header.next(at, capacity);
    if len > PAYLOAD_MAX || next > limit {
        return None;
    }
    let payload = bytes_at(at + ENTRY_HEADER, len)?;
    let is_open = header.kind == Kind::Open;
    let sealed = if is_open { &[] } else { payload };
    if header.sealed(found.generation, at, sealed).seal != header.seal {
        return None;
    }
    if is_open {
        let read = payload.get(..=payload.iter().rposition(|&byte| byte != 0)?)?;
        let len = read.len() as u64;
        let next = at + ENTRY_HEADER + padded(len);
        return Some(Whole { next, bytes: Amount::of(read), open: Some((at, len)) });
    }
    let bytes = if header.kind == Kind::Bytes { Amount::of(payload) } else { Amount::default() };
    Some(Whole { next, bytes, open: None })
}

/// The slot of a stream that is for this tail and revision, if there is one.
fn carry_slot(image: &[u8], commit: u64, stream: Stream) -> Option<&[u8]> {
    let slots = (0..2).map(|n| PAGE + slots::index(stream, n) * slots::SLOT);
    let mut slots = slots.filter_map(|at| image.get(at..at + slots::SLOT));
    slots.find(|slot| commit > 0 && slots::position(slot) == commit)
}

/// Takes `bytes` for the positions and entries of a file with a right header,
/// some of them sealed, and panics if recovery breaks a promise.
#[cfg(any(test, fuzzing))]
pub(crate) fn check(bytes: &[u8]) {
    let capacity = 2 * PAGE as u64;
    let mut image = vec![0; DATA_AT + 2 * PAGE];
    let constants = [MAGIC, VERSION, capacity, 9];
    for (n, field) in constants.into_iter().chain([u64::from(seal(constants))]).enumerate() {
        image[8 * n..8 * n + 8].copy_from_slice(&field.to_le_bytes());
    }
    let commit = u64::from_le_bytes(array(bytes, 0)) >> 2;
    let tail = slots::position_of(commit);
    let head = tail.wrapping_add(u64::from_le_bytes(array(bytes, 8)));
    image[TAIL_AT..TAIL_AT + 8].copy_from_slice(&commit.to_le_bytes());
    image[HEAD_AT..HEAD_AT + 8].copy_from_slice(&head.to_le_bytes());
    let data = bytes.get(16..).unwrap_or_default();
    let offset = usize::try_from(tail % capacity).unwrap_or_default();
    for (n, byte) in data.iter().take(2 * PAGE).enumerate() {
        image[DATA_AT + (offset + n) % (2 * PAGE)] = *byte;
    }
    // Seal what looks like an entry, so that the walk goes beyond the first.
    let mut at = tail;
    for _ in 0..data.len() % 16 {
        at = header_at(at, capacity);
        let place = DATA_AT + usize::try_from(at % capacity).unwrap_or_default();
        let Some(bytes) = image.get(place..place + 16) else { break };
        let header = EntryHeader::decode(bytes);
        let len = usize::try_from(header.len).unwrap_or_default();
        let Some(payload) = image.get(place + 16..place + 16 + len) else { break };
        let sealed = if header.kind == Kind::Open { &[] } else { payload };
        let header = header.sealed(9, at, sealed);
        image[place..place + 16].copy_from_slice(&header.encode());
        at = header.next(at, capacity);
    }
    let recover = |image: &[u8]| recover(image, &mut || {});
    let Ok(found) = recover(&image) else { return };
    assert!(found.tail == tail && found.head >= tail && found.head <= tail + capacity);
    assert!(found.head.is_multiple_of(8));
    assert!(found.held.bytes <= capacity + 2 * slots::CARRY_MAX as u64);
    // Without what it did not find, it finds the same.
    for position in found.head..tail + capacity {
        image[DATA_AT + usize::try_from(position % capacity).unwrap_or_default()] = 0;
    }
    assert_eq!(recover(&image).map(|again| again.head), Ok(found.head));
}

/// What is looked at, cleared or copied of a ring in one go, in bytes: about a
/// tenth of a millisecond's work, in which a zfd queue does not fill.
pub(crate) const SLICE_BYTES: u64 = 256 << 10;

/// Positions beyond this are not reached in a container's life.
const POSITION_MAX: u64 = 1 << 62;

#[cfg(test)]
mod tests;
