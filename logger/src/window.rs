// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What was encoded and may have to be sent, or sent again. Pure.
//!
//! Frames form one endless byte stream; a batch is a stretch of it. Three marks
//! move along: `taken <= cursor <= end`. Behind `taken` the sink has the bytes;
//! from `cursor` on they have not been sent. A batch whose end is behind `taken`
//! is *released*: what it came from may leave the ring. It is kept a little
//! longer all the same, because a peer that breaks down loses what its kernel
//! had taken for it.

use std::collections::VecDeque;

use crate::ring::Carried;

/// Frames made from one stretch of the ring.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// Where each frame ends in `bytes`.
    pub(crate) ends: Vec<u32>,
    /// Present if the batch ends where an entry of the ring does.
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// A position of the ring to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) position: u64,
    pub(crate) carried: [Carried; 2],
}

/// How much of what the sink has taken is kept for a peer that breaks down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay {
    pub(crate) max_bytes: u64,
    pub(crate) max_age_ns: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The peer closed it after it had read what its kernel acknowledged.
    Closed,
    /// It broke: what was acknowledged last may not have been read.
    Broken,
}

/// What the sink has newly taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// The batches between ring and sink.
#[derive(Debug)]
pub(crate) struct Window {
    batches: VecDeque<Held>,
    /// Of `batches`, how many at the front are released, and their bytes.
    released: usize,
    kept_bytes: u64,
    taken: u64,
    cursor: u64,
    end: u64,
    replay: Replay,
    spare: Option<Batch>,
}

#[derive(Debug)]
struct Held {
    batch: Batch,
    start: u64,
    /// When its last byte was sent.
    sent_ns: u64,
}

impl Held {
    fn end(&self) -> u64 {
        self.start + self.batch.bytes.len() as u64
    }
}

impl Window {
    pub(crate) const fn new(replay: Replay) -> Self {
        Self {
            batches: VecDeque::new(),
            released: 0,
            kept_bytes: 0,
            taken: 0,
            cursor: 0,
            end: 0,
            replay,
            spare: None,
        }
    }

    /// An empty batch, with the memory of an earlier one where there is one.
    pub(crate) fn new_batch(&mut self) -> Batch {
        self.spare.take().unwrap_or_default()
    }

    /// Adds frames behind all others.
    pub(crate) fn push(&mut self, batch: Batch) {
        let start = self.end;
        self.end += batch.bytes.len() as u64;
        self.batches.push_back(Held { batch, start, sent_ns: 0 });
    }

    /// Bytes not sent yet.
    pub(crate) const fn unsent_bytes(&self) -> u64 {
        self.end - self.cursor
    }

    /// Bytes the sink does not have yet.
    pub(crate) const fn untaken_bytes(&self) -> u64 {
        self.end - self.taken
    }

    /// Whether a batch waits to be released.
    pub(crate) fn has_unreleased(&self) -> bool {
        self.released < self.batches.len()
    }

    /// Where the next byte to send stands in the stream.
    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The bytes to send next: the rest of one batch.
    pub(crate) fn unsent(&self) -> Option<&[u8]> {
        let (held, at) = self.at_cursor()?;
        Some(&held.batch.bytes[at..])
    }

    /// The frame to send next.
    pub(crate) fn next_frame(&self) -> Option<&[u8]> {
        let (held, at) = self.at_cursor()?;
        let ends = &held.batch.ends;
        let index = ends.partition_point(|&end| to_usize(u64::from(end)) <= at);
        let end = ends.get(index).map_or(held.batch.bytes.len(), |&end| to_usize(end.into()));
        Some(&held.batch.bytes[at..end])
    }

    fn at_cursor(&self) -> Option<(&Held, usize)> {
        if self.cursor == self.end {
            return None;
        }
        let held = self.batches.iter().rev().find(|held| held.start <= self.cursor)?;
        Some((held, to_usize(self.cursor - held.start)))
    }

    /// `n` more bytes were sent.
    pub(crate) fn sent(&mut self, n: usize, now_ns: u64) {
        let before = self.cursor;
        self.cursor = (self.cursor + n as u64).min(self.end);
        let touched = self.batches.iter_mut().rev().take_while(|held| held.end() > before);
        for held in touched {
            held.sent_ns = now_ns;
        }
    }

    /// Everything sent up to `age_ns` ago.
    pub(crate) fn sent_before(&self, now_ns: u64, age_ns: u64) -> u64 {
        let old = |held: &&Held| {
            held.end() <= self.cursor && held.sent_ns.saturating_add(age_ns) <= now_ns
        };
        self.batches.iter().take_while(old).last().map_or(self.taken, Held::end)
    }

    /// The sink has everything before `taken`.
    pub(crate) fn take(&mut self, taken: u64, now_ns: u64) -> Released {
        self.taken = taken.clamp(self.taken, self.cursor.max(self.taken));
        let mut released = Released::default();
        while let Some(held) = self.batches.get_mut(self.released) {
            if held.end() > self.taken {
                break;
            }
            released.records += held.batch.ends.len() as u64;
            released.bytes += held.batch.bytes.len() as u64;
            if let Some(checkpoint) = held.batch.checkpoint.take() {
                released.checkpoint = Some(checkpoint);
            }
            self.released += 1;
            self.kept_bytes += held.batch.bytes.len() as u64;
        }
        self.forget(now_ns);
        released
    }

