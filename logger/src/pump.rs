// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Ring to frames: entries are split into records, records encoded into batches.
//! No I/O and no clock.

use crate::driver::{Cut, Encode, Encoder};
use crate::lines::{Flush, Splitter};
use crate::local_time::{LocalTime, push_padded};
use crate::record::{AHEAD_MAX_NS, Record, Stream};
use crate::ring::{Amount, Carried, Consumer, DropCause, Entry, Gap, Payload, Shared};
use crate::suspects::{Spot, Suspects, Verdict};
use crate::window::{Batch, Checkpoint};

/// The size in bytes at which a batch is sent.
pub(crate) const BATCH_BYTES: usize = 48 << 10;

/// Reads the ring and fills batches.
#[derive(Debug)]
pub(crate) struct Pump {
    splitters: [Splitter; 2],
    writer: Writer,
    /// Records that killed senders.
    pub(crate) suspects: Suspects,
    /// The entry to go on with, and how much of it is done.
    position: u64,
    done: usize,
    /// Read time of the last entry.
    last_ns: u64,
    /// Bytes of the entries that are done, and what was carried to here: each
    /// must be in a batch's account or held.
    entered: u64,
    accounted: u64,
}

impl Pump {
    /// A pump that makes pieces of this `shape` (limit in bytes, where to cut) and
    /// goes on at `position` with what was carried over it.
    pub(crate) fn new(
        encoder: Encoder,
        shape: (usize, Cut),
        local_time: LocalTime,
        (position, carried): (u64, [Carried; 2]),
        id_seed: u64,
    ) -> Self {
        let entered = carried.iter().map(|carried| carried.bytes.len() as u64).sum();
        let [stdout, stderr] = carried;
        let splitters = [
            Splitter::new(Stream::Stdout, shape, stdout, id_seed),
            Splitter::new(Stream::Stderr, shape, stderr, !id_seed),
        ];
        Self {
            splitters,
            writer: Writer::new(encoder, local_time),
            suspects: Suspects::default(),
            position,
            done: 0,
            last_ns: 0,
            entered,
            accounted: 0,
        }
    }

    /// Makes the sender die at this line.
    #[cfg(debug_assertions)]
    pub(crate) fn set_test_poison(&mut self, line: Option<&str>) {
        self.writer.test_poison = line.map(|line| line.as_bytes().to_vec());
    }

    /// Whether the ring holds more.
    pub(crate) fn has_input(&self, consumer: &Consumer<'_>) -> bool {
        consumer.entry(self.position).is_some()
    }

    /// Whether the ring holds more that may be encoded while earlier records are
    /// `under_way`: an entry that may kill is entered when none is.
    pub(crate) fn may_go_on(&self, consumer: &Consumer<'_>, under_way: bool) -> bool {
        let gated = under_way && self.suspects.gate() == Some(self.position);
        !gated && self.has_input(consumer)
    }

    /// Fills `batch` until it is full or the ring is empty; true if an entry was
    /// touched. A batch that begins inside an entry ends with it at the latest,
    /// so that there is a checkpoint at least every other batch.
    pub(crate) fn fill(&mut self, consumer: &Consumer<'_>, batch: &mut Batch) -> bool {
        let before = batch.account.source().bytes;
        let touched = self.fill_open(consumer, batch);
        self.settle(before, batch);
        touched
    }

    fn fill_open(&mut self, consumer: &Consumer<'_>, batch: &mut Batch) -> bool {
        let began_inside = self.done > 0;
        let start = self.position;
        while let Some(entry) = consumer.entry(self.position) {
            self.last_ns = entry.time_ns;
            match entry.payload {
                Payload::Gap(gap) => {
                    let spot = Spot { position: self.position, offset: 0 };
                    consumer.shared().set_work(Some(spot));
                    if self.suspects.verdict(spot) == Verdict::Send {
                        self.encode_gap(entry.stream, &gap, batch);
                    }
                }
                // Nothing that follows continues a line from before.
                Payload::Break => {
                    self.flush(consumer.shared(), batch, Flush::Ends, |_| true);
                }
                Payload::Bytes(bytes) => {
                    let ended = self.encode_entry(consumer.shared(), &entry, bytes, batch);
                    if !ended {
                        consumer.shared().set_work(None);
                        return true;
                    }
                    self.entered += bytes.len() as u64;
                }
            }
            self.position = entry.next;
            self.done = 0;
            let gated = self.suspects.gate() == Some(self.position);
            if batch.bytes.len() >= BATCH_BYTES / 2 || began_inside || gated {
                break;
            }
        }
        consumer.shared().set_work(None);
        if self.position != start {
            batch.checkpoint = Some(self.checkpoint());
        }
        self.position != start
    }

