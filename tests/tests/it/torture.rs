// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Senders killed at random moments, and collectors that go away while lines keep coming.
//!
//! With `DOCKERLOGGER_LONG=1` as often and as long as the issue says.

#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dockerlogger_tests::dockerinit::{Container, ContainerSpec, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::{Manners, TcpReceiver};
use dockerlogger_tests::{SOON, try_until, until};
use rustix::process::{Pid, Signal};

use super::sender_killed::children_of;
use super::{is_long, syslog_container, texts};

/// Waits until every line has arrived.
#[track_caller]
fn expect_complete(receiver: &TcpReceiver, container: &Container, written: u64) -> Verdict {
    let judged = try_until(SOON * 3, || {
        let verdict = Verdict::of(written, texts(&receiver.messages()));
        if verdict.complete() {
            return Ok(verdict);
        }
        // Judging hundreds of thousands of lines takes its time.
        thread::sleep(Duration::from_millis(200));
        Err(verdict)
    });
    let verdict =
        judged.unwrap_or_else(|verdict| panic!("{verdict}; {:?}", container.dockerinit_log()));
    let page = container.wait_until_settled(SOON);
    assert_eq!((page.delivered, page.dropped.len()), (page.read, 0), "{page:?}");
    verdict
}

#[test]
fn whatever_the_moment_at_which_senders_are_killed() {
    let kills = if is_long() { 1000 } else { 40 };
    const RING: u64 = 64 << 10;
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let options = [("mode", "blocking"), ("max-buffer-size", "64k")];
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &options), scratch.path());
    let (over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut killed = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = 0;
            while !over.load(Ordering::Relaxed) {
                container.write_unread(Output::Stdout, oracle::lines(next, next + 20).as_bytes());
                next += 20;
                written.store(next, Ordering::Relaxed);
                // What is tested is the moments, not the throughput.
                thread::sleep(Duration::from_millis(2));
            }
        });
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut last = 0;
        while killed < kills {
            let sender =
                until("a sender", SOON, || match children_of(container.logger_pid())[..] {
                    [sender] if sender != last => Ok(sender),
                    ref other => Err((other.to_vec(), container.logger_exit())),
                });
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // From its first instructions to well into its work.
            thread::sleep(Duration::from_micros(random % [200, 2_000, 60_000][killed % 3]));
            if rustix::process::kill_process(Pid::from_raw(sender).unwrap(), Signal::KILL).is_ok() {
                killed += 1;
                last = sender;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let written = written.load(Ordering::Relaxed);
    let verdict = expect_complete(&receiver, &container, written);
    // What a sender had under way was in the ring.
    let in_flight = RING / (oracle::line(0).len() as u64 + 1);
    let bound = kills as u64 * in_flight;
    assert!((verdict.duplicated.len() as u64) <= bound, "more than {bound}: {verdict}");
    eprintln!("{killed} senders killed, {written} lines written: {verdict}");
    assert_eq!(container.logger_exit(), None);
    container.end_well();
}

/// One life of a logger with a spool: lines from `first` on, until somebody kills the reader, and with it the sender or
/// not. Returns the number of the line after the last that the reader has read, and how many of them it had not counted.
fn life(spec: &ContainerSpec, scratch: &Path, first: u64, random: u64) -> (u64, u64) {
    let container = Container::start(spec, scratch);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // One line a write: the simulated kernel hands it over whole, and the reader reads it whole.
            for number in first.. {
                let line = oracle::line(number) + "\n";
                let written = container.try_write_unread(Output::Stdout, line.as_bytes());
                if over.load(Ordering::Relaxed) || written.is_err() {
                    break;
                }
                thread::sleep(Duration::from_micros(300));
            }
        });
        until("the logger to have read something", SOON, || match container.status() {
            Some(page) if page.read.lines > page.recovered.lines => Ok(()),
            other => {
                let exit = container.logger_exit();
                Err(format!("{other:?}, {exit:?}, {}", container.dockerinit_log()))
            }
        });
        thread::sleep(Duration::from_micros(random % 30_000));
        let senders = children_of(container.logger_pid());
        if !random.is_multiple_of(3) {
            for sender in senders {
                let _ = rustix::process::kill_process(Pid::from_raw(sender).unwrap(), Signal::KILL);
            }
        }
        container.signal_logger(Signal::KILL);
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(container.wait(SOON).logger.unwrap(), Exit::Signal(9));
    let page = container.status().unwrap();
    // Not what it has counted: it may have been killed between a read and the account of it.
    let handed_over = container.handed_over(Output::Stdout);
    let (mut next, mut bytes) = (first, 0);
    while bytes < handed_over {
        bytes += oracle::line(next).len() as u64 + 1;
        next += 1;
    }
    assert_eq!(bytes, handed_over, "lines are read whole");
    (next, next - first - (page.read.lines - page.recovered.lines))
}

