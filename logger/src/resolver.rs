// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Where a name leads: the zone's own stub resolver.
//!
//! In an lx zone the logger is a native program in another system's tree: the C
//! library's name service switch has no configuration there that means anything.
//! What counts is what the container's programs go by, its `/etc/hosts` and
//! `/etc/resolv.conf`. Nothing else is looked at: no environment, no host name,
//! no cache daemon.
//!
//! `name`, `hosts`, `conf` and `message` are pure; `file` opens the files;
//! `exchange` holds the sockets and the clock; `lookup` decides what to ask.
//! A call runs on the caller's thread and ends by its deadline; it holds less
//! than 512 KiB while it runs, and nothing between calls.

use std::io::{BufReader, Read};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod conf;
mod exchange;
mod file;
mod hosts;
mod lookup;
mod message;
mod name;

pub use exchange::TryError;
pub use exchange::TryFailure;
pub use file::FileError;
pub use message::DecodeError;
pub use message::Rcode;
pub use name::NameError;

use conf::Conf;
use exchange::Exchange;
use lookup::{Found, HostName, Miss};

/// The least and the longest time an answer is said to hold.
const VALID_SECS_MIN: u32 = 1;
const VALID_SECS_MAX: u32 = 3600;

/// How long what the hosts file says is said to hold: files have no time to
/// live, and change in a running zone.
const HOSTS_VALID_SECS: u32 = 60;

const DNS_PORT: u16 = 53;

/// The files that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// resolv.conf(5), at most 64 KiB; absent: a server on 127.0.0.1.
    pub resolv_conf: PathBuf,
    /// hosts(5), at most 16 MiB; absent: no entries.
    pub hosts: PathBuf,
}

impl Paths {
    /// Where every zone has them.
    pub fn system() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

/// Finds the addresses of names. Both files are read again for each name: they
/// are small, and change while the zone runs.
#[derive(Debug, Clone)]
pub struct Resolver {
    paths: Paths,
    port: u16,
}

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// At least one, in the order to try them: IPv6 and IPv4 in turn.
    pub addresses: Vec<IpAddr>,
    /// When to ask again: the time to live of the answer, from 1 s to 1 h; for
    /// an address 1 h, for an entry of the hosts file 60 s.
    pub valid_for: Duration,
}

/// A name led to no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It can never lead anywhere.
    #[error("\"{name}\" is neither a host name nor an IP address")]
    Name {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// One of the two files cannot be read.
    #[error("failed to look up \"{name}\" in the zone's own files")]
    Files {
        /// As it was given.
        name: String,
        /// Which file, and why.
        source: FileError,
    },
    /// NXDOMAIN, for each name of the search list.
    #[error("there is no host \"{name}\"")]
    NoSuchName {
        /// As it was given.
        name: String,
    },
    /// The name exists and has no address.
    #[error("host \"{name}\" has neither an IPv4 nor an IPv6 address")]
    NoAddress {
        /// As it was given.
        name: String,
    },
    /// Servers answered, with nothing but failures.
    #[error("no name server could look up \"{name}\"")]
    ServerFailure {
        /// As it was given.
        name: String,
        /// The last of them.
        source: TryError,
    },
    /// Servers were silent, or the deadline came first.
    #[error("no name server answered for \"{name}\" in time")]
    TimedOut {
        /// As it was given.
        name: String,
        /// The last of them, if one could be asked at all.
        source: Option<TryError>,
    },
    /// No server could be reached.
    #[error("failed to reach a name server for \"{name}\"")]
    Unreachable {
        /// As it was given.
        name: String,
        /// The last of them.
        source: TryError,
    },
}

/// What a caller may branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveErrorKind {
    /// The name can never be resolved.
    InvalidName,
    /// A file cannot be read.
    Files,
    /// NXDOMAIN.
    NoSuchName,
    /// NODATA.
    NoAddress,
    /// SERVFAIL, REFUSED, unreadable responses.
    ServerFailure,
    /// No response in time.
    TimedOut,
    /// Nobody listens, no route.
    Unreachable,
}

