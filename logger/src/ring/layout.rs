// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Where an entry goes, and what its first bytes say. Pure.

use super::producer::READ_MAX;
use crate::record::Stream;

/// Bytes before an entry's payload: length (3), kind and stream (1), seal (4),
/// time (8); little endian.
pub(super) const ENTRY_HEADER: u64 = 16;

/// The longest payload, in bytes.
pub(super) const PAYLOAD_MAX: u64 = 64 << 10;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes as they were read.
    Bytes,
    /// A [`super::Gap`].
    Gap,
    /// Nothing; the next entry starts at the beginning of the area.
    Pad,
    /// Nothing; what comes behind it, another run of the container wrote.
    Break,
    /// The bytes of a read that is under way, in room for as many as the length
    /// says: zeros at its end were not read. Never published; only a file has it,
    /// and its seal leaves the room out.
    Open,
}

/// The header of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryHeader {
    pub(super) len: u32,
    pub(super) kind: Kind,
    pub(super) stream: Stream,
    pub(super) time_ns: u64,
    /// See [`EntryHeader::sealed`].
    pub(super) seal: u32,
}

/// A place for one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Where the entry starts; beyond `head` when the end of the area is skipped.
    pub(super) at: u64,
    /// The largest payload that fits, a multiple of 8.
    pub(super) room: u64,
}

/// The place for an entry of `min..=max` payload bytes, in one piece.
///
/// Prefers to go on at `head`; skips the end of the area when less than `min`
/// fits there. `None`: the ring is full.
pub(super) fn place(head: u64, tail: u64, capacity: u64, min: u64, max: u64) -> Option<Place> {
    let free = capacity.checked_sub(head.checked_sub(tail)?)?;
    let to_end = capacity - head % capacity;
    let here = free.min(to_end).saturating_sub(ENTRY_HEADER);
    if here >= min {
        return Some(Place { at: head, room: here.min(padded(max)) });
    }
    let after = free.saturating_sub(to_end).saturating_sub(ENTRY_HEADER);
    (after >= min).then(|| Place { at: head + to_end, room: after.min(padded(max)) })
}

/// Free bytes at which it is worth to wake a producer that waits for room: enough
/// for a long read, but no large part of the ring.
pub(super) fn room_worth_waking(capacity: u64) -> u64 {
    READ_MAX.min(capacity / 8)
}

/// Where a consumer at `position` finds the next header: an end of the area too
/// short for a header is skipped without a pad entry.
pub(super) fn header_at(position: u64, capacity: u64) -> u64 {
    let to_end = capacity - position % capacity;
    if to_end < ENTRY_HEADER { position + to_end } else { position }
}

/// The length of a payload in the area: the next multiple of 8.
pub(super) const fn padded(len: u64) -> u64 {
    len.next_multiple_of(8)
}

impl EntryHeader {
    pub(super) fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.word().to_le_bytes());
        bytes[4..8].copy_from_slice(&self.seal.to_le_bytes());
        bytes[8..].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let word = u32::from_le_bytes(array(bytes, 0));
        let kind = match (word >> 24 & 3, word & OPEN) {
            (_, OPEN) => Kind::Open,
            (0, _) => Kind::Bytes,
            (1, _) => Kind::Gap,
            (2, _) => Kind::Pad,
            _ => Kind::Break,
        };
        Self {
            len: word & LEN_MASK,
            kind,
            stream: if word >> 26 & 1 == 0 { Stream::Stdout } else { Stream::Stderr },
            seal: u32::from_le_bytes(array(bytes, 4)),
            time_ns: u64::from_le_bytes(array(bytes, 8)),
        }
    }

    /// The same header with the checksum of an entry of a file: over what it
    /// says, its payload, its position and the file's generation, so that what
    /// an earlier lap or an earlier file left behind does not pass for an entry.
    pub(super) fn sealed(self, generation: u64, position: u64, payload: &[u8]) -> Self {
        let mut sum = crc32fast::Hasher::new();
        for field in [generation, position, u64::from(self.word()), self.time_ns] {
            sum.update(&field.to_le_bytes());
        }
        sum.update(payload);
        Self { seal: sum.finalize(), ..self }
    }

    fn word(&self) -> u32 {
        let kind = match self.kind {
            Kind::Bytes => 0,
            Kind::Gap => 1,
            Kind::Pad => 2,
            Kind::Break => 3,
            Kind::Open => OPEN >> 24,
        };
        let stream = u32::from(self.stream == Stream::Stderr);
        self.len & LEN_MASK | kind << 24 | stream << 26
    }

    /// The position behind an entry with this header at `at`.
    pub(super) fn next(&self, at: u64, capacity: u64) -> u64 {
        match self.kind {
            Kind::Pad => at + (capacity - at % capacity),
            Kind::Bytes | Kind::Gap | Kind::Break | Kind::Open => {
                at + ENTRY_HEADER + padded(u64::from(self.len))
            }
        }
    }
}

const LEN_MASK: u32 = 0xff_ffff;
const OPEN: u32 = 1 << 27;

/// `N` bytes at `at`; zeros where the slice is shorter.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |head, tail, min, max| place(head, tail, 4096, min, max);
        for (name, got, want) in [
            ("empty", place(0, 0, 64, 1000), Some((0, 1000))),
            ("all of it", place(0, 0, 64, 9000), Some((0, 4080))),
            ("up to the end", place(3000, 2000, 64, 9000), Some((3000, 1080))),
            ("end too short", place(4064, 2000, 64, 9000), Some((4096, 1984))),
            ("behind the tail", place(4196, 2000, 64, 9000), Some((4196, 1884))),
            ("full", place(4096, 0, 64, 9000), None),
            ("nearly full", place(4000, 0, 88, 9000), None),
            ("neither part is enough", place(4064, 72, 64, 9000), None),
        ] {
            let want: Option<(u64, u64)> = want;
            assert_eq!(got.map(|place| (place.at, place.room)), want, "{name}");
        }
    }

    #[test]
    fn headers_round_trip() {
        for kind in [Kind::Bytes, Kind::Gap, Kind::Pad, Kind::Break, Kind::Open] {
            for stream in Stream::BOTH {
                let header =
                    EntryHeader { len: 65_536, kind, stream, time_ns: u64::MAX - 5, seal: 0 };
                let header = header.sealed(1, 2, b"payload");
                assert_ne!(header.seal, header.sealed(1, 10, b"payload").seal);
                assert_ne!(header.seal, header.sealed(2, 2, b"payload").seal);
                assert_eq!(EntryHeader::decode(&header.encode()), header);
            }
        }
    }
}
