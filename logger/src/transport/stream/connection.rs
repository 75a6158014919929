// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One connection of a stream: bytes out, bytes in, and how much of what went
//! out the peer's kernel has.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::driver::{HostPort, StreamPeer};
use crate::os;
use crate::resolver::Resolver;

/// A connection that never blocks.
#[derive(Debug)]
pub(super) enum Connection {
    Tcp(TcpStream),
}

impl Connection {
    pub(super) fn fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
        }
    }

    /// What [`Self::fd`] has to become ready for, with more to write or not.
    pub(super) const fn interest(&self, unsent: bool) -> i16 {
        match self {
            Self::Tcp(_) => libc::POLLIN | if unsent { libc::POLLOUT } else { 0 },
        }
    }

    /// Takes the first bytes of `bytes`, at least one.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    /// What the peer said; 0: it says no more.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
        }
    }

    /// Of what [`Self::write`] took: how many of the last bytes the peer's kernel
    /// may not have. `None`: ours does not say.
    pub(super) fn unacknowledged(&mut self) -> Option<u64> {
        match self {
            Self::Tcp(stream) => os::unacknowledged(stream.as_raw_fd()),
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
    #[error("cannot connect to the server {peer}: {source}")]
    Connect { peer: String, source: io::Error },
}

/// Looks the name up and tries every address of the peer.
pub(super) fn connect(peer: &StreamPeer, resolver: &Resolver) -> Result<Connection, ConnectError> {
    match peer {
        StreamPeer::Tcp(at) => tcp(at, resolver).map(Connection::Tcp),
    }
}

fn tcp(at: &HostPort, resolver: &Resolver) -> Result<TcpStream, ConnectError> {
    let Some((addresses, _)) = at.resolve(resolver, RESOLVE_TIMEOUT) else {
        return Err(ConnectError::Name(at.host.clone()));
    };
    let mut refusal = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        let connected = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
        match connected.and_then(|stream| set_up(&stream).map(|()| stream)) {
            Ok(stream) => return Ok(stream),
            Err(error) => refusal = error,
        }
    }
    Err(ConnectError::Connect { peer: at.to_string(), source: refusal })
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
