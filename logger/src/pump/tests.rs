// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Ring entries to frames.

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
    let encoder = settings.driver.encoder(&identity, LocalTime::UTC);
    Pump::new(encoder, (16 << 10, Cut::Bytes), LocalTime::UTC, consumer.resume(), 1)
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
    producer.note_drop(Stream::Stdout, b"lost\nlost\n", 43_200_000_000_000, DropCause::SinkDown);
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
    assert!(successor.finish(consumer.shared(), &mut batch));
    assert!(!successor.finish(consumer.shared(), &mut batch));
    assert_eq!(texts(&batch), ["unfinished business", "end"]);
}

#[test]
fn a_line_that_another_run_left_open_ends_there_and_is_counted_once() {
    let mut mapping = Mapping::create(64 << 10).unwrap();
    let (writable, readable) = mapping.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    put(&mut producer, Stream::Stdout, b"first\npartial");
    producer.mark_break(2_000_000_000);
    put(&mut producer, Stream::Stdout, b"own\n");
    let mut pump = pump(&mut consumer);
    let mut batch = Batch::default();
    assert!(pump.fill(&consumer, &mut batch));
    assert_eq!(texts(&batch), ["first", "partial", "own"]);
    assert_eq!(batch.account.delivered, Amount { lines: 2, bytes: 17 });

    // All of a line may have been sent but its end: what follows is another.
    put(&mut producer, Stream::Stdout, &[b'x'; 16 << 10]);
    producer.mark_break(3_000_000_000);
    put(&mut producer, Stream::Stdout, b"\n");
    let mut batch = Batch::default();
    assert!(pump.fill(&consumer, &mut batch));
    assert_eq!(batch.account.delivered, Amount { lines: 0, bytes: 16 << 10 });
    assert_eq!(batch.account.empty, Amount { lines: 1, bytes: 1 });
}

#[test]
fn a_batch_is_one_frame_where_records_are_packed() {
    let mut mapping = Mapping::create(64 << 10).unwrap();
    let (writable, readable) = mapping.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    let options = [("fluentd-mode".to_owned(), "packed-forward".to_owned())].into();
    let launch = Launch { options, ..Launch::default() };
    let settings = Settings::parse("fluentd", &launch, b"h").unwrap();
    let identity = Identity { host: b"h".to_vec(), pid: 1 };
    let encoder = settings.driver.encoder(&identity, LocalTime::UTC);
    let shape = (16 << 10, Cut::Bytes);
    let mut pump = Pump::new(encoder, shape, LocalTime::UTC, consumer.resume(), 1);
    put(&mut producer, Stream::Stdout, b"one\ntwo\nunfinished");
    producer.note_drop(Stream::Stdout, b"lost\n", 1, DropCause::SinkDown);
    put(&mut producer, Stream::Stdout, b"three\ntail");
    let mut batch = Batch::default();
    assert!(pump.fill(&consumer, &mut batch));
    assert_eq!((batch.frames.len(), batch.records), (1, 5));
    assert_eq!(batch.account.delivered, Amount { lines: 3, bytes: 24 });
    let message = rmpv::decode::read_value(&mut batch.bytes.as_slice()).unwrap();
    assert_eq!(message[2]["size"], 5.into());
    let mut rest = Batch::default();
    assert!(pump.finish(consumer.shared(), &mut rest));
    assert_eq!((rest.frames.len(), rest.records), (1, 1));
    let mut nothing = Batch::default();
    assert!(!pump.finish(consumer.shared(), &mut nothing));
    assert_eq!((nothing.frames.len(), nothing.bytes.len()), (0, 0));
}