    /// Encodes the rest of an entry; false if the batch was full first.
    fn encode_entry(
        &mut self,
        shared: &Shared,
        entry: &Entry<'_>,
        bytes: &[u8],
        batch: &mut Batch,
    ) -> bool {
        let mut rest = bytes.get(self.done..).unwrap_or_default();
        let splitter = &mut self.splitters[entry.stream.index()];
        while !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            let spot = Spot { position: self.position, offset: offset as u64 };
            shared.set_work(Some(spot));
            let verdict = self.suspects.verdict(spot);
            // Every byte of a read has a time of its own, so that no two records
            // have the same, whoever makes them.
            let time_ns = entry.time_ns.saturating_add(spot.offset);
            if verdict == Verdict::Send {
                let Some(record) = splitter.next_record(&mut rest, time_ns) else { break };
                self.writer.write(&record, batch);
            } else {
                let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                let end = if verdict == Verdict::LeaveOut { line } else { rest.len() };
                let (bad, good) = rest.split_at(end);
                rest = good;
                let mut lost = Amount::of(bad);
                lost.bytes += splitter.abandon();
                self.writer.leave_out(lost, time_ns, batch);
            }
            if batch.bytes.len() >= BATCH_BYTES && !rest.is_empty() {
                self.done = bytes.len() - rest.len();
                return false;
            }
        }
        true
    }

    /// Flushes unterminated lines, when no further entry will come. True if
    /// there were any.
    pub(crate) fn finish(&mut self, shared: &Shared, batch: &mut Batch) -> bool {
        let before = batch.account.source().bytes;
        self.flush(shared, batch, Flush::Ends, |_| true);
        self.settle_flushed(before, batch)
    }

    /// How long until an unterminated tail has waited for `interval_ns`; 0: one
    /// has. `now_ns` is of the clock that reads are stamped with.
    pub(crate) fn tail_due_in_ns(&self, now_ns: u64, interval_ns: u64) -> Option<u64> {
        let due_in_ns = |since_ns| interval_ns.saturating_sub(waited_ns(since_ns, now_ns));
        self.splitters.iter().filter_map(Splitter::held_since_ns).map(due_in_ns).min()
    }

    /// Sends the tails that have waited for `interval_ns`; their lines go on.
    pub(crate) fn flush_tails(
        &mut self,
        shared: &Shared,
        now_ns: u64,
        interval_ns: u64,
        batch: &mut Batch,
    ) {
        let due = |since_ns| waited_ns(since_ns, now_ns) >= interval_ns;
        let before = batch.account.source().bytes;
        self.flush(shared, batch, Flush::GoesOn, due);
        self.settle_flushed(before, batch);
    }

    /// What was flushed is not sent again: the position is the same, but less is
    /// carried over it. True if anything was.
    fn settle_flushed(&mut self, before: u64, batch: &mut Batch) -> bool {
        let flushed = self.settle(before, batch) > 0;
        if flushed && self.done == 0 {
            batch.checkpoint = Some(self.checkpoint());
        }
        flushed
    }

    /// No more comes into `batch`, in which `before` bytes were accounted for when
    /// it was begun on; says how many were since.
    fn settle(&mut self, before: u64, batch: &mut Batch) -> u64 {
        self.writer.close(batch);
        let more = batch.account.source().bytes - before;
        self.accounted += more;
        // In the middle of an entry, nobody knows.
        debug_assert!(self.done > 0 || self.entered == self.accounted + self.held_bytes());
        more
    }

    fn flush(
        &mut self,
        shared: &Shared,
        batch: &mut Batch,
        flush: Flush,
        due: impl Fn(u64) -> bool,
    ) {
        for (stream, splitter) in self.splitters.iter_mut().enumerate() {
            let Some(since_ns) = splitter.held_since_ns().filter(|since_ns| due(*since_ns)) else {
                if flush == Flush::Ends {
                    // A line may be open all the same: all of it so far was sent.
                    splitter.abandon();
                }
                continue;
            };
            let spot = Spot::tail(self.position, stream);
            shared.set_work(Some(spot));
            if self.suspects.verdict(spot) == Verdict::Send {
                while let Some(record) = splitter.flush(since_ns, flush) {
                    self.writer.write(&record, batch);
                }
            } else {
                let lost = Amount { lines: 0, bytes: splitter.abandon() };
                self.writer.leave_out(lost, since_ns, batch);
            }
        }
        shared.set_work(None);
    }

    /// Bytes of lines whose end has not been read.
    fn held_bytes(&self) -> u64 {
        self.splitters.iter().map(|splitter| splitter.held_bytes() as u64).sum()
    }

    fn checkpoint(&self) -> Checkpoint {
        let carried = [self.splitters[0].carried(), self.splitters[1].carried()];
        Checkpoint { position: self.position, carried }
    }

    /// The line that the gap tears is sent as far as it is known; what comes
    /// behind the gap starts another.
    fn encode_gap(&mut self, stream: Stream, gap: &Gap, batch: &mut Batch) {
        let splitter = &mut self.splitters[stream.index()];
        while let Some(record) = splitter.flush(gap.first_ns, Flush::Ends) {
            self.writer.write(&record, batch);
        }
        self.writer.write_marker(gap, batch);
    }

    /// The frame in the place of a record that the transport cannot carry.
    pub(crate) fn oversize_marker(&mut self, lost: Amount) -> Vec<u8> {
        let mut frame = Vec::new();
        self.writer.marker(&Gap::of(lost, self.last_ns, DropCause::Oversize), &mut frame);
        frame
    }
}

