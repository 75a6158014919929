// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Bytes to lines: what Docker's copier does, for one stream. Pure.
//!
//! Only `\n` ends a line; every other byte is data. A line of `limit` bytes or
//! more goes out in pieces of exactly `limit` bytes, cut at bytes; the piece
//! that the newline ends may be empty. What the end of the stream leaves
//! unterminated is a piece too, and not marked as the last.

use crate::record::{Piece, Record, Stream};
use crate::ring::Carried;

/// Cuts one stream into records.
#[derive(Debug)]
pub(crate) struct Splitter {
    stream: Stream,
    limit: usize,
    /// Start of a line whose end has not been read; shorter than `limit`.
    held: Vec<u8>,
    /// `held` was handed out and is to be emptied.
    spent: bool,
    /// The line being sent in pieces.
    line: Option<LongLine>,
    next_id: u64,
}

#[derive(Debug, Clone, Copy)]
struct LongLine {
    id: u64,
    ordinal: u32,
    first_ns: u64,
}

impl Splitter {
    /// A splitter that makes pieces of `limit` bytes and goes on from `carried`.
    pub(crate) fn new(stream: Stream, limit: usize, carried: Carried, id_seed: u64) -> Self {
        let line = (carried.ordinal > 0).then_some(LongLine {
            id: carried.id,
            ordinal: carried.ordinal,
            first_ns: carried.first_ns,
        });
        Self { stream, limit, held: carried.bytes, spent: false, line, next_id: id_seed }
    }

