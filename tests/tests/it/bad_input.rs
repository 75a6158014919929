// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Output, environments and collectors nobody wants: none ends the container, none makes the logger grow.
//!
//! With `DOCKERLOGGER_LONG=1` the amounts are those of the issue; without it, a tenth or less.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dockerlogger_tests::bench::procfs;
use dockerlogger_tests::dockerinit::{Container, Ending, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::{Manners, TcpReceiver, UdpReceiver};
use dockerlogger_tests::{SOON, until};

use super::{is_long, syslog_container, texts};

/// What the logger may need besides its ring.
const BESIDES_RING: u64 = 1 << 20;

/// The default of `max-buffer-size`.
const RING: u64 = 1 << 20;

/// A limit for loads that take a while.
const LONG: Duration = Duration::from_secs(600);

/// Memory of each process of the logger that is not a file's, in bytes: its own, and its share of the ring.
///
/// Without the pages of the program's file that the loader has relocated: with debug assertions they are some hundred
/// KiB. Those of the program that is shipped are in the bench's figures, which know no exception.
fn memory(logger: i32) -> Vec<(u64, u64)> {
    let of = |pid: &i32| {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let relocated = relocated(&std::fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?);
        let own = kib(&rollup, "Pss_Anon:")?.saturating_sub(relocated);
        Some((own * 1024, kib(&rollup, "Pss_Shmem:")? * 1024))
    };
    procfs::family(logger).iter().filter_map(of).collect()
}

/// KiB in mappings of files whose pages were all written to, each divided by the number of processes that have it.
fn relocated(smaps: &str) -> u64 {
    let mut total = 0;
    let mut mapping = String::new();
    for line in smaps.lines() {
        // `START-END PERMISSIONS OFFSET DEVICE INODE PATH` begins a mapping, `VmFlags:` ends it.
        mapping.push_str(line);
        mapping.push('\n');
        if line.starts_with("VmFlags:") {
            let of_file = mapping.lines().next().and_then(|first| first.split_whitespace().nth(5));
            let of_file = of_file.is_some_and(|path| path.starts_with('/'));
            if of_file && kib(&mapping, "Anonymous:") == kib(&mapping, "Rss:") {
                total += kib(&mapping, "Pss:").unwrap_or(0);
            }
            mapping.clear();
        }
    }
    total
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn sum(processes: &[(u64, u64)]) -> u64 {
    processes.iter().map(|(own, shared)| own + shared).sum()
}

/// Runs `load`, and asserts that reader and sender stay within the ring and [`BESIDES_RING`] all the while.
#[track_caller]
fn within_memory(container: &Container, ring: u64, load: impl FnOnce() + Send) {
    let logger = container.logger_pid();
    let peak = thread::scope(|scope| {
        let load = scope.spawn(load);
        let mut peak = Vec::new();
        while !load.is_finished() {
            let now = memory(logger);
            if sum(&now) > sum(&peak) {
                peak = now;
            }
            thread::sleep(Duration::from_millis(5));
        }
        load.join().unwrap();
        peak
    });
    assert_eq!(container.logger_exit(), None, "{}", container.dockerinit_log());
    let most = ring + BESIDES_RING;
    assert!(
        sum(&peak) <= most,
        "{} bytes at the peak, {most} are allowed; own and shared: {peak:?}",
        sum(&peak)
    );
    if cfg!(target_os = "linux") {
        assert!(sum(&peak) > 0, "the memory of the logger was never seen");
    }
}

/// Waits until a message holds `text`.
#[track_caller]
fn wait_for(receiver: &TcpReceiver, text: &str) {
    until(text, LONG, || {
        let bytes = receiver.bytes();
        let tail = &bytes[bytes.len().saturating_sub(4096)..];
        if String::from_utf8_lossy(tail).contains(text) { Ok(()) } else { Err(bytes.len()) }
    });
}

/// The container's bytes, headers of the `syslog-tag` layout taken off.
fn unwrapped(received: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in received.split_inclusive(|byte| *byte == b'\n') {
        let header = line.windows(3).position(|window| window == b"]: ").unwrap() + 3;
        bytes.extend_from_slice(&line[header..]);
    }
    bytes
}

#[test]
fn megabytes_without_a_newline() {
    let writes = if is_long() { 200 << 4 } else { 10 << 4 };
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let options = [("mode", "blocking")];
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &options), scratch.path());
    within_memory(&container, RING, || {
        let write = [b'x'; 1 << 16];
        for _ in 0..writes {
            container.write_unread(Output::Stdout, &write);
        }
        container.write_unread(Output::Stdout, b"\nthe end\n");
        wait_for(&receiver, "the end");
    });
    let page = container.wait_until_settled(SOON);
    assert_eq!((page.delivered, page.delivered.lines), (page.read, 2), "{page:?}");
    let pieces = texts(&receiver.messages());
    let (last, pieces) = pieces.split_last().unwrap();
    assert_eq!(last, "the end");
    assert!(pieces.iter().all(|piece| piece.len() == 16 << 10), "pieces of 16 KiB");
    assert_eq!(pieces.len(), writes * 4);
}

