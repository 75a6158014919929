// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Directories and files as a container may have them.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::record::Stream;
use crate::ring::Entry;
use crate::scratch::Scratch;

const ID: &str = "4f1c0e8f5a5d9999";
const NAME: &str = "dockerlogger-4f1c0e8f5a5d.ring";
const CAPACITY: usize = 64 << 10;

fn open_in(scratch: &Scratch, capacity: usize) -> Result<Opened, SpoolError> {
    open(scratch.dir().to_str().unwrap(), ID, capacity, &mut |_| {})
}

fn put(ring: &mut Mapping, text: &[u8], time_ns: u64) {
    let (writable, _) = ring.split();
    assert!(Producer::new(writable).copy_in(text, Stream::Stdout, time_ns));
}

/// The texts in the ring, breaks as `|`, gaps as `-bytes`.
fn content(ring: &mut Mapping) -> String {
    let (_, readable) = ring.split();
    let mut consumer = Consumer::new(readable);
    let (mut position, carried) = consumer.resume();
    let mut text = String::from_utf8(carried[0].bytes.clone()).unwrap();
    while let Some(entry) = consumer.entry(position) {
        position = entry.next;
        match entry.payload {
            Payload::Bytes(bytes) => text.push_str(std::str::from_utf8(bytes).unwrap()),
            Payload::Gap(gap) => text.push_str(&format!("-{}", gap.bytes)),
            Payload::Break => text.push('|'),
        }
    }
    text
}

fn read_counters(ring: &mut Mapping) -> (u64, u64) {
    let (writable, _) = ring.split();
    let shared = Producer::new(writable).shared();
    let load =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    (load(&shared.bytes_read), load(&shared.recovered_bytes))
}

