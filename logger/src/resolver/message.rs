// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! DNS messages: a question into bytes, bytes into what they answer.
//!
//! RFC 1035 with EDNS0 (RFC 6891). Of a response only the header, the question
//! and the answer section are read. Whatever the bytes are, decoding ends: a
//! pointer leads strictly backwards, a name has at most 127 of them, a chain of
//! aliases at most 16.

mod reader;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::name::Name;
use reader::Reader;

/// The largest UDP response asked for: what crosses any path unfragmented.
const UDP_BYTES: u16 = 1232;
/// Aliases followed within one answer.
const ALIASES_MAX: usize = 16;
/// Addresses taken of one answer; those behind are passed over.
const ADDRESSES_MAX: usize = 32;

const HEADER_BYTES: usize = 12;
const CLASS_IN: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_OPT: u16 = 41;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// Unpredictable, new for each try.
    pub(super) id: u16,
    pub(super) name: Name,
    pub(super) family: Family,
}

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// A records.
    V4,
    /// AAAA records (RFC 3596).
    V6,
}

/// Whether the query says that larger UDP responses are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edns {
    Announced,
    /// For servers and boxes on the way that choke on it.
    Absent,
}

/// What a response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// At least one address, and for how many seconds they hold: the least
    /// time of all records that led here.
    Addresses { addresses: Vec<IpAddr>, ttl_secs: u32 },
    /// The name exists, without such an address.
    NoData,
    /// The name does not exist, nor does anything below it (RFC 8020).
    NoSuchName,
    /// Does not fit a datagram: ask again over TCP.
    Truncated,
    /// The server points elsewhere: it resolves nothing for us.
    Referral,
    /// The server cannot or will not answer.
    Failed(Rcode),
}

/// A response code other than "no error" and "no such name".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rcode(u8);

/// The bytes are no usable response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a response to this query: the right one may still come.
    #[error("it answers another question")]
    Stray,
    /// The message ends within something.
    #[error("it is cut off at byte {at}")]
    Cut {
        /// Where more was expected.
        at: usize,
    },
    /// A label of a kind that does not exist.
    #[error("a label at byte {at} has an unknown kind")]
    Label {
        /// Where it starts.
        at: usize,
    },
    /// A compression pointer that does not lead backwards, or too many.
    #[error("a name's pointer at byte {at} leads nowhere")]
    Pointer {
        /// Where it stands.
        at: usize,
    },
    /// A name of more than 255 bytes.
    #[error("a name at byte {at} is longer than 255 bytes")]
    NameTooLong {
        /// Where it starts.
        at: usize,
    },
    /// A record whose length does not suit its type.
    #[error("a record of type {kind} at byte {at} has the wrong length")]
    RecordLength {
        /// Where its data starts.
        at: usize,
        /// Its type.
        kind: u16,
    },
    /// Aliases without an end.
    #[error("it has a chain of more than 16 aliases")]
    Aliases,
}

impl Query {
    /// The bytes to send, at most 282.
    pub(super) fn encode(&self, edns: Edns) -> Vec<u8> {
        let additional = u16::from(edns == Edns::Announced);
        let mut message = Vec::with_capacity(HEADER_BYTES + self.name.wire().len() + 15);
        for word in [self.id, Header::RECURSION_DESIRED, 1, 0, 0, additional] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        message.extend_from_slice(self.name.wire());
        for word in [self.family.code(), CLASS_IN] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        if edns == Edns::Announced {
            message.push(0);
            // The class is our size; then extended code, version, flags, no data.
            for word in [TYPE_OPT, UDP_BYTES, 0, 0, 0] {
                message.extend_from_slice(&word.to_be_bytes());
            }
        }
        message
    }

    /// What `message` answers to this query.
    pub(super) fn decode(&self, message: &[u8]) -> Result<Reply, DecodeError> {
        let mut reader = Reader::new(message, 0);
        let header = Header::read(&mut reader).map_err(|_cut| DecodeError::Stray)?;
        let rcode = header.rcode();
        if header.id != self.id || !header.is_response_to_query() {
            return Err(DecodeError::Stray);
        }
        match header.questions {
            // A server that could not read the question cannot repeat it.
            0 if rcode.is_failure() => return Ok(Reply::Failed(rcode)),
            1 if self.is_asked_at(&mut reader) => {}
            _ => return Err(DecodeError::Stray),
        }
        if rcode.is_failure() {
            return Ok(Reply::Failed(rcode));
        }
        if rcode == Rcode::NO_SUCH_NAME {
            return Ok(Reply::NoSuchName);
        }
        if header.is(Header::TRUNCATED) {
            return Ok(Reply::Truncated);
        }
        self.answer(&reader, header)
    }

    /// Whether the next question is this one.
    fn is_asked_at(&self, reader: &mut Reader<'_>) -> bool {
        let mut read = || Ok::<_, DecodeError>((reader.name()?, reader.u16()?, reader.u16()?));
        read().is_ok_and(|(name, kind, class)| {
            name == self.name && kind == self.family.code() && class == CLASS_IN
        })
    }

