// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Ring to frames: entries are split into records, records encoded into batches.
//! No I/O and no clock.

use crate::driver::Encoder;
use crate::lines::Splitter;
use crate::local_time::{LocalTime, push_padded};
use crate::record::{Record, Stream};
use crate::ring::{Amount, Carried, Consumer, DropCause, Gap, Payload};
use crate::window::{Batch, Checkpoint};

/// The size in bytes at which a batch is sent.
pub(crate) const BATCH_BYTES: usize = 64 << 10;

/// Reads the ring and fills batches.
#[derive(Debug)]
pub(crate) struct Pump {
    splitters: [Splitter; 2],
    encoder: Encoder,
    local_time: LocalTime,
    /// The entry to go on with, and how much of it is done.
    position: u64,
    done: usize,
    /// Read time of the last entry, for what is flushed at the end.
    last_ns: u64,
    /// Bytes of the entries that are done, and what was carried to here: each
    /// must be in a batch's account or held.
    entered: u64,
    accounted: u64,
}

impl Pump {
    /// A pump that goes on at `position` with what was carried over it.
    pub(crate) fn new(
        encoder: Encoder,
        piece_limit: usize,
        local_time: LocalTime,
        (position, carried): (u64, [Carried; 2]),
        id_seed: u64,
    ) -> Self {
        let entered = carried.iter().map(|carried| carried.bytes.len() as u64).sum();
        let [stdout, stderr] = carried;
        let splitters = [
            Splitter::new(Stream::Stdout, piece_limit, stdout, id_seed),
            Splitter::new(Stream::Stderr, piece_limit, stderr, !id_seed),
        ];
        Self {
            splitters,
            encoder,
            local_time,
            position,
            done: 0,
            last_ns: 0,
            entered,
            accounted: 0,
        }
    }

    /// Whether the ring holds more.
    pub(crate) fn has_input(&self, consumer: &Consumer<'_>) -> bool {
        consumer.entry(self.position).is_some()
    }

    /// Fills `batch` until it is full or the ring is empty; true if an entry was
    /// touched. A batch that begins inside an entry ends with it at the latest,
    /// so that there is a checkpoint at least every other batch.
    pub(crate) fn fill(&mut self, consumer: &Consumer<'_>, batch: &mut Batch) -> bool {
        let began_inside = self.done > 0;
        let start = self.position;
        let before = batch.account.source().bytes;
        while let Some(entry) = consumer.entry(self.position) {
            self.last_ns = entry.time_ns;
            match entry.payload {
                Payload::Gap(gap) => self.encode_gap(entry.stream, &gap, batch),
                Payload::Bytes(bytes) => {
                    let mut rest = bytes.get(self.done..).unwrap_or_default();
                    let splitter = &mut self.splitters[usize::from(entry.stream == Stream::Stderr)];
                    while let Some(record) = splitter.next_record(&mut rest, entry.time_ns) {
                        encode(&mut self.encoder, &record, batch);
                        if batch.bytes.len() >= BATCH_BYTES && !rest.is_empty() {
                            self.done = bytes.len() - rest.len();
                            self.accounted += batch.account.source().bytes - before;
                            return true;
                        }
                    }
                    self.entered += bytes.len() as u64;
                }
            }
            self.position = entry.next;
            self.done = 0;
            if batch.bytes.len() >= BATCH_BYTES / 2 || began_inside {
                break;
            }
        }
        self.accounted += batch.account.source().bytes - before;
        debug_assert_eq!(self.entered, self.accounted + self.held_bytes());
        if self.position != start {
            batch.checkpoint = Some(self.checkpoint());
        }
        self.position != start
    }

    /// Flushes unterminated lines, when no further entry will come. True if
    /// there were any.
    pub(crate) fn finish(&mut self, batch: &mut Batch) -> bool {
        let mut any = false;
        for splitter in &mut self.splitters {
            if let Some(record) = splitter.flush(self.last_ns) {
                encode(&mut self.encoder, &record, batch);
                any = true;
            }
        }
        any
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
        let splitter = &mut self.splitters[usize::from(stream == Stream::Stderr)];
        if let Some(record) = splitter.flush(gap.first_ns) {
            encode(&mut self.encoder, &record, batch);
        }
        self.encode_marker(gap, &mut batch.bytes);
        batch.end_frame(Amount::default());
    }

    /// The frame in the place of a record that the transport cannot carry.
    pub(crate) fn oversize_marker(&mut self, lost: Amount) -> Vec<u8> {
        let gap = Gap {
            lines: lost.lines,
            bytes: lost.bytes,
            first_ns: self.last_ns,
            last_ns: self.last_ns,
            cause: DropCause::Oversize,
        };
        let mut frame = Vec::new();
        self.encode_marker(&gap, &mut frame);
        frame
    }

