// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! From frames to a socket. Knows nothing of what the frames say.
//!
//! [`Transport::drive`] does what can be done without waiting and says what to
//! wait for. It may block in two places, a name lookup and a connect, each with
//! a deadline; only the sender waits for them.

mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use dockerlogger_manifest::value::{SyslogAddress, SyslogTransport};

use crate::driver::Sink;
use crate::resolver::{Resolved, Resolver};
use crate::ring::Shared;
use crate::window::{Released, Replay, Window};

/// A connection to the sink, or the wish for one.
#[derive(Debug)]
pub(crate) enum Transport {
    Udp(udp::Udp),
    Tcp(tcp::Tcp),
}

/// What a transport did.
#[derive(Debug)]
pub(crate) struct Progress {
    /// What the sink has newly taken.
    pub(crate) released: Released,
    /// What to wait for.
    pub(crate) wait: Wait,
    /// The next frame is larger than the sink can be sent: replace it, and go on.
    pub(crate) too_large: bool,
}

impl Progress {
    const fn new(released: Released, wait: Wait) -> Self {
        Self { released, wait, too_large: false }
    }
}

/// What a transport waits for, besides frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// A socket and its poll events.
    pub(crate) socket: Option<(RawFd, i16)>,
    /// A time of the monotonic clock, in nanoseconds.
    pub(crate) until_ns: Option<u64>,
}

/// How soon it matters to know what the sink has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// Some time: looking costs a wake-up.
    Unhurried,
    /// At once: the container's output has ended, or the reader waits for room.
    Hurried,
}

impl Transport {
    pub(crate) fn new(sink: &Sink, resolver: Resolver, seed: u64) -> Self {
        let host = Host { address: sink.address.clone(), resolver };
        match sink.address.transport {
            SyslogTransport::Udp => Self::Udp(udp::Udp::new(host, seed)),
            SyslogTransport::Tcp => Self::Tcp(tcp::Tcp::new(host, seed)),
        }
    }

    /// How much the window should keep for this transport.
    pub(crate) const fn replay(&self) -> Replay {
        match self {
            Self::Udp(_) => Replay { max_bytes: 0, max_age_ns: 0 },
            Self::Tcp(_) => tcp::REPLAY,
        }
    }

    /// Sends what can be sent.
    pub(crate) fn drive(
        &mut self,
        window: &mut Window,
        shared: &Shared,
        haste: Haste,
        now_ns: u64,
    ) -> Progress {
        match self {
            Self::Udp(udp) => udp.drive(window, shared, now_ns),
            Self::Tcp(tcp) => tcp.drive(window, shared, haste, now_ns),
        }
    }
}

/// Where the sink is.
#[derive(Debug)]
struct Host {
    address: SyslogAddress,
    resolver: Resolver,
}

impl Host {
    /// Looks the name up: every address of the sink, in the order to try them,
    /// and how long that holds. An empty name is this machine.
    fn resolve(&self, timeout: Duration) -> Option<(Vec<SocketAddr>, Duration)> {
        let SyslogAddress { host, port, .. } = &self.address;
        let name = if host.is_empty() { "localhost" } else { host };
        let Resolved { addresses, valid_for } =
            self.resolver.resolve(name, Instant::now() + timeout).ok()?;
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, *port));
        Some((addresses.collect(), valid_for))
    }
}