impl Resolver {
    /// Asks servers on port 53.
    pub const fn new(paths: Paths) -> Self {
        Self::with_port(paths, DNS_PORT)
    }

    /// Asks servers on another port: resolv.conf(5) cannot say one.
    pub const fn with_port(paths: Paths, port: u16) -> Self {
        Self { paths, port }
    }

    /// The addresses of `name`: an IP address (IPv6 without brackets), or a
    /// host name with or without the final dot. Blocks, until `deadline` at
    /// the latest; reading the two files is not counted.
    ///
    /// An IP address is itself; `localhost` is this machine; then the hosts
    /// file counts, and then the name servers, with the search list.
    pub fn resolve(&self, name: &str, deadline: Instant) -> Result<Resolved, ResolveError> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(resolved(&[address], VALID_SECS_MAX));
        }
        let host = HostName::parse(name)
            .map_err(|source| ResolveError::Name { name: name.to_owned(), source })?;
        let files = |source| ResolveError::Files { name: name.to_owned(), source };
        let mut addresses = self.hosts_entries(&host).map_err(files)?;
        if host.is_localhost() {
            addresses = lookup::localhost(addresses);
        }
        if !addresses.is_empty() {
            return Ok(resolved(&addresses, HOSTS_VALID_SECS));
        }
        let conf = self.conf().map_err(files)?;
        let mut exchange = Exchange::of(&conf, self.port);
        match lookup::search(&mut exchange, &host.candidates(&conf), deadline) {
            Ok(Found { addresses, ttl_secs }) => Ok(resolved(&addresses, ttl_secs)),
            Err(miss) => Err(ResolveError::from_miss(name.to_owned(), miss)),
        }
    }

    fn hosts_entries(&self, host: &HostName) -> Result<Vec<IpAddr>, FileError> {
        let path = &self.paths.hosts;
        let Some(file) = file::open(path, hosts::LIMIT_BYTES)? else { return Ok(Vec::new()) };
        hosts::find(&mut BufReader::new(file), &host.text())
            .map_err(|source| FileError::Read { path: path.clone(), source })
    }

    fn conf(&self) -> Result<Conf, FileError> {
        let path = &self.paths.resolv_conf;
        let Some(mut file) = file::open(path, conf::LIMIT_BYTES)? else {
            return Ok(Conf::default());
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|source| FileError::Read { path: path.clone(), source })?;
        Ok(Conf::parse(&bytes))
    }
}

impl ResolveError {
    /// What a caller may branch on.
    pub const fn kind(&self) -> ResolveErrorKind {
        match self {
            Self::Name { .. } => ResolveErrorKind::InvalidName,
            Self::Files { .. } => ResolveErrorKind::Files,
            Self::NoSuchName { .. } => ResolveErrorKind::NoSuchName,
            Self::NoAddress { .. } => ResolveErrorKind::NoAddress,
            Self::ServerFailure { .. } => ResolveErrorKind::ServerFailure,
            Self::TimedOut { .. } => ResolveErrorKind::TimedOut,
            Self::Unreachable { .. } => ResolveErrorKind::Unreachable,
        }
    }

    fn from_miss(name: String, miss: Miss) -> Self {
        let source = match miss {
            Miss::NoSuchName => return Self::NoSuchName { name },
            Miss::NoData => return Self::NoAddress { name },
            Miss::Failed(None) => return Self::TimedOut { name, source: None },
            Miss::Failed(Some(source)) => source,
        };
        match source.failure {
            TryFailure::TimedOut => Self::TimedOut { name, source: Some(source) },
            TryFailure::Unreachable(_) => Self::Unreachable { name, source },
            TryFailure::Malformed(_)
            | TryFailure::Truncated
            | TryFailure::Referral
            | TryFailure::Refused(_) => Self::ServerFailure { name, source },
        }
    }
}

fn resolved(addresses: &[IpAddr], ttl_secs: u32) -> Resolved {
    let secs = ttl_secs.clamp(VALID_SECS_MIN, VALID_SECS_MAX);
    Resolved {
        addresses: lookup::interleave(addresses),
        valid_for: Duration::from_secs(u64::from(secs)),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod dns_server;
