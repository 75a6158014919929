// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The ring between reader and sender: one shared mapping, one producer, one
//! consumer, bounded in bytes.
//!
//! * [`mapping`] owns the memory; the only `unsafe` part.
//! * [`handoff`] is the two positions and the wake-up words, over the atomics of
//!   [`sync`]; [`shared`] what both sides count.
//! * [`recovery`] says what a ring file still holds; [`slots`] is the carry area.
//! * [`layout`] says where the next entry goes: pure arithmetic on positions.
//! * [`account`] says what became of source bytes, and the causes of loss.
//! * [`producer`] is the reader's side, [`consumer`] the sender's; [`due`] is what
//!   the first has to say and had no room for.
//!
//! ```text
//! | header page | carry: 2 streams x 2 slots | data area (capacity bytes) |
//! ```
//!
//! Positions count bytes since the start and never wrap in practice (2^64); a
//! position's place in the data area is its remainder by the capacity. Entries
//! start at multiples of 8 and never wrap: the end of the area that is too short
//! is skipped by a pad entry.
//!
//! Invariants: `tail <= head <= tail + capacity`; only the producer stores
//! `head`, only the consumer stores `tail`; an entry is written before `head`
//! passes it; `tail` passes an entry only when the sink has taken every record
//! that ended in it, and what it left unfinished is in the carry slot stamped
//! with that `tail`. The store of `tail` is the single commit point: whenever
//! the sender dies, its successor goes on from `tail` and that slot. When what
//! is unfinished there is sent all the same, the same `tail` is stored with
//! another revision in its lowest bits, and a slot that is stamped with both.

mod account;
mod consumer;
mod due;
mod handoff;
mod layout;
mod mapping;
mod producer;
mod recovery;
mod shared;
mod slots;
mod sync;
#[cfg(test)]
mod tests;

pub(crate) use account::Account;
pub(crate) use account::Amount;
pub(crate) use account::DropCause;
pub(crate) use consumer::Consumer;
pub(crate) use consumer::Entry;
pub(crate) use consumer::Payload;
pub(crate) use due::Due;
pub(crate) use mapping::HANDOVER_AT;
pub(crate) use mapping::Mapping;
pub(crate) use producer::Producer;
pub(crate) use recovery::Damage;
pub(crate) use recovery::Found;
pub(crate) use recovery::SLICE_BYTES;
#[cfg(any(test, fuzzing))]
pub(crate) use recovery::check as check_recovery;
pub(crate) use recovery::recover;
pub(crate) use shared::Description;
pub(crate) use shared::Shared;
pub(crate) use shared::SinkState;
pub(crate) use slots::Carried;

/// What was dropped of one stream for one cause between two entries. Times are nanoseconds
/// since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    pub(crate) first_ns: u64,
    pub(crate) last_ns: u64,
    pub(crate) cause: DropCause,
}

impl Gap {
    /// All of it at one time.
    pub(crate) const fn of(lost: Amount, time_ns: u64, cause: DropCause) -> Self {
        Self { lines: lost.lines, bytes: lost.bytes, first_ns: time_ns, last_ns: time_ns, cause }
    }
}
