// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a driver asks of a transport: where frames go, and what is said around
//! them.

use std::fmt;
use std::path::PathBuf;

use super::session::Session;

/// Where the frames of a driver go, and how.
#[derive(Debug, Clone)]
pub(crate) enum Sink {
    /// One frame, one datagram.
    Datagram(DatagramPeer),
    /// Frames one behind the other.
    Stream {
        /// Who is at the other end.
        peer: StreamPeer,
        /// What is said besides frames.
        session: Session,
    },
}

/// Who takes datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatagramPeer {
    Udp(HostPort),
    /// A socket of this machine, by its path.
    Unix(PathBuf),
}

/// Who takes a stream of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamPeer {
    Tcp(HostPort),
    Tls {
        at: HostPort,
        tls: TlsSettings,
    },
    /// A socket of this machine, by its path.
    Unix(PathBuf),
}

/// Whom to believe on a TLS connection, and who we are there. The files are read
/// again for each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) trust: Trust,
    /// What we show to a server that asks; `None`: nothing.
    pub(crate) identity: Option<TlsIdentity>,
}

/// Which servers are the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those whose certificate has the host's name and comes from an authority
    /// of the system, or one in this file.
    Authorities { file: Option<PathBuf> },
    /// Every server, whatever it shows.
    Anyone,
}

/// A client certificate with its chain, and its key: two files in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsIdentity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// A port of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// A name or an address; empty: this machine.
    pub(crate) host: String,
    /// 1–65535.
    pub(crate) port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}
