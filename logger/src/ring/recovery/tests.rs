// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Rings that were cut, torn and scribbled over, against what had been put in.

use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::sync::atomic::Ordering;

use super::*;
use crate::record::Stream;
use crate::ring::{Account, Carried, Consumer, Mapping, Payload, Producer};
use crate::scratch::{Random, Scratch};

const CAPACITY: usize = 64 << 10;

fn recover(image: &[u8]) -> Result<Found, Damage> {
    super::recover(image, &mut || {})
}

/// What was published: where it begins, and its bytes.
type Published = Vec<(u64, Vec<u8>)>;

/// A ring file as a busy run leaves it: its bytes, the entries from `tail` on,
/// and what is carried over `tail`.
fn busy(random: &mut Random, scratch: &Scratch) -> (Vec<u8>, Published, Vec<u8>) {
    let path = scratch.path("ring");
    let file = scratch.file("ring", Mapping::file_len(CAPACITY) as u64);
    let none = [Carried::default(), Carried::default()];
    let mut ring = Mapping::begin(&file, CAPACITY, 7, 4096, &none).unwrap();
    let mut entries: Published = Vec::new();
    let mut carried = Vec::new();
    {
        let (writable, readable) = ring.split();
        let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
        let mut position = consumer.resume().0;
        for time_ns in 1..20 + random.below(300) {
            let len = usize::try_from(1 + random.below(4096)).unwrap();
            let bytes: Vec<u8> = (0..len).map(|_| random.byte()).collect();
            let at = producer.position();
            if random.below(5) < 4 && producer.copy_in(&bytes, Stream::Stdout, time_ns) {
                entries.push((at, bytes));
            } else if let Some(entry) = consumer.entry(position) {
                position = entry.next;
                carried = vec![random.byte(); usize::try_from(random.below(300)).unwrap()];
                let slots =
                    [Carried { bytes: carried.clone(), ..Carried::default() }, Carried::default()];
                consumer.release(position, &slots, &Account::default());
                entries.remove(0);
            }
        }
    }
    drop(ring);
    (std::fs::read(path).unwrap(), entries, carried)
}

/// What a logger that starts on this image would send.
fn reread(image: &[u8], scratch: &Scratch) -> Option<(Found, Vec<Vec<u8>>, Vec<u8>)> {
    let found = recover(image).ok()?;
    let file = scratch.file("copy", 0);
    std::fs::write(scratch.path("copy"), image).unwrap();
    let mut ring = Mapping::of_file(&file).unwrap();
    ring.go_on(&found, &mut || {});
    let (_, readable) = ring.split();
    let mut consumer = Consumer::new(readable);
    let (mut position, carried) = consumer.resume();
    assert_eq!(position, found.tail);
    let mut texts = Vec::new();
    while let Some(entry) = consumer.entry(position) {
        assert!(entry.next > position && entry.next <= found.head);
        position = entry.next;
        if let Payload::Bytes(bytes) = entry.payload {
            texts.push(bytes.to_vec());
        }
    }
    let [stdout, _] = carried;
    drop(ring);
    // A second death before anything happened changes nothing.
    let again = recover(&std::fs::read(scratch.path("copy")).unwrap()).unwrap();
    assert_eq!((again.tail, again.head, again.lost_bytes), (found.tail, found.head, 0));
    Some((found, texts, stdout.bytes))
}

#[test]
fn a_ring_that_nobody_touched_comes_back_whole() {
    let scratch = Scratch::new();
    for seed in 1..40 {
        let (image, entries, carried) = busy(&mut Random::new(seed), &scratch);
        let (found, texts, carry) = reread(&image, &scratch).unwrap();
        assert_eq!((found.lost_bytes, found.bad_slots), (0, 0));
        let want: Vec<_> = entries.into_iter().map(|(_, bytes)| bytes).collect();
        assert!(texts == want, "seed {seed}: {} of {} entries", texts.len(), want.len());
        assert_eq!(carry, carried);
    }
}

