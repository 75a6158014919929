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

/// How much of what the sink has taken is kept for a peer that breaks down: the
/// last `max_bytes` and the rest of the batch they begin in, but nothing older
/// than `max_age_ns`.
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
        self.taken = self.taken.min(self.cursor);
    }

    /// Lets go of released batches that are too old or too many to keep.
    fn forget(&mut self, now_ns: u64) {
        while self.released > 0 {
            let Some(held) = self.batches.front() else { break };
            let len = held.batch.bytes.len() as u64;
            let old = held.sent_ns.saturating_add(self.replay.max_age_ns) <= now_ns;
            let spare = self.kept_bytes - len >= self.replay.max_bytes;
            // What is sent again stays until it is taken again.
            let wanted = held.end() > self.taken;
            if wanted || !(old || spare || len == 0) {
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
mod tests;
