// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! From frames to a socket or file. Knows nothing of what the frames say.
//!
//! [`Transport::drive`] does what can be done without waiting and says what to
//! wait for. It may block in three places, a name lookup, a connect and a TLS
//! handshake, each with a deadline; only the sender waits for them.

mod datagram;
mod files;
mod stream;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use crate::driver::{HostPort, Sink};
use crate::os;
use crate::resolver::{Resolved, Resolver};
use crate::ring::Shared;
use crate::window::{Released, Replay, Window};

/// A connection to the sink, or the wish for one.
#[derive(Debug)]
pub(crate) enum Transport {
    Datagram(datagram::Datagram),
    Stream(stream::Stream),
    Files(files::Files),
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

impl Haste {
    /// When to try again after a failure at `failed_ns`, if nothing hurries at
    /// `retry_ns`: who is about to give up does not wait for long.
    const fn retry_ns(self, retry_ns: u64, failed_ns: u64) -> u64 {
        let soon_ns = failed_ns + RETRY_HURRIED_NS;
        match self {
            Self::Hurried if soon_ns < retry_ns => soon_ns,
            _ => retry_ns,
        }
    }
}

impl Transport {
    pub(crate) fn new(sink: &Sink, resolver: Resolver, seed: u64) -> Self {
        match sink.clone() {
            Sink::Datagram { peer, division } => {
                Self::Datagram(datagram::Datagram::new(peer, division, resolver, seed))
            }
            Sink::Stream { peer, session } => {
                Self::Stream(stream::Stream::new(peer, session, resolver, seed))
            }
            Sink::Files(place) => Self::Files(files::Files::new(place, seed)),
        }
    }

    /// How much the window should keep for this transport.
    pub(crate) fn replay(&self) -> Replay {
        match self {
            // What a socket of datagrams or a file took, it has.
            Self::Datagram(_) | Self::Files(_) => Replay::NOTHING,
            Self::Stream(stream) => stream.replay(),
        }
    }

    /// Whether there is nothing left to do when every frame is taken.
    pub(crate) fn is_settled(&self) -> bool {
        match self {
            Self::Datagram(_) | Self::Stream(_) => true,
            Self::Files(files) => files.is_settled(),
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
            Self::Datagram(datagram) => datagram.drive(window, shared, now_ns),
            Self::Stream(stream) => stream.drive(window, shared, haste, now_ns),
            Self::Files(files) => files.drive(window, shared, haste, now_ns),
        }
    }

    /// Takes leave of the sink: nothing more will be sent.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Datagram(_) | Self::Files(_) => {}
            Self::Stream(stream) => stream.close(),
        }
    }
}

impl HostPort {
    /// Looks the name up: every address of the host, in the order to try them,
    /// and how long that holds. An empty name is this machine.
    fn resolve(
        &self,
        resolver: &Resolver,
        timeout: Duration,
    ) -> Option<(Vec<SocketAddr>, Duration)> {
        let (host, scope) = match self.host.split_once('%') {
            Some((host, scope)) => (host, scope_id(scope)?),
            None => (self.host.as_str(), 0),
        };
        let name = if host.is_empty() { "localhost" } else { host };
        let Resolved { addresses, valid_for } =
            resolver.resolve(name, Instant::now() + timeout).ok()?;
        let addresses = addresses.into_iter().map(|address| match address {
            IpAddr::V4(address) => SocketAddrV4::new(address, self.port).into(),
            IpAddr::V6(address) => SocketAddrV6::new(address, self.port, 0, scope).into(),
        });
        Some((addresses.collect(), valid_for))
    }

    /// What its certificate has to be for: an address is the same in every scope.
    fn name(&self) -> &str {
        self.host.split_once('%').map_or(&self.host, |(host, _scope)| host)
    }
}

/// The number of a scope that is said by its number or its interface's name; `None`:
/// there is no such interface now.
fn scope_id(scope: &str) -> Option<u32> {
    scope.parse().ok().or_else(|| os::interface_index(scope))
}

const fn until(ns: u64) -> Wait {
    Wait { socket: None, until_ns: Some(ns) }
}

/// The longest wait of a sender that drains, or for which the reader waits.
const RETRY_HURRIED_NS: u64 = 500_000_000;
