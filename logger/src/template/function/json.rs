// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `json`: compact, `<`, `>` and `&` as they are.

use crate::template::buffer::Buffer;
use crate::template::error::Limit;
use crate::template::format;
use crate::template::runes::runes;
use crate::template::value::Value;

pub(super) fn encode(value: &Value) -> Result<Vec<u8>, Limit> {
    let mut out = Buffer::default();
    write_value(&mut out, value)?;
    Ok(out.into_bytes())
}

fn write_value(out: &mut Buffer, value: &Value) -> Result<(), Limit> {
    match value {
        Value::Nil => out.push(b"null"),
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Byte(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&format::json_float(*value)),
        Value::Text(text) => write_text(out, text),
        Value::Time(created) => write_text(out, created.to_rfc3339().as_bytes()),
        Value::List(list) => {
            write_all(out, b"[", list.iter(), |out, text| write_text(out, text))?;
            out.push(b"]")
        }
        Value::Map(map) => {
            write_all(out, b"{", map.iter(), |out, (key, text)| {
                write_text(out, key)?;
                out.push(b":")?;
                write_text(out, text)
            })?;
            out.push(b"}")
        }
        Value::Container(fields) => {
            write_all(out, b"{", fields.iter(), |out, (name, value)| {
                write_text(out, name.as_bytes())?;
                out.push(b":")?;
                write_value(out, value)
            })?;
            out.push(b"}")
        }
    }
}

fn write_all<T>(
    out: &mut Buffer,
    start: &[u8],
    parts: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Buffer, T) -> Result<(), Limit>,
) -> Result<(), Limit> {
    out.push(start)?;
    for (at, part) in parts.enumerate() {
        if at > 0 {
            out.push(b",")?;
        }
        write(out, part)?;
    }
    Ok(())
}

fn write_text(out: &mut Buffer, text: &[u8]) -> Result<(), Limit> {
    out.push(b"\"")?;
    for rune in runes(text) {
        match rune.value {
            None => out.push(b"\\ufffd")?,
            Some('"') => out.push(b"\\\"")?,
            Some('\\') => out.push(b"\\\\")?,
            Some('\x08') => out.push(b"\\b")?,
            Some('\x0c') => out.push(b"\\f")?,
            Some('\n') => out.push(b"\\n")?,
            Some('\r') => out.push(b"\\r")?,
            Some('\t') => out.push(b"\\t")?,
            Some(c @ ('\0'..='\x1f' | '\u{2028}' | '\u{2029}')) => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)))?;
            }
            Some(_) => out.push(rune.bytes)?,
        }
    }
    out.push(b"\"")
}
