// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Sizes, durations and booleans.

use std::time::Duration;

/// The text is not such a quantity; says what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct ParseQuantityError {
    expected: &'static str,
}

const SIZE: ParseQuantityError = ParseQuantityError {
    expected: "a number of bytes with an optional unit b, k, m, g, t or p, such as 512k or 10m",
};
const DURATION: ParseQuantityError = ParseQuantityError {
    expected: "a duration: numbers with units ns, us, ms, s, m or h, such as 500ms or 1m30s",
};
const BOOL: ParseQuantityError = ParseQuantityError { expected: "true or false" };

/// A size whose `k`, `m`, `g`, `t`, `p` are powers of 1024 (`max-buffer-size`).
///
/// # Errors
/// When the text is not a non-negative number with at most one unit.
pub fn parse_size_binary(text: &str) -> Result<u64, ParseQuantityError> {
    parse_size(text, 1024.0)
}

/// A size whose `k`, `m`, `g`, `t`, `p` are powers of 1000 (`max-size`).
///
/// # Errors
/// When the text is not a non-negative number with at most one unit.
pub fn parse_size_decimal(text: &str) -> Result<u64, ParseQuantityError> {
    parse_size(text, 1000.0)
}

/// A boolean as Go's `strconv.ParseBool` reads it: `1 t T TRUE true True` and
/// `0 f F FALSE false False`.
///
/// # Errors
/// On any other text, `yes` and the empty one included.
pub fn parse_bool(text: &str) -> Result<bool, ParseQuantityError> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(BOOL),
    }
}

/// A duration as Go's `time.ParseDuration` reads it, negative ones excepted:
/// `300ms`, `1.5h`, `1m30s`, or a bare `0`. At most about 292 years.
///
/// # Errors
/// When a number lacks its unit, a unit is not known, or the sum is too large.
pub fn parse_duration(text: &str) -> Result<Duration, ParseQuantityError> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = unsigned;
    let mut total_ns = 0.0_f64;
    if rest.is_empty() {
        return Err(DURATION);
    }
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(DURATION)?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let number: f64 = number.parse().map_err(|_| DURATION)?;
        total_ns += number
            * match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(DURATION),
            };
        rest = tail;
    }
    whole(total_ns).map(Duration::from_nanos).ok_or(DURATION)
}

/// Docker's size grammar: the number ends at the last digit, point or space;
/// one space may follow it; the unit has at most three letters, case ignored.
fn parse_size(text: &str, base: f64) -> Result<u64, ParseQuantityError> {
    let is_numeric = |byte: u8| byte.is_ascii_digit() || byte == b'.' || byte == b' ';
    let last = text.bytes().rposition(is_numeric).ok_or(SIZE)?;
    // A byte that is numeric is a whole character, so both cuts are on boundaries.
    let (number, unit) = match text.as_bytes().get(last) {
        Some(b' ') => (&text[..last], &text[last + 1..]),
        _ => text.split_at(last + 1),
    };
    let number: f64 = number.parse().map_err(|_| SIZE)?;
    let exponent = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(SIZE),
    };
    whole(number * base.powi(exponent)).ok_or(SIZE)
}

/// Truncated toward zero, as Go converts; `None` when negative or beyond `i64`.
fn whole(number: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range, checked here"
    )]
    (0.0..9.2e18).contains(&number).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_reads_them() {
        for (text, decimal, binary) in [
            ("10m", 10_000_000, 10_485_760),
            ("10MiB", 10_000_000, 10_485_760),
            ("10 m", 10_000_000, 10_485_760),
            ("1.5k", 1500, 1536),
            ("512", 512, 512),
            ("512b", 512, 512),
            ("1e3", 1000, 1000),
            ("+5", 5, 5),
            ("-0", 0, 0),
            ("0", 0, 0),
        ] {
            assert_eq!(parse_size_decimal(text), Ok(decimal), "{text}");
            assert_eq!(parse_size_binary(text), Ok(binary), "{text}");
        }
        for text in ["10mi", "10bb", "10e", "10 mbit", "", "m", "-1", "10  m", "nan", "1e30", "µ1é"]
        {
            assert_eq!(parse_size_binary(text), Err(SIZE), "{text}");
        }
    }

    #[test]
    fn durations_as_go_reads_them() {
        for (text, ms) in [
            ("0", 0),
            ("1.5s", 1500),
            ("1h2m", 3_720_000),
            ("100ms", 100),
            ("+2s", 2000),
            (".5s", 500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "1", "-1s", "s", "1x", "1..5s", "5 s", "999999999h"] {
            assert_eq!(parse_duration(text), Err(DURATION), "{text}");
        }
    }

    #[test]
    fn booleans_are_strict() {
        assert_eq!(parse_bool("True"), Ok(true));
        assert_eq!(parse_bool("f"), Ok(false));
        for text in ["", "yes", "on", "tRUE"] {
            assert_eq!(parse_bool(text), Err(BOOL), "{text}");
        }
    }
}