/// Where a stretch of positions lies in the image, in one piece or two.
fn places(at: u64, len: u64) -> impl Iterator<Item = usize> {
    (at..at + len).map(|position| DATA_AT + usize::try_from(position).unwrap() % CAPACITY)
}

#[test]
fn what_a_crash_leaves_is_a_beginning_of_what_was_there() {
    let scratch = Scratch::new();
    let (mut shortened, mut whole) = (0, 0);
    for seed in 1..160 {
        let mut random = Random::new(seed * 31);
        let (mut image, entries, _) = busy(&mut random, &scratch);
        let field = |image: &[u8], at| u64::from_le_bytes(array(image, at));
        let (head, tail) = (field(&image, HEAD_AT), field(&image, TAIL_AT));
        // From here on, what the file holds was not written: a page of the disk,
        // a part of an entry, or all that the header says is newer.
        let torn = tail + random.below((head - tail).max(1));
        match random.below(4) {
            // The entries' pages were not written, or only half.
            0 => places(torn, random.below(5000).min(tail + CAPACITY as u64 - torn))
                .for_each(|at| image[at] = 0),
            1 => places(torn, random.below(64).min(tail + CAPACITY as u64 - torn))
                .for_each(|at| image[at] = random.byte()),
            // The header was not written: an older head.
            2 => image[HEAD_AT..HEAD_AT + 8]
                .copy_from_slice(&(tail + (torn - tail) / 8 * 8).to_le_bytes()),
            // The reader was killed while it wrote the next entry.
            _ => {
                places(head, tail + CAPACITY as u64 - head).for_each(|at| image[at] = random.byte())
            }
        }
        let (found, texts, _) = reread(&image, &scratch).unwrap();
        let want: Vec<_> = entries.iter().map(|(_, bytes)| bytes.clone()).collect();
        assert!(texts.len() <= want.len(), "seed {seed}: invented");
        assert!(texts == want[..texts.len()], "seed {seed}: not a beginning");
        let ends = entries.iter().skip(1).map(|&(at, _)| at).chain([head]);
        let before_tear = ends.filter(|&end| end <= torn).count();
        assert!(texts.len() >= before_tear, "seed {seed}: {} of {before_tear}", texts.len());
        if texts.len() < want.len() {
            assert!(found.lost_bytes > 0, "seed {seed}: a loss that nobody hears of");
            shortened += 1;
        } else {
            whole += 1;
        }
    }
    assert!(shortened > 20 && whole > 20, "{shortened} {whole}");
}

/// The reader is killed when the kernel has filled the room and nothing says how
/// far, in every lap and at every place of it.
#[test]
fn a_read_that_its_reader_did_not_survive_is_found() {
    let scratch = Scratch::new();
    let file = scratch.file("ring", Mapping::file_len(CAPACITY) as u64);
    let none = [Carried::default(), Carried::default()];
    let mut ring = Mapping::begin(&file, CAPACITY, 7, 4096, &none).unwrap();
    let (writable, readable) = ring.split();
    let (mut producer, mut consumer) = (Producer::new(writable), Consumer::new(readable));
    let mut random = Random::new(77);
    let mut held: Vec<Vec<u8>> = Vec::new();
    let (mut found_open, mut laps) = (0, 0);
    for time_ns in 1..500 {
        let stream = Stream::BOTH[usize::from(random.byte() % 2)];
        let Some(room) = producer.begin_read(stream, time_ns) else {
            while held.len() > 3 {
                let next = consumer.entry(consumer.tail()).unwrap().next;
                consumer.release(next, &none, &Account::default());
                held.remove(0);
            }
            laps += 1;
            continue;
        };
        // Nothing, when the stream had nothing after all.
        let len = usize::try_from(random.below(6) * random.below(900)).unwrap().min(room.len());
        let mut bytes: Vec<u8> = (0..len).map(|_| random.byte()).collect();
        let zeros = if random.below(4) == 0 { len.min(3) } else { 0 };
        bytes[len - zeros..].fill(0);
        room[..len].copy_from_slice(&bytes);
        let image = std::fs::read(scratch.path("ring")).unwrap();
        let (found, mut texts, _) = reread(&image, &scratch).unwrap();
        let meant = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        assert_eq!(
            (found.open.map(|open| open.1), found.lost_bytes),
            match meant {
                0 => (None, 0),
                _ => (Some(meant as u64), 0),
            }
        );
        if meant > 0 {
            assert!(texts.pop().unwrap() == bytes[..meant], "{meant} bytes at {time_ns}");
            found_open += 1;
        }
        assert!(texts == held, "{} and {} entries", texts.len(), held.len());
        if len > 0 {
            producer.commit(len, stream, time_ns);
            held.push(bytes);
        }
    }
    assert!(found_open > 300 && laps > 5, "{found_open} {laps}");
}

