// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A UDP receiver: records every datagram, and can go away and come back on the same port.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::port::free_port;
use crate::until::until;

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A receiver that lives until it is dropped.
#[derive(Debug)]
pub struct UdpReceiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    datagrams: Mutex<Vec<Vec<u8>>>,
    /// Whether somebody should be there.
    wanted: AtomicBool,
    /// Whether somebody is there.
    present: AtomicBool,
    over: AtomicBool,
}

impl UdpReceiver {
    /// A receiver on a free loopback port.
    pub fn start() -> UdpReceiver {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let socket = bind(address).expect("a free port can be bound");
        let shared = Arc::new(Shared {
            datagrams: Mutex::default(),
            wanted: AtomicBool::new(true),
            present: AtomicBool::new(true),
            over: AtomicBool::new(false),
        });
        let receiving = Arc::clone(&shared);
        thread::spawn(move || receive(&receiving, socket, address));
        UdpReceiver { address, shared }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The `syslog-address` option for this receiver.
    pub fn syslog_address(&self) -> String {
        format!("udp://{}", self.address)
    }

    /// Goes away: the kernel tells senders that nobody is there. Returns when it is so.
    pub fn go_away(&self) {
        self.set_wanted(false);
    }

    /// Comes back on the same port. Returns when it is so.
    pub fn come_back(&self) {
        self.set_wanted(true);
    }

    /// Every datagram so far.
    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        self.shared.datagrams.lock().unwrap().clone()
    }

    /// Waits for so many datagrams and returns all there are.
    ///
    /// # Panics
    /// When the limit is reached.
    #[track_caller]
    pub fn wait_for_datagrams(&self, count: usize, limit: Duration) -> Vec<Vec<u8>> {
        until(&format!("{count} datagrams"), limit, || {
            let datagrams = self.datagrams();
            if datagrams.len() >= count { Ok(datagrams) } else { Err(datagrams.len()) }
        })
    }

    fn set_wanted(&self, wanted: bool) {
        self.shared.wanted.store(wanted, Ordering::Relaxed);
        until("the receiver to come or go", crate::SOON, || {
            if self.shared.present.load(Ordering::Relaxed) == wanted { Ok(()) } else { Err(wanted) }
        });
    }
}

impl Drop for UdpReceiver {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    Ok(socket)
}

fn receive(shared: &Shared, socket: UdpSocket, address: SocketAddr) {
    let mut socket = Some(socket);
    let mut buffer = vec![0; 64 * 1024];
    while !shared.over.load(Ordering::Relaxed) {
        match (shared.wanted.load(Ordering::Relaxed), socket.take()) {
            (true, Some(here)) => {
                match here.recv(&mut buffer) {
                    Ok(count) => shared.datagrams.lock().unwrap().push(buffer[..count].to_vec()),
                    Err(error) if passing(error.kind()) => {}
                    Err(_) => return,
                }
                socket = Some(here);
            }
            (true, None) => {
                // Somebody else may have the port for a moment.
                socket = bind(address).ok();
            }
            (false, _) => thread::sleep(LOOK_EVERY),
        }
        shared.present.store(socket.is_some(), Ordering::Relaxed);
    }
}

fn passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