#[test]
fn what_was_not_delivered_is_there_at_the_next_start() {
    let scratch = Scratch::new();
    let mut first = open_in(&scratch, CAPACITY).unwrap();
    put(&mut first.ring, b"one ", 1);
    put(&mut first.ring, b"two ", 2);
    {
        let (_, readable) = first.ring.split();
        let mut consumer = Consumer::new(readable);
        let (position, _) = consumer.resume();
        let next = consumer.entry(position).unwrap().next;
        let carried = [Carried { bytes: b"ca".to_vec(), ..Carried::default() }, Carried::default()];
        consumer.release(next, &carried, &crate::ring::Account::default());
    }
    drop(first);
    let mode = std::fs::metadata(scratch.path(NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for capacity in [CAPACITY, 4 * CAPACITY, CAPACITY] {
        let mut again = open_in(&scratch, capacity).unwrap();
        assert_eq!(again.problem, None);
        assert_eq!(again.ring.capacity(), capacity);
        let text = content(&mut again.ring);
        assert_eq!(text.trim_end_matches('|'), "catwo ", "{text}");
        assert_eq!(read_counters(&mut again.ring), (6, 6));
    }
    assert_eq!(std::fs::read_dir(scratch.dir()).unwrap().count(), 1);
}

#[test]
fn a_smaller_ring_takes_the_oldest_and_counts_the_rest() {
    let scratch = Scratch::new();
    let mut first = open_in(&scratch, 4 * CAPACITY).unwrap();
    for n in 0..40 {
        put(&mut first.ring, format!("{n:04000}").as_bytes(), n + 1);
    }
    drop(first);
    let mut again = open_in(&scratch, CAPACITY).unwrap();
    let text = content(&mut again.ring);
    assert!(text.starts_with(&format!("{:04000}{:04000}", 0, 1)));
    let kept = text.trim_end_matches('|').len();
    assert!(again.problem.unwrap().contains("did not fit"));
    assert_eq!(read_counters(&mut again.ring), (160_000, kept as u64));
    // Once there is room, whoever goes on says what was lost.
    let (writable, readable) = again.ring.split();
    let (mut producer, mut consumer) =
        (Producer::going_on(writable, again.due), Consumer::new(readable));
    assert!(!producer.flush_due());
    consumer.release(producer.position(), &Default::default(), &crate::ring::Account::default());
    assert!(producer.flush_due());
    assert_eq!(content(&mut again.ring), format!("-{}", 160_000 - kept));
}

#[test]
fn reading_goes_on_while_a_large_file_is_opened() {
    const LARGE: usize = 8 << 20;
    let slices = LARGE / usize::try_from(SLICE_BYTES).unwrap();
    let scratch = Scratch::new();
    let mut first = open_in(&scratch, LARGE).unwrap();
    for n in 0..LARGE / 2 / 4096 {
        put(&mut first.ring, &[b'x'; 4000], 1 + n as u64);
    }
    drop(first);
    // What is there is looked at, the rest is cleared, and in another size all of
    // it is copied too.
    for (capacity, least) in [(LARGE, slices), (2 * LARGE, slices * 3 / 2)] {
        let mut calls = 0;
        let mut meanwhile = |pause| {
            assert_eq!(pause, Duration::ZERO);
            calls += 1;
        };
        open(scratch.dir().to_str().unwrap(), ID, capacity, &mut meanwhile).unwrap();
        assert!(calls + 8 >= least, "{calls} of {least}");
    }
}

#[test]
fn in_a_ring_of_another_size_every_byte_has_the_time_it_had() {
    let scratch = Scratch::new();
    let mut first = open_in(&scratch, CAPACITY).unwrap();
    put(&mut first.ring, &[b'x'; 10_000], 1000);
    drop(first);
    let mut again = open_in(&scratch, 2 * CAPACITY).unwrap();
    let (_, readable) = again.ring.split();
    let mut consumer = Consumer::new(readable);
    let (mut position, _) = consumer.resume();
    let mut done = 0;
    while let Some(Entry { time_ns, payload: Payload::Bytes(bytes), next, .. }) =
        consumer.entry(position)
    {
        assert_eq!(time_ns, 1000 + done);
        done += bytes.len() as u64;
        position = next;
    }
    assert_eq!(done, 10_000);
}

fn handover_word(consumer: &Consumer<'_>) -> Option<u32> {
    Some(consumer.handover_word()?.load(std::sync::atomic::Ordering::Relaxed))
}

#[test]
fn one_at_a_time_and_gone_when_it_is_empty() {
    let scratch = Scratch::new();
    let first = open_in(&scratch, CAPACITY).unwrap();
    let error = open_in(&scratch, CAPACITY).unwrap_err();
    assert_eq!(error.to_string(), format!("the spool file {NAME} is in use by another logger"));
    {
        let mut ring = first.ring;
        let (_, readable) = ring.split();
        assert_eq!(handover_word(&Consumer::new(readable)), Some(1));
    }
    first.spool.remove();
    assert_eq!(std::fs::read_dir(scratch.dir()).unwrap().count(), 0);
    let mut second = open_in(&scratch, CAPACITY).unwrap();
    let (_, readable) = second.ring.split();
    assert_eq!(handover_word(&Consumer::new(readable)), Some(0));
}

#[test]
fn directories_and_files_that_will_not_do() {
    let scratch = Scratch::new();
    let dir = scratch.dir().to_str().unwrap();
    let open = |dir: &str| open(dir, ID, CAPACITY, &mut |_| {}).map(|_| ()).unwrap_err();
    assert!(matches!(open("relative"), SpoolError::Directory { .. }));
    assert!(matches!(open(&format!("{dir}/missing")), SpoolError::Directory { .. }));
    symlink(dir, scratch.path("link")).unwrap();
    for link in ["link", "link/", "link//", "link/./"] {
        assert!(matches!(open(&format!("{dir}/{link}")), SpoolError::Directory { .. }), "{link}");
    }
    std::fs::create_dir(scratch.path("open")).unwrap();
    std::fs::set_permissions(scratch.path("open"), PermissionsExt::from_mode(0o777)).unwrap();
    let message = open(&format!("{dir}/open")).to_string();
    assert!(message.contains("mode 777, expected owner"), "{message}");
    symlink("/etc/passwd", scratch.path(NAME)).unwrap();
    assert!(matches!(open(dir), SpoolError::File { doing: "open", .. }));
    std::fs::remove_file(scratch.path(NAME)).unwrap();
    std::fs::write(scratch.path("other"), "").unwrap();
    std::fs::hard_link(scratch.path("other"), scratch.path(NAME)).unwrap();
    assert!(matches!(open(dir), SpoolError::Strange { .. }));
    std::fs::remove_file(scratch.path(NAME)).unwrap();
    std::fs::create_dir(scratch.path(NAME)).unwrap();
    assert!(matches!(open(dir), SpoolError::File { doing: "open", .. }));
    let refused = super::open(dir, "///", CAPACITY, &mut |_| {}).unwrap_err();
    assert!(matches!(refused, SpoolError::Name { .. }));
}

#[test]
fn damaged_files_are_set_aside_and_only_the_last_is_kept() {
    let scratch = Scratch::new();
    let damaged = format!("{NAME}.damaged");
    for content in ["not a ring at all", "another one"] {
        std::fs::write(scratch.path(NAME), content).unwrap();
        let opened = open_in(&scratch, CAPACITY).unwrap();
        assert!(opened.problem.unwrap().contains("set aside"));
        assert_eq!(std::fs::read_to_string(scratch.path(&damaged)).unwrap(), content);
        std::fs::remove_file(scratch.path(NAME)).unwrap();
    }
    let mut image = vec![0; Mapping::file_len(CAPACITY)];
    image[..8].copy_from_slice(b"dklogrng");
    image[8] = 99;
    std::fs::write(scratch.path(NAME), image).unwrap();
    let problem = open_in(&scratch, CAPACITY).unwrap().problem.unwrap();
    assert!(problem.contains("format 99, expected 1"), "{problem}");
    assert_eq!(std::fs::read_dir(scratch.dir()).unwrap().count(), 2);
}

#[test]
fn a_torn_entry_is_announced() {
    let scratch = Scratch::new();
    let mut first = open_in(&scratch, CAPACITY).unwrap();
    put(&mut first.ring, b"whole ", 1);
    put(&mut first.ring, b"torn!! ", 2);
    first.spool.file.write_at(b"X", Mapping::file_len(0) as u64 + 24 + 16).unwrap();
    drop(first);
    let mut again = open_in(&scratch, CAPACITY).unwrap();
    assert_eq!(content(&mut again.ring), "whole -24|");
    assert!(again.problem.unwrap().contains("24 bytes"));
}
