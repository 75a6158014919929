// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Frames in datagrams. The sink has taken what the kernel accepted: UDP says no
//! more.

mod divider;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::divider::{Divider, TooLarge};
use super::{Progress, Wait};
use crate::backoff::{Backoff, Delays};
use crate::driver::{DatagramPeer, Division, HostPort};
use crate::os;
use crate::resolver::Resolver;
use crate::ring::{Shared, SinkState};
use crate::window::Window;

/// A connected datagram socket, so that refusals come back.
#[derive(Debug)]
pub(crate) struct Datagram {
    peer: DatagramPeer,
    divider: Divider,
    resolver: Resolver,
    socket: Option<Socket>,
    backoff: Backoff,
    retry_ns: u64,
    /// When the name is looked up again.
    resolve_ns: u64,
    /// That lookup, under way.
    lookup: Option<JoinHandle<Result<(Socket, u64), String>>>,
    /// A refusal of the frame at this place was answered by sending it again.
    resent_at: Option<u64>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Socket {
    fn send(&self, frame: &[u8]) -> io::Result<usize> {
        match self {
            // That it is too large, a router may have said of an earlier one: the
            // first call hears of it and sends nothing, the second is about this one.
            Self::Udp(socket) => match socket.send(frame) {
                Err(error) if is_too_large(&error) => socket.send(frame),
                sent => sent,
            },
            Self::Unix(socket) => socket.send(frame),
        }
    }

    fn fd(&self) -> RawFd {
        match self {
            Self::Udp(socket) => socket.as_raw_fd(),
            Self::Unix(socket) => socket.as_raw_fd(),
        }
    }
}

impl Datagram {
    pub(super) const fn new(
        peer: DatagramPeer,
        division: Division,
        resolver: Resolver,
        seed: u64,
    ) -> Self {
        Self {
            peer,
            divider: Divider::new(division, seed),
            resolver,
            socket: None,
            backoff: Backoff::new(Delays::SINK, seed),
            retry_ns: 0,
            resolve_ns: 0,
            lookup: None,
            resent_at: None,
        }
    }

    pub(super) fn drive(&mut self, window: &mut Window, shared: &Shared, now_ns: u64) -> Progress {
        let sent = self.send_all(window, shared, now_ns);
        let released = window.take(window.cursor(), now_ns);
        match sent {
            Ok(wait) => Progress::new(released, wait),
            Err(TooLarge) => {
                let wait = Wait { socket: None, until_ns: Some(now_ns) };
                Progress { released, wait, too_large: true }
            }
        }
    }

