// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Floating-point numbers.

use super::verb::Spec;
use crate::template::buffer::Buffer;
use crate::template::error::Limit;
use crate::template::error::OUTPUT_BYTES_MAX;

/// Digits after the point of `%e` and `%f`, if nothing else is said.
const PRECISION_DEFAULT: usize = 6;

/// Whether floats have such a verb.
pub(super) fn write_float(
    out: &mut Buffer,
    spec: &Spec,
    verb: char,
    value: f64,
) -> Result<bool, Limit> {
    if spec.precision.is_some_and(|precision| precision > OUTPUT_BYTES_MAX) {
        return Err(Limit::Output);
    }
    let magnitude = value.abs();
    let precision = spec.precision.unwrap_or(PRECISION_DEFAULT);
    let digits = match verb {
        'v' => general(magnitude, None),
        'g' | 'G' => general(magnitude, spec.precision),
        'e' | 'E' => exponential(magnitude, Some(precision)),
        'f' | 'F' => format!("{magnitude:.precision$}"),
        _ => return Ok(false),
    };
    let digits = if verb == 'E' || verb == 'G' { digits.to_uppercase() } else { digits };
    let sign = match (value.is_sign_negative(), spec.plus, spec.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    if spec.zero && !spec.minus && !sign.is_empty() {
        // The sign comes before the zeros.
        out.push_str(sign)?;
        let width = spec.width.map(|width| width.saturating_sub(sign.len()));
        Spec { width, ..spec.clone() }.pad(out, digits.as_bytes())?;
    } else {
        spec.pad(out, format!("{sign}{digits}").as_bytes())?;
    }
    Ok(true)
}

/// `1.5e+07`: the exponent has a sign and two digits at least.
fn exponential(magnitude: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{magnitude:.precision$e}"),
        None => format!("{magnitude:e}"),
    };
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{mantissa}e{sign}{exponent:0>2}")
}

/// `%g`: as few digits as say the number, or so many significant ones.
fn general(magnitude: f64, significant: Option<usize>) -> String {
    let exponent_of = |text: &str| {
        text.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0)
    };
    let Some(significant) = significant else {
        let exponent = exponent_of(&format!("{magnitude:e}"));
        return if (-4..6).contains(&exponent) {
            magnitude.to_string()
        } else {
            exponential(magnitude, None)
        };
    };
    let significant = significant.max(1);
    let text = exponential(magnitude, Some(significant - 1));
    let exponent = exponent_of(&text);
    let (mantissa, tail) = text.split_once('e').unwrap_or((&text, ""));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0').len().max(1);
    let limit = i32::try_from(significant).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let mantissa = exponential(magnitude, Some(digits - 1));
        let mantissa = mantissa.split_once('e').map_or("", |(mantissa, _)| mantissa);
        return format!("{mantissa}e{tail}");
    }
    let decimals = i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent;
    format!("{magnitude:.*}", usize::try_from(decimals).unwrap_or(0))
}

/// A number in JSON.
pub(crate) fn json_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    if text.contains("e-") { text } else { text.replace('e', "e+") }
}
