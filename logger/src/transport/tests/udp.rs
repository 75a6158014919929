// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Datagrams, and the names of those they go to.

use std::net::UdpSocket;

use super::*;

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

#[test]
fn udp_waits_for_a_name_and_asks_again_when_it_has_held_long_enough() {
    let names = Names::new("udp");
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = here.local_addr().unwrap().port();
    let there = UdpSocket::bind(("127.0.0.2", port)).unwrap();
    names.set(&[]);
    let mut rig = Rig::with_names(&format!("udp://sink:{port}"), names.paths());
    rig.push(&[b"one\n"]);
    rig.drive_until("sink down", |rig| rig.shared.sink() == SinkState::Down);
    names.set(&["127.0.0.1"]);
    rig.drive_until("first taken", |rig| rig.records() == 1);
    names.set(&["127.0.0.2"]);
    there.set_nonblocking(true).unwrap();
    // What the hosts file says holds for a minute, which passes at once here.
    let mut arrived = [0; 100];
    rig.drive_at(os::mono_ns() + 61_000_000_000, "the new address", |_| {
        there.recv(&mut arrived).is_ok_and(|n| arrived[..n] == *b"more\n")
    });
    assert_eq!(received(&here), b"one\n");
}

/// A name server that says nothing holds nothing up.
#[test]
fn udp_goes_on_to_the_last_address_while_a_lookup_is_under_way() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let names = Names::new("udp-silent");
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = here.local_addr().unwrap().port();
    names.set(&["127.0.0.1"]);
    let resolver = Resolver::with_port(names.paths(), silent.local_addr().unwrap().port());
    let peer = DatagramPeer::Udp(HostPort { host: "sink".to_owned(), port });
    let mut rig = Rig::of(&Sink::Datagram { peer, division: Division::Whole }, resolver);
    rig.push(&[b"one\n"]);
    rig.drive_until("first taken", |rig| rig.records() == 1);
    names.set(&[]);
    rig.push(&[b"two\n"]);
    let later_ns = os::mono_ns() + 61_000_000_000;
    rig.transport.drive(&mut rig.window, &rig.shared, Haste::Unhurried, later_ns);
    let Transport::Datagram(datagram) = &rig.transport else { panic!("{:?}", rig.transport) };
    assert!(datagram.is_looking_up(), "the name is not looked up again");
    assert_eq!((rig.records(), rig.shared.sink()), (2, SinkState::Up));
    for frame in [b"one\n", b"two\n"] {
        assert_eq!(received(&here), frame);
    }
}

/// A router refused the first datagram, and says so when the second is sent.
#[cfg(target_os = "linux")]
#[test]
fn udp_loses_no_datagram_to_what_is_said_of_another() {
    use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto};
    let icmp = rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP));
    let Ok(icmp) = icmp else {
        assert!(std::env::var_os("CI").is_none(), "only root may send ICMP");
        return;
    };
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = here.local_addr().unwrap();
    let mut rig = Rig::new(&format!("udp://{to}"));
    rig.push(&[b"one\n"]);
    rig.drive_until("first taken", |rig| rig.records() == 1);
    let mut bytes = [0; 100];
    let (n, from) = here.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..n], b"one\n");
    // RFC 792: fragmentation needed, next hop takes 1000 bytes; and what it is about: IP and UDP headers.
    let mut said = vec![3, 4, 0, 0, 0, 0, 0x03, 0xe8];
    said.extend([0x45, 0, 0x05, 0x14, 0, 1, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    for word in [from.port(), to.port(), 1280, 0] {
        said.extend(word.to_be_bytes());
    }
    let words = said.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum = words.fold(0, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    said[2..4].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    let router = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    rustix::net::sendto(&icmp, &said, SendFlags::empty(), &router).unwrap();
    rig.push(&[b"two\n", b"three\n"]);
    rig.drive_until("all taken", |rig| rig.records() == 3);
    assert_eq!(rig.window.account().oversize, Amount::default());
    for frame in [b"two\n".as_slice(), b"three\n"] {
        assert_eq!(received(&here), frame);
    }
}

fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 100];
    let n = socket.recv(&mut bytes).unwrap();
    bytes.truncate(n);
    bytes
}
