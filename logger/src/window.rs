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

use crate::ring::{Account, Amount, Carried};

/// Frames made from one stretch of the ring.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
    /// Records in the frames.
    pub(crate) records: u64,
    /// What became of the stretch, once all frames are taken; what the window
    /// counts itself is not in it.
    pub(crate) account: Account,
    /// Present if the batch ends where an entry of the ring does.
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// A frame of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it ends in the batch.
    end: u32,
    /// The bytes of the container that it stands for; with the highest bit, a
    /// newline is among them. 0: a marker.
    source: u32,
}

/// A position of the ring to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) position: u64,
    pub(crate) carried: [Carried; 2],
}

/// How much of what the sink has taken is kept for a peer that breaks down: the
/// last `max_bytes` and the rest of the batch they begin in, but nothing that it
/// took first more than `max_age_ns` ago; and however long that is ago, what it is
/// known not to have read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay {
    pub(crate) max_bytes: u64,
    pub(crate) max_age_ns: u64,
}

impl Replay {
    pub(crate) const NOTHING: Self = Self { max_bytes: 0, max_age_ns: 0 };
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
    /// The last checkpoint passed, and what became of everything before it.
    pub(crate) committed: Option<(Checkpoint, Account)>,
    /// Whether a batch was released, with or without a checkpoint.
    pub(crate) any: bool,
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
    /// What became of everything released.
    account: Account,
    replay: Replay,
    /// Of what is taken, how many of the last bytes are to be kept anyway.
    unread: u64,
    spares: Vec<Batch>,
}

#[derive(Debug)]
struct Held {
    batch: Batch,
    start: u64,
    /// When its last byte was sent.
    sent_ns: u64,
    /// When it was released; sending it again changes nothing of that.
    released_ns: u64,
}

impl Frame {
    const NEWLINE: u32 = 1 << 31;

    fn end(self) -> u64 {
        self.end.into()
    }

    /// What it was made from.
    const fn source(self) -> Amount {
        Amount { lines: (self.source >> 31) as u64, bytes: (self.source & !Self::NEWLINE) as u64 }
    }
}

impl Batch {
    /// What was appended to `bytes` is one more frame, made from `source`.
    pub(crate) fn end_frame(&mut self, source: Amount) {
        let newline = if source.lines > 0 { Frame::NEWLINE } else { 0 };
        let bytes = u32::try_from(source.bytes).unwrap_or(u32::MAX) & !Frame::NEWLINE;
        self.push_frame(bytes | newline);
        self.add_packed(source);
    }

    /// What was appended to `bytes` is one more record of a frame that is not
    /// whole yet, made from `source`.
    pub(crate) fn add_packed(&mut self, source: Amount) {
        self.account.delivered.add(source);
        self.records += 1;
    }

    /// `bytes` is one frame. It does not say what each record was made from, so it
    /// is not for a transport that may refuse it for its size.
    pub(crate) fn end_pack(&mut self) {
        self.push_frame(0);
    }

    fn push_frame(&mut self, source: u32) {
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.frames.push(Frame { end, source });
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.records = 0;
        self.account = Account::default();
        self.checkpoint = None;
    }
}

impl Held {
    fn end(&self) -> u64 {
        self.start + self.batch.bytes.len() as u64
    }

    /// The frame that holds the byte at `at`: its index, and where it ends.
    fn frame_at(&self, at: usize) -> Option<(usize, usize)> {
        let frames = &self.batch.frames;
        let index = frames.partition_point(|frame| to_usize(frame.end()) <= at);
        frames.get(index).map(|frame| (index, to_usize(frame.end())))
    }
}

impl Window {
    /// An empty window; `account` is what became of everything before it.
    pub(crate) const fn new(replay: Replay, account: Account) -> Self {
        Self {
            batches: VecDeque::new(),
            released: 0,
            kept_bytes: 0,
            taken: 0,
            cursor: 0,
            end: 0,
            account,
            replay,
            unread: 0,
            spares: Vec::new(),
        }
    }

    /// An empty batch, with the memory of an earlier one where there is one. All
    /// have the same capacity, in blocks that the allocator gives back to the
    /// system: what grows by doubling leaves holes behind.
    pub(crate) fn new_batch(&mut self) -> Batch {
        let mut batch = self.spares.pop().unwrap_or_default();
        batch.bytes.reserve_exact(BATCH_CAPACITY);
        batch
    }

    /// Adds frames behind all others.
    pub(crate) fn push(&mut self, mut batch: Batch) {
        let many = self.replay.max_bytes > 0 || self.batches.len() >= SPARES_MAX;
        if many && batch.bytes.len() < BATCH_CAPACITY / 2 {
            // Many small ones may wait for a slow sink, or be kept for it.
            batch.bytes.shrink_to_fit();
        }
        let start = self.end;
        self.end += batch.bytes.len() as u64;
        self.batches.push_back(Held { batch, start, sent_ns: 0, released_ns: 0 });
    }

    /// Bytes not sent yet.
    pub(crate) const fn unsent_bytes(&self) -> u64 {
        self.end - self.cursor
    }

    /// Bytes the sink does not have yet.
    pub(crate) const fn untaken_bytes(&self) -> u64 {
        self.end - self.taken
    }

