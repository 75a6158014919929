// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Bytes to lines: what Docker's copier does, for one stream. Pure.
//!
//! Only `\n` ends a line; every other byte is data. A line of `limit` bytes or
//! more goes out in pieces of exactly `limit` bytes, or up to three bytes less
//! where no character of UTF-8 may be cut; the piece that the newline ends may be
//! empty. What the end of the stream leaves unterminated is a piece too, and not
//! marked as the last; so is a tail that is flushed while its line goes on.

use crate::driver::Cut;
use crate::record::{Piece, Record, Stream};
use crate::ring::Carried;

/// Cuts one stream into records.
#[derive(Debug)]
pub(crate) struct Splitter {
    stream: Stream,
    limit: usize,
    cut: Cut,
    /// Start of a line whose end has not been read; shorter than `limit`, unless a
    /// predecessor with a larger one has held it.
    held: Vec<u8>,
    /// So much at the front of `held` was handed out and is to be forgotten.
    spent: usize,
    /// When the first byte of `held` was read.
    held_ns: u64,
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

/// What becomes of a line of which a tail is flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// No more will come, or bytes are missing behind it.
    Ends,
    /// What comes behind it are further pieces.
    GoesOn,
}

impl Splitter {
    /// A splitter that makes pieces of `limit` bytes, at least 4, and goes on
    /// from `carried`.
    pub(crate) fn new(
        stream: Stream,
        (limit, cut): (usize, Cut),
        carried: Carried,
        id_seed: u64,
    ) -> Self {
        let line = (carried.ordinal > 0).then_some(LongLine {
            id: carried.id,
            ordinal: carried.ordinal,
            first_ns: carried.first_ns,
        });
        let (held, held_ns) = (carried.bytes, carried.first_ns);
        Self { stream, limit, cut, held, spent: 0, held_ns, line, next_id: id_seed }
    }

