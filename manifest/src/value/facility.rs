// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Syslog facilities (RFC 5424 section 6.2.1, table 1).

use std::str::FromStr;

/// A syslog facility, 0–23.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

/// The text names no facility.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a facility: expected 0-23 or one of {}", NAMES.map(|(name, _)| name).join(", "))]
pub struct ParseFacilityError;

/// Docker's names. `cron` is 9, as everywhere but in illumos' own `syslog.h`;
/// 12–15 have no name and can only be written as numbers.
const NAMES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl Facility {
    /// The number, 0–23; PRI is this times eight plus the severity.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl FromStr for Facility {
    type Err = ParseFacilityError;

    /// Names are lower case; a number may have a sign and leading zeros.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, code)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*code));
        }
        match text.parse::<i64>().ok().and_then(|code| u8::try_from(code).ok()) {
            Some(code @ 0..=23) => Ok(Self(code)),
            _ => Err(ParseFacilityError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_names_and_numbers() {
        for (text, code) in
            [("kern", 0), ("cron", 9), ("local7", 23), ("0", 0), ("+3", 3), ("003", 3), ("15", 15)]
        {
            assert_eq!(text.parse(), Ok(Facility(code)), "{text}");
        }
        for text in ["", "24", "-1", "Daemon", "LOCAL0", " 3", "3.0", "local8"] {
            assert_eq!(text.parse::<Facility>(), Err(ParseFacilityError), "{text}");
        }
    }
}