    fn send_all(
        &mut self,
        window: &mut Window,
        shared: &Shared,
        now_ns: u64,
    ) -> Result<Wait, TooLarge> {
        while let Some(frame) = window.next_frame() {
            let len = frame.len();
            self.refresh(shared, now_ns);
            let Some(socket) = &self.socket else {
                if now_ns < self.retry_ns || !self.connect(shared, now_ns) {
                    return Ok(Wait { socket: None, until_ns: Some(self.retry_ns) });
                }
                continue;
            };
            let (datagram, is_last) = self.divider.next(frame, window.cursor())?;
            match socket.send(datagram) {
                Ok(_) => {
                    self.divider.sent();
                    if is_last {
                        window.sent(len, now_ns);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let socket = Some((socket.fd(), libc::POLLOUT));
                    return Ok(Wait { socket, until_ns: None });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_too_large(&error) => return Err(TooLarge),
                Err(error) => {
                    shared.note_error(&format!("the server or the way to it refuses: {error}"));
                    // A refusal speaks of an earlier datagram, not of this one.
                    let again = self.resent_at != Some(window.cursor());
                    self.resent_at = Some(window.cursor());
                    // Of a socket of this machine, it speaks of this one.
                    let refused = error.kind() == ErrorKind::ConnectionRefused
                        && matches!(socket, Socket::Udp(_));
                    if refused {
                        // The name may lead elsewhere by now, but a closed port
                        // must not turn every line into a lookup.
                        self.resolve_ns = self.resolve_ns.min(now_ns + RESOLVE_REFUSED_NS);
                        if !again {
                            window.sent(len, now_ns);
                        }
                    } else {
                        self.socket = None;
                        self.fail(shared, now_ns);
                    }
                }
            }
        }
        Ok(Wait { socket: None, until_ns: None })
    }

    /// Opens the first socket there is.
    fn connect(&mut self, shared: &Shared, now_ns: u64) -> bool {
        let (socket, valid_ns) = match open(&self.peer, &self.resolver) {
            Ok(opened) => opened,
            Err(why) => {
                shared.note_error(&why);
                self.fail(shared, os::mono_ns().max(now_ns));
                return false;
            }
        };
        self.use_socket(socket, now_ns.saturating_add(valid_ns));
        self.backoff.reset();
        shared.set_sink(SinkState::Up);
        true
    }

    /// Has the name looked up again when it is time, beside the sending; until that
    /// is done, and when it fails, the old address has to do.
    fn refresh(&mut self, shared: &Shared, now_ns: u64) {
        if let Some(lookup) = self.lookup.take_if(|lookup| lookup.is_finished()) {
            match lookup.join() {
                Ok(Ok((socket, valid_ns))) => {
                    self.use_socket(socket, now_ns.saturating_add(valid_ns));
                }
                Ok(Err(why)) => shared.note_error(&format!("{why}; the last address is used")),
                Err(_) => {}
            }
        }
        if self.socket.is_some() && self.lookup.is_none() && now_ns >= self.resolve_ns {
            self.resolve_ns = now_ns + RESOLVE_EVERY_NS;
            let (peer, resolver) = (self.peer.clone(), self.resolver.clone());
            let lookup = thread::Builder::new().stack_size(LOOKUP_STACK_BYTES);
            self.lookup = lookup.spawn(move || open(&peer, &resolver)).ok();
        }
    }

    #[cfg(test)]
    pub(super) fn is_looking_up(&self) -> bool {
        self.lookup.as_ref().is_some_and(|lookup| !lookup.is_finished())
    }

    fn use_socket(&mut self, socket: Socket, resolve_ns: u64) {
        self.divider.begin(match &socket {
            Socket::Udp(socket) => path_bytes(socket),
            Socket::Unix(_) => None,
        });
        self.socket = Some(socket);
        self.resolve_ns = resolve_ns;
    }

    fn fail(&mut self, shared: &Shared, now_ns: u64) {
        self.retry_ns = now_ns + self.backoff.next_ns();
        shared.set_sink(SinkState::Down);
    }
}

/// The first socket that leads to the peer, and how long to use it, in
/// nanoseconds; or why there is none.
fn open(peer: &DatagramPeer, resolver: &Resolver) -> Result<(Socket, u64), String> {
    match peer {
        DatagramPeer::Udp(at) => udp(at, resolver)
            .ok_or_else(|| format!("there is no way to the server {at}, or its name is not known")),
        DatagramPeer::Unix(path) => unix(path)
            .map(|socket| (socket, FOREVER_NS))
            .map_err(|error| format!("cannot connect to the socket {}: {error}", path.display())),
    }
}

fn unix(path: &Path) -> io::Result<Socket> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(Socket::Unix(socket))
}

fn udp(at: &HostPort, resolver: &Resolver) -> Option<(Socket, u64)> {
    let (addresses, valid_for) = at.resolve(resolver, RESOLVE_TIMEOUT)?;
    let valid_ns = u64::try_from(valid_for.as_nanos()).unwrap_or(u64::MAX).min(RESOLVE_EVERY_NS);
    addresses.into_iter().find_map(|address| {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(address).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some((Socket::Udp(socket), valid_ns))
    })
}

/// How much a datagram may hold so that no link on the way divides it, as far as
/// the system knows.
#[cfg(target_os = "linux")]
fn path_bytes(socket: &UdpSocket) -> Option<usize> {
    use rustix::net::sockopt;
    // Beside the payload there are the headers of IP and UDP.
    let (mtu, headers) = match socket.peer_addr().ok()? {
        SocketAddr::V4(_) => (sockopt::ip_mtu(socket), 20 + 8),
        SocketAddr::V6(_) => (sockopt::ipv6_mtu(socket), 40 + 8),
    };
    usize::try_from(mtu.ok()?).ok()?.checked_sub(headers)
}

/// illumos does not tell a socket.
#[cfg(not(target_os = "linux"))]
const fn path_bytes(_socket: &UdpSocket) -> Option<usize> {
    None
}

fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Of the thread of a lookup.
const LOOKUP_STACK_BYTES: usize = 128 << 10;

/// A name is looked up again at least this often while lines are sent.
const RESOLVE_EVERY_NS: u64 = 60_000_000_000;

/// A path leads where it leads.
const FOREVER_NS: u64 = u64::MAX;

/// After a refusal, this soon.
const RESOLVE_REFUSED_NS: u64 = 1_000_000_000;