    fn encode_marker(&mut self, gap: &Gap, out: &mut Vec<u8>) {
        let text = gap_text(gap, &self.local_time);
        let record =
            Record { stream: Stream::Stderr, time_ns: gap.last_ns, text: &text, piece: None };
        self.encoder.encode(&record, out);
    }
}

fn encode(encoder: &mut Encoder, record: &Record<'_>, batch: &mut Batch) {
    let before = batch.bytes.len();
    encoder.encode(record, &mut batch.bytes);
    if batch.bytes.len() > before {
        batch.end_frame(record.source());
    } else if record.piece.is_some() {
        // The newline of a line that was sent in pieces.
        batch.account.delivered.add(record.source());
    } else {
        batch.account.empty.add(record.source());
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
mod tests {
    use super::*;
    use crate::driver::{Identity, Settings};
    use crate::launch::Launch;
    use crate::ring::{Account, DropCause, Mapping, Producer};

    fn pump(consumer: &mut Consumer<'_>) -> Pump {
        let launch = Launch {
            options: [("syslog-address".to_owned(), "tcp://h".to_owned())].into(),
            container_id: "c".to_owned(),
            ..Launch::default()
        };
        let settings = Settings::parse("syslog", &launch, b"h").unwrap();
        let identity = Identity { host: b"h".to_vec(), pid: 1 };
        let encoder = settings.driver.encoder(&identity, LocalTime::utc());
        Pump::new(encoder, 16 << 10, LocalTime::utc(), consumer.resume(), 1)
    }

    fn put(producer: &mut Producer<'_>, stream: Stream, bytes: &[u8]) {
        assert!(producer.copy_in(bytes, stream, 1_000_000_000));
    }

    fn texts(batch: &Batch) -> Vec<String> {
        let all = String::from_utf8(batch.bytes.clone()).unwrap();
        all.lines().map(|line| line.split_once("[1]: ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn lines_gap_and_tail() {
        let mut mapping = Mapping::create(64 << 10).unwrap();
        let (writable, readable) = mapping.split();
        let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
        put(&mut producer, Stream::Stdout, b"one\ntorn ");
        put(&mut producer, Stream::Stderr, b"err\nunfinished");
        producer.note_drop(
            Stream::Stdout,
            b"lost\nlost\n",
            43_200_000_000_000,
            DropCause::SinkDown,
        );
        producer.note_drop(Stream::Stdout, b"lo", 43_201_000_000_000, DropCause::SinkDown);
        put(&mut producer, Stream::Stdout, b"st\nafter\n");
        let mut pump = pump(&mut consumer);
        let mut batch = Batch::default();
        assert!(pump.fill(&consumer, &mut batch));
        let want = [
            "one",
            "err",
            "torn ",
            "2 lines / 12 bytes dropped 12:00:00–12:00:01: sink down",
            "st",
            "after",
        ];
        assert_eq!(texts(&batch), want);
        assert_eq!(batch.frames.len(), want.len());
        assert_eq!(batch.account.delivered, Amount { lines: 4, bytes: 22 });
        let checkpoint = batch.checkpoint.take().unwrap();
        assert_eq!(checkpoint.carried[1].bytes, b"unfinished");
        assert!(!pump.has_input(&consumer));

        // A successor goes on where the checkpoint says.
        consumer.release(checkpoint.position, &checkpoint.carried, &Account::default());
        let mut successor = self::pump(&mut consumer);
        let mut batch = Batch::default();
        put(&mut producer, Stream::Stderr, b" business\nend");
        assert!(successor.fill(&consumer, &mut batch));
        assert!(successor.finish(&mut batch));
        assert!(!successor.finish(&mut batch));
        assert_eq!(texts(&batch), ["unfinished business", "end"]);
    }

    #[test]
    fn a_large_entry_is_cut_into_batches() {
        let mut mapping = Mapping::create(1 << 20).unwrap();
        let (writable, readable) = mapping.split();
        let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
        let lines = "x\n".repeat(30_000);
        put(&mut producer, Stream::Stdout, lines.as_bytes());
        put(&mut producer, Stream::Stdout, b"y\n");
        let mut pump = pump(&mut consumer);
        let (mut records, mut checkpoints, mut batches) = (0, 0, 0);
        while pump.has_input(&consumer) {
            let mut batch = Batch::default();
            assert!(pump.fill(&consumer, &mut batch));
            assert!(batch.bytes.len() < BATCH_BYTES + 100);
            records += batch.frames.len();
            batches += 1;
            if let Some(checkpoint) = batch.checkpoint {
                consumer.release(checkpoint.position, &checkpoint.carried, &Account::default());
                checkpoints += 1;
            }
        }
        assert_eq!(records, 30_001);
        assert!(batches > 10 && checkpoints == 2, "{batches} {checkpoints}");
    }
}
