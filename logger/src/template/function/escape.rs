// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `html`, `js`, `urlquery`.

use crate::template::buffer::Buffer;
use crate::template::error::Limit;
use crate::template::format;
use crate::template::runes::is_print;
use crate::template::runes::runes;
use crate::template::value::Value;

/// The arguments as one text, as `print` but each as an action prints it.
pub(super) fn printed(args: &[Value]) -> Result<Vec<u8>, Limit> {
    let texts: Result<Vec<Value>, Limit> = args
        .iter()
        .map(|value| match value {
            Value::Nil | Value::Container(_) => {
                let mut text = Buffer::default();
                format::print_action(&mut text, value)?;
                Ok(Value::text(text.into_bytes()))
            }
            _ => Ok(value.clone()),
        })
        .collect();
    format::print(&texts?)
}

pub(super) fn html(text: &[u8]) -> Result<Value, Limit> {
    let mut out = Buffer::default();
    for byte in text {
        match byte {
            0 => out.push_str("\u{fffd}")?,
            b'"' => out.push(b"&#34;")?,
            b'\'' => out.push(b"&#39;")?,
            b'&' => out.push(b"&amp;")?,
            b'<' => out.push(b"&lt;")?,
            b'>' => out.push(b"&gt;")?,
            _ => out.push(&[*byte])?,
        }
    }
    Ok(Value::text(out.into_bytes()))
}

pub(super) fn javascript(text: &[u8]) -> Result<Value, Limit> {
    let mut out = Buffer::default();
    for rune in runes(text) {
        match rune.value {
            Some('\\' | '\'' | '"') => {
                out.push(b"\\")?;
                out.push(rune.bytes)?;
            }
            Some(c) if !is_plain(c) => out.push_str(&format!("\\u{:04X}", u32::from(c)))?,
            Some(_) | None => out.push(rune.bytes)?,
        }
    }
    Ok(Value::text(out.into_bytes()))
}

/// Whether a character needs no escape in JavaScript.
fn is_plain(c: char) -> bool {
    if c.is_ascii() { c >= ' ' && !"<>&=".contains(c) } else { is_print(c) }
}

pub(super) fn url_query(text: &[u8]) -> Result<Value, Limit> {
    let mut out = Buffer::default();
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(&[*byte])?;
            }
            b' ' => out.push(b"+")?,
            _ => out.push_str(&format!("%{byte:02X}"))?,
        }
    }
    Ok(Value::text(out.into_bytes()))
}