    /// The next record of `bytes`, which were read at `time_ns`; moves the front
    /// of `bytes` behind what it used. `None`: all used, the rest is held.
    pub(crate) fn next_record<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b [u8],
        time_ns: u64,
    ) -> Option<Record<'a>> {
        self.forget_spent();
        let room = self.limit - self.held.len();
        let window = &bytes[..bytes.len().min(room)];
        if let Some(at) = memchr::memchr(b'\n', window) {
            let (front, rest) = (&bytes[..at], &bytes[at + 1..]);
            *bytes = rest;
            let piece = self.end_line(time_ns);
            return Some(self.record(front, piece, time_ns));
        }
        if window.len() == room {
            let (front, rest) = bytes.split_at(room);
            *bytes = rest;
            let piece = self.next_piece(time_ns);
            return Some(self.record(front, Some(piece), time_ns));
        }
        self.held.extend_from_slice(bytes);
        *bytes = &[];
        None
    }

    /// What is held without an end, as a piece: the stream has ended, or bytes
    /// are missing behind it.
    pub(crate) fn flush(&mut self, time_ns: u64) -> Option<Record<'_>> {
        self.forget_spent();
        if self.held.is_empty() {
            self.line = None;
            return None;
        }
        let piece = self.next_piece(time_ns);
        self.line = None;
        Some(self.record(&[], Some(piece), time_ns))
    }

    /// Bytes of a line whose end has not been read.
    pub(crate) fn held_bytes(&self) -> usize {
        if self.spent { 0 } else { self.held.len() }
    }

    /// What a successor needs to go on here.
    pub(crate) fn carried(&self) -> Carried {
        let bytes = if self.spent { Vec::new() } else { self.held.clone() };
        let (id, ordinal, first_ns) =
            self.line.map_or((0, 0, 0), |line| (line.id, line.ordinal, line.first_ns));
        Carried { bytes, ordinal, id, first_ns }
    }

    fn record<'a>(
        &'a mut self,
        front: &'a [u8],
        piece: Option<(Piece, u64)>,
        time_ns: u64,
    ) -> Record<'a> {
        let (piece, time_ns) = match piece {
            Some((piece, first_ns)) => (Some(piece), first_ns),
            None => (None, time_ns),
        };
        let text = if self.held.is_empty() {
            front
        } else {
            self.held.extend_from_slice(front);
            self.spent = true;
            &self.held
        };
        Record { stream: self.stream, time_ns, text, piece }
    }

    /// One more piece of the line, and the time of the first.
    fn next_piece(&mut self, time_ns: u64) -> (Piece, u64) {
        let line = self.line.get_or_insert_with(|| {
            self.next_id = self.next_id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            LongLine { id: self.next_id, ordinal: 0, first_ns: time_ns }
        });
        line.ordinal = line.ordinal.saturating_add(1);
        (Piece { id: line.id, ordinal: line.ordinal, last: false }, line.first_ns)
    }

    /// The newline has come: the last piece of a long line, or no piece at all.
    fn end_line(&mut self, time_ns: u64) -> Option<(Piece, u64)> {
        self.line?;
        let (mut piece, first_ns) = self.next_piece(time_ns);
        piece.last = true;
        self.line = None;
        Some((piece, first_ns))
    }

    fn forget_spent(&mut self) {
        if self.spent {
            self.held.clear();
            self.spent = false;
            // A long line must not keep its memory for good.
            self.held.shrink_to(4096);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 16_384;

    /// Text, ordinal (0: no piece), last, time.
    type Seen = (Vec<u8>, u32, bool, u64);

    fn seen(record: Record<'_>) -> Seen {
        let (ordinal, last) = record.piece.map_or((0, false), |p| (p.ordinal, p.last));
        (record.text.to_vec(), ordinal, last, record.time_ns)
    }

    /// The records of `reads`, the n-th of which happened at time n.
    fn split(limit: usize, reads: &[&[u8]]) -> Vec<Seen> {
        let mut splitter = Splitter::new(Stream::Stdout, limit, Carried::default(), 1);
        let mut all = Vec::new();
        let mut now = 0;
        for read in reads {
            now += 1;
            let mut bytes = *read;
            loop {
                // Going on from what is carried must make no difference.
                let carried = splitter.carried();
                splitter = Splitter::new(Stream::Stdout, limit, carried, 1);
                let Some(record) = splitter.next_record(&mut bytes, now) else { break };
                all.push(seen(record));
            }
        }
        all.extend(splitter.flush(now + 1).map(seen));
        all
    }

    fn whole(text: &[u8], time: u64) -> Seen {
        (text.to_vec(), 0, false, time)
    }

    #[test]
    fn lines_across_reads() {
        let got = split(LIMIT, &[b"a\n\nb\r\nsplit ", b"", b"across\n\0\xff\n", b"no end"]);
        let want = [
            whole(b"a", 1),
            whole(b"", 1),
            whole(b"b\r", 1),
            whole(b"split across", 3),
            whole(b"\0\xff", 3),
            (b"no end".to_vec(), 1, false, 5),
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn long_lines_go_in_pieces() {
        let a = vec![b'a'; 3 * LIMIT];
        let line = |n: usize| [&a[..n], b"\n"].concat();
        let cases = [
            (LIMIT - 1, vec![(LIMIT - 1, 0, false)]),
            (LIMIT, vec![(LIMIT, 1, false), (0, 2, true)]),
            (LIMIT + 1, vec![(LIMIT, 1, false), (1, 2, true)]),
            (2 * LIMIT, vec![(LIMIT, 1, false), (LIMIT, 2, false), (0, 3, true)]),
            (40_000, vec![(LIMIT, 1, false), (LIMIT, 2, false), (7232, 3, true)]),
        ];
        for (n, want) in cases {
            for step in [n + 1, 2048, 777] {
                let line = line(n);
                let reads: Vec<&[u8]> = line.chunks(step).collect();
                let got: Vec<_> =
                    split(LIMIT, &reads).iter().map(|s| (s.0.len(), s.1, s.2)).collect();
                assert_eq!(got, want, "{n} bytes in reads of {step}");
            }
        }
    }

    #[test]
    fn the_pieces_of_a_line_share_identity_and_time() {
        let mut splitter = Splitter::new(Stream::Stderr, 4, Carried::default(), 9);
        let mut ids = Vec::new();
        for (time, read) in [(1, b"abcdef".as_slice()), (2, b"ghij\nklmnop\n")] {
            let mut bytes = read;
            while let Some(record) = splitter.next_record(&mut bytes, time) {
                assert_eq!(record.stream, Stream::Stderr);
                let piece = record.piece.unwrap();
                ids.push((piece.id, piece.ordinal, piece.last, record.time_ns));
            }
        }
        let (first, second) = (ids[0].0, ids[3].0);
        assert_ne!(first, second);
        let want = [
            (first, 1, false, 1),
            (first, 2, false, 1),
            (first, 3, true, 1),
            (second, 1, false, 2),
            (second, 2, true, 2),
        ];
        assert_eq!(ids, want);
    }
}