    /// Bytes that the sink has taken, and that are kept all the same.
    pub(crate) const fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// What became of everything released.
    pub(crate) const fn account(&self) -> &Account {
        &self.account
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

    /// The frames from `from` on, where one begins, that were sent whole: where
    /// each ends, and its bytes.
    pub(crate) fn sent_frames(&self, from: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let first = self.batches.partition_point(|held| held.end() <= from);
        let frames = self.batches.range(first..).flat_map(move |held| {
            let inside = from.saturating_sub(held.start);
            let behind = held.batch.frames.partition_point(|frame| frame.end() <= inside);
            let ends = held.batch.frames[behind..].iter().map(|frame| frame.end());
            let starts = std::iter::once(inside).chain(ends.clone());
            starts.zip(ends).map(|(start, end)| {
                (held.start + end, &held.batch.bytes[to_usize(start)..to_usize(end)])
            })
        });
        frames.take_while(|(end, _)| *end <= self.cursor)
    }

    /// The frame to send next.
    pub(crate) fn next_frame(&self) -> Option<&[u8]> {
        let (held, at) = self.at_cursor()?;
        let end = held.frame_at(at).map_or(held.batch.bytes.len(), |(_, end)| end);
        Some(&held.batch.bytes[at..end])
    }

    /// The frames to send next, all of one batch: as many as have `bytes` together,
    /// at least one.
    pub(crate) fn unsent_frames(&self, bytes: u64) -> &[u8] {
        let Some((held, at)) = self.at_cursor() else { return &[] };
        let wanted = (at as u64).saturating_add(bytes.max(1));
        let frames = &held.batch.frames;
        let last = frames.partition_point(|frame| frame.end() < wanted);
        let end = frames.get(last).map_or(held.batch.bytes.len(), |frame| to_usize(frame.end()));
        &held.batch.bytes[at..end]
    }

    /// Of the next `n` bytes to send, how many are whole frames.
    pub(crate) fn whole_frames(&self, n: usize) -> usize {
        let Some((held, at)) = self.at_cursor() else { return 0 };
        let frames = &held.batch.frames;
        let whole = frames.partition_point(|frame| to_usize(frame.end()) <= at + n);
        let last = whole.checked_sub(1).and_then(|last| frames.get(last));
        last.map_or(0, |frame| to_usize(frame.end()).saturating_sub(at))
    }

    /// The transport cannot carry the next frame: `marker` takes its place, or
    /// nothing if it is a marker itself. `marker` is told what is lost.
    pub(crate) fn replace_next_frame(&mut self, marker: impl FnOnce(Amount) -> Vec<u8>) {
        let Some((n, at)) = self.position_at_cursor() else { return };
        let held = &mut self.batches[n];
        let Some((index, end)) = held.frame_at(at) else { return };
        let source = held.batch.frames[index].source();
        let bytes = if source == Amount::default() { Vec::new() } else { marker(source) };
        let (old, new) = ((end - at) as u64, bytes.len() as u64);
        held.batch.bytes.splice(at..end, bytes);
        for frame in &mut held.batch.frames[index..] {
            let moved = frame.end() + new - old;
            frame.end = u32::try_from(moved).unwrap_or(u32::MAX);
        }
        held.batch.frames[index].source = 0;
        if new == 0 {
            held.batch.frames.remove(index);
            held.batch.records -= 1;
        }
        held.batch.account.delivered.lines -= source.lines;
        held.batch.account.delivered.bytes -= source.bytes;
        held.batch.account.oversize.add(source);
        for held in self.batches.range_mut(n + 1..) {
            held.start = held.start + new - old;
        }
        self.end = self.end + new - old;
    }

    fn at_cursor(&self) -> Option<(&Held, usize)> {
        let (n, at) = self.position_at_cursor()?;
        Some((self.batches.get(n)?, at))
    }

    fn position_at_cursor(&self) -> Option<(usize, usize)> {
        if self.cursor == self.end {
            return None;
        }
        let n = self.batches.iter().rposition(|held| held.start <= self.cursor)?;
        Some((n, to_usize(self.cursor - self.batches[n].start)))
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

    /// Of what the sink has taken, it will lose the last `bytes` if it breaks down.
    pub(crate) const fn set_unread(&mut self, bytes: u64) {
        self.unread = bytes;
    }

    /// The sink has everything before `taken`.
    pub(crate) fn take(&mut self, taken: u64, now_ns: u64) -> Released {
        self.taken = taken.clamp(self.taken, self.cursor.max(self.taken));
        let mut released = Released::default();
        while let Some(held) = self.batches.get_mut(self.released) {
            if held.end() > self.taken {
                break;
            }
            released.any = true;
            held.released_ns = now_ns;
            self.account.add(&held.batch.account);
            self.account.records += held.batch.records;
            self.account.sent_bytes += held.batch.bytes.len() as u64;
            if let Some(checkpoint) = held.batch.checkpoint.take() {
                released.committed = Some((checkpoint, self.account));
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
                        .frames
                        .iter()
                        .map(|frame| frame.end())
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
            let old = held.released_ns.saturating_add(self.replay.max_age_ns) <= now_ns;
            let newer = self.kept_bytes - len;
            let spare = newer >= self.replay.max_bytes;
            // What is sent again stays until it is taken again.
            let wanted = held.end() > self.taken || newer < self.unread;
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

    /// Gives back memory that is not needed while nothing is to be sent.
    pub(crate) fn trim(&mut self) {
        if self.batches.is_empty() {
            self.spares.truncate(1);
        }
    }

    fn keep_spare(&mut self, mut batch: Batch) {
        if self.spares.len() < SPARES_MAX {
            batch.clear();
            self.spares.push(batch);
        }
    }
}

/// Batches whose memory is kept for others.
const SPARES_MAX: usize = 2;

/// What a batch of records of usual size needs, in bytes.
const BATCH_CAPACITY: usize = 68 << 10;

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
