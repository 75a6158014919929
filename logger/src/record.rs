// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One line of the container, or a piece of one: what drivers send.

use crate::ring::Amount;

/// Which of the container's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both, each at its [`Self::index`].
    pub(crate) const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Its place among the two.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

/// A line, or a piece of a line that is longer than a driver's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it was written.
    pub stream: Stream,
    /// When it was read, nanoseconds since 1970, no two lines at the same; of a
    /// piece: when the first one was.
    pub time_ns: u64,
    /// The bytes as written, without the newline.
    pub text: &'a [u8],
    /// Present if this is a piece.
    pub piece: Option<Piece>,
}

impl Record<'_> {
    /// What it was made from: the text, and the newline if that followed it.
    pub(crate) fn source(&self) -> Amount {
        let lines = u64::from(self.piece.is_none_or(|piece| piece.last));
        Amount { lines, bytes: self.text.len() as u64 + lines }
    }
}

/// Which piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The same for all pieces of a line; a seed, which a driver that sends it
    /// expands.
    pub id: u64,
    /// 1 for the first.
    pub ordinal: u32,
    /// Whether the newline followed it.
    pub last: bool,
}

/// How far the times of what was read may be ahead of the clock.
pub(crate) const AHEAD_MAX_NS: u64 = 1_000_000_000;
