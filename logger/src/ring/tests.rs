// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The ring against a queue that cannot be wrong.

use std::collections::VecDeque;

use super::*;
use crate::record::Stream;

/// What should come out next.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Bytes(Stream, u64, Vec<u8>),
    Gap(Stream, Gap),
}

/// xorshift64: the same runs every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn found(entry: &consumer::Entry<'_>) -> Expected {
    match &entry.payload {
        Payload::Bytes(bytes) => Expected::Bytes(entry.stream, entry.time_ns, bytes.to_vec()),
        Payload::Gap(gap) => Expected::Gap(entry.stream, *gap),
        Payload::Break => panic!("nobody marked a break"),
    }
}

/// Moves what was dropped of each stream to the end of the model's queue, as the
/// producer does once there is room: what was dropped first comes first.
fn settle(gaps: &mut [Option<Gap>; 2], queue: &mut VecDeque<Expected>) {
    let mut gaps: Vec<_> = Stream::BOTH
        .into_iter()
        .zip(gaps)
        .filter_map(|(stream, gap)| Some((stream, gap.take()?)))
        .collect();
    gaps.sort_by_key(|(_, gap)| gap.first_ns);
    queue.extend(gaps.into_iter().map(|(stream, gap)| Expected::Gap(stream, gap)));
}

fn run(seed: u64, capacity: usize) {
    let mut random = Random(seed);
    let mut mapping = Mapping::create(capacity).unwrap();
    let (writable, readable) = mapping.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    let mut queue = VecDeque::new();
    let mut gaps = [None; 2];
    let (mut released, mut position) = (0, 0);
    let (mut written, mut dropped, mut taken) = (0, 0, 0);
    for time_ns in 1..4000 {
        let stream = if random.below(3) == 0 { Stream::Stderr } else { Stream::Stdout };
        if random.below(100) < 55 {
            let byte = u8::try_from(random.below(256)).unwrap();
            let wanted = usize::try_from(1 + random.below(9000)).unwrap();
            written += 1;
            if let Some(room) = producer.reserve() {
                assert!(room.len() >= 4096);
                let len = wanted.min(room.len());
                room[..len].fill(byte);
                settle(&mut gaps, &mut queue);
                producer.commit(len, stream, time_ns);
                queue.push_back(Expected::Bytes(stream, time_ns, vec![byte; len]));
            } else {
                let bytes = vec![byte; wanted];
                producer.note_drop(stream, &bytes, time_ns, DropCause::BufferFull);
                let lines = if byte == b'\n' { bytes.len() as u64 } else { 0 };
                let fresh = Gap {
                    lines: 0,
                    bytes: 0,
                    first_ns: time_ns,
                    last_ns: 0,
                    cause: DropCause::BufferFull,
                };
                let gap = gaps[usize::from(stream == Stream::Stderr)].get_or_insert(fresh);
                gap.lines += lines;
                gap.bytes += bytes.len() as u64;
                gap.last_ns = time_ns;
                dropped += 1;
            }
        } else if let Some(entry) = consumer.entry(position) {
            // A marker may have gone out without an entry behind it.
            if queue.is_empty() {
                settle(&mut gaps, &mut queue);
            }
            let expected = queue.pop_front();
            assert_eq!(Some(found(&entry)), expected, "seed {seed}, step {time_ns}");
            position = entry.next;
            taken += 1;
            if random.below(4) == 0 {
                let carried = [Carried::default(), Carried::default()];
                consumer.release(position, &carried, &Account::default());
                released = position;
            }
        } else {
            assert_eq!(queue.len(), 0, "seed {seed}, step {time_ns}");
            consumer.release(position, &Default::default(), &Account::default());
            released = position;
            // A successor starts where the last release was.
            assert_eq!(consumer.resume().0, released);
        }
        assert!(producer.held() <= producer.capacity());
        assert_eq!(consumer.resume().0, released);
    }
    assert!(written > 100 && taken > 100, "{written} {taken}");
    assert!(capacity > 64 << 10 || dropped > 10, "the ring was never full: {dropped}");
}

#[test]
fn comes_out_as_it_went_in() {
    for seed in 1..40 {
        run(seed * 7919, 64 << 10);
        run(seed * 104_729, 100_000);
        run(seed, 1 << 20);
    }
}

#[test]
fn counters_add_up() {
    use std::sync::atomic::Ordering::Relaxed;
    let mut mapping = Mapping::create(64 << 10).unwrap();
    let (writable, _) = mapping.split();
    let mut producer = Producer::new(writable);
    let mut kept = 0;
    while producer.copy_in(&[b'\n'; 4000], Stream::Stdout, 1) {
        kept += 4000;
    }
    for cause in [DropCause::SinkDown, DropCause::BufferFull] {
        producer.note_drop(Stream::Stderr, b"a\nb\nc", 2, cause);
    }
    assert!(!producer.flush_due());
    let shared = producer.shared();
    assert_eq!(shared.bytes_read.load(Relaxed), kept + 10);
    assert_eq!(shared.lines_read.load(Relaxed), kept + 4);
    for n in 0..2 {
        assert_eq!(shared.dropped_bytes[n].load(Relaxed), 5);
        assert_eq!(shared.dropped_lines[n].load(Relaxed), 2);
        assert_eq!(shared.dropped_reads[n].load(Relaxed), 1);
    }
}

#[test]
fn what_was_dropped_for_two_causes_has_two_markers() {
    let mut mapping = Mapping::create(64 << 10).unwrap();
    let (writable, readable) = mapping.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    while producer.copy_in(&[b'x'; 4000], Stream::Stdout, 1) {}
    for (time_ns, stream, cause) in [
        (2, Stream::Stdout, DropCause::SinkDown),
        (3, Stream::Stderr, DropCause::BufferFull),
        (4, Stream::Stdout, DropCause::BufferFull),
        (5, Stream::Stdout, DropCause::SinkDown),
        (6, Stream::Stdout, DropCause::BufferFull),
    ] {
        producer.note_drop(stream, b"lost\n", time_ns, cause);
    }
    let end = producer.position();
    consumer.release(end, &Default::default(), &Account::default());
    assert!(producer.reserve().is_some());
    let mut position = end;
    let gaps: Vec<_> = std::iter::from_fn(|| {
        let entry = consumer.entry(position)?;
        position = entry.next;
        let Payload::Gap(gap) = entry.payload else { panic!("{entry:?}") };
        Some((entry.stream, gap.cause, gap.lines, gap.first_ns, gap.last_ns))
    })
    .collect();
    let want = [
        (Stream::Stdout, DropCause::SinkDown, 2, 2, 5),
        (Stream::Stderr, DropCause::BufferFull, 1, 3, 3),
        (Stream::Stdout, DropCause::BufferFull, 2, 4, 6),
    ];
    assert_eq!(gaps, want);
}

#[test]
fn who_waits_for_room_is_woken_when_there_is_much() {
    let mut mapping = Mapping::create(64 << 10).unwrap();
    let (writable, readable) = mapping.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    while producer.copy_in(&[b'\n'; 1000], Stream::Stdout, 1) {}
    assert!(producer.handoff().ask_for_room());
    let mut position = 0;
    for woken in [false, false, false, false, true, false] {
        position = consumer.entry(position).unwrap().next;
        consumer.release(position, &Default::default(), &Account::default());
        assert_eq!(consumer.take_room_request(), woken, "{position}");
        assert_eq!(producer.has_much_room(), position >= 5 * 1016, "{position}");
    }
}
