// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::fs::File;

use super::*;
use crate::SOON;
use crate::until::until;

fn start(pressure: Pressure) -> (Stream, OwnedFd, File) {
    let options = StreamOptions { pressure, unjoined_messages: 0, tty: false };
    let (stream, app, log) = Stream::start(options).unwrap();
    (stream, app, File::from(log))
}

/// Waits until the stream has seen so many messages of the application.
fn wait_for_written(stream: &Stream, messages: u64) -> Counts {
    until("the stream to see what was written", SOON, || {
        let counts = stream.counts();
        if counts.written.messages >= messages { Ok(counts) } else { Err(counts) }
    })
}

/// Reads until so many bytes are there.
fn read_exactly(log: &mut File, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    log.read_exact(&mut read).unwrap();
    read
}

#[test]
fn a_reader_that_stalls_gets_33_lines_of_80_bytes_and_the_application_never_waits() {
    let (stream, app, mut log) = start(Pressure::Drop);
    for number in 0..200 {
        write_message(&app, format!("{number:079}\n").as_bytes()).unwrap();
    }
    let counts = wait_for_written(&stream, 200);
    assert_eq!((counts.dropped.messages, counts.dropped.bytes), (200 - 33, (200 - 33) * 80));
    let read = read_exactly(&mut log, 33 * 80);
    let lines: Vec<String> = (0..33).map(|number| format!("{number:079}\n")).collect();
    assert_eq!(
        String::from_utf8(read).unwrap(),
        lines.concat(),
        "the oldest are kept, whole and in order"
    );
    assert_eq!(stream.accepted(), lines.concat().into_bytes());
    until("the stream to notice", SOON, || {
        if stream.settled() { Ok(()) } else { Err(stream.counts()) }
    });
    // And there is room again.
    write_message(&app, b"again").unwrap();
    assert_eq!(read_exactly(&mut log, 5), b"again");
}

#[test]
fn with_flow_control_nothing_is_dropped_and_the_application_waits() {
    let (stream, app, mut log) = start(Pressure::FlowControl);
    let writer = thread::spawn(move || {
        for _ in 0..5000 {
            write_message(&app, &[b'x'; 100]).unwrap();
        }
    });
    let read = read_exactly(&mut log, 500_000);
    assert!(read.iter().all(|byte| *byte == b'x'));
    writer.join().unwrap();
    let counts = stream.counts();
    assert_eq!(counts.written.messages, 5000);
    assert_eq!(counts.delivered, counts.written);
}

#[test]
fn a_write_above_64_kib_is_split_and_nothing_else_is() {
    let (stream, app, mut log) = start(Pressure::FlowControl);
    write_message(&app, &vec![b'x'; MESSAGE_MAX + 1]).unwrap();
    write_message(&app, b"").unwrap();
    write_message(&app, b"y").unwrap();
    assert_eq!(read_exactly(&mut log, MESSAGE_MAX + 2).last(), Some(&b'y'));
    // An empty write leaves no trace in a byte stream.
    assert_eq!(stream.counts().written.messages, 3);
}

#[test]
fn the_logger_sees_no_end_when_the_application_closes_and_an_end_when_the_stream_does() {
    let (stream, app, mut log) = start(Pressure::FlowControl);
    write_message(&app, b"tail").unwrap();
    drop(app);
    assert_eq!(read_exactly(&mut log, 4), b"tail");
    let mut fds = [PollFd::new(&log, PollFlags::IN)];
    // Nothing may come: an end would be readable at once. This is not a wait for something to happen.
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 })).unwrap();
    assert!(fds[0].revents().is_empty(), "{:?}", fds[0].revents());
    stream.close();
    assert_eq!(log.read(&mut [0]).unwrap(), 0);
}

#[test]
fn closing_delivers_what_is_queued_and_halting_does_not() {
    for (halt, delivered) in [(false, 33 * 80), (true, 7 * 80)] {
        let (stream, app, mut log) = start(Pressure::Drop);
        for _ in 0..33 {
            write_message(&app, &[b'x'; 80]).unwrap();
        }
        wait_for_written(&stream, 33);
        if halt {
            stream.halt()
        } else {
            stream.close()
        }
        // The pipe keeps what was put in it; the driver queue goes with the zone.
        let mut read = Vec::new();
        if halt {
            until("the stream to end", SOON, || {
                if stream.shared.state.lock().unwrap().head.is_none() { Ok(()) } else { Err(()) }
            });
        }
        log.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), delivered, "halt: {halt}");
    }
}

#[test]
fn what_nobody_reads_is_counted() {
    let (stream, app, log) = start(Pressure::FlowControl);
    drop(log);
    for _ in 0..100 {
        write_message(&app, &[b'x'; 80]).unwrap();
    }
    let counts = wait_for_written(&stream, 100);
    assert_eq!(counts.delivered.messages + counts.discarded.messages, 100);
    assert!(counts.discarded.messages >= 90, "{counts:?}");
}

#[test]
fn a_terminal_makes_cr_nl_of_nl() {
    let options =
        StreamOptions { pressure: Pressure::FlowControl, unjoined_messages: 1, tty: true };
    let (stream, app, log) = Stream::start(options).unwrap();
    for text in ["lost\n", "a\nb\n"] {
        write_message(&app, text.as_bytes()).unwrap();
    }
    assert_eq!(read_exactly(&mut File::from(log), 6), b"a\r\nb\r\n");
    assert_eq!(stream.counts().unjoined.bytes, 6);
}
