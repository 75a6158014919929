// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Integers: `%d`, other bases, characters.

use super::quote;
use super::verb::Spec;
use crate::template::buffer::Buffer;
use crate::template::error::Limit;
use crate::template::runes::is_print;

/// Whether integers have such a verb.
pub(super) fn write_int(
    out: &mut Buffer,
    spec: &Spec,
    verb: char,
    value: i64,
) -> Result<bool, Limit> {
    let character = || {
        let code = u32::try_from(value).ok();
        code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    match verb {
        'c' => spec.pad(out, character().encode_utf8(&mut [0; 4]).as_bytes())?,
        'q' => {
            let text = character().to_string();
            spec.pad(out, &quote::quote(text.as_bytes(), '\'', spec.plus))?;
        }
        'U' => spec.pad(out, unicode(spec, value).as_bytes())?,
        _ => return write_digits(out, spec, verb, value < 0, value.unsigned_abs()),
    }
    Ok(true)
}

/// As [`write_int`], for a byte of a text.
pub(super) fn write_byte(
    out: &mut Buffer,
    spec: &Spec,
    verb: char,
    value: u8,
) -> Result<bool, Limit> {
    if verb == 'v' && spec.sharp_v {
        let spec = Spec { sharp: true, ..spec.clone() };
        return write_digits(out, &spec, 'x', false, u64::from(value));
    }
    write_int(out, spec, verb, i64::from(value))
}

fn unicode(spec: &Spec, value: i64) -> String {
    // A negative number is shown as the bits it has.
    let bits = u64::from_ne_bytes(value.to_ne_bytes());
    let digits = spec.precision.unwrap_or(4).clamp(4, crate::template::error::OUTPUT_BYTES_MAX);
    let mut text = format!("U+{bits:0digits$X}");
    let shown = u32::try_from(bits).ok().and_then(char::from_u32).filter(|&c| is_print(c));
    if let (true, Some(c)) = (spec.sharp, shown) {
        text.push_str(&format!(" '{c}'"));
    }
    text
}

fn write_digits(
    out: &mut Buffer,
    spec: &Spec,
    verb: char,
    negative: bool,
    magnitude: u64,
) -> Result<bool, Limit> {
    let (digits, prefix) = match verb {
        'v' | 'd' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), "0b"),
        'o' | 'O' => (format!("{magnitude:o}"), "0"),
        'x' => (format!("{magnitude:x}"), "0x"),
        'X' => (format!("{magnitude:X}"), "0X"),
        _ => return Ok(false),
    };
    if spec.precision == Some(0) && magnitude == 0 {
        out.fill(b' ', spec.width.unwrap_or(0))?;
        return Ok(true);
    }
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    let digits_min = match (spec.precision, spec.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let mut text = Buffer::default();
    text.push_str(sign)?;
    match verb {
        'O' => text.push_str("0o")?,
        // A zero that is there already is the prefix of base 8.
        'o' if spec.sharp && digits.len() >= digits_min && !digits.starts_with('0') => {
            text.push_str(prefix)?;
        }
        'o' => {}
        _ if spec.sharp => text.push_str(prefix)?,
        _ => {}
    }
    text.fill(b'0', digits_min.saturating_sub(digits.len()))?;
    text.push_str(&digits)?;
    Spec { zero: false, ..spec.clone() }.pad(out, text.as_bytes())?;
    Ok(true)
}
