// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Domain names in the form that goes over the wire.

use std::fmt;

/// A domain name: RFC 1035 section 3.1 labels in lower case, the root's label
/// last, 1 to 255 bytes. Two names are equal if the DNS says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(Vec<u8>);

/// The text is no host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there, or the root alone.
    #[error("it is empty")]
    Empty,
    /// Two dots in a row, or a dot at the start.
    #[error("it has an empty label")]
    EmptyLabel,
    /// A label of more than 63 bytes.
    #[error("a label is longer than 63 bytes")]
    LabelTooLong,
    /// More than 253 bytes, a final dot not counted.
    #[error("it is longer than 253 bytes")]
    TooLong,
    /// A character that host names do not have.
    #[error("{0:?} is not one of a-z, 0-9, '-', '_' and '.'")]
    Character(char),
}

impl Name {
    /// RFC 1035 section 2.3.4.
    const MAX_BYTES: usize = 255;
    const MAX_LABEL_BYTES: usize = 63;

    /// The name above all others.
    pub(super) fn root() -> Self {
        Self(vec![0])
    }

    /// A host name as people write it, with or without the final dot. Case
    /// does not matter; an underscore is taken because names in use have it.
    pub(super) fn from_text(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if let Some(odd) = text.chars().find(|c| !fits(*c)) {
            return Err(NameError::Character(odd));
        }
        let mut name = Self::root();
        for label in text.split('.') {
            if label.is_empty() {
                return Err(NameError::EmptyLabel);
            }
            if label.len() > Self::MAX_LABEL_BYTES {
                return Err(NameError::LabelTooLong);
            }
            if !name.push_label(label.as_bytes()) {
                return Err(NameError::TooLong);
            }
        }
        Ok(name)
    }

    /// Adds a label of 1 to 63 bytes before the root; `false`, and the name as
    /// it was, if it does not fit.
    pub(super) fn push_label(&mut self, label: &[u8]) -> bool {
        let Ok(length) = u8::try_from(label.len()) else { return false };
        let allowed = 1..=Self::MAX_LABEL_BYTES;
        if !allowed.contains(&label.len()) || self.0.len() + 1 + label.len() > Self::MAX_BYTES {
            return false;
        }
        self.0.pop();
        self.0.push(length);
        self.0.extend(label.iter().map(u8::to_ascii_lowercase));
        self.0.push(0);
        true
    }

    /// This name below `domain`; `None` if that is too long.
    pub(super) fn below(&self, domain: &Self) -> Option<Self> {
        let mut labels = self.0.clone();
        labels.pop();
        labels.extend_from_slice(&domain.0);
        (labels.len() <= Self::MAX_BYTES).then_some(Self(labels))
    }

    /// The bytes for a message.
    pub(super) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// How many dots the text has between its labels.
    pub(super) fn dots(&self) -> usize {
        self.labels().count().saturating_sub(1)
    }

    /// The labels from the left, the root's not among them.
    pub(super) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first().filter(|(length, _after)| **length > 0)?;
            let (label, behind) = after.split_at_checked(usize::from(*length))?;
            rest = behind;
            Some(label)
        })
    }
}

impl fmt::Display for Name {
    /// Without the final dot; the root is `.`; odd bytes are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels().next().is_none() {
            return f.write_str(".");
        }
        for (n, label) in self.labels().enumerate() {
            if n > 0 {
                f.write_str(".")?;
            }
            write!(f, "{}", label.escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, NameError> {
        Name::from_text(text).map(|name| name.to_string())
    }

    #[test]
    fn host_names() {
        assert_eq!(shown("Log.Example.COM").unwrap(), "log.example.com");
        assert_eq!(shown("log.example.com.").unwrap(), "log.example.com");
        assert_eq!(shown("_syslog._tcp.a-1").unwrap(), "_syslog._tcp.a-1");
        assert_eq!(Name::from_text("Ab.c").unwrap().wire(), b"\x02ab\x01c\x00");
        assert_eq!(Name::root().to_string(), ".");
    }

    #[test]
    fn refusals() {
        let long_label = "a".repeat(64);
        let fits = format!("{}.{}", "abcdefg.".repeat(31), "abcd"); // 248 + 1 + 4
        for (text, error) in [
            ("", NameError::Empty),
            (".", NameError::Empty),
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("a..", NameError::EmptyLabel),
            (long_label.as_str(), NameError::LabelTooLong),
            ("a b", NameError::Character(' ')),
            ("a\0", NameError::Character('\0')),
            ("b\u{fc}cher", NameError::Character('\u{fc}')),
            ("::1", NameError::Character(':')),
        ] {
            assert_eq!(shown(text), Err(error), "{text:?}");
        }
        let longest = fits.replace("..", ".a");
        assert_eq!(longest.len(), 253);
        assert!(shown(&longest).is_ok());
        assert_eq!(shown(&format!("{longest}e")), Err(NameError::TooLong));
    }

    #[test]
    fn below_a_domain() {
        let host = Name::from_text("log").unwrap();
        let domain = Name::from_text("example.com").unwrap();
        assert_eq!(host.below(&domain).unwrap().to_string(), "log.example.com");
        assert_eq!(host.below(&Name::root()).unwrap(), host);
        assert_eq!((host.dots(), domain.dots(), Name::root().dots()), (0, 1, 0));
        let long = Name::from_text(&"abcdefg.".repeat(31)).unwrap();
        assert!(long.below(&domain).is_none());
    }
}
