// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! How long signed metadata stays valid, as the command line writes it.

use std::str::FromStr;

use jiff::SignedDuration;
use jiff::Timestamp;

/// A number of whole seconds from 0 to 100 years, written `90s`, `30m`,
/// `12h`, `1d` or `2w`. Metadata cannot express fractions of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    seconds: u32,
}

/// The text is not a lifetime.
#[derive(Debug, thiserror::Error)]
#[error("expected a whole number and one of s, m, h, d, w, such as 12h or 90d, at most 36500d")]
pub(crate) struct ParseLifetimeError;

/// The end lies outside the years a timestamp can express.
#[derive(Debug, thiserror::Error)]
#[error("{seconds} seconds after {now} is not a date")]
pub(crate) struct LifetimeRangeError {
    seconds: u32,
    now: Timestamp,
    source: jiff::Error,
}

const DAY_SECS: u32 = 86_400;
const MAX_SECS: u32 = 36_500 * DAY_SECS;

impl Lifetime {
    /// When something made at `now` expires. The fraction of a second in `now` is
    /// cut off, so that a lifetime of `1s` is over within one second.
    pub(crate) fn end(self, now: Timestamp) -> Result<Timestamp, LifetimeRangeError> {
        let range = |source| LifetimeRangeError { seconds: self.seconds, now, source };
        Timestamp::from_second(now.as_second())
            .and_then(|start| start.checked_add(SignedDuration::from_secs(self.seconds.into())))
            .map_err(range)
    }
}

impl FromStr for Lifetime {
    type Err = ParseLifetimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit = text.chars().next_back().ok_or(ParseLifetimeError)?;
        let unit_secs = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => DAY_SECS,
            'w' => 7 * DAY_SECS,
            _ => return Err(ParseLifetimeError),
        };
        let digits = text.trim_end_matches(unit);
        if digits.len() + 1 != text.len() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseLifetimeError);
        }
        let count: u32 = digits.parse().map_err(|_| ParseLifetimeError)?;
        match count.checked_mul(unit_secs) {
            Some(seconds) if seconds <= MAX_SECS => Ok(Self { seconds }),
            _ => Err(ParseLifetimeError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("30m", 1800),
            ("12h", 43_200),
            ("1d", 86_400),
            ("2w", 1_209_600),
        ] {
            assert_eq!(text.parse::<Lifetime>().unwrap().seconds, seconds, "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in
            ["", "s", "1", "-1d", "+1d", "1.5h", "1 d", "1dd", "1y", "36501d", "99999999w", "é"]
        {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
    }

    #[test]
    fn ends_on_a_whole_second() {
        let now: Timestamp = "2026-03-05T14:07:09.987Z".parse().unwrap();
        let end = "1s".parse::<Lifetime>().unwrap().end(now).unwrap();
        assert_eq!(end.to_string(), "2026-03-05T14:07:10Z");
    }
}