#[test]
fn lines_of_nothing_and_of_one_byte() {
    let writes = if is_long() { 16 } else { 2 };
    for (line, options) in [
        ("\n", [("mode", "blocking"), ("syslog-format", "rfc5424")]),
        ("\n", [("mode", "blocking"), ("syslog-tag", "t")]),
        ("x\n", [("mode", "blocking"), ("syslog-format", "rfc5424")]),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = TcpReceiver::start();
        let container = Container::start(
            &syslog_container(&receiver.syslog_address(), &options),
            scratch.path(),
        );
        let write = line.repeat((1 << 16) / line.len());
        let lines = writes * write.len() / line.len();
        within_memory(&container, RING, || {
            for _ in 0..writes {
                container.write_unread(Output::Stdout, write.as_bytes());
            }
            container.write_unread(Output::Stdout, b"the end\n");
            wait_for(&receiver, "the end");
        });
        let sent = line == "x\n" || options[1].0 == "syslog-tag";
        let page = container.wait_until_settled(SOON);
        let empty = page.dropped.get("empty").map_or(0, |dropped| dropped.lines);
        assert_eq!(empty, if sent { 0 } else { lines as u64 }, "{page:?}");
        let received = receiver.bytes().iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(received, if sent { lines + 1 } else { 1 }, "{line:?} {options:?}");
    }
}

#[test]
fn random_bytes_arrive_as_they_are() {
    let total = if is_long() { 64 << 20 } else { 2 << 20 };
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    // The layout in which empty lines are sent, and lines are not cut before 64 KiB.
    let options = [("mode", "blocking"), ("syslog-tag", "t")];
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &options), scratch.path());
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes: Vec<u8> = (0..total / 8)
        .flat_map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_le_bytes()
        })
        .collect();
    bytes.extend_from_slice(b"\nthe end\n");
    within_memory(&container, RING, || {
        for write in bytes.chunks(5000) {
            container.write_unread(Output::Stdout, write);
        }
        wait_for(&receiver, "the end");
    });
    let page = container.wait_until_settled(SOON);
    assert_eq!(page.delivered.bytes, bytes.len() as u64, "{page:?}");
    assert!(unwrapped(&receiver.bytes()) == bytes, "what arrived is not what was written");
}

/// A collector that does one bad thing to each connection, and keeps what it reads.
fn rude(manners: fn(&TcpStream)) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&received);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, all) = (stream.unwrap(), Arc::clone(&all));
            thread::spawn(move || {
                manners(&stream);
                let mut bytes = [0; 4096];
                let mut mine = Vec::new();
                loop {
                    match stream.read(&mut bytes) {
                        Ok(0) => break,
                        Ok(n) => {
                            mine.extend_from_slice(&bytes[..n]);
                            let ends = mine.iter().rposition(|byte| *byte == b'\n');
                            let whole = ends.map_or(0, |at| at + 1);
                            all.lock().unwrap().extend(mine.drain(..whole));
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => break,
                    }
                }
            });
        }
    });
    (address, received)
}

