// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Asking name servers, until one has an answer or the time is up.
//!
//! Each try has a socket and an id of its own. The socket is connected, so the
//! system passes on only what came from the server's address and port, and says
//! at once when nobody listens there; its port is the system's choice, which is
//! random on illumos and Linux (RFC 5452 section 9). What has another id or
//! question than ours is not the answer, and the wait for it goes on.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::conf::Conf;
use super::message::{DecodeError, Edns, Family, Query, Rcode, Reply};
use super::name::Name;

/// A datagram longer than this is cut off: far above what we ask for.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// How long a single try may take: who drops some questions and answers others
/// must not hold up what the other answers are for.
const SINGLE_WAIT: Duration = Duration::from_secs(2);

/// The servers to ask, and how patiently.
#[derive(Debug)]
pub(super) struct Exchange {
    servers: Vec<SocketAddr>,
    patience: Patience,
    /// The server to begin with: the one that answered last.
    first: usize,
    /// How it was asked: not all servers, and not all ways to them, take both.
    edns: Edns,
}

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For one try at one server.
    pub(super) timeout: Duration,
    /// Rounds over all servers.
    pub(super) attempts: usize,
}

/// How much an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Every server, in every round.
    Full,
    /// One try of at most 2 s, at the server that answered last.
    Single,
}

/// What a server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// At least one address, and for how many seconds they hold.
    Addresses { addresses: Vec<IpAddr>, ttl_secs: u32 },
    /// The name has no address of this family.
    NoData,
    /// There is no such name.
    NoSuchName,
}

/// One server gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("name server {server} gave no answer over {transport}")]
pub struct TryError {
    /// Which server.
    pub server: SocketAddr,
    /// `UDP` or `TCP`.
    pub transport: &'static str,
    /// Why.
    #[source]
    pub failure: TryFailure,
}

/// Why a try failed, the least telling first.
#[derive(Debug, thiserror::Error)]
pub enum TryFailure {
    /// Nobody there, or no way to it.
    #[error("failed to reach it")]
    Unreachable(#[source] io::Error),
    /// Silence.
    #[error("no response in time")]
    TimedOut,
    /// A response that cannot be read.
    #[error("malformed response")]
    Malformed(#[source] DecodeError),
    /// It does not fit TCP either, the server says.
    #[error("truncated response")]
    Truncated,
    /// It points to other servers.
    #[error("it does not resolve names for others")]
    Referral,
    /// It said so.
    #[error("{0}")]
    Refused(Rcode),
}

impl TryFailure {
    /// What to report when servers failed in different ways: what a server
    /// said counts more than silence.
    const fn rank(&self) -> u8 {
        match self {
            Self::Unreachable(_) => 0,
            Self::TimedOut => 1,
            Self::Malformed(_) | Self::Truncated | Self::Referral | Self::Refused(_) => 2,
        }
    }
}

impl Exchange {
    /// As the file says, which has no word for the port.
    pub(super) fn of(conf: &Conf, port: u16) -> Self {
        let servers: Vec<_> =
            conf.servers.iter().map(|server| SocketAddr::new(*server, port)).collect();
        let first = if conf.rotate { usize::from(random()) % servers.len().max(1) } else { 0 };
        let patience = Patience { timeout: conf.timeout, attempts: conf.attempts };
        Self { first, ..Self::new(servers, patience) }
    }

    /// `servers` in the order to ask.
    pub(super) const fn new(servers: Vec<SocketAddr>, patience: Patience) -> Self {
        Self { servers, patience, first: 0, edns: Edns::Announced }
    }

    /// Asks for the addresses of `name`. `Err(None)`: the time was up before
    /// anybody could be asked.
    ///
    /// One try takes at most its fair part of the time left, so that a silent
    /// server does not use up what the others need.
    pub(super) fn ask(
        &mut self,
        name: &Name,
        family: Family,
        effort: Effort,
        deadline: Instant,
    ) -> Result<Answer, Option<TryError>> {
        let Patience { timeout, attempts } = self.patience;
        let (tries, timeout) = match effort {
            Effort::Full => (self.servers.len() * attempts, timeout),
            Effort::Single => (self.servers.len().min(1), timeout.min(SINGLE_WAIT)),
        };
        let (servers, begin) = (self.servers.len(), self.first);
        let mut failed: Option<TryError> = None;
        for n in 0..tries {
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                break;
            }
            let tries_left = u32::try_from(tries - n).unwrap_or(u32::MAX);
            let index = (begin + n) % servers;
            let attempt = Try {
                server: self.servers[index],
                query: Query { id: random(), name: name.clone(), family },
                until: now + timeout.min(left / tries_left),
            };
            // Boxes on the way may drop what they do not know: the first round
            // announces EDNS, the others do without.
            let edns = if n < servers { self.edns } else { Edns::Absent };
            match attempt.run(edns) {
                Ok((answer, edns)) => {
                    (self.first, self.edns) = (index, edns);
                    return Ok(answer);
                }
                Err(error) => {
                    let rank = error.failure.rank();
                    if failed.as_ref().is_none_or(|worst| worst.failure.rank() <= rank) {
                        failed = Some(error);
                    }
                }
            }
        }
        Err(failed)
    }
}

/// One question to one server.
struct Try {
    server: SocketAddr,
    query: Query,
    until: Instant,
}

impl Try {
    /// The answer, and whether it came with EDNS or without.
    fn run(&self, mut edns: Edns) -> Result<(Answer, Edns), TryError> {
        let mut reply = self.over_udp(edns).map_err(|failure| self.failed("UDP", failure))?;
        if edns == Edns::Announced && is_about_edns(&reply) {
            edns = Edns::Absent;
            reply = self.over_udp(edns).map_err(|failure| self.failed("UDP", failure))?;
        }
        let answered = if reply == Reply::Truncated {
            self.over_tcp(edns).and_then(answer).map_err(|failure| self.failed("TCP", failure))
        } else {
            answer(reply).map_err(|failure| self.failed("UDP", failure))
        };
        answered.map(|answer| (answer, edns))
    }

