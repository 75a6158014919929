// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Names that appear in file names and URLs, each a type that cannot hold
//! anything unsafe there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text cannot be this kind of name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a {kind}: {accepted}")]
pub struct ParseNameError {
    kind: &'static str,
    text: String,
    accepted: &'static str,
}

/// The version of a release: Semantic Versioning 2.0.0, at most 128 bytes.
///
/// Triton's stamps (`1.2.0-master-20260305T140709Z-gabcdef0`) are pre-release
/// parts. Build metadata (`+…`) is refused: it takes no part in precedence, so
/// two releases could differ and yet be equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

/// The platform a logger binary is for, as Rust names it
/// (`x86_64-unknown-illumos`): 1–64 of `a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target(String);

/// The name of a channel: 1–32 of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelName(String);

// === impl Version ===

impl FromStr for Version {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match semver::Version::parse(text) {
            Ok(version) if version.build.is_empty() && text.len() <= 128 => Ok(Self(version)),
            _ => Err(ParseNameError {
                kind: "release version",
                text: shortened(text),
                accepted: "expected MAJOR.MINOR.PATCH with an optional -PRERELEASE, no +BUILD",
            }),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Target ===

impl Target {
    /// The platform this program was compiled for, where it is one we release
    /// for: `x86_64-unknown-illumos`, else the Linux one developers test on.
    pub fn of_this_build() -> Self {
        let triple = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("illumos", "x86_64") => "x86_64-unknown-illumos".to_owned(),
            (os, arch) => format!("{arch}-unknown-{os}-gnu"),
        };
        Self(triple)
    }

    /// The triple as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Target {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text, 64, b"_-") {
            return Ok(Self(text.to_owned()));
        }
        Err(ParseNameError {
            kind: "target triple",
            text: shortened(text),
            accepted: "expected 1-64 characters of a-z, 0-9, _ and -",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ChannelName ===

impl ChannelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text, 32, b"-") {
            return Ok(Self(text.to_owned()));
        }
        Err(ParseNameError {
            kind: "channel name",
            text: shortened(text),
            accepted: "expected 1-32 characters of a-z, 0-9 and -",
        })
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text form of a name type both ways, which is what serde goes through.
macro_rules! serde_as_text {
    ($($name:ty),+) => {$(
        impl TryFrom<String> for $name {
            type Error = ParseNameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )+};
}
serde_as_text!(Version, Target, ChannelName);

fn is_name(text: &str, length_max: usize, punctuation: &[u8]) -> bool {
    let fits = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || punctuation.contains(byte)
    };
    !text.is_empty() && text.len() <= length_max && text.as_bytes().iter().all(fits)
}

/// What an error quotes of a hostile name.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_as_semver_does() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.10.0") > version("1.9.0"));
        assert!(version("1.0.0") > version("1.0.0-master-20260305T140709Z-gabcdef0"));
        assert_eq!(version("1.2.3-a").to_string(), "1.2.3-a");
    }

    #[test]
    fn names_that_would_escape_a_folder_are_refused() {
        for text in ["", "..", "a/b", "a\\b", "A", "a b", "a\0", "é"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
            assert!(text.parse::<ChannelName>().is_err(), "{text}");
        }
        for text in ["", "1", "1.2", "v1.2.3", "1.2.3+build", "1.2.3/../x", "01.2.3"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        let error = "x_y".parse::<ChannelName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"x_y\" is not a channel name: expected 1-32 characters of a-z, 0-9 and -"
        );
    }
}
