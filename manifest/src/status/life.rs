// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Whether a logger runs, or why it ended.

use std::fmt;

use serde::Serialize;

/// Whether a logger runs, or why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// A logger from before there was this field: its page never says.
    Unsaid,
    /// It runs; or it was ended by what leaves no time for a word (SIGKILL, the
    /// halt of its zone).
    Runs,
    /// Both streams ended, and it drained.
    StreamsEnded,
    /// SIGTERM or SIGINT asked for it, and it drained.
    Asked,
    /// `drain-timeout` passed before all was delivered.
    DrainTimedOut,
    /// It gave up with this exit status.
    Failed {
        /// As `logger help` lists them.
        status: u16,
    },
    /// It died of a fault of its own.
    Crashed {
        /// The signal's number, of the system it ran on.
        signal: u16,
    },
    /// A state of a newer logger.
    #[serde(untagged)]
    Unknown(u32),
}

impl Life {
    /// The number on the page: what it is in the low half, the detail in the high
    /// one.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Unsaid => 0,
            Self::Runs => 1,
            Self::StreamsEnded => 2,
            Self::Asked => 3,
            Self::DrainTimedOut => 4,
            Self::Failed { status } => 5 | detail(status),
            Self::Crashed { signal } => 6 | detail(signal),
            Self::Unknown(code) => code,
        }
    }

    /// What a number on the page means.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        let [low, high, detail_low, detail_high] = code.to_le_bytes();
        let detail = u16::from_le_bytes([detail_low, detail_high]);
        match (u16::from_le_bytes([low, high]), detail) {
            (0, 0) => Self::Unsaid,
            (1, 0) => Self::Runs,
            (2, 0) => Self::StreamsEnded,
            (3, 0) => Self::Asked,
            (4, 0) => Self::DrainTimedOut,
            (5, status) => Self::Failed { status },
            (6, signal) => Self::Crashed { signal },
            _ => Self::Unknown(code),
        }
    }
}

/// A detail in its half.
const fn detail(detail: u16) -> u32 {
    let [low, high] = detail.to_le_bytes();
    u32::from_le_bytes([0, 0, low, high])
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsaid => f.write_str("not said"),
            Self::Runs => f.write_str("runs"),
            Self::StreamsEnded => f.write_str("ended: both streams ended"),
            Self::Asked => f.write_str("ended: a signal asked for it"),
            Self::DrainTimedOut => f.write_str("ended: drain-timeout passed"),
            Self::Failed { status } => write!(f, "failed: exit status {status}"),
            Self::Crashed { signal } => write!(f, "crashed: signal {signal}"),
            Self::Unknown(code) => write!(f, "unknown ({code})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_there_and_back_and_newer_ones_are_kept() {
        let lives = [
            (Life::Unsaid, 0, "\"unsaid\"", "not said"),
            (Life::Runs, 1, "\"runs\"", "runs"),
            (Life::StreamsEnded, 2, "\"streams-ended\"", "ended: both streams ended"),
            (Life::Asked, 3, "\"asked\"", "ended: a signal asked for it"),
            (Life::DrainTimedOut, 4, "\"drain-timed-out\"", "ended: drain-timeout passed"),
            (
                Life::Failed { status: 78 },
                0x004e_0005,
                "{\"failed\":{\"status\":78}}",
                "failed: exit status 78",
            ),
            (
                Life::Crashed { signal: 0x1234 },
                0x1234_0006,
                "{\"crashed\":{\"signal\":4660}}",
                "crashed: signal 4660",
            ),
            (Life::Unknown(7), 7, "7", "unknown (7)"),
            (Life::Unknown(0x0001_0002), 0x0001_0002, "65538", "unknown (65538)"),
        ];
        for (life, code, json, text) in lives {
            assert_eq!((life.code(), Life::from_code(code)), (code, life));
            assert_eq!(serde_json::to_string(&life).unwrap(), json);
            assert_eq!(life.to_string(), text);
        }
    }
}
