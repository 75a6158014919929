// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A peer that confirms frames itself.

use std::io::Write;

use super::*;
use crate::driver::Settings;
use crate::launch::Launch;

/// Three frames, each with its chunk's id at its end.
const FRAMES: [&str; 3] = [
    "one 000000000000000000000001",
    "two 000000000000000000000002",
    "six 000000000000000000000003",
];

fn confirming(options: &[(&str, &str)]) -> (TcpListener, Rig) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let written = [("fluentd-address", address.as_str()), ("fluentd-request-ack", "true")];
    let written = written.iter().chain(options);
    let launch = Launch {
        options: written.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..Launch::default()
    };
    let settings = Settings::parse("fluentd", &launch, b"us").unwrap();
    let mut rig = Rig::to(&settings.driver.sink(), Paths::system());
    rig.window = Window::new(rig.transport.replay(), Account::default());
    rig.push(&FRAMES.map(str::as_bytes));
    (listener, rig)
}

fn confirm(peer: &mut TcpStream, frame: &str) {
    peer.write_all(&[b"\x81\xa3ack\xb8", &frame.as_bytes()[4..]].concat()).unwrap();
}

/// Drives until the peer's kernel has all; returns the peer.
fn sent(listener: &TcpListener, rig: &mut Rig) -> TcpStream {
    rig.drive_until("all sent", |rig| rig.window.unsent_bytes() == 0);
    listener.accept().unwrap().0
}

#[test]
fn frames_are_taken_when_they_are_confirmed() {
    let (listener, mut rig) = confirming(&[]);
    let mut peer = sent(&listener, &mut rig);
    assert_eq!(read(&mut peer, FRAMES.concat().len()), FRAMES.concat());
    let (untaken, mut taken) = (rig.window.untaken_bytes(), 0);
    for frame in FRAMES {
        assert_eq!((rig.window.untaken_bytes(), rig.records()), (untaken - taken, 0));
        confirm(&mut peer, frame);
        taken += frame.len() as u64;
        rig.drive_until("frame taken", |rig| rig.window.untaken_bytes() == untaken - taken);
    }
    assert_eq!(rig.records(), 3);
}

#[test]
fn a_reset_repeats_what_was_not_confirmed_and_nothing_else() {
    let (listener, mut rig) = confirming(&[]);
    let mut peer = sent(&listener, &mut rig);
    let untaken = rig.window.untaken_bytes();
    confirm(&mut peer, FRAMES[0]);
    rig.drive_until("first taken", |rig| rig.window.untaken_bytes() < untaken);
    // Closed with bytes unread: the peer's kernel resets the connection.
    drop(peer);
    rig.drive_until("reset seen", |rig| rig.window.unsent_bytes() > 0);
    let mut peer = sent(&listener, &mut rig);
    assert_eq!(read(&mut peer, 2 * FRAMES[1].len()), FRAMES[1..].concat());
}

#[test]
fn who_confirms_nothing_is_given_up() {
    for (options, patience_ns, why) in [
        ([].as_slice(), 30_000_000_000, "the server confirmed nothing for 30s"),
        (
            &[("fluentd-read-timeout", "90s")],
            90_000_000_000,
            "the server confirmed nothing for 90s",
        ),
    ] {
        let (listener, mut rig) = confirming(options);
        let mut peer = sent(&listener, &mut rig);
        confirm(&mut peer, FRAMES[0]);
        let untaken = rig.window.untaken_bytes();
        rig.drive_until("first taken", |rig| rig.window.untaken_bytes() < untaken);
        // More that is sent is no sign of life.
        rig.push(&[b"ten 000000000000000000000004"]);
        let now_ns = os::mono_ns();
        for (past_ns, error) in [(patience_ns / 2, ""), (patience_ns, why)] {
            rig.transport.drive(&mut rig.window, &rig.shared, Haste::Unhurried, now_ns + past_ns);
            assert_eq!(rig.shared.last_error(), error);
        }
        assert!(rig.window.unsent_bytes() > 0);
    }
}
