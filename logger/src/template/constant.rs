// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Constants as Go writes them: numbers, characters, strings.

/// A number that has no type yet: every type it fits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    /// As written.
    pub(super) text: String,
    pub(super) int: Option<i64>,
    pub(super) float: Option<f64>,
}

impl Number {
    /// A number by its text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let illegal = || format!("illegal number syntax: {text:?}");
        let digits = without_underscores(text).ok_or_else(illegal)?;
        if let Some(int) = parse_int(&digits) {
            let int = int.map_err(|()| format!("integer overflow: {text:?}"))?;
            return Ok(Self { text: text.into(), int: Some(int), float: Some(int_to_float(int)) });
        }
        let float: f64 = digits.parse().map_err(|_| illegal())?;
        if !float.is_finite() {
            return Err(illegal());
        }
        Ok(Self { text: text.into(), int: float_to_int(float), float: Some(float) })
    }

    /// A character constant, `'a'`, quotes included.
    pub(super) fn parse_character(text: &str) -> Result<Self, String> {
        let malformed = || format!("malformed character constant: {text}");
        let body = &text[1..text.len() - 1];
        let mut unquoted = Vec::new();
        let rest = unquote_one(body, '\'', &mut unquoted).ok_or_else(malformed)?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        // `'\xff'` is a byte for a string, but the number 255 here.
        let value = match (std::str::from_utf8(&unquoted), unquoted.first()) {
            (Ok(character), _) => character.chars().next().map(u32::from),
            (Err(_), Some(&byte)) => Some(u32::from(byte)),
            (Err(_), None) => None,
        };
        let int = i64::from(value.ok_or_else(malformed)?);
        Ok(Self { text: text.into(), int: Some(int), float: Some(int_to_float(int)) })
    }

    /// Whether it is a float where nothing else says what it should be.
    pub(super) fn looks_like_float(&self) -> bool {
        !self.text.starts_with(['\''])
            && !is_based(&self.text)
            && self.text.contains(['.', 'e', 'E'])
    }
}

/// The text of a string constant, quotes included: interpreted or raw.
pub(super) fn unquote(quoted: &str) -> Result<Vec<u8>, String> {
    let mut text = Vec::with_capacity(quoted.len());
    let body = &quoted[1..quoted.len() - 1];
    if quoted.starts_with('`') {
        text.extend(body.bytes().filter(|&byte| byte != b'\r'));
        return Ok(text);
    }
    let mut rest = body;
    while !rest.is_empty() {
        rest = unquote_one(rest, '"', &mut text)
            .ok_or_else(|| format!("invalid escape in string {quoted}"))?;
    }
    Ok(text)
}

/// Appends one character or escape of `text`; the rest of it.
fn unquote_one<'a>(text: &'a str, quote: char, to: &mut Vec<u8>) -> Option<&'a str> {
    let mut chars = text.chars();
    let c = chars.next()?;
    if c == quote || c == '\n' {
        return None;
    }
    if c != '\\' {
        to.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        return Some(chars.as_str());
    }
    let kind = chars.next()?;
    let (digits, radix) = match kind {
        'x' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        '0'..='7' => (3, 8),
        _ => {
            to.push(match kind {
                'a' => 0x07,
                'b' => 0x08,
                'f' => 0x0c,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 0x0b,
                '\\' => b'\\',
                _ if kind == quote => u8::try_from(quote).ok()?,
                _ => return None,
            });
            return Some(chars.as_str());
        }
    };
    let rest = if radix == 8 { &text[1..] } else { chars.as_str() };
    let digits = rest.get(..digits).filter(|text| text.chars().all(|c| c.is_digit(radix)))?;
    let value = u32::from_str_radix(digits, radix).ok()?;
    if kind == 'u' || kind == 'U' {
        to.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        to.push(u8::try_from(value).ok()?);
    }
    Some(&rest[digits.len()..])
}

/// Underscores may stand between digits, or between a base's prefix and a digit.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('_') {
        let alphanumeric = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric)
        };
        if !alphanumeric(at.checked_sub(1)) || !alphanumeric(Some(at + 1)) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

fn is_based(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_alphabetic()
}

/// An integer of base 2, 8, 10 or 16; nothing if it is something else, an error
/// if it is too large.
fn parse_int(text: &str) -> Option<Result<i64, ()>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefix = digits.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match prefix.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    Some(i64::from_str_radix(&signed, radix).map_err(|_| ()))
}

#[expect(clippy::cast_precision_loss, reason = "Go rounds as well")]
fn int_to_float(int: i64) -> f64 {
    int as f64
}

/// The integer that a float is, if it is one.
#[expect(clippy::cast_possible_truncation, reason = "the bounds are checked")]
fn float_to_int(float: f64) -> Option<i64> {
    let fits = float.fract() == 0.0 && float.abs() < 9_223_372_036_854_775_808.0;
    fits.then_some(float as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        for (text, int, float) in [
            ("0", Some(0), 0.0),
            ("-0", Some(0), 0.0),
            ("+12", Some(12), 12.0),
            ("0x1F", Some(31), 31.0),
            ("-0xef", Some(-239), -239.0),
            ("0b101", Some(5), 5.0),
            ("0o17", Some(15), 15.0),
            ("017", Some(15), 15.0),
            ("1_000", Some(1000), 1000.0),
            ("0x_ff", Some(255), 255.0),
            ("1e3", Some(1000), 1000.0),
            ("1.5", None, 1.5),
            (".5", None, 0.5),
            ("5.", Some(5), 5.0),
            ("9223372036854775807", Some(i64::MAX), 9_223_372_036_854_775_807.0),
            ("-9223372036854775808", Some(i64::MIN), -9_223_372_036_854_775_808.0),
        ] {
            let number = Number::parse(text).unwrap();
            assert_eq!((number.int, number.float), (int, Some(float)), "{text}");
        }
        for text in [
            "",
            "+",
            ".",
            "0x",
            "0b2",
            "1__0",
            "_1",
            "1_",
            "e3",
            "1e",
            "9223372036854775808",
            "1e999",
        ] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_decides_that_a_number_is_a_float() {
        for (text, float) in
            [("1.0", true), ("1e3", true), ("0xef", false), ("-0xE1", false), ("12", false)]
        {
            assert_eq!(Number::parse(text).unwrap().looks_like_float(), float, "{text}");
        }
        assert!(!Number::parse_character("'e'").unwrap().looks_like_float());
    }

    #[test]
    fn characters_and_strings_are_unquoted() {
        for (text, value) in [
            ("'a'", 97),
            (r"'\n'", 10),
            (r"'\''", 39),
            ("'世'", 0x4e16),
            (r"'\xff'", 255),
            (r"'\377'", 255),
            (r"'\u00e9'", 233),
        ] {
            assert_eq!(Number::parse_character(text).unwrap().int, Some(value), "{text}");
        }
        for text in ["''", "'ab'", r#"'\"'"#, r"'\x4'", r"'\400'", r"'\ud800'", r"'\q'", r"'\é'"] {
            assert!(Number::parse_character(text).is_err(), "{text}");
        }
        for (quoted, text) in [
            (r#""""#, &b""[..]),
            (r#""a\tb\"c\\""#, b"a\tb\"c\\"),
            (r#""\xff\101é\u00e9""#, b"\xffA\xc3\xa9\xc3\xa9"),
            ("`a\\n\r\nb`", b"a\\n\nb"),
        ] {
            assert_eq!(unquote(quoted).unwrap(), text, "{quoted}");
        }
        assert_eq!(unquote(r#""\'""#).unwrap_err(), r#"invalid escape in string "\'""#);
    }
}