    /// The connection is gone: the next one starts at the beginning of a frame
    /// that the sink may not have.
    pub(crate) fn rewind(&mut self, lost: Lost, now_ns: u64) {
        self.forget(now_ns);
        let front = self.batches.front().map_or(self.end, |held| held.start);
        self.cursor = match lost {
            Lost::Broken => front,
            Lost::Closed => {
                let holder = self.batches.iter().rev().find(|held| held.start <= self.taken);
                holder.map_or(front, |held| {
                    let inside = to_usize(self.taken - held.start);
                    let boundary = held
                        .batch
                        .ends
                        .iter()
                        .map(|&end| u64::from(end))
                        .take_while(|&end| to_usize(end) <= inside)
                        .last();
                    held.start + boundary.unwrap_or(0)
                })
            }
        };
        // What is sent again has to be taken again: the new peer may be another.
        self.taken = self.taken.min(self.cursor).max(self.released_end());
    }

    fn released_end(&self) -> u64 {
        self.released.checked_sub(1).and_then(|n| self.batches.get(n)).map_or(0, Held::end)
    }

    /// Lets go of released batches that are too old or too many to keep.
    fn forget(&mut self, now_ns: u64) {
        while self.released > 0 {
            let Some(held) = self.batches.front() else { break };
            let len = held.batch.bytes.len() as u64;
            let old = held.sent_ns.saturating_add(self.replay.max_age_ns) <= now_ns;
            // What is to be sent again stays until it is.
            let wanted = held.end() > self.cursor;
            if wanted || !(old || self.kept_bytes > self.replay.max_bytes || len == 0) {
                break;
            }
            self.kept_bytes -= len;
            self.released -= 1;
            if let Some(held) = self.batches.pop_front() {
                self.keep_spare(held.batch);
            }
        }
        if self.batches.capacity() > 64 && self.batches.len() < 16 {
            self.batches.shrink_to(16);
        }
    }

    fn keep_spare(&mut self, mut batch: Batch) {
        batch.bytes.clear();
        batch.ends.clear();
        batch.checkpoint = None;
        self.spare = Some(batch);
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLAY: Replay = Replay { max_bytes: 10, max_age_ns: 100 };

    fn batch(frames: &[&str], position: Option<u64>) -> Batch {
        let mut batch = Batch::default();
        for frame in frames {
            batch.bytes.extend_from_slice(frame.as_bytes());
            batch.ends.push(u32::try_from(batch.bytes.len()).unwrap());
        }
        let checkpoint = |position| Checkpoint { position, carried: Default::default() };
        batch.checkpoint = position.map(checkpoint);
        batch
    }

    fn position(released: &Released) -> Option<u64> {
        released.checkpoint.as_ref().map(|checkpoint| checkpoint.position)
    }

    fn unsent(window: &Window) -> &str {
        std::str::from_utf8(window.unsent().unwrap_or_default()).unwrap()
    }

    #[test]
    fn batches_are_released_whole_and_in_order() {
        let mut window = Window::new(REPLAY);
        window.push(batch(&["aa\n", "bb\n"], Some(1)));
        window.push(batch(&["cc\n"], Some(2)));
        assert_eq!(unsent(&window), "aa\nbb\n");
        window.sent(6, 5);
        assert_eq!(unsent(&window), "cc\n");
        assert_eq!(window.take(5, 5), Released::default());
        let released = window.take(6, 6);
        assert_eq!((position(&released), released.records, released.bytes), (Some(1), 2, 6));
        // Nothing is taken that was not sent.
        assert_eq!(window.take(9, 6), Released::default());
        window.sent(3, 7);
        assert_eq!(position(&window.take(9, 7)), Some(2));
        assert!(!window.has_unreleased());
    }

    #[test]
    fn a_batch_without_frames_is_released_at_once() {
        let mut window = Window::new(REPLAY);
        window.push(batch(&[], Some(4)));
        assert!(window.has_unreleased() && window.unsent().is_none());
        assert_eq!(position(&window.take(0, 1)), Some(4));
    }

    #[test]
    fn a_closed_connection_goes_on_at_a_frame() {
        let mut window = Window::new(REPLAY);
        window.push(batch(&["aa\n", "bbbb\n", "cc\n"], Some(1)));
        window.sent(9, 1);
        window.take(5, 1);
        window.rewind(Lost::Closed, 2);
        assert_eq!(unsent(&window), "bbbb\ncc\n");
        window.sent(8, 3);
        assert_eq!(position(&window.take(11, 3)), Some(1));
    }

    #[test]
    fn a_broken_connection_repeats_what_is_kept() {
        let mut window = Window::new(REPLAY);
        window.push(batch(&["aa\n"], Some(1)));
        window.push(batch(&["bb\n"], Some(2)));
        window.sent(6, 10);
        window.take(6, 10);
        window.rewind(Lost::Broken, 20);
        assert_eq!(unsent(&window), "aa\n");
        // Sending it again releases nothing twice.
        window.sent(6, 30);
        assert_eq!(window.take(6, 30), Released::default());
        window.take(6, 130);
        window.rewind(Lost::Broken, 131);
        assert_eq!(unsent(&window), "");
    }

    #[test]
    fn little_is_kept() {
        let mut window = Window::new(REPLAY);
        for n in 0..100 {
            window.push(batch(&["aaaa\n"], Some(n)));
            window.sent(5, n);
            window.take(5 * (n + 1), n);
            assert!(window.batches.len() <= 2, "{}", window.batches.len());
        }
    }

    #[test]
    fn frames_one_by_one() {
        let mut window = Window::new(REPLAY);
        window.push(batch(&["aa\n", "b\n"], None));
        window.push(batch(&["c\n"], None));
        let mut frames = Vec::new();
        while let Some(frame) = window.next_frame() {
            frames.push(String::from_utf8(frame.to_vec()).unwrap());
            let n = frame.len();
            window.sent(n, 1);
        }
        assert_eq!(frames, ["aa\n", "b\n", "c\n"]);
    }
}
