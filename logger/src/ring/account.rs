// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What became of the container's output. Pure.
//!
//! Everything is counted as the container wrote it: bytes, and newlines as
//! lines. At any moment `read = delivered + dropped by cause + held`: the reader
//! counts what it reads and what it has no room for, the sender the rest. The
//! sender's part is kept beside the ring's position and committed with it, so
//! that what a dead sender had not committed is not counted twice.

/// Bytes as the container wrote them, and the newlines among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amount {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

/// What became of what the sender has done with: cumulative, or of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Account {
    /// The sink has taken it.
    pub(crate) delivered: Amount,
    /// See [`DropCause::Empty`].
    pub(crate) empty: Amount,
    /// See [`DropCause::Oversize`].
    pub(crate) oversize: Amount,
    /// See [`DropCause::Poison`].
    pub(crate) poison: Amount,
    /// Frames that the sink has taken, markers among them.
    pub(crate) records: u64,
    /// Their bytes as sent.
    pub(crate) sent_bytes: u64,
}

/// Why bytes did not reach the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropCause {
    /// The sink could not be reached when the ring was full.
    SinkDown,
    /// The sink was slower than the container.
    BufferFull,
    /// There is no sender any more (`on-failure=ignore`) and the ring was full.
    NoSender,
    /// The driver's format has no place for an empty line.
    Empty,
    /// The record was larger than the transport can carry.
    Oversize,
    /// The record killed the sender again and again.
    Poison,
    /// It stood in a part of the spool that was damaged.
    SpoolDamaged,
}

impl DropCause {
    /// The number of causes.
    pub(crate) const COUNT: usize = 7;

    /// All of them, each at its [`Self::index`].
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::SinkDown,
        Self::BufferFull,
        Self::NoSender,
        Self::Empty,
        Self::Oversize,
        Self::Poison,
        Self::SpoolDamaged,
    ];

    /// Its place in counters, and its number in the ring.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::SinkDown => 0,
            Self::BufferFull => 1,
            Self::NoSender => 2,
            Self::Empty => 3,
            Self::Oversize => 4,
            Self::Poison => 5,
            Self::SpoolDamaged => 6,
        }
    }

    /// As a gap marker says it.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::SinkDown => "sink down",
            Self::BufferFull => "buffer full",
            Self::NoSender => "no sender",
            Self::Empty => "empty",
            Self::Oversize => "too large",
            Self::Poison => "poison",
            Self::SpoolDamaged => "spool damaged",
        }
    }
}

impl Amount {
    /// The amount of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { lines: memchr::memchr_iter(b'\n', bytes).count() as u64, bytes: bytes.len() as u64 }
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
    }

    /// What is left of it.
    pub(crate) const fn without(self, part: Self) -> Self {
        Self {
            lines: self.lines.saturating_sub(part.lines),
            bytes: self.bytes.saturating_sub(part.bytes),
        }
    }
}

impl Account {
    /// Bytes of an account in a carry slot.
    pub(super) const ENCODED: usize = 80;

    pub(crate) const fn add(&mut self, other: &Self) {
        self.delivered.add(other.delivered);
        self.empty.add(other.empty);
        self.oversize.add(other.oversize);
        self.poison.add(other.poison);
        self.records += other.records;
        self.sent_bytes += other.sent_bytes;
    }

    /// All the source bytes that are accounted for.
    pub(crate) const fn source(&self) -> Amount {
        let mut sum = self.delivered;
        sum.add(self.empty);
        sum.add(self.oversize);
        sum.add(self.poison);
        sum
    }

    pub(super) fn encode(&self) -> [u8; Self::ENCODED] {
        let mut bytes = [0; Self::ENCODED];
        let amounts = [self.delivered, self.empty, self.oversize, self.poison];
        let fields = amounts.into_iter().flat_map(|amount| [amount.lines, amount.bytes]);
        let fields = fields.chain([self.records, self.sent_bytes]);
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let field = |n: usize| u64::from_le_bytes(super::layout::array(bytes, 8 * n));
        let amount = |n: usize| Amount { lines: field(n), bytes: field(n + 1) };
        Self {
            delivered: amount(0),
            empty: amount(2),
            oversize: amount(4),
            poison: amount(6),
            records: field(8),
            sent_bytes: field(9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_accounts_keep_their_places() {
        for (n, cause) in DropCause::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), n);
        }
        let amount = |n| Amount { lines: n, bytes: 10 * n };
        let account = Account {
            delivered: amount(1),
            empty: amount(2),
            oversize: amount(3),
            poison: amount(4),
            records: 5,
            sent_bytes: 6,
        };
        assert_eq!(Account::decode(&account.encode()), account);
        assert_eq!(account.source(), amount(10));
    }
}