/// Records into frames of a batch, each accounted for.
#[derive(Debug)]
struct Writer {
    encoder: Encoder,
    local_time: LocalTime,
    #[cfg(debug_assertions)]
    test_poison: Option<Vec<u8>>,
}

impl Writer {
    const fn new(encoder: Encoder, local_time: LocalTime) -> Self {
        Self {
            encoder,
            local_time,
            #[cfg(debug_assertions)]
            test_poison: None,
        }
    }

    fn write(&mut self, record: &Record<'_>, batch: &mut Batch) {
        #[cfg(debug_assertions)]
        if self.test_poison.as_deref() == Some(record.text) {
            std::process::abort();
        }
        let before = batch.bytes.len();
        self.encoder.encode(record, &mut batch.bytes);
        if batch.bytes.len() > before {
            self.end_record(record.source(), batch);
        } else if record.piece.is_some() {
            // The newline of a line that was sent in pieces.
            batch.account.delivered.add(record.source());
        } else {
            batch.account.empty.add(record.source());
        }
    }

    /// A record that must not be touched.
    fn leave_out(&mut self, lost: Amount, time_ns: u64, batch: &mut Batch) {
        batch.account.poison.add(lost);
        self.write_marker(&Gap::of(lost, time_ns, DropCause::Poison), batch);
    }

    fn write_marker(&mut self, gap: &Gap, batch: &mut Batch) {
        self.marker(gap, &mut batch.bytes);
        self.end_record(Amount::default(), batch);
    }

    fn end_record(&self, source: Amount, batch: &mut Batch) {
        if self.encoder.packs() { batch.add_packed(source) } else { batch.end_frame(source) }
    }

    /// No more records come into `batch`.
    fn close(&mut self, batch: &mut Batch) {
        if self.encoder.packs() && batch.records > 0 {
            self.encoder.end_pack(batch.records, &mut batch.bytes);
            batch.end_pack();
        }
    }

    fn marker(&mut self, gap: &Gap, out: &mut Vec<u8>) {
        let text = gap_text(gap, &self.local_time);
        let record =
            Record { stream: Stream::Stderr, time_ns: gap.last_ns, text: &text, piece: None };
        self.encoder.encode(&record, out);
    }
}

/// How long a byte has waited that was read at `since_ns`.
const fn waited_ns(since_ns: u64, now_ns: u64) -> u64 {
    match now_ns.checked_sub(since_ns) {
        Some(waited_ns) => waited_ns,
        None if since_ns - now_ns <= AHEAD_MAX_NS => 0,
        // A clock that was set back says nothing: better too early.
        None => u64::MAX,
    }
}

/// `N lines / M bytes dropped HH:MM:SS–HH:MM:SS: CAUSE`
fn gap_text(gap: &Gap, local_time: &LocalTime) -> Vec<u8> {
    let mut text = Vec::new();
    push_padded(&mut text, gap.lines, 1, b'0');
    text.extend_from_slice(b" lines / ");
    push_padded(&mut text, gap.bytes, 1, b'0');
    text.extend_from_slice(b" bytes dropped ");
    push_time(&mut text, gap.first_ns, local_time);
    text.extend_from_slice("–".as_bytes());
    push_time(&mut text, gap.last_ns, local_time);
    text.extend_from_slice(b": ");
    text.extend_from_slice(gap.cause.text().as_bytes());
    text
}

fn push_time(text: &mut Vec<u8>, time_ns: u64, local_time: &LocalTime) {
    let civil = local_time.civil(i64::try_from(time_ns / 1_000_000_000).unwrap_or(i64::MAX));
    push_padded(text, civil.hour.into(), 2, b'0');
    for part in [civil.minute, civil.second] {
        text.push(b':');
        push_padded(text, part.into(), 2, b'0');
    }
}

#[cfg(test)]
mod tests;
