// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::*;

/// Writes `count` messages of `bytes` bytes to a reader that has stopped; returns what it will find when it goes on.
fn stalled(bytes: usize, count: usize) -> Counts {
    let mut queues = Queues::new(Pressure::Drop);
    let mut unread = 0;
    for _ in 0..count {
        if let Some(message) = queues.write(vec![b'x'; bytes], unread) {
            unread += message.len();
        }
        unread += queues.service(unread).iter().map(Vec::len).sum::<usize>();
    }
    // The reader empties the stream head again and again until nothing comes any more.
    while !queues.service(0).is_empty() {}
    queues.counts()
}

#[test]
fn a_stalled_reader_keeps_what_the_marks_allow() {
    // ceil(512/N) + ceil(2048/N) messages of N bytes.
    for (bytes, kept) in
        [(80, 33), (1, 2560), (100, 27), (512, 5), (513, 5), (2047, 3), (2048, 2), (65536, 2)]
    {
        let counts = stalled(bytes, 3000);
        assert_eq!(counts.delivered.messages, kept, "messages of {bytes} bytes kept");
        assert_eq!(counts.dropped.messages, 3000 - kept, "messages of {bytes} bytes dropped");
        assert_eq!(counts.dropped.bytes, (3000 - kept) * bytes as u64);
    }
}

#[test]
fn the_number_of_messages_fills_a_queue_too() {
    // Empty messages have no bytes: only their number can fill the two queues.
    assert_eq!(stalled(0, 5000).dropped.messages, 5000 - 512 - 2048);
}

#[test]
fn a_reader_that_keeps_up_loses_nothing() {
    let mut queues = Queues::new(Pressure::Drop);
    for _ in 0..1000 {
        assert!(queues.write(vec![0; 100], 0).is_some());
    }
    assert_eq!(queues.counts().dropped, Amount::default());
    assert_eq!(queues.counts().delivered, Amount { messages: 1000, bytes: 100_000 });
}

#[test]
fn the_backlog_moves_only_below_the_low_mark_of_the_head() {
    let mut queues = Queues::new(Pressure::Drop);
    let mut unread = 0;
    for _ in 0..20 {
        unread += queues.write(vec![0; 80], unread).map_or(0, |message| message.len());
    }
    assert_eq!(unread, 7 * 80);
    assert!(queues.service(unread).is_empty());
    assert!(queues.service(256).is_empty(), "256 unread bytes are not below the low mark");
    assert_eq!(queues.service(255).len(), 4, "255 + 4 * 80 is the first sum of at least 512");
}

#[test]
fn new_messages_queue_behind_a_backlog() {
    let mut queues = Queues::new(Pressure::Drop);
    assert!(queues.write(vec![0; 600], 0).is_some());
    assert!(queues.write(vec![1; 10], 600).is_none());
    // The head has room again (below high), but an older message waits.
    assert!(queues.write(vec![2; 10], 300).is_none());
    let moved = queues.service(0);
    assert_eq!(moved, [vec![1; 10], vec![2; 10]]);
}

#[test]
fn flow_control_stops_the_application_instead_of_dropping() {
    let mut queues = Queues::new(Pressure::FlowControl);
    let mut unread = 0;
    let mut accepted: u64 = 0;
    while !queues.stopped() {
        unread += queues.write(vec![0; 80], unread).map_or(0, |message| message.len());
        accepted += 1;
    }
    assert_eq!(accepted, 33);
    // Each emptying of the head moves about 512 bytes; the application goes on below 128 queued bytes.
    let mut rounds = 0;
    while queues.stopped() {
        queues.service(0);
        rounds += 1;
    }
    assert_eq!(rounds, 4, "26 messages leave in sevens; 5 are left after three rounds: 400 bytes");
    while !queues.service(0).is_empty() {}
    assert_eq!(queues.counts().delivered.messages, accepted);
    assert_eq!(queues.counts().dropped, Amount::default());
}

#[test]
fn parts_of_a_message_may_be_read() {
    let mut queues = Queues::new(Pressure::Drop);
    assert!(queues.write(vec![0; 500], 0).is_some());
    assert!(queues.write(vec![0; 500], 499).is_some());
    assert!(queues.write(vec![0; 500], 999).is_none());
    assert!(queues.write(vec![0; 500], 512).is_none());
    assert_eq!(queues.service(3).len(), 2);
}

#[test]
fn a_reader_that_left_takes_the_queue_with_it() {
    let mut queues = Queues::new(Pressure::FlowControl);
    assert!(queues.write(vec![0; 600], 0).is_some());
    assert!(queues.write(vec![0; 3000], 600).is_none());
    assert!(queues.stopped());
    queues.discard();
    assert!(!queues.stopped() && !queues.backlog());
    assert_eq!(queues.counts().discarded, Amount { messages: 1, bytes: 3000 });
    queues.lose(5, Loss::NoReader);
    queues.lose(6, Loss::Unjoined);
    let counts = queues.counts();
    assert_eq!(counts.written.bytes, 3611);
    assert_eq!(
        counts.written.bytes,
        counts.delivered.bytes + counts.discarded.bytes + counts.unjoined.bytes
    );
}
