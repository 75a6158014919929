// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Transports against sockets of this machine.

mod confirm;
mod tls;
mod udp;
mod unix;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::*;
use crate::driver::{DatagramPeer, Division, Silent, StreamPeer};
use crate::os;
use crate::resolver::Paths;
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
        Self::with_names(address, Paths::system())
    }

    fn with_names(address: &str, names: Paths) -> Self {
        let (scheme, at) = address.split_once("://").unwrap();
        let (host, port) = at.rsplit_once(':').unwrap();
        let at = HostPort { host: host.to_owned(), port: port.parse().unwrap() };
        let sink = match scheme {
            "udp" => Sink::Datagram { peer: DatagramPeer::Udp(at), division: Division::Whole },
            _ => Sink::Stream { peer: StreamPeer::Tcp(at), session: Box::new(Silent) },
        };
        Self::to(&sink, names)
    }

    fn to(sink: &Sink, names: Paths) -> Self {
        Self::of(sink, Resolver::new(names))
    }

    fn of(sink: &Sink, resolver: Resolver) -> Self {
        let transport = Transport::new(sink, resolver, 1);
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

    /// Pushes a frame more and drives at this time, until `done`.
    fn drive_at(&mut self, now_ns: u64, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline_ns = os::mono_ns() + 20_000_000_000;
        while !done(self) {
            assert!(os::mono_ns() < deadline_ns, "never: {what}; {}", self.shared.last_error());
            self.push(&[b"more\n"]);
            self.transport.drive(&mut self.window, &self.shared, Haste::Unhurried, now_ns);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Drives until `done`, waiting for what the transport asks for.
    fn drive_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline_ns = os::mono_ns() + 20_000_000_000;
        while !done(self) {
            let why = self.shared.last_error();
            assert!(os::mono_ns() < deadline_ns, "never: {what}; {why}");
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
fn an_address_is_meant_in_its_scope() {
    let loopback = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
    let index = os::interface_index(loopback).unwrap();
    let resolver = Resolver::new(Paths::system());
    let resolved = |host: &str| {
        let at = HostPort { host: host.to_owned(), port: 1 };
        let addresses = at.resolve(&resolver, Duration::from_secs(1))?.0;
        Some((addresses, at.name().to_owned()))
    };
    let in_scope = |scope| vec![SocketAddrV6::new("fe80::1".parse().unwrap(), 1, 0, scope).into()];
    let name = "fe80::1".to_owned();
    assert_eq!(resolved(&format!("fe80::1%{loopback}")), Some((in_scope(index), name.clone())));
    assert_eq!(resolved("fe80::1%77"), Some((in_scope(77), name.clone())));
    assert_eq!(resolved("fe80::1"), Some((in_scope(0), name)));
    assert_eq!(resolved("fe80::1%nosuch0"), None);
    assert_eq!(resolved(&format!("fe80::1%{}", "x".repeat(40))), None);
    // Where there is no IPv6, there is nobody to connect to.
    if let Ok(listener) = TcpListener::bind("[::1]:0") {
        let port = listener.local_addr().unwrap().port();
        let mut rig = Rig::new(&format!("tcp://::1%{loopback}:{port}"));
        rig.push(&[b"hello\n"]);
        rig.drive_until("the frame is taken", |rig| rig.records() == 1);
    }
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

/// Its kernel goes on for a program that hangs: until somebody kills that.
#[cfg(target_os = "linux")]
#[test]
fn tcp_repeats_all_that_a_hung_peer_has_not_read() {
    const FRAMES: usize = 10;
    let (listener, mut rig) = tcp();
    let frames: Vec<String> = (0..=FRAMES).map(|number| format!("{number:8999}\n")).collect();
    for frame in &frames[..FRAMES] {
        rig.push(&[frame.as_bytes()]);
        rig.drive_until("frame acknowledged", |rig| !rig.window.has_unreleased());
    }
    drop(listener.accept().unwrap());
    let again = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        read(&mut peer, 9000 * (FRAMES + 1))
    });
    rig.push(&[frames[FRAMES].as_bytes()]);
    rig.drive_until("last taken", |rig| rig.records() == FRAMES as u64 + 1);
    drop(rig);
    assert!(again.join().unwrap() == frames.concat());
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

/// Files in which `sink` has the addresses it is given.
struct Names(std::path::PathBuf);

impl Names {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("names-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // Nobody answers for names that are not in the hosts file.
        std::fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1\n")
            .unwrap();
        Self(folder)
    }

    fn set(&self, addresses: &[&str]) {
        let lines: String = addresses.iter().map(|address| format!("{address} sink\n")).collect();
        std::fs::write(self.0.join("new"), lines).unwrap();
        std::fs::rename(self.0.join("new"), self.0.join("hosts")).unwrap();
    }

    fn paths(&self) -> Paths {
        Paths { resolv_conf: self.0.join("resolv.conf"), hosts: self.0.join("hosts") }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn tcp_follows_a_name_that_goes_away_and_comes_back_elsewhere() {
    let names = Names::new("tcp");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The first address has nobody: every address is tried.
    names.set(&["127.0.0.9", "127.0.0.1"]);
    let mut rig = Rig::with_names(&format!("tcp://sink:{port}"), names.paths());
    rig.push(&[b"one\n"]);
    rig.drive_until("first taken", |rig| rig.records() == 1);
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(read(&mut peer, 4), "one\n");

    names.set(&[]);
    drop((peer, listener));
    rig.push(&[b"two\n"]);
    rig.drive_until("sink down", |rig| rig.shared.sink() == SinkState::Down);
    let elsewhere = TcpListener::bind(("127.0.0.2", port)).unwrap();
    names.set(&["127.0.0.2"]);
    rig.drive_until("second taken", |rig| rig.records() == 2);
    let (mut peer, _) = elsewhere.accept().unwrap();
    assert_eq!(read(&mut peer, 4), "two\n");
}