#[test]
fn every_other_file_is_refused_with_the_reason() {
    let scratch = Scratch::new();
    let (image, ..) = busy(&mut Random::new(5), &scratch);
    let changed = |at: usize, byte: u8| {
        let mut image = image.clone();
        image[at] ^= byte;
        recover(&image).map(|_| ()).unwrap_err()
    };
    assert_eq!(changed(0, 1), Damage::Magic);
    assert_eq!(changed(8, 2), Damage::Version { found: VERSION ^ 2 });
    assert_eq!(changed(17, 1), Damage::Header);
    assert_eq!(changed(24, 1), Damage::Header);
    assert!(matches!(changed(TAIL_AT + 7, 0x80), Damage::Position { .. }));
    // A revision that nobody has written.
    let mut revised = image.clone();
    revised[TAIL_AT] ^= 5;
    assert_eq!(recover(&revised).unwrap().bad_slots, 2);
    assert_eq!(recover(&[]), Err(Damage::Empty));
    assert_eq!(recover(&vec![0; image.len()]), Err(Damage::Empty));
    let (found, expected) = (image.len() as u64 - 1, image.len() as u64);
    assert_eq!(recover(&image[..image.len() - 1]), Err(Damage::Length { found, expected }));
}

#[test]
fn any_bytes_at_all() {
    for seed in 1..2000 {
        let mut random = Random::new(seed);
        let len = usize::try_from(random.below(3000)).unwrap();
        let bytes: Vec<u8> = (0..len).map(|_| random.byte()).collect();
        crate::fuzzing::ring_recovery(&bytes);
    }
}

/// A reader can be killed between any two instructions. What its page counts by
/// then, its file holds; seen from beside it, at as many moments as there is
/// time for.
#[test]
fn what_is_counted_is_in_the_file() {
    const LINE: &[u8] = b"a line.\n";
    const LINES: usize = 300_000;
    const ENTRY: usize = 16 + LINE.len();
    const BEGIN: usize = 4096;
    let capacity = 8 << 20;
    let scratch = Scratch::new();
    let file = scratch.file("ring", Mapping::file_len(capacity) as u64);
    let none = [Carried::default(), Carried::default()];
    let mut ring = Mapping::begin(&file, capacity, 7, BEGIN as u64, &none).unwrap();
    let (writable, _) = ring.split();
    let shared = writable.shared();
    let mut producer = Producer::new(writable);
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            both.wait();
            loop {
                let counted = shared.lines_read.load(Ordering::Acquire);
                let Some(last) = usize::try_from(counted).unwrap().checked_sub(1) else { continue };
                let at = BEGIN + last * ENTRY;
                let mut entry = [0; ENTRY];
                file.read_exact_at(&mut entry, (DATA_AT + at) as u64).unwrap();
                let header = EntryHeader::decode(&entry);
                let sealed = header.sealed(7, at as u64, LINE);
                assert_eq!((header, &entry[16..]), (sealed, LINE), "line {last}");
                if last + 1 == LINES {
                    break;
                }
            }
        });
        both.wait();
        for time_ns in 0..LINES {
            let room = producer.reserve().unwrap();
            room[..LINE.len()].copy_from_slice(LINE);
            producer.commit(LINE.len(), Stream::Stdout, time_ns as u64);
        }
    });
}
