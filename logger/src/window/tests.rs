// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The window by hand, and against peers that come and go.

use super::*;

const REPLAY: Replay = Replay { max_bytes: 10, max_age_ns: 100 };

fn batch(frames: &[&str], position: Option<u64>) -> Batch {
    let mut batch = Batch::default();
    for frame in frames {
        batch.bytes.extend_from_slice(frame.as_bytes());
        batch.end_frame(Amount { lines: 1, bytes: frame.len() as u64 });
    }
    let checkpoint = |position| Checkpoint { position, carried: Default::default() };
    batch.checkpoint = position.map(checkpoint);
    batch
}

fn position(released: &Released) -> Option<u64> {
    released.committed.as_ref().map(|(checkpoint, _)| checkpoint.position)
}

fn unsent(window: &Window) -> &str {
    std::str::from_utf8(window.unsent().unwrap_or_default()).unwrap()
}

#[test]
fn batches_are_released_whole_and_in_order() {
    let mut window = Window::new(REPLAY, Account::default());
    window.push(batch(&["aa\n", "bb\n"], Some(1)));
    window.push(batch(&["cc\n"], Some(2)));
    assert_eq!(unsent(&window), "aa\nbb\n");
    window.sent(6, 5);
    assert_eq!(unsent(&window), "cc\n");
    assert_eq!(window.take(5, 5), Released::default());
    let released = window.take(6, 6);
    assert_eq!(position(&released), Some(1));
    let account = released.committed.unwrap().1;
    assert_eq!((account.records, account.sent_bytes), (2, 6));
    assert_eq!(account.delivered, Amount { lines: 2, bytes: 6 });
    // Nothing is taken that was not sent.
    assert_eq!(window.take(9, 6), Released::default());
    window.sent(3, 7);
    assert_eq!(position(&window.take(9, 7)), Some(2));
    assert!(!window.has_unreleased());
}

#[test]
fn a_batch_without_frames_is_released_at_once() {
    let mut window = Window::new(REPLAY, Account::default());
    window.push(batch(&[], Some(4)));
    assert!(window.has_unreleased() && window.unsent().is_none());
    assert_eq!(position(&window.take(0, 1)), Some(4));
}

#[test]
fn a_closed_connection_goes_on_at_a_frame() {
    let mut window = Window::new(REPLAY, Account::default());
    window.push(batch(&["aa\n", "bbbb\n", "cc\n"], Some(1)));
    window.sent(9, 1);
    window.take(5, 1);
    window.rewind(Lost::Closed, 2);
    assert_eq!(unsent(&window), "bbbb\ncc\n");
    window.sent(8, 3);
    assert_eq!(position(&window.take(11, 3)), Some(1));
}

#[test]
fn a_broken_connection_repeats_what_is_kept() {
    let mut window = Window::new(REPLAY, Account::default());
    window.push(batch(&["aa\n"], Some(1)));
    window.push(batch(&["bb\n"], Some(2)));
    window.sent(6, 10);
    window.take(6, 10);
    window.rewind(Lost::Broken, 20);
    assert_eq!(unsent(&window), "aa\n");
    // Sending it again releases nothing twice.
    window.sent(6, 30);
    assert_eq!(window.take(6, 30), Released::default());
    window.take(6, 130);
    window.rewind(Lost::Broken, 131);
    assert_eq!(unsent(&window), "");
}

#[test]
fn little_is_kept() {
    let mut window = Window::new(REPLAY, Account::default());
    for n in 0..100 {
        window.push(batch(&["aaaa\n"], Some(n)));
        window.sent(5, n);
        window.take(5 * (n + 1), n);
        assert!(window.batches.len() <= 3, "{}", window.batches.len());
    }
}

#[test]
fn a_peer_that_breaks_down_again_and_again_gets_a_record_only_for_so_long() {
    let mut window = Window::new(REPLAY, Account::default());
    window.push(batch(&["aa\n"], Some(1)));
    let mut times = 0;
    for now_ns in (0..1000).step_by(40) {
        let Some(bytes) = window.unsent() else { break };
        let n = bytes.len();
        times += 1;
        window.sent(n, now_ns);
        window.take(3, now_ns);
        window.rewind(Lost::Broken, now_ns + 39);
    }
    // At 0, 40 and 80, and it is kept until 100.
    assert_eq!(times, 3);
}

#[test]
fn what_the_peer_has_not_read_is_kept_however_old_and_much() {
    let mut window = Window::new(REPLAY, Account::default());
    window.set_unread(25);
    for n in 0..100 {
        window.push(batch(&["aaaa\n"], Some(n)));
        window.sent(5, n);
        window.take(5 * (n + 1), n);
    }
    window.rewind(Lost::Broken, 10_000);
    assert_eq!(window.unsent_bytes(), 25);
    window.sent(5, 10_000);
    window.sent(20, 10_000);
    window.set_unread(0);
    window.take(500, 10_100);
    window.rewind(Lost::Broken, 10_100);
    assert_eq!(unsent(&window), "");
}