#[test]
fn collectors_that_half_close_or_talk_get_everything() {
    let half_close: fn(&TcpStream) = |stream| drop(stream.shutdown(Shutdown::Write));
    let chatter: fn(&TcpStream) = |stream| {
        let mut stream = stream.try_clone().unwrap();
        thread::spawn(move || {
            while stream.write_all(b"?").is_ok() {
                thread::sleep(Duration::from_secs(1));
            }
        });
    };
    let flood: fn(&TcpStream) = |stream| {
        let mut stream = stream.try_clone().unwrap();
        thread::spawn(move || while stream.write_all(&[b'?'; 4096]).is_ok() {});
    };
    for (name, manners) in [("half-close", half_close), ("chatter", chatter), ("flood", flood)] {
        let scratch = tempfile::tempdir().unwrap();
        let (address, received) = rude(manners);
        let container = Container::start(&syslog_container(&address, &[]), scratch.path());
        within_memory(&container, RING, || {
            for from in (0..500).step_by(50) {
                container.write(Output::Stdout, oracle::lines(from, from + 50).as_bytes());
            }
            until(name, SOON, || {
                let text = String::from_utf8_lossy(&received.lock().unwrap()).into_owned();
                let messages: Vec<String> = text.lines().map(str::to_owned).collect();
                let verdict = Verdict::of(500, texts(&messages));
                if verdict.complete() { Ok(()) } else { Err(verdict.to_string()) }
            });
            container.wait_until_settled(SOON);
        });
    }
}

#[test]
fn a_collector_that_takes_nothing_or_breaks_does_not_make_the_logger_grow() {
    for manners in [
        Manners::Stall,
        Manners::Refuse,
        Manners::ResetAfter { bytes: 100_000 },
        Manners::CloseAfter { bytes: 100_000 },
    ] {
        for ring in [64 << 10, RING] {
            let scratch = tempfile::tempdir().unwrap();
            let receiver = TcpReceiver::start();
            receiver.set_manners(manners);
            let size = ring.to_string();
            let options = [("max-buffer-size", size.as_str()), ("drain-timeout", "0s")];
            let spec = syslog_container(&receiver.syslog_address(), &options);
            let container = Container::start(&spec, scratch.path());
            within_memory(&container, ring, || {
                for from in (0..40_000).step_by(500) {
                    let lines = oracle::lines(from, from + 500);
                    container.write(Output::Stdout, lines.as_bytes());
                }
            });
            container.end(Ending::Close);
            assert!(matches!(container.wait(SOON).logger.unwrap(), Exit::Code(0 | 1)));
        }
    }
}

#[test]
fn datagrams_that_are_too_large_leave_a_marker() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = UdpReceiver::start();
    // Only in this layout a record may be that long.
    let options = [("syslog-tag", "t")];
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &options), scratch.path());
    let large = "x".repeat(65_530);
    container.write(Output::Stdout, format!("before\n{large}\nafter\n").as_bytes());
    let datagrams = receiver.wait_for_datagrams(3, SOON);
    let messages: Vec<String> =
        datagrams.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    let texts = texts(&messages);
    let page = container.wait_until_settled(SOON);
    assert_eq!(page.dropped["oversize"].bytes, 65_531, "{page:?}");
    assert_eq!((texts[0].trim_end(), texts[2].trim_end()), ("before", "after"));
    assert!(texts[1].starts_with("1 lines / 65531 bytes dropped "), "{}", texts[1]);
    assert!(texts[1].trim_end().ends_with(": too large"), "{}", texts[1]);
}

#[test]
fn a_variable_as_large_as_the_system_takes() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    // Linux takes 32 pages in one string of the environment, name and final zero included; a variable of 1 MiB, which
    // illumos would take, can only be read in a unit test of `launch`.
    let frame = r#"DOCKERLOG_ENV=["NAME="]"#.len() + 1;
    let large = format!(r#"["NAME={}"]"#, "v".repeat((128 << 10) - frame));
    let spec = syslog_container(&receiver.syslog_address(), &[("env", "NAME")])
        .with("DOCKERLOG_ENV", &large)
        .with("DOCKERLOG_ENTRYPOINT", "{not json")
        .with("DOCKERLOG_CONTAINERNAME", &"n".repeat(100_000));
    let container = Container::start(&spec, scratch.path());
    within_memory(&container, RING, || {
        container.write(Output::Stdout, b"hello\n");
        receiver.wait_for_messages(1, SOON);
    });
    assert_eq!(texts(&receiver.messages()), ["hello"]);
}
