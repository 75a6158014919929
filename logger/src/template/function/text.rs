// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Docker's functions on texts.

use std::sync::Arc;

use crate::template::buffer::Buffer;
use crate::template::error::Fault;
use crate::template::error::Limit;
use crate::template::runes;
use crate::template::value::Bytes;
use crate::template::value::Value;

/// The pieces between separators; without a separator, the characters.
pub(super) fn split(text: &[u8], separator: &[u8]) -> Value {
    if separator.is_empty() {
        return Value::list(runes::runes(text).map(|rune| rune.bytes));
    }
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut rest = text;
    while let Some(len) = find(rest, separator) {
        pieces.push(Arc::from(&rest[..len]));
        rest = &rest[len + separator.len()..];
    }
    pieces.push(Arc::from(rest));
    Value::List(pieces.into())
}

pub(super) fn join(list: &[Bytes], separator: &[u8]) -> Result<Value, Limit> {
    let mut out = Buffer::default();
    for (at, text) in list.iter().enumerate() {
        if at > 0 {
            out.push(separator)?;
        }
        out.push(text)?;
    }
    Ok(Value::text(out.into_bytes()))
}

/// Every word's first letter in upper case.
pub(super) fn title(text: &[u8]) -> Value {
    let mut previous = ' ';
    Value::text(runes::map_runes(text, |c| {
        let mapped = if is_separator(previous) { runes::upper(c) } else { c };
        previous = c;
        mapped
    }))
}

fn is_separator(c: char) -> bool {
    if c.is_ascii() { !c.is_ascii_alphanumeric() && c != '_' } else { c.is_whitespace() }
}

pub(super) fn lower(text: &[u8]) -> Value {
    Value::text(runes::map_runes(text, runes::lower))
}

pub(super) fn upper(text: &[u8]) -> Value {
    Value::text(runes::map_runes(text, runes::upper))
}

/// Spaces before and after, unless there is nothing between them.
pub(super) fn pad(text: &[u8], before: i64, after: i64) -> Result<Value, Fault> {
    if text.is_empty() {
        return Ok(Value::text(""));
    }
    let times = |count: i64| {
        if count < 0 {
            return Err(Fault::from("strings: negative Repeat count"));
        }
        usize::try_from(count).map_err(|_| Fault::from(Limit::Output))
    };
    let mut out = Buffer::default();
    out.fill(b' ', times(before)?)?;
    out.push(text)?;
    out.fill(b' ', times(after)?)?;
    Ok(Value::text(out.into_bytes()))
}

/// The first `len` bytes.
pub(super) fn truncate(text: &Bytes, len: i64) -> Result<Value, Fault> {
    match usize::try_from(len) {
        Ok(len) => Ok(Value::Text(text.get(..len).map_or_else(|| text.clone(), Arc::from))),
        Err(_) if len < 0 => {
            Err(format!("runtime error: slice bounds out of range [:{len}]").into())
        }
        Err(_) => Ok(Value::Text(text.clone())),
    }
}

/// Where `needle`, which is not empty, starts.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}
