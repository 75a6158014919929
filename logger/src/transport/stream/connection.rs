// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One connection of a stream: bytes out, bytes in, and how much of what went
//! out the peer's kernel has.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::tls::{Tls, TlsError};
use crate::driver::{HostPort, StreamPeer};
use crate::os;
use crate::resolver::Resolver;

/// A connection that never blocks.
#[derive(Debug)]
pub(super) enum Connection {
    Tcp(TcpStream),
    Tls(Box<Tls>),
    Unix(UnixStream),
}

/// How many of the last bytes that were written the peer's kernel does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unacknowledged {
    Exactly(u64),
    /// Our kernel does not tell; these have not left us.
    AtLeast(u64),
}

impl Connection {
    pub(super) fn fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Tls(tls) => tls.fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// What [`Self::fd`] has to become ready for, with more to write or not.
    pub(super) fn interest(&self, unsent: bool) -> i16 {
        let pending = matches!(self, Self::Tls(tls) if tls.is_pending());
        libc::POLLIN | if unsent || pending { libc::POLLOUT } else { 0 }
    }

    /// How long it may take until the peer may be sent to; `None`: it may.
    pub(super) fn accepts_in(&self) -> Option<Duration> {
        match self {
            Self::Tls(tls) => tls.accepts_in(),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// Whether the end of what the peer says is a word of the program there, and
    /// not of its kernel.
    pub(super) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Takes the first bytes of `bytes`, at least one.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    /// Hands to the kernel what [`Self::write`] took and it did not: how much of
    /// it.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        match self {
            Self::Tls(tls) => tls.flush(),
            Self::Tcp(_) | Self::Unix(_) => Ok(0),
        }
    }

    /// What the peer said; 0: it says no more.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Tls(tls) => tls.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }

    /// Of what [`Self::write`] took: what the peer's kernel may not have.
    pub(super) fn unacknowledged(&mut self) -> Unacknowledged {
        match self {
            Self::Tls(tls) => tls.unacknowledged(),
            // Of a socket of this machine, more than it may be: with overhead.
            Self::Tcp(_) | Self::Unix(_) => os::unacknowledged(self.fd())
                .map_or(Unacknowledged::AtLeast(0), Unacknowledged::Exactly),
        }
    }

    /// How much more the peer's kernel can hold; `None`: unknown, or it holds
    /// nothing that its program has not read.
    pub(super) fn peer_room(&self) -> Option<u64> {
        match self {
            Self::Tcp(_) | Self::Tls(_) => os::peer_room(self.fd()),
            // Unacknowledged is what was not read.
            Self::Unix(_) => None,
        }
    }

    /// Nothing is under way: gives memory back.
    pub(super) fn rest(&mut self) {
        if let Self::Tls(tls) = self {
            tls.rest();
        }
    }

    /// The end, said where the protocol has a word for it.
    pub(super) fn close(&mut self) {
        if let Self::Tls(tls) = self {
            tls.close();
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// No address is known for the name.
    #[error("the name of the server, \"{0}\", is not known")]
    Name(String),
    /// No address answered.
    #[error("cannot connect to the server {peer}")]
    Connect { peer: String, source: io::Error },
    /// No address has a server that we and TLS can do with.
    #[error("no TLS connection to the server {peer}")]
    Tls { peer: String, source: TlsError },
    /// The socket of this machine does not answer.
    #[error("cannot connect to the socket {}", path.display())]
    Unix { path: PathBuf, source: io::Error },
}

/// Looks the name up and tries every address of the peer.
pub(super) fn connect(peer: &StreamPeer, resolver: &Resolver) -> Result<Connection, ConnectError> {
    match peer {
        StreamPeer::Tcp(at) => each_address(at, resolver, |stream| Ok(Connection::Tcp(stream))),
        StreamPeer::Tls { at, tls } => each_address(at, resolver, |stream| {
            let connected = Tls::connect(stream, at.name(), tls);
            connected
                .map(|tls| Connection::Tls(Box::new(tls)))
                .map_err(|source| ConnectError::Tls { peer: at.to_string(), source })
        }),
        StreamPeer::Unix(path) => unix(path)
            .map(Connection::Unix)
            .map_err(|source| ConnectError::Unix { path: path.clone(), source }),
    }
}

/// The first address with which the whole of it works.
fn each_address(
    at: &HostPort,
    resolver: &Resolver,
    greet: impl Fn(TcpStream) -> Result<Connection, ConnectError>,
) -> Result<Connection, ConnectError> {
    let Some((addresses, _)) = at.resolve(resolver, RESOLVE_TIMEOUT) else {
        return Err(ConnectError::Name(at.host.clone()));
    };
    let refused = |source| ConnectError::Connect { peer: at.to_string(), source };
    let mut refusal = refused(ErrorKind::NotFound.into());
    for address in addresses {
        let connected = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
        let stream = connected.and_then(|stream| set_up(&stream).map(|()| stream));
        match stream.map_err(refused).and_then(&greet) {
            Ok(connection) => return Ok(connection),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Connects without waiting for whoever should accept.
fn unix(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) => {}
        // Not on every system is this done at once.
        Err(rustix::io::Errno::INPROGRESS) => {
            os::poll(
                &mut [os::interest(socket.as_raw_fd(), libc::POLLOUT)],
                Some(CONNECT_TIMEOUT),
            )?;
            sockopt::socket_error(&socket)??;
        }
        Err(error) => return Err(error.into()),
    }
    os::set_send_buffer(socket.as_raw_fd(), SEND_BUFFER_BYTES);
    Ok(UnixStream::from(socket))
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    // Batches are made by us: a line that is alone must leave at once.
    stream.set_nodelay(true)?;
    os::keep_alive(stream.as_raw_fd());
    os::set_send_buffer(stream.as_raw_fd(), SEND_BUFFER_BYTES);
    Ok(())
}

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the kernel holds for a peer, in bytes; twice that with its own overhead.
/// It bounds what may have to be sent again, and the bytes per round trip. The
/// kernel tells when there is room in it, which it does not of acknowledgements.
const SEND_BUFFER_BYTES: i32 = 56 << 10;
