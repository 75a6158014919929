// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Sockets with a path.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

use super::*;
use crate::scratch::Scratch;

fn datagrams(path: &Path) -> Sink {
    Sink::Datagram { peer: DatagramPeer::Unix(path.to_owned()), division: Division::Whole }
}

#[test]
fn a_stream_waits_for_its_socket_and_for_who_reads_it() {
    let folder = Scratch::new();
    let path = folder.path("log");
    let peer = StreamPeer::Unix(path.clone());
    let mut rig = Rig::to(&Sink::Stream { peer, session: Box::new(Silent) }, Paths::system());
    rig.push(&[b"one\n"]);
    rig.drive_until("sink down", |rig| rig.shared.sink() == SinkState::Down);
    let why = rig.shared.last_error();
    assert!(why.contains(path.to_str().unwrap()) && why.contains("No such file"), "{why}");
    let listener = UnixListener::bind(&path).unwrap();
    rig.drive_until("sink up", |rig| rig.shared.sink() == SinkState::Up);
    // Linux counts what the other program has not read yet.
    #[cfg(target_os = "linux")]
    assert_eq!(rig.records(), 0);
    let (mut peer, _) = listener.accept().unwrap();
    let mut bytes = [0; 4];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"one\n");
    rig.drive_until("taken", |rig| rig.records() == 1);
}

#[test]
fn datagrams_follow_a_socket_that_is_made_anew() {
    let folder = Scratch::new();
    let path = folder.path("log");
    let sink = datagrams(&path);
    let mut rig = Rig::to(&sink, Paths::system());
    rig.push(&[b"one\n"]);
    rig.drive_until("sink down", |rig| rig.shared.sink() == SinkState::Down);
    let mut bytes = [0; 100];
    for (records, frame) in [(1, b"one\n"), (2, b"two\n")] {
        let socket = UnixDatagram::bind(&path).unwrap();
        rig.drive_until("taken", |rig| rig.records() == records);
        let n = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..n], frame);
        drop(socket);
        std::fs::remove_file(&path).unwrap();
        rig.push(&[b"two\n"]);
        rig.drive_until("down again", |rig| rig.shared.sink() == SinkState::Down);
    }
}

#[test]
fn a_datagram_that_is_too_large_for_the_socket_gets_a_marker() {
    let folder = Scratch::new();
    let path = folder.path("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut rig = Rig::to(&datagrams(&path), Paths::system());
    rig.push(&[&[b'x'; 4 << 20], b"two\n"]);
    rig.drive_until("both taken", |rig| rig.records() == 2);
    let mut bytes = [0; 100];
    let n = socket.recv(&mut bytes).unwrap();
    assert!(bytes[..n].starts_with(b"lost Amount"));
    let n = socket.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..n], b"two\n");
}