    /// The next record of `bytes`, of which the first was read at `time_ns`; moves
    /// the front of `bytes` behind what it used. `None`: all used, the rest is held.
    pub(crate) fn next_record<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b [u8],
        time_ns: u64,
    ) -> Option<Record<'a>> {
        self.forget_spent();
        if self.held.len() > self.limit {
            return Some(self.piece_of_held());
        }
        let room = self.limit - self.held.len();
        let window = &bytes[..bytes.len().min(room)];
        if let Some(at) = memchr::memchr(b'\n', window) {
            let (front, rest) = (&bytes[..at], &bytes[at + 1..]);
            *bytes = rest;
            let piece = self.end_line(time_ns);
            return Some(self.record(front, piece, time_ns));
        }
        if window.len() == room {
            let back = self.cut_back(&self.held, window);
            let piece = self.next_piece(time_ns);
            if back > room {
                // The character began in what is held.
                self.held.extend_from_slice(window);
                *bytes = &bytes[room..];
                self.spent = self.limit - back;
                self.held_ns = time_ns;
                let (piece, time_ns) = (Some(piece.0), piece.1);
                let text = &self.held[..self.spent];
                return Some(Record { stream: self.stream, time_ns, text, piece });
            }
            let (front, rest) = bytes.split_at(room - back);
            *bytes = rest;
            return Some(self.record(front, Some(piece), time_ns));
        }
        if self.held.is_empty() {
            self.held_ns = time_ns;
        }
        self.held.extend_from_slice(bytes);
        *bytes = &[];
        None
    }

    /// What is held without an end, as a piece, and when all of it was handed out,
    /// `None`.
    pub(crate) fn flush(&mut self, time_ns: u64, flush: Flush) -> Option<Record<'_>> {
        self.forget_spent();
        if self.held.len() > self.limit {
            return Some(self.piece_of_held());
        }
        let piece = (!self.held.is_empty()).then(|| self.next_piece(time_ns));
        if flush == Flush::Ends {
            self.line = None;
        }
        Some(self.record(&[], Some(piece?), time_ns))
    }

    /// A piece of what a predecessor with longer pieces has held.
    fn piece_of_held(&mut self) -> Record<'_> {
        let piece = self.next_piece(self.held_ns);
        self.spent = self.limit - self.cut_back(&self.held[..self.limit], &[]);
        let (piece, time_ns) = (Some(piece.0), piece.1);
        Record { stream: self.stream, time_ns, text: &self.held[..self.spent], piece }
    }

    /// When the first byte was read of a line whose end has not been; `None`:
    /// there is none.
    pub(crate) fn held_since_ns(&self) -> Option<u64> {
        (self.held_bytes() > 0).then_some(self.held_ns)
    }

    /// Forgets what is held, and the line it belongs to; says how much it was.
    pub(crate) fn abandon(&mut self) -> u64 {
        self.forget_spent();
        let bytes = self.held.len() as u64;
        self.held.clear();
        self.line = None;
        bytes
    }

    /// Bytes of a line whose end has not been read.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.len() - self.spent
    }

    /// What a successor needs to go on here.
    pub(crate) fn carried(&self) -> Carried {
        let bytes = self.held[self.spent..].to_vec();
        let (id, ordinal, first_ns) =
            self.line.map_or((0, 0, self.held_ns), |line| (line.id, line.ordinal, line.first_ns));
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
            self.spent = self.held.len();
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
        if self.spent > 0 {
            self.held.drain(..self.spent);
            self.spent = 0;
            // A long line must not keep its memory for good.
            self.held.shrink_to(4096);
        }
    }

    /// How many bytes before the end of a full piece, which `front` and `rest` make
    /// together, it is to be cut.
    fn cut_back(&self, front: &[u8], rest: &[u8]) -> usize {
        if self.cut == Cut::Bytes {
            return 0;
        }
        let piece = front.iter().chain(rest).rev();
        for (back, byte) in (1..=3).zip(piece) {
            let len = match byte {
                0x80..=0xBF => continue,
                0xC2..=0xDF => 2,
                0xE0..=0xEF => 3,
                0xF0..=0xF4 => 4,
                _ => return 0,
            };
            return if len > back { back } else { 0 };
        }
        0
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
        split_at(limit, Cut::Bytes, reads)
    }

    fn split_at(limit: usize, cut: Cut, reads: &[&[u8]]) -> Vec<Seen> {
        let shape = (limit, cut);
        let mut splitter = Splitter::new(Stream::Stdout, shape, Carried::default(), 1);
        let mut all = Vec::new();
        let mut now = 0;
        for read in reads {
            now += 1;
            let mut bytes = *read;
            loop {
                // Going on from what is carried must make no difference.
                let carried = splitter.carried();
                splitter = Splitter::new(Stream::Stdout, shape, carried, 1);
                let Some(record) = splitter.next_record(&mut bytes, now) else { break };
                all.push(seen(record));
            }
        }
        all.extend(splitter.flush(now + 1, Flush::Ends).map(seen));
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
        let mut splitter = Splitter::new(Stream::Stderr, (4, Cut::Bytes), Carried::default(), 9);
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

    #[test]
    fn characters_are_not_cut() {
        let text = "aé€😀é€😀bcd€€é\n";
        for limit in 4..12 {
            for step in 1..10 {
                let reads: Vec<&[u8]> = text.as_bytes().chunks(step).collect();
                let got = split_at(limit, Cut::Characters, &reads);
                let whole: Vec<u8> = got.iter().flat_map(|seen| seen.0.clone()).collect();
                assert_eq!(whole, text.trim_end().as_bytes(), "limit {limit}, reads of {step}");
                for (piece, ordinal, ..) in &got {
                    assert!(std::str::from_utf8(piece).is_ok(), "{piece:?}: {limit}, {step}");
                    assert!(piece.len() <= limit && *ordinal > 0);
                }
                let long = got.iter().rev().skip(1).all(|seen| seen.0.len() + 3 >= limit);
                assert!(long, "limit {limit}, reads of {step}: {got:?}");
            }
        }
        // What is no text is cut like bytes.
        for bytes in [[0xFF; 8], [0x80; 8], [b'a'; 8]] {
            let got = split_at(4, Cut::Characters, &[&bytes, b"\n"]);
            let lens: Vec<usize> = got.iter().map(|seen| seen.0.len()).collect();
            assert_eq!(lens, [4, 4, 0]);
        }
    }

    #[test]
    fn a_flushed_tail_goes_on_in_further_pieces() {
        let mut splitter = Splitter::new(Stream::Stdout, (8, Cut::Bytes), Carried::default(), 1);
        assert_eq!(splitter.flush(1, Flush::GoesOn), None);
        let mut feed = |read: &[u8], time_ns: u64| {
            let mut bytes = read;
            let mut all = Vec::new();
            while let Some(record) = splitter.next_record(&mut bytes, time_ns) {
                all.push(seen(record));
            }
            let since = splitter.held_since_ns();
            all.extend(splitter.flush(time_ns + 1, Flush::GoesOn).map(seen));
            (all, since)
        };
        assert_eq!(feed(b"ask", 10), (vec![(b"ask".to_vec(), 1, false, 11)], Some(10)));
        assert_eq!(feed(b"? ", 20), (vec![(b"? ".to_vec(), 2, false, 11)], Some(20)));
        let want = vec![(b"yes".to_vec(), 3, true, 11), whole(b"next", 30)];
        assert_eq!(feed(b"yes\nnext\n", 30), (want, None));
    }

    #[test]
    fn a_tail_longer_than_the_limit_is_cut() {
        let carried = |ordinal| Carried {
            bytes: [b"a".repeat(21), "é".repeat(5).into_bytes()].concat(),
            ordinal,
            id: 7,
            first_ns: 5,
        };
        for (cut, lens) in [(Cut::Bytes, [10, 10, 10, 1]), (Cut::Characters, [10, 10, 9, 2])] {
            for (ordinal, more) in [(0, b"".as_slice()), (3, b""), (0, b"zz\nnext\n"), (3, b"\n")] {
                let mut splitter = Splitter::new(Stream::Stdout, (10, cut), carried(ordinal), 1);
                let (mut bytes, mut got) = (more, Vec::new());
                while !bytes.is_empty() {
                    got.extend(splitter.next_record(&mut bytes, 9).map(seen));
                }
                while let Some(record) = splitter.flush(9, Flush::Ends) {
                    got.push(seen(record));
                }
                let line: Vec<_> = got.iter().filter(|seen| seen.1 > 0).collect();
                let mut want = lens;
                want[3] += if more.starts_with(b"zz") { 2 } else { 0 };
                let got_lens: Vec<usize> = line.iter().map(|seen| seen.0.len()).collect();
                assert_eq!(got_lens, want, "{cut:?}, {ordinal}, {more:?}");
                for (n, seen) in (ordinal + 1..).zip(line) {
                    let last = n == ordinal + 4 && !more.is_empty();
                    assert_eq!((seen.1, seen.2, seen.3), (n, last, 5));
                }
                assert_eq!(got.len(), if more.ends_with(b"next\n") { 5 } else { 4 });
            }
        }
    }
}
