// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! From a name to addresses: which names to ask for, and what the answers of
//! both families make together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use super::conf::Conf;
use super::exchange::{Answer, Effort, Exchange, TryError, TryFailure};
use super::message::Family;
use super::name::{Name, NameError};

/// A name as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostName {
    name: Name,
    /// A final dot: nothing may be added.
    absolute: bool,
}

/// Addresses, and for how many seconds they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttl_secs: u32,
}

/// No address was found.
#[derive(Debug)]
pub(super) enum Miss {
    /// No name of the list exists.
    NoSuchName,
    /// One exists, without an address.
    NoData,
    /// Servers failed; `None`: the time was up before one could be asked.
    Failed(Option<TryError>),
}

impl HostName {
    pub(super) fn parse(text: &str) -> Result<Self, NameError> {
        Ok(Self { name: Name::from_text(text)?, absolute: text.ends_with('.') })
    }

    /// Without the final dot, in lower case: as the hosts file may have it.
    pub(super) fn text(&self) -> String {
        self.name.to_string()
    }

    /// RFC 6761 section 6.3: `localhost` and all below it are this machine.
    pub(super) fn is_localhost(&self) -> bool {
        self.name.labels().last() == Some(b"localhost")
    }

    /// The names to ask for, in order. As glibc: a name with enough dots is
    /// tried as it is before the search list, any other after it.
    pub(super) fn candidates(&self, conf: &Conf) -> Vec<Name> {
        if self.absolute {
            return vec![self.name.clone()];
        }
        let mut candidates: Vec<Name> =
            conf.search.iter().filter_map(|domain| self.name.below(domain)).collect();
        let place = if self.name.dots() >= conf.ndots { 0 } else { candidates.len() };
        candidates.insert(place, self.name.clone());
        let mut unique: Vec<Name> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            if !unique.contains(&candidate) {
                unique.push(candidate);
            }
        }
        unique
    }
}

/// What RFC 6761 section 6.3 asks for: loopback addresses and nothing else;
/// those the hosts file has for the name if it has any.
pub(super) fn localhost(mut from_hosts: Vec<IpAddr>) -> Vec<IpAddr> {
    from_hosts.retain(IpAddr::is_loopback);
    if from_hosts.is_empty() {
        return vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
    }
    from_hosts
}

/// Asks for one candidate after the other. As glibc: a name that does not
/// exist, has no address, or that servers fail on, is followed by the next;
/// silence ends the search, for it would be the same for the others. The worst
/// that happened is reported, so that "does not exist" is said only if it is
/// so for all.
pub(super) fn search(
    exchange: &mut Exchange,
    candidates: &[Name],
    deadline: Instant,
) -> Result<Found, Miss> {
    let mut worst = Miss::NoSuchName;
    for name in candidates {
        let miss = match both(exchange, name, deadline) {
            Ok(found) => return Ok(found),
            Err(miss) => miss,
        };
        if miss.is_silence() {
            return Err(miss);
        }
        if miss.rank() > worst.rank() {
            worst = miss;
        }
    }
    Err(worst)
}

impl Miss {
    const fn rank(&self) -> u8 {
        match self {
            Self::NoSuchName => 0,
            Self::NoData => 1,
            Self::Failed(_) => 2,
        }
    }

    const fn is_silence(&self) -> bool {
        let Self::Failed(failed) = self else { return false };
        match failed {
            None => true,
            Some(error) => {
                matches!(error.failure, TryFailure::TimedOut | TryFailure::Unreachable(_))
            }
        }
    }
}

/// Both families of one name. IPv4 is asked for first because servers that are
/// wrong about a name are so about IPv6 (RFC 4074).
fn both(exchange: &mut Exchange, name: &Name, deadline: Instant) -> Result<Found, Miss> {
    let v4 = match exchange.ask(name, Family::V4, Effort::Full, deadline) {
        Ok(Answer::Addresses { addresses, ttl_secs }) => {
            let mut found = Found { addresses, ttl_secs };
            if let Ok(Answer::Addresses { addresses, ttl_secs }) =
                exchange.ask(name, Family::V6, Effort::Single, deadline)
            {
                found.addresses.extend(addresses);
                found.ttl_secs = found.ttl_secs.min(ttl_secs);
            }
            return Ok(found);
        }
        Ok(Answer::NoSuchName) => return Err(Miss::NoSuchName),
        Ok(Answer::NoData) => Miss::NoData,
        Err(failed) => Miss::Failed(failed),
    };
    if v4.is_silence() {
        return Err(v4);
    }
    let v6 = match exchange.ask(name, Family::V6, Effort::Full, deadline) {
        Ok(Answer::Addresses { addresses, ttl_secs }) => return Ok(Found { addresses, ttl_secs }),
        // The name was there a moment ago, or nobody could say.
        Ok(Answer::NoData | Answer::NoSuchName) => Miss::NoData,
        Err(failed) => Miss::Failed(failed),
    };
    Err(if v6.rank() > v4.rank() { v6 } else { v4 })
}

/// IPv6 and IPv4 in turn, IPv6 first, each in its order (RFC 8305 section 4):
/// a family that does not work here costs one try in two.
pub(super) fn interleave(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut v6 = addresses.iter().filter(|address| address.is_ipv6());
    let mut v4 = addresses.iter().filter(|address| address.is_ipv4());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(v6.next());
        order.extend(v4.next());
    }
    order
}

#[cfg(test)]
mod tests;
