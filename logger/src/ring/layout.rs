// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Where an entry goes, and what its first bytes say. Pure.

use crate::record::Stream;

/// Bytes before an entry's payload: length (4), kind (1), stream (1), zero (2),
/// time (8); little endian.
pub(super) const ENTRY_HEADER: u64 = 16;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes as they were read.
    Bytes,
    /// A [`super::Gap`].
    Gap,
    /// Nothing; the next entry starts at the beginning of the area.
    Pad,
}

/// The header of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryHeader {
    pub(super) len: u32,
    pub(super) kind: Kind,
    pub(super) stream: Stream,
    pub(super) time_ns: u64,
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
        bytes[..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4] = match self.kind {
            Kind::Bytes => 0,
            Kind::Gap => 1,
            Kind::Pad => 2,
        };
        bytes[5] = u8::from(self.stream == Stream::Stderr);
        bytes[8..].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let kind = match bytes[4] {
            0 => Kind::Bytes,
            1 => Kind::Gap,
            _ => Kind::Pad,
        };
        Self {
            len: u32::from_le_bytes(array(bytes, 0)),
            kind,
            stream: if bytes[5] == 0 { Stream::Stdout } else { Stream::Stderr },
            time_ns: u64::from_le_bytes(array(bytes, 8)),
        }
    }
}

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
        let header =
            EntryHeader { len: 77, kind: Kind::Gap, stream: Stream::Stderr, time_ns: u64::MAX - 5 };
        assert_eq!(EntryHeader::decode(&header.encode()), header);
    }
}