#[test]
fn tails_are_flushed_when_they_have_waited() {
    const S: u64 = 1_000_000_000;
    let mut mapping = Mapping::create(64 << 10).unwrap();
    let (writable, readable) = mapping.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    let mut pump = pump(&mut consumer);
    let mut batch = Batch::default();
    assert_eq!(pump.tail_due_in_ns(S, S), None);
    put(&mut producer, Stream::Stdout, b"line\ntail");
    pump.fill(&consumer, &mut batch);
    // Its first byte was the sixth of the read.
    assert_eq!(pump.tail_due_in_ns(S + 6, 2 * S), Some(2 * S - 1));
    // Times may be a little ahead of the clock.
    assert_eq!(pump.tail_due_in_ns(S, 2 * S), Some(2 * S));
    pump.flush_tails(consumer.shared(), S + 6, 2 * S, &mut batch);
    assert_eq!(texts(&batch), ["line"]);
    assert_eq!(pump.tail_due_in_ns(3 * S + 5, 2 * S), Some(0));
    pump.flush_tails(consumer.shared(), 3 * S + 5, 2 * S, &mut batch);
    assert_eq!(pump.tail_due_in_ns(3 * S + 5, 2 * S), None);
    // Who goes on from here does not send it again.
    let checkpoint = batch.checkpoint.clone().unwrap();
    let [Carried { bytes, ordinal, .. }, _] = &checkpoint.carried;
    assert_eq!((checkpoint.position, bytes.len(), *ordinal), (producer.position(), 0, 1));
    // The rest of the line may come, even if it is only its newline.
    put(&mut producer, Stream::Stdout, b"\nnext");
    pump.fill(&consumer, &mut batch);
    // A clock that was set back does not make anybody wait.
    assert_eq!(pump.tail_due_in_ns(0, 2 * S), Some(0));
    pump.flush_tails(consumer.shared(), 0, 2 * S, &mut batch);
    assert_eq!(texts(&batch), ["line", "tail", "next"]);
    assert_eq!(batch.account.delivered, Amount { lines: 2, bytes: 14 });
    assert!(!pump.finish(consumer.shared(), &mut batch));
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

#[test]
fn each_record_of_a_read_has_a_later_time_than_the_one_before() {
    const S: u64 = 1_000_000_000;
    let mut mapping = Mapping::create(1 << 20).unwrap();
    let (writable, readable) = mapping.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    let launch = Launch { container_id: "c".to_owned(), ..Launch::default() };
    let settings = Settings::parse("json-file", &launch, b"h").unwrap();
    let identity = Identity { host: b"h".to_vec(), pid: 1 };
    let encoder = settings.driver.encoder(&identity, LocalTime::UTC);
    let shape = (16 << 10, Cut::Bytes);
    let mut pump = Pump::new(encoder, shape, LocalTime::UTC, consumer.resume(), 1);
    // More than one batch, and a tail.
    put(&mut producer, Stream::Stdout, "\n".repeat(2000).as_bytes());
    assert!(producer.copy_in(b"b\n\nc\ntail", Stream::Stdout, 2 * S));
    let (mut all, mut batches) = (Vec::new(), 0);
    while pump.has_input(&consumer) {
        let mut batch = Batch::default();
        pump.fill(&consumer, &mut batch);
        all.extend(times_ns(&batch));
        batches += 1;
    }
    let mut batch = Batch::default();
    assert!(pump.finish(consumer.shared(), &mut batch));
    all.extend(times_ns(&batch));
    assert!(batches > 2);
    let first: Vec<u64> = (S..S + 2000).collect();
    assert!(all[..2000] == first, "{:?}…", &all[..3]);
    assert_eq!(all[2000..], [2 * S, 2 * S + 2, 2 * S + 3, 2 * S + 5]);
}

/// The times of what the json-file driver has written.
fn times_ns(batch: &Batch) -> Vec<u64> {
    let all = String::from_utf8(batch.bytes.clone()).unwrap();
    let time_ns = |line: &str| {
        let time = line.split_once("\"time\":\"1970-01-01T00:00:").unwrap().1;
        let (seconds, fraction) = time
            .trim_end_matches("Z\"}")
            .split_once('.')
            .unwrap_or((time.trim_end_matches("Z\"}"), ""));
        seconds.parse::<u64>().unwrap() * 1_000_000_000
            + format!("{fraction:0<9}").parse::<u64>().unwrap()
    };
    all.lines().map(time_ns).collect()
}

#[test]
fn what_is_set_aside_is_counted_and_marked() {
    let mut mapping = Mapping::create(64 << 10).unwrap();
    let (writable, readable) = mapping.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    put(&mut producer, Stream::Stdout, b"good\nba");
    put(&mut producer, Stream::Stdout, b"d\nafter\nbad tail");
    let mut pump = pump(&mut consumer);
    let bad = consumer.entry(0).unwrap().next;
    for spot in [Spot { position: bad, offset: 0 }, Spot::tail(producer.held(), 0)] {
        for _ in 0..3 {
            pump.suspects.note_death(Some(spot), 0);
        }
    }
    pump.suspects.note_death(Some(Spot { position: bad, offset: 9 }), 0);
    let mut batch = Batch::default();
    pump.fill(&consumer, &mut batch);
    assert_eq!(texts(&batch), ["good"], "what was before is to be taken first");
    assert!(pump.has_input(&consumer));
    assert!(!pump.may_go_on(&consumer, true) && pump.may_go_on(&consumer, false));
    pump.fill(&consumer, &mut batch);
    assert!(pump.finish(consumer.shared(), &mut batch));
    let want = [
        "good",
        "1 lines / 4 bytes dropped 00:00:01–00:00:01: poison",
        "after",
        "0 lines / 8 bytes dropped 00:00:01–00:00:01: poison",
    ];
    assert_eq!(texts(&batch), want);
    assert_eq!(batch.account.poison, Amount { lines: 1, bytes: 12 });
    assert_eq!(batch.account.delivered, Amount { lines: 2, bytes: 11 });
    assert_eq!(consumer.shared().work(), None);
}
