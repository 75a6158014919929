// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The carry slots: two for each stream, one for the last position that was
//! committed and one to write the next into. Pure, over the slots' bytes.
//!
//! A slot is a page of description and then the bytes: position (8), length
//! (4), ordinal (4), identity (8), first time (8), seal (4); the account stands
//! behind it and is not sealed, because a new start begins a new one.

use super::account::Account;
use super::layout::array;
use crate::record::Stream;

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

/// The bits in which positions have zeros: what is carried over a position may
/// be replaced, when a tail is flushed that was a part of it, and each time has
/// another number.
const REVISION: u64 = 7;

/// Where a stored tail is.
pub(super) const fn position_of(commit: u64) -> u64 {
    commit & !REVISION
}

/// What is to be stored for the position that `commit` has when something else is
/// carried over it. Never 0.
pub(super) const fn next_revision(commit: u64) -> u64 {
    position_of(commit) | ((commit & REVISION) % REVISION + 1)
}

/// Bytes of a slot's description.
const DESCRIPTION: usize = 4096;

/// Bytes of a slot.
pub(super) const SLOT: usize = DESCRIPTION + CARRY_MAX;

/// Two for each of two streams.
pub(super) const SLOTS: usize = 4;

const SEALED: usize = 32;
const ACCOUNT_AT: usize = 64;

/// The slot number `n` (0 or 1) of a stream among all of them.
pub(super) const fn index(stream: Stream, n: usize) -> usize {
    2 * stream.index() + if n == 0 { 0 } else { 1 }
}

/// The position that a slot is for, and in its lowest bits a [revision]; 0: none.
///
/// [revision]: next_revision
pub(super) fn position(slot: &[u8]) -> u64 {
    u64::from_le_bytes(array(slot, 0))
}

/// Writes what is carried over `position`. `generation` is that of the file; 0
/// for a ring that is none, which needs no seal.
pub(super) fn write(slot: &mut [u8], generation: u64, position: u64, carried: &Carried) {
    let len = carried.bytes.len().min(CARRY_MAX);
    let len_field = u32::try_from(len).unwrap_or(0);
    slot[..8].copy_from_slice(&position.to_le_bytes());
    slot[8..12].copy_from_slice(&len_field.to_le_bytes());
    slot[12..16].copy_from_slice(&carried.ordinal.to_le_bytes());
    slot[16..24].copy_from_slice(&carried.id.to_le_bytes());
    slot[24..32].copy_from_slice(&carried.first_ns.to_le_bytes());
    slot[DESCRIPTION..DESCRIPTION + len].copy_from_slice(&carried.bytes[..len]);
    if generation != 0 {
        let seal = seal(slot, generation, len);
        slot[SEALED..SEALED + 4].copy_from_slice(&seal.to_le_bytes());
    }
}

/// What a slot holds.
pub(super) fn read(slot: &[u8]) -> Carried {
    let bytes = slot.get(DESCRIPTION..DESCRIPTION + len(slot)).unwrap_or_default();
    Carried {
        bytes: bytes.to_vec(),
        ordinal: u32::from_le_bytes(array(slot, 12)),
        id: u64::from_le_bytes(array(slot, 16)),
        first_ns: u64::from_le_bytes(array(slot, 24)),
    }
}

/// Whether a slot of a file is as it was written.
pub(super) fn verifies(slot: &[u8], generation: u64) -> bool {
    seal(slot, generation, len(slot)) == u32::from_le_bytes(array(slot, SEALED))
}

/// Puts the account beside what is carried.
pub(super) fn write_account(slot: &mut [u8], account: &Account) {
    slot[ACCOUNT_AT..ACCOUNT_AT + Account::ENCODED].copy_from_slice(&account.encode());
}

/// The account of a slot.
pub(super) fn account(slot: &[u8]) -> Account {
    Account::decode(slot.get(ACCOUNT_AT..).unwrap_or_default())
}

fn len(slot: &[u8]) -> usize {
    usize::try_from(u32::from_le_bytes(array(slot, 8))).unwrap_or(0).min(CARRY_MAX)
}

fn seal(slot: &[u8], generation: u64, len: usize) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&generation.to_le_bytes());
    sum.update(slot.get(..SEALED).unwrap_or_default());
    sum.update(slot.get(DESCRIPTION..DESCRIPTION + len).unwrap_or_default());
    sum.finalize()
}