#[test]
fn whatever_the_moment_at_which_the_reader_is_killed_with_a_spool() {
    let lives = if is_long() { 500 } else { 20 };
    let scratch = tempfile::tempdir().unwrap();
    let spool = scratch.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    std::fs::set_permissions(&spool, std::fs::Permissions::from_mode(0o700)).unwrap();
    let receiver = TcpReceiver::start();
    let options =
        [("mode", "blocking"), ("max-buffer-size", "64k"), ("spool", spool.to_str().unwrap())];
    let spec = syslog_container(&receiver.syslog_address(), &options);
    let (mut next, mut random, mut uncounted) = (0, 0x9E37_79B9_7F4A_7C15_u64, 0);
    for _ in 0..lives {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (after, more) = life(&spec, scratch.path(), next, random);
        (next, uncounted) = (after, uncounted + more);
    }
    // The last one sends what all the others have left, and has nothing of its own.
    let container = Container::start(&spec, scratch.path());
    let judged = try_until(SOON * 3, || {
        let verdict = Verdict::of(next, texts(&receiver.messages()));
        if verdict.complete() {
            return Ok(verdict);
        }
        thread::sleep(Duration::from_millis(100));
        Err(verdict)
    });
    let verdict =
        judged.unwrap_or_else(|verdict| panic!("{verdict}; {}", container.dockerinit_log()));
    let bound = lives * (64 << 10) / (oracle::line(0).len() + 1);
    assert!(verdict.duplicated.len() <= bound, "more than {bound}: {verdict}");
    eprintln!(
        "{lives} readers killed, {next} lines read, {uncounted} of them not counted: {verdict}"
    );
    container.end_well();
}

#[test]
fn outages_at_a_thousand_lines_a_second_lose_nothing() {
    const LINES_PER_SECOND: u64 = 1000;
    for seconds in if is_long() { vec![1, 60] } else { vec![1] } {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = TcpReceiver::start();
        let options = [("max-buffer-size", "16m")];
        let spec = syslog_container(&receiver.syslog_address(), &options);
        let container = Container::start(&spec, scratch.path());
        let began = Instant::now();
        let outage = LINES_PER_SECOND..LINES_PER_SECOND * (1 + seconds);
        let written = outage.end + LINES_PER_SECOND;
        for number in (0..written).step_by(10) {
            let due = Duration::from_micros(number * 1_000_000 / LINES_PER_SECOND);
            thread::sleep(due.saturating_sub(began.elapsed()));
            if number == outage.start {
                receiver.set_manners(Manners::Refuse);
            }
            if number == outage.end {
                receiver.set_manners(Manners::Take);
            }
            container.write_unread(Output::Stdout, oracle::lines(number, number + 10).as_bytes());
        }
        let verdict = expect_complete(&receiver, &container, written);
        eprintln!("an outage of {seconds} s at {LINES_PER_SECOND} lines/s: {verdict}");
        assert_eq!(container.logger_exit(), None);
    }
}