    const fn failed(&self, transport: &'static str, failure: TryFailure) -> TryError {
        TryError { server: self.server, transport, failure }
    }

    fn over_udp(&self, edns: Edns) -> Result<Reply, TryFailure> {
        let local: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((local, 0)).map_err(failure)?;
        socket.connect(self.server).map_err(failure)?;
        socket.send(&self.query.encode(edns)).map_err(failure)?;
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            socket.set_read_timeout(Some(self.left()?)).map_err(failure)?;
            let bytes = match socket.recv(&mut datagram) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failure(error)),
            };
            match self.query.decode(&datagram[..bytes]) {
                Ok(reply) => return Ok(reply),
                Err(DecodeError::Stray) => {}
                Err(error) => return Err(TryFailure::Malformed(error)),
            }
        }
    }

    /// RFC 7766: a length of two bytes before each message.
    fn over_tcp(&self, edns: Edns) -> Result<Reply, TryFailure> {
        let query = self.query.encode(edns);
        let mut framed = u16::try_from(query.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        framed.extend_from_slice(&query);
        let mut stream = TcpStream::connect_timeout(&self.server, self.left()?).map_err(failure)?;
        stream.set_write_timeout(Some(self.left()?)).map_err(failure)?;
        stream.write_all(&framed).map_err(failure)?;
        let mut length = [0; 2];
        self.fill(&mut stream, &mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        self.fill(&mut stream, &mut message)?;
        self.query.decode(&message).map_err(TryFailure::Malformed)
    }

    /// Reads all of `bytes`, however slowly they drip, before the time is up.
    fn fill(&self, stream: &mut TcpStream, bytes: &mut [u8]) -> Result<(), TryFailure> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            stream.set_read_timeout(Some(self.left()?)).map_err(failure)?;
            match stream.read(rest) {
                Ok(0) => return Err(failure(io::ErrorKind::UnexpectedEof.into())),
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(())
    }

    /// The time left, never zero: to the system that would be for ever.
    fn left(&self) -> Result<Duration, TryFailure> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(TryFailure::TimedOut) } else { Ok(left) }
    }
}

fn answer(reply: Reply) -> Result<Answer, TryFailure> {
    match reply {
        Reply::Addresses { addresses, ttl_secs } => Ok(Answer::Addresses { addresses, ttl_secs }),
        Reply::NoData => Ok(Answer::NoData),
        Reply::NoSuchName => Ok(Answer::NoSuchName),
        Reply::Truncated => Err(TryFailure::Truncated),
        Reply::Referral => Err(TryFailure::Referral),
        Reply::Failed(rcode) => Err(TryFailure::Refused(rcode)),
    }
}

/// RFC 6891 section 7: a server without EDNS may say so in these ways.
fn is_about_edns(reply: &Reply) -> bool {
    let codes = [Rcode::FORMAT_ERROR, Rcode::NOT_IMPLEMENTED];
    matches!(reply, Reply::Failed(rcode) if codes.contains(rcode))
}

/// A socket's time-out comes as one of two kinds.
fn failure(error: io::Error) -> TryFailure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => TryFailure::TimedOut,
        _ => TryFailure::Unreachable(error),
    }
}

/// A number nobody can foresee: a keyed hash, whose key std takes from the
/// system, of a time that does not come again. (A forked child may have the key
/// of its parent; it does not have its time.)
fn random() -> u16 {
    let hash = RandomState::new().hash_one((Instant::now(), std::process::id()));
    let [a, b, ..] = hash.to_be_bytes();
    u16::from_be_bytes([a, b])
}

#[cfg(test)]
mod tests;
