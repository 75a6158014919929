// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The syslog server of a measurement: takes bytes, counts newlines, does nothing else.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::counts::Counts;
use super::target::{Place, Target};
use crate::receiver::reserve;
use crate::until::until;

/// One read takes at most so many bytes.
const READ_BYTES: usize = 256 * 1024;

/// Receive buffer of a sink that will stall. With the kernel's own choice, megabytes would fit between logger and sink,
/// and a stall would not be one.
const STALL_RECEIVE_BYTES: usize = 64 * 1024;

/// What the sink is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Counting, with the receive buffer that the kernel chooses.
    Count,
    /// Keeping every byte, and stalling from time to time: the receive buffer is small.
    Stall,
    /// Keeping every byte for the oracle.
    Keep,
}

/// A sink on loopback that lives until it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddrV4,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    purpose: Purpose,
    started: Instant,
    counts: Counts,
    /// When the first bytes since the last [`Gone::come_back`] arrived; 0: none yet.
    first_ns: AtomicU64,
    stalled: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Connections that are open, to end them.
    connections: Vec<TcpStream>,
    /// What each connection brought, unless they are only counted.
    kept: Vec<Vec<u8>>,
    /// The accepting thread ends at the next connection.
    closing: bool,
    listening: Option<thread::JoinHandle<()>>,
}

impl Sink {
    /// A sink that listens.
    pub fn start(purpose: Purpose) -> Sink {
        let any_port = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
        let (socket, address) = reserve(any_port).expect("a loopback port is free");
        let shared = Arc::new(Shared {
            purpose,
            started: Instant::now(),
            counts: Counts::default(),
            first_ns: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let sink = Sink { address, shared };
        sink.listen(socket);
        sink
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// When the first bytes arrived since the sink came back, if any.
    pub fn first_arrival(&self) -> Option<Instant> {
        match self.shared.first_ns.load(Ordering::Relaxed) {
            0 => None,
            first => Some(self.shared.started + Duration::from_nanos(first)),
        }
    }

    /// From now on nothing is read, until [`Sink::resume`].
    pub fn stall(&self) {
        self.shared.stalled.store(true, Ordering::SeqCst);
    }

    /// Reads again.
    pub fn resume(&self) {
        let _state = self.shared.state.lock().unwrap();
        self.shared.stalled.store(false, Ordering::SeqCst);
        self.shared.changed.notify_all();
    }

    /// Nobody listens any more and every connection is reset. The port stays ours.
    ///
    /// What was received and not yet read by then is gone, as with a server that crashed.
    pub fn go_away(&self) -> Gone<'_> {
        self.close();
        let reserved =
            until("the sink's port to be free again", crate::SOON, || reserve(self.address));
        Gone { sink: self, socket: reserved.0 }
    }

    /// Everything received, one connection after the other; not with [`Purpose::Count`].
    pub fn kept(&self) -> Vec<Vec<u8>> {
        self.shared.state.lock().unwrap().kept.clone()
    }

    fn listen(&self, socket: std::os::fd::OwnedFd) {
        if self.shared.purpose == Purpose::Stall {
            sockopt::set_socket_recv_buffer_size(&socket, STALL_RECEIVE_BYTES)
                .expect("a receive buffer can be chosen");
        }
        rustix::net::listen(&socket, 64).expect("the reserved port can be listened on");
        let listener = TcpListener::from(socket);
        let shared = Arc::clone(&self.shared);
        let thread = thread::spawn(move || accept(&shared, &listener));
        self.shared.state.lock().unwrap().listening = Some(thread);
    }

    fn close(&self) {
        let listening = {
            let mut state = self.shared.state.lock().unwrap();
            state.closing = true;
            state.listening.take()
        };
        // The accepting thread wakes up at a connection and sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = listening {
            thread.join().expect("the sink's accepting thread ends");
        }
        let mut state = self.shared.state.lock().unwrap();
        state.closing = false;
        for connection in state.connections.drain(..) {
            let _ = sockopt::set_socket_linger(&connection, Some(Duration::ZERO));
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.shared.stalled.store(false, Ordering::SeqCst);
        self.shared.changed.notify_all();
    }
}

impl Target for Sink {
    fn driver(&self) -> &str {
        "syslog"
    }

    /// What sdc-docker writes today: every compatible program sends the same bytes for it.
    fn options(&self) -> Vec<(String, String)> {
        let address = format!("tcp://{}", self.address);
        [
            ("syslog-address", address.as_str()),
            ("syslog-facility", "daemon"),
            ("syslog-tag", "deadbeefcafe"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn place(&self) -> Place {
        Place::Tcp(self.address)
    }

    fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.close();
    }
}

/// A sink that is away.
#[derive(Debug)]
pub struct Gone<'a> {
    sink: &'a Sink,
    socket: std::os::fd::OwnedFd,
}

impl Gone<'_> {
    /// Listens again on the same port; returns the moment of it.
    pub fn come_back(self) -> Instant {
        self.sink.shared.first_ns.store(0, Ordering::SeqCst);
        let back = Instant::now();
        self.sink.listen(self.socket);
        back
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    loop {
        let connection = match listener.accept() {
            Ok((connection, _)) => connection,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => panic!("the sink cannot accept: {error}"),
        };
        let mut state = shared.state.lock().unwrap();
        if state.closing {
            return;
        }
        state.connections.push(connection.try_clone().expect("a descriptor is left"));
        state.kept.push(Vec::new());
        let idx = state.kept.len() - 1;
        drop(state);
        let shared = Arc::clone(shared);
        thread::spawn(move || take(&shared, connection, idx));
    }
}

fn take(shared: &Shared, mut connection: TcpStream, idx: usize) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if shared.stalled.load(Ordering::SeqCst) {
            let mut state = shared.state.lock().unwrap();
            while shared.stalled.load(Ordering::SeqCst) {
                state = shared.changed.wait(state).unwrap();
            }
        }
        let count = match connection.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let now = u64::try_from(shared.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if shared.purpose != Purpose::Count {
            shared.state.lock().unwrap().kept[idx].extend_from_slice(&buffer[..count]);
        }
        shared.first_ns.compare_exchange(0, now, Ordering::SeqCst, Ordering::Relaxed).ok();
        let lines = memchr::memchr_iter(b'\n', &buffer[..count]).count();
        shared.counts.add(lines, count);
    }
}
