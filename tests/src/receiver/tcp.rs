// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A TCP receiver: records every byte, per connection, and can refuse, stall, reset and come back on the same port.

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::port::free_port;
use crate::until::until;

/// How often a quiet connection looks whether its manners have changed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What the receiver does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Accepts and records.
    Take,
    /// Nobody listens: connections are refused; those that exist are reset. The port stays ours.
    Refuse,
    /// Accepts and never reads.
    Stall,
    /// Takes so many bytes in all, then resets that connection and goes on with [`Manners::Take`].
    ResetAfter {
        /// Bytes counted from now.
        bytes: usize,
    },
    /// Takes so many bytes in all, then closes that connection in order and goes on with [`Manners::Take`].
    CloseAfter {
        /// Bytes counted from now.
        bytes: usize,
    },
}

/// A receiver that lives until it is dropped.
#[derive(Debug)]
pub struct TcpReceiver {
    address: SocketAddrV4,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    over: AtomicBool,
}

#[derive(Debug)]
struct State {
    manners: Manners,
    /// One entry per accepted connection.
    received: Vec<Vec<u8>>,
    /// Bytes still to take before the fault of `manners`.
    budget: usize,
    /// Incremented by each change of manners that ends connections.
    generation: u64,
    listener: Option<TcpListener>,
    /// Holds the port while nobody listens.
    reserved: Option<OwnedFd>,
}

impl TcpReceiver {
    /// A receiver that takes what comes.
    pub fn start() -> TcpReceiver {
        let receiver = TcpReceiver::start_refusing();
        receiver.set_manners(Manners::Take);
        receiver
    }

    /// A receiver that does not listen yet; its port is fixed.
    pub fn start_refusing() -> TcpReceiver {
        TcpReceiver::refusing_at(SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()))
    }

    /// Another receiver that takes what comes, at another address of this machine and the same port.
    pub fn start_beside(&self, address: Ipv4Addr) -> TcpReceiver {
        let receiver = TcpReceiver::refusing_at(SocketAddrV4::new(address, self.port()));
        receiver.set_manners(Manners::Take);
        receiver
    }

    fn refusing_at(address: SocketAddrV4) -> TcpReceiver {
        let (reserved, address) = reserve(address).expect("a loopback port is free");
        let state = State {
            manners: Manners::Refuse,
            received: Vec::new(),
            budget: 0,
            generation: 0,
            listener: None,
            reserved: Some(reserved),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), over: AtomicBool::new(false) });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&accepting));
        TcpReceiver { address, shared }
    }

    /// The port it has.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The `syslog-address` option for this receiver.
    pub fn syslog_address(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Changes the manners, also of connections that exist.
    pub fn set_manners(&self, manners: Manners) {
        let mut state = self.shared.state.lock().unwrap();
        state.manners = manners;
        match manners {
            Manners::Refuse => {
                state.generation += 1;
                if state.listener.take().is_some() {
                    let address = self.address;
                    let (reserved, _) =
                        until("the receiver's port to be free again", crate::SOON, || {
                            reserve(address)
                        });
                    state.reserved = Some(reserved);
                }
            }
            Manners::ResetAfter { bytes } | Manners::CloseAfter { bytes } => state.budget = bytes,
            Manners::Take | Manners::Stall => {}
        }
        if manners != Manners::Refuse
            && let Some(reserved) = state.reserved.take()
        {
            rustix::net::listen(&reserved, 64).expect("the reserved port can be listened on");
            let listener = TcpListener::from(reserved);
            listener.set_nonblocking(true).expect("a listener can be non-blocking");
            state.listener = Some(listener);
        }
    }

    /// Number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().received.len()
    }

    /// Everything received, one connection after the other.
    pub fn bytes(&self) -> Vec<u8> {
        self.shared.state.lock().unwrap().received.concat()
    }

    /// What each connection brought.
    pub fn per_connection(&self) -> Vec<Vec<u8>> {
        self.shared.state.lock().unwrap().received.clone()
    }

    /// Complete messages (ended by NL) of all connections; what a connection left unfinished is not among them.
    pub fn messages(&self) -> Vec<String> {
        let state = self.shared.state.lock().unwrap();
        let mut messages = Vec::new();
        for bytes in &state.received {
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                if let Some(line) = line.strip_suffix(b"\n") {
                    messages.push(String::from_utf8_lossy(line).into_owned());
                }
            }
        }
        messages
    }

    /// Waits for so many complete messages and returns all there are.
    ///
    /// # Panics
    /// When the limit is reached.
    #[track_caller]
    pub fn wait_for_messages(&self, count: usize, limit: Duration) -> Vec<String> {
        until(&format!("{count} messages"), limit, || {
            let messages = self.messages();
            if messages.len() >= count {
                Ok(messages)
            } else {
                Err((messages.len(), messages.last().cloned()))
            }
        })
    }
}

impl Drop for TcpReceiver {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

/// A bound socket that does not listen: connections to it are refused, and nobody else gets the port.
pub(crate) fn reserve(address: SocketAddrV4) -> io::Result<(OwnedFd, SocketAddrV4)> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    let bound = rustix::net::getsockname(&socket)?;
    match SocketAddr::try_from(bound) {
        Ok(SocketAddr::V4(address)) => Ok((socket, address)),
        other => Err(io::Error::other(format!("an IPv4 address was bound, not {other:?}"))),
    }
}

fn accept(shared: &Arc<Shared>) {
    while !shared.over.load(Ordering::Relaxed) {
        let accepted = {
            let mut state = shared.state.lock().unwrap();
            let accepted = state.listener.as_ref().and_then(|listener| listener.accept().ok());
            accepted.map(|(connection, _)| {
                state.received.push(Vec::new());
                (connection, state.received.len() - 1, state.generation)
            })
        };
        match accepted {
            Some((connection, idx, generation)) => {
                let shared = Arc::clone(shared);
                thread::spawn(move || serve(&shared, &connection, idx, generation));
            }
            None => thread::sleep(LOOK_EVERY),
        }
    }
}

fn serve(shared: &Shared, mut connection: &TcpStream, idx: usize, generation: u64) {
    let _ = connection.set_nonblocking(false);
    let _ = connection.set_read_timeout(Some(LOOK_EVERY));
    let mut buffer = vec![0; 64 * 1024];
    while !shared.over.load(Ordering::Relaxed) {
        let room = {
            let state = shared.state.lock().unwrap();
            if state.generation != generation {
                return reset(connection);
            }
            match state.manners {
                Manners::Stall => 0,
                Manners::ResetAfter { .. } | Manners::CloseAfter { .. } => {
                    state.budget.min(buffer.len())
                }
                Manners::Take | Manners::Refuse => buffer.len(),
            }
        };
        if room == 0 {
            let mut state = shared.state.lock().unwrap();
            match state.manners {
                Manners::ResetAfter { .. } => {
                    state.manners = Manners::Take;
                    return reset(connection);
                }
                Manners::CloseAfter { .. } => {
                    state.manners = Manners::Take;
                    return;
                }
                _ => {}
            }
            drop(state);
            thread::sleep(LOOK_EVERY);
            continue;
        }
        match connection.read(&mut buffer[..room]) {
            Ok(0) => return,
            Ok(count) => {
                let mut state = shared.state.lock().unwrap();
                state.received[idx].extend_from_slice(&buffer[..count]);
                state.budget = state.budget.saturating_sub(count);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(_) => return,
        }
    }
}

/// Ends a connection with RST: the peer's next write fails.
fn reset(connection: &TcpStream) {
    let _ = sockopt::set_socket_linger(connection, Some(Duration::ZERO));
}
