// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Transports against sockets of this machine.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::*;
use crate::os;
use crate::ring::{Account, Amount, SinkState};
use crate::window::Batch;

/// A transport and what it needs.
struct Rig {
    transport: Transport,
    window: Window,
    shared: Shared,
}

impl Rig {
    fn new(address: &str) -> Self {
        let sink = Sink { address: address.parse().unwrap() };
        let transport = Transport::new(&sink, 1);
        // However long a test takes, what it needs is kept.
        let replay = Replay { max_age_ns: u64::MAX, ..transport.replay() };
        let window = Window::new(replay, Account::default());
        Self { transport, window, shared: Shared::default() }
    }

    /// Frames that were taken.
    fn records(&self) -> u64 {
        self.window.account().records
    }

    fn push(&mut self, frames: &[&[u8]]) {
        let mut batch = Batch::default();
        for frame in frames {
            batch.bytes.extend_from_slice(frame);
            batch.end_frame(Amount { lines: 1, bytes: frame.len() as u64 });
        }
        self.window.push(batch);
    }

    /// Drives until `done`, waiting for what the transport asks for.
    fn drive_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline_ns = os::mono_ns() + 20_000_000_000;
        while !done(self) {
            assert!(os::mono_ns() < deadline_ns, "never: {what}");
            let haste = Haste::Hurried;
            let progress =
                self.transport.drive(&mut self.window, &self.shared, haste, os::mono_ns());
            if progress.too_large {
                self.window.replace_next_frame(|lost| format!("lost {lost:?}\n").into_bytes());
            }
            let (socket, events) = progress.wait.socket.unwrap_or((-1, 0));
            let mut fds = [os::interest(socket, events)];
            os::poll(&mut fds, Some(Duration::from_millis(2))).unwrap();
        }
    }
}

fn tcp() -> (TcpListener, Rig) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = Rig::new(&format!("tcp://{}", listener.local_addr().unwrap()));
    (listener, rig)
}

fn read(stream: &mut TcpStream, len: usize) -> String {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn tcp_releases_what_the_peer_has() {
    let (listener, mut rig) = tcp();
    rig.push(&[b"one\n", b"two\n"]);
    rig.drive_until("both taken", |rig| rig.records() == 2);
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(read(&mut peer, 8), "one\ntwo\n");
    assert_eq!(rig.shared.sink(), SinkState::Up);
}

#[test]
fn tcp_repeats_nothing_after_an_orderly_close() {
    let (listener, mut rig) = tcp();
    rig.push(&[b"one\n"]);
    rig.drive_until("first taken", |rig| rig.records() == 1);
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(read(&mut peer, 4), "one\n");
    drop(peer);
    rig.push(&[b"two\n"]);
    rig.drive_until("second taken", |rig| rig.records() == 2);
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(read(&mut peer, 4), "two\n");
}

#[test]
fn tcp_repeats_the_last_second_after_a_reset() {
    let (listener, mut rig) = tcp();
    rig.push(&[b"one\n"]);
    rig.drive_until("first taken", |rig| rig.records() == 1);
    // Closed with bytes unread: the peer's kernel resets the connection.
    drop(listener.accept().unwrap());
    rig.push(&[b"two\n"]);
    rig.drive_until("second taken", |rig| rig.records() == 2);
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(read(&mut peer, 8), "one\ntwo\n");
}

#[test]
fn tcp_waits_for_a_sink_that_is_down() {
    let (listener, mut rig) = tcp();
    let address = listener.local_addr().unwrap();
    drop(listener);
    rig.push(&[b"one\n"]);
    rig.drive_until("sink down", |rig| rig.shared.sink() == SinkState::Down);
    let listener = TcpListener::bind(address).unwrap();
    rig.drive_until("taken", |rig| rig.records() == 1);
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(read(&mut peer, 4), "one\n");
}

#[test]
fn udp_sends_a_datagram_a_frame_and_a_marker_for_what_is_too_large() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut rig = Rig::new(&format!("udp://{}", socket.local_addr().unwrap()));
    rig.push(&[b"one\n", &[b'x'; 70_000], b"three\n"]);
    rig.drive_until("three taken", |rig| rig.records() == 3);
    let lost = Amount { lines: 1, bytes: 70_000 };
    let account = *rig.window.account();
    assert_eq!((account.oversize, account.delivered), (lost, Amount { lines: 2, bytes: 10 }));
    let marker = format!("lost {lost:?}\n");
    assert_eq!(account.sent_bytes, 10 + marker.len() as u64);
    let mut bytes = [0; 100];
    for frame in [b"one\n".as_slice(), marker.as_bytes(), b"three\n"] {
        let n = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..n], frame);
    }
}