#[test]
fn frames_one_by_one() {
    let mut window = Window::new(REPLAY, Account::default());
    window.push(batch(&["aa\n", "b\n"], None));
    window.push(batch(&["c\n"], None));
    let mut frames = Vec::new();
    while let Some(frame) = window.next_frame() {
        frames.push(String::from_utf8(frame.to_vec()).unwrap());
        let n = frame.len();
        window.sent(n, 1);
    }
    assert_eq!(frames, ["aa\n", "b\n", "c\n"]);
}

#[test]
fn a_frame_that_is_too_large_is_replaced() {
    let mut window = Window::new(REPLAY, Account::default());
    window.push(batch(&["aa\n", "large\n", "b\n"], Some(1)));
    window.push(batch(&["c\n", "also large\n"], Some(2)));
    window.sent(3, 1);
    window.replace_next_frame(|lost| {
        assert_eq!(lost, Amount { lines: 1, bytes: 6 });
        b"lost\n".to_vec()
    });
    let mut frames = Vec::new();
    while let Some(frame) = window.next_frame() {
        if frame == b"also large\n" {
            window.replace_next_frame(|_| b"lost as well\n".to_vec());
            // A marker that is itself too large goes without a word.
            window.replace_next_frame(|_| panic!("a marker for a marker"));
            continue;
        }
        frames.push(String::from_utf8(frame.to_vec()).unwrap());
        let n = frame.len();
        window.sent(n, 2);
    }
    assert_eq!(frames, ["lost\n", "b\n", "c\n"]);
    let (checkpoint, account) = window.take(window.cursor(), 3).committed.unwrap();
    assert_eq!((checkpoint.position, account.records, account.sent_bytes), (2, 4, 12));
    assert_eq!(account.delivered, Amount { lines: 3, bytes: 7 });
    assert_eq!(account.oversize, Amount { lines: 2, bytes: 17 });
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

/// Every frame must be read whole by some peer, if a peer that breaks down loses
/// no more than what is kept for it.
fn flapping_peers(seed: u64) {
    let mut random = Random(seed);
    let replay = Replay { max_bytes: 40, max_age_ns: u64::MAX };
    let mut window = Window::new(replay, Account::default());
    let mut frames = 0_u64;
    let mut seen = std::collections::BTreeSet::new();
    let mut connection: Vec<u8> = Vec::new();
    let (mut base, mut acknowledged) = (0, 0);
    let mut note = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        for frame in text.split_inclusive('\n').filter(|frame| frame.ends_with('\n')) {
            // A connection that did not begin with a frame would not parse.
            seen.insert(frame.trim_end().strip_prefix('#').unwrap().parse::<u64>().unwrap());
        }
    };
    for step in 0..3000 {
        match random.below(10) {
            0..=3 if step < 2500 => {
                let names: Vec<String> =
                    (0..random.below(4)).map(|n| format!("#{}\n", frames + n)).collect();
                frames += names.len() as u64;
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                window.push(batch(&names, Some(frames)));
            }
            0..=6 => {
                let Some(bytes) = window.unsent() else { continue };
                let n = usize::try_from(1 + random.below(bytes.len() as u64)).unwrap();
                connection.extend_from_slice(&bytes[..n]);
                window.sent(n, step);
            }
            7..=8 => {
                let reached = base + random.below(connection.len() as u64 + 1);
                acknowledged = reached.max(acknowledged);
                window.take(acknowledged, step);
            }
            _ if step < 2500 => {
                let reached = base + random.below(connection.len() as u64 + 1);
                acknowledged = reached.max(acknowledged);
                window.take(acknowledged, step);
                let read = usize::try_from(acknowledged - base).unwrap();
                if random.below(2) == 0 {
                    note(&connection[..read]);
                    window.rewind(Lost::Closed, step);
                } else {
                    let lost = usize::try_from(random.below(41)).unwrap();
                    note(&connection[..read.saturating_sub(lost)]);
                    window.rewind(Lost::Broken, step);
                }
                connection.clear();
                base = window.cursor();
                acknowledged = base;
            }
            _ => {}
        }
    }
    while let Some(bytes) = window.unsent() {
        let n = bytes.len();
        connection.extend_from_slice(bytes);
        window.sent(n, 9999);
    }
    window.take(window.cursor(), 9999);
    note(&connection);
    assert_eq!(window.account().records, frames, "seed {seed}");
    assert_eq!(window.account().delivered.lines, frames, "seed {seed}");
    assert!(seen.into_iter().eq(0..frames), "seed {seed}: a frame is missing");
}

#[test]
fn nothing_is_lost_to_peers_that_come_and_go() {
    for seed in 1..40 {
        flapping_peers(seed * 7919);
    }
}