    /// Follows the aliases from the name asked for to its addresses. Their
    /// order in the section does not matter, so each step reads all of it.
    fn answer(&self, section: &Reader<'_>, header: Header) -> Result<Reply, DecodeError> {
        let mut owner = self.name.clone();
        let mut ttl_secs = u32::MAX;
        for _alias in 0..=ALIASES_MAX {
            let step = self.step(section.clone(), header.answers, &owner)?;
            ttl_secs = ttl_secs.min(step.ttl_secs);
            if !step.addresses.is_empty() {
                return Ok(Reply::Addresses { addresses: step.addresses, ttl_secs });
            }
            let Some(target) = step.alias else {
                let resolves = header.is(Header::AUTHORITATIVE | Header::RECURSION_AVAILABLE);
                let empty = header.answers == 0 && !resolves;
                return Ok(if empty { Reply::Referral } else { Reply::NoData });
            };
            owner = target;
        }
        Err(DecodeError::Aliases)
    }

    /// What the section says of `owner`: addresses, or else an alias.
    fn step(
        &self,
        mut section: Reader<'_>,
        records: u16,
        owner: &Name,
    ) -> Result<Step, DecodeError> {
        let mut step = Step { addresses: Vec::new(), alias: None, ttl_secs: u32::MAX };
        let mut alias = None;
        for _record in 0..records {
            let record = section.record()?;
            if record.class != CLASS_IN || record.owner != *owner {
                continue;
            }
            if record.kind == self.family.code() {
                let address = self.family.address(record.data);
                let wrong = DecodeError::RecordLength { at: record.data_at, kind: record.kind };
                let address = address.ok_or(wrong)?;
                if step.addresses.len() < ADDRESSES_MAX && !step.addresses.contains(&address) {
                    step.addresses.push(address);
                }
                step.ttl_secs = step.ttl_secs.min(record.ttl_secs);
            } else if record.kind == TYPE_CNAME && alias.is_none() {
                let mut data = section.moved_to(record.data_at);
                alias = Some((data.name()?, record.ttl_secs));
                if data.at() != section.at() {
                    let (at, kind) = (record.data_at, record.kind);
                    return Err(DecodeError::RecordLength { at, kind });
                }
            }
        }
        if let Some((target, ttl_secs)) = alias.filter(|_alias| step.addresses.is_empty()) {
            step.alias = Some(target);
            step.ttl_secs = ttl_secs;
        }
        Ok(step)
    }
}

impl Family {
    const fn code(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }

    fn address(self, data: &[u8]) -> Option<IpAddr> {
        match self {
            Self::V4 => <[u8; 4]>::try_from(data).ok().map(|data| Ipv4Addr::from(data).into()),
            Self::V6 => <[u8; 16]>::try_from(data).ok().map(|data| Ipv6Addr::from(data).into()),
        }
    }
}

impl Rcode {
    pub(super) const FORMAT_ERROR: Self = Self(1);
    pub(super) const NOT_IMPLEMENTED: Self = Self(4);
    const NO_ERROR: Self = Self(0);
    const NO_SUCH_NAME: Self = Self(3);

    fn is_failure(self) -> bool {
        self != Self::NO_ERROR && self != Self::NO_SUCH_NAME
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("FORMERR"),
            2 => f.write_str("SERVFAIL"),
            4 => f.write_str("NOTIMP"),
            5 => f.write_str("REFUSED"),
            code => write!(f, "response code {code}"),
        }
    }
}

/// What one pass over the answers found.
struct Step {
    addresses: Vec<IpAddr>,
    alias: Option<Name>,
    ttl_secs: u32,
}

/// The first twelve bytes, without the counts of what is not read.
#[derive(Clone, Copy)]
struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
}

impl Header {
    const RESPONSE: u16 = 0x8000;
    const OPCODE: u16 = 0x7800;
    const AUTHORITATIVE: u16 = 0x0400;
    const TRUNCATED: u16 = 0x0200;
    const RECURSION_DESIRED: u16 = 0x0100;
    const RECURSION_AVAILABLE: u16 = 0x0080;
    const RCODE: u16 = 0x000f;

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let (questions, answers) = (reader.u16()?, reader.u16()?);
        let (_authority, _additional) = (reader.u16()?, reader.u16()?);
        Ok(Self { id, flags, questions, answers })
    }

    const fn is(self, any_of: u16) -> bool {
        self.flags & any_of != 0
    }

    const fn is_response_to_query(self) -> bool {
        self.is(Self::RESPONSE) && !self.is(Self::OPCODE)
    }

    fn rcode(self) -> Rcode {
        let [_high, low] = (self.flags & Self::RCODE).to_be_bytes();
        Rcode(low)
    }
}

#[cfg(test)]
mod tests;
