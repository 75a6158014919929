// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The severity of a line, for those who let the line say it. An extension.
//!
//! | a line begins with | severity |
//! |---|---|
//! | `<N>`, N from 0 to 7, as systemd and the kernel have it | N; the three bytes are left out |
//! | `{`, and has a member `level` with a word: `"error"` | by the word |
//! | the same with a number below 10 | the number, if it is one of syslog's |
//! | the same with a larger number, as bunyan and pino have it | trace and debug, info, warn, error, fatal from 10, 30, 40, 50, 60 on |

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::record::{Record, Stream};

/// RFC 5424 table 2, 0–7.
pub(crate) type Severity = u8;

/// What lines say of themselves.
#[derive(Debug, Default)]
pub(super) struct LineSeverity {
    /// What the line said whose pieces are on their way, for each stream.
    under_way: [Option<Severity>; 2],
}

impl LineSeverity {
    /// What `record` says, or the line that it is a piece of; and what is left
    /// of its text.
    pub(super) fn of<'a>(&mut self, record: &Record<'a>) -> (Option<Severity>, &'a [u8]) {
        let under_way = &mut self.under_way[usize::from(record.stream == Stream::Stderr)];
        if record.piece.is_some_and(|piece| piece.ordinal > 1) {
            return (*under_way, record.text);
        }
        let (severity, text) = said_by(record.text);
        *under_way = severity;
        (severity, text)
    }
}

/// What the line says, and what is left of it.
pub(crate) fn said_by(text: &[u8]) -> (Option<Severity>, &[u8]) {
    match text {
        [b'<', digit @ b'0'..=b'7', b'>', rest @ ..] => (Some(digit - b'0'), rest),
        [b'{', ..] => (level_of(text), text),
        _ => (None, text),
    }
}

/// The member `level` of a JSON object, however much follows it.
fn level_of(text: &[u8]) -> Option<Severity> {
    let level = Cell::new(None);
    let mut json = serde_json::Deserializer::from_slice(text);
    // Once it is found, nothing behind it matters: the line may be cut there.
    let _ = json.deserialize_map(Members { level: &level });
    level.get()
}

/// Goes through an object up to the member that is wanted.
struct Members<'a> {
    level: &'a Cell<Option<Severity>>,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(IsLevel(is_level)) = members.next_key()? {
            if is_level {
                self.level.set(Some(members.next_value::<Level>()?.0));
                return Ok(());
            }
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a key is the one that is wanted.
struct IsLevel(bool);

impl<'de> Deserialize<'de> for IsLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl Visitor<'_> for Key {
            type Value = IsLevel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<IsLevel, E> {
                Ok(IsLevel(key == "level"))
            }
        }
        deserializer.deserialize_identifier(Key)
    }
}

/// A word or a number that is a severity.
struct Level(Severity);

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a level")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Level, E> {
                named(word).map(Level).ok_or_else(|| E::custom("no level"))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Level, E> {
                numbered(number).map(Level).ok_or_else(|| E::custom("no level"))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

fn named(word: &str) -> Option<Severity> {
    let (_, severity) = WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))?;
    Some(*severity)
}

fn numbered(number: u64) -> Option<Severity> {
    Some(match number {
        0..=7 => Severity::try_from(number).ok()?,
        8..=9 => return None,
        10..=29 => 7,
        30..=39 => 6,
        40..=49 => 4,
        50..=59 => 3,
        60.. => 2,
    })
}

const WORDS: [(&str, Severity); 19] = [
    ("info", 6),
    ("error", 3),
    ("warn", 4),
    ("warning", 4),
    ("debug", 7),
    ("trace", 7),
    ("fatal", 2),
    ("err", 3),
    ("notice", 5),
    ("critical", 2),
    ("crit", 2),
    ("alert", 1),
    ("emerg", 0),
    ("emergency", 0),
    ("panic", 0),
    ("information", 6),
    ("informational", 6),
    ("verbose", 7),
    ("severe", 3),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Piece;

    #[test]
    fn what_lines_say() {
        for (text, severity, rest) in [
            ("<0>x", Some(0), "x"),
            ("<7>", Some(7), ""),
            ("<3><4>x", Some(3), "<4>x"),
            ("<8>x", None, "<8>x"),
            ("<30>x", None, "<30>x"),
            (" <3>x", None, " <3>x"),
            ("<3", None, "<3"),
            ("x", None, "x"),
            ("", None, ""),
            (r#"{"level":"error","msg":"x"}"#, Some(3), r#"{"level":"error","msg":"x"}"#),
        ] {
            assert_eq!(said_by(text.as_bytes()), (severity, rest.as_bytes()), "{text}");
        }
    }

    #[test]
    fn levels_of_json() {
        for (text, severity) in [
            (r#"{"name":"web","hostname":"h","pid":1,"level":30,"msg":"bunyan"}"#, Some(6)),
            (r#"{"level":20}"#, Some(7)),
            (r#"{"level":40}"#, Some(4)),
            (r#"{"level":50}"#, Some(3)),
            (r#"{"level":60}"#, Some(2)),
            (r#"{"level":1}"#, Some(1)),
            (r#"{ "a" : {"level": "error"} , "b": [1, {}], "level" : "WARN" }"#, Some(4)),
            // Cut behind it, and wrong behind it.
            (r#"{"level":"fatal","msg":"lo"#, Some(2)),
            (r#"{"level":"fatal" nonsense"#, Some(2)),
            (r#"{"le\u0076el":"alert"}"#, Some(1)),
            (r#"{"msg":"a", "level":"inf"#, None),
            (r#"{"level":8}"#, None),
            (r#"{"level":-1}"#, None),
            (r#"{"level":3.5}"#, None),
            (r#"{"level":null}"#, None),
            (r#"{"level":{"level":3}}"#, None),
            (r#"{"level":"whatever","level":"error"}"#, None),
            (r#"{"Level":"error"}"#, None),
            (r#"{level:"error"}"#, None),
            ("{}", None),
            ("{", None),
        ] {
            assert_eq!(said_by(text.as_bytes()).0, severity, "{text}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(said_by(deep.as_bytes()).0, None);
    }

    #[test]
    fn the_pieces_of_a_line_have_its_severity() {
        let mut severities = LineSeverity::default();
        let mut of = |stream, text: &'static [u8], piece: Option<u32>| {
            let piece = piece.map(|ordinal| Piece { id: 1, ordinal, last: false });
            severities.of(&Record { stream, time_ns: 0, text, piece })
        };
        let (out, err) = (Stream::Stdout, Stream::Stderr);
        assert_eq!(of(out, b"<2>a", Some(1)), (Some(2), b"a".as_slice()));
        assert_eq!(of(err, b"b", None), (None, b"b".as_slice()));
        assert_eq!(of(out, b"<5>c", Some(2)), (Some(2), b"<5>c".as_slice()));
        assert_eq!(of(out, b"d", None), (None, b"d".as_slice()));
        assert_eq!(of(out, b"e", Some(2)), (None, b"e".as_slice()));
    }
}
