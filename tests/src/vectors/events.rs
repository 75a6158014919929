// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Expected JSON against messages of MessagePack.

use rmpv::Value as Packed;
use serde_json::Value;

use super::pattern::{Facts, check};

/// Checks that the messages are `expected`: members of maps in any order, texts with placeholders, and `{TS:int}` and
/// `{TS:event}` for times.
///
/// # Errors
/// What differs, and where.
pub fn check_messages(
    expected: &[Value],
    received: &[Packed],
    facts: &Facts,
) -> Result<(), String> {
    if expected.len() != received.len() {
        return Err(format!("{} messages, not {}", received.len(), expected.len()));
    }
    let mut pairs = expected.iter().zip(received).enumerate();
    pairs.try_for_each(|(n, (expected, received))| {
        matches(expected, received, facts).map_err(|why| format!("message {n}: {why}"))
    })
}

fn matches(expected: &Value, received: &Packed, facts: &Facts) -> Result<(), String> {
    let differs = || Err(format!("expected {expected}, received {received}"));
    match (expected, received) {
        (Value::Null, Packed::Nil) => Ok(()),
        (Value::String(text), Packed::Integer(seconds)) if text == "{TS:int}" => {
            if seconds.as_u64().is_some_and(is_recent) { Ok(()) } else { differs() }
        }
        (Value::String(text), Packed::Ext(0, time)) if text == "{TS:event}" => {
            let fields: Option<[u8; 8]> = time.as_slice().try_into().ok();
            let [seconds, nanos] = fields.map_or([0, u32::MAX], |f| {
                let (s, n) = f.split_at(4);
                [s, n].map(|field| field.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)))
            });
            if is_recent(seconds.into()) && nanos < 1_000_000_000 { Ok(()) } else { differs() }
        }
        (Value::String(text), Packed::String(bytes)) => check(text, bytes.as_bytes(), facts),
        (Value::Array(wanted), Packed::Array(got)) if wanted.len() == got.len() => {
            wanted.iter().zip(got).try_for_each(|(wanted, got)| matches(wanted, got, facts))
        }
        (Value::Object(wanted), Packed::Map(got)) if wanted.len() == got.len() => {
            wanted.iter().try_for_each(|(key, value)| {
                let member = got.iter().find(|(name, _)| name.as_str() == Some(key));
                let (_, member) = member.ok_or_else(|| format!("no member {key}"))?;
                matches(value, member, facts).map_err(|why| format!("{key}: {why}"))
            })
        }
        _ => differs(),
    }
}

/// Whether it is a time since this file was written.
fn is_recent(seconds: u64) -> bool {
    (1_700_000_000..4_000_000_000).contains(&seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_match_what_they_should_and_nothing_else() {
        let facts = Facts { hostname: String::new(), pid: 0, argv0: String::new() };
        let map = |pairs: &[(&str, &str)]| {
            Packed::Map(pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect())
        };
        let time = |nanos: u32| {
            let bytes = [1_772_719_629_u32.to_be_bytes(), nanos.to_be_bytes()].concat();
            Packed::Ext(0, bytes)
        };
        let expected = serde_json::json!(["t", "{TS:int}", {"a": "«x×3»", "b": ""}, null]);
        let message =
            |record, end| Packed::Array(vec!["t".into(), 1_772_719_629.into(), record, end]);
        let right = map(&[("b", ""), ("a", "xxx")]);
        for (received, good) in [
            (message(right.clone(), Packed::Nil), true),
            (message(right, Packed::Map(Vec::new())), false),
            (message(map(&[("b", ""), ("a", "xx")]), Packed::Nil), false),
            (message(map(&[("b", ""), ("a", "xxx"), ("c", "")]), Packed::Nil), false),
            (message(map(&[("b", "")]), Packed::Nil), false),
        ] {
            let checked = check_messages(std::slice::from_ref(&expected), &[received], &facts);
            assert_eq!(checked.is_ok(), good, "{checked:?}");
        }
        let expected = serde_json::json!("{TS:event}");
        assert!(matches(&expected, &time(999_999_999), &facts).is_ok());
        assert!(matches(&expected, &time(1_000_000_000), &facts).is_err());
        assert!(check_messages(&[], &[Packed::Nil], &facts).is_err());
    }
}
