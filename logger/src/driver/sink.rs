// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a driver asks of a transport: where frames go, and what is said around
//! them.

use std::fmt;
use std::path::PathBuf;

use super::gelf;
use super::session::Session;

/// Where the frames of a driver go, and how.
#[derive(Debug, Clone)]
pub(crate) enum Sink {
    /// Frames in datagrams.
    Datagram {
        /// Who takes them.
        peer: DatagramPeer,
        /// How a frame becomes datagrams.
        division: Division,
    },
    /// Frames one behind the other.
    Stream {
        /// Who is at the other end.
        peer: StreamPeer,
        /// What is said besides frames.
        session: Box<dyn Session>,
    },
    /// Frames one behind the other, in files.
    Files(LogFiles),
}

/// A file that is rotated, and those that were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogFiles {
    /// An absolute directory.
    pub(crate) dir: String,
    /// The current file's name.
    pub(crate) name: String,
    /// From this size on a file is rotated before anything is added to it;
    /// `None`: never.
    pub(crate) max_bytes: Option<u64>,
    /// How many files there are at most, at least 1.
    pub(crate) max_files: u64,
    /// Whether rotated files are compressed.
    pub(crate) compress: bool,
}

impl LogFiles {
    /// The current file.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.dir.trim_end_matches('/'), self.name)
    }
}

/// How a frame becomes datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Division {
    /// One frame, one datagram.
    Whole,
    /// Large ones in chunks.
    Chunks(gelf::Chunks),
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
    /// A name or an address, IPv6 with `%SCOPE` behind it if it has one; empty: this
    /// machine.
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
