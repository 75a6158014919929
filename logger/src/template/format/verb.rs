// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One value by one verb.

use super::float;
use super::integer;
use super::quote;
use crate::template::buffer::Buffer;
use crate::template::error::Limit;
use crate::template::runes::runes;
use crate::template::value::Value;

/// What stands between `%` and the verb.
#[derive(Debug, Clone, Default)]
pub(super) struct Spec {
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`: with field names.
    pub(super) plus_v: bool,
    /// `%#v`: as Go source.
    pub(super) sharp_v: bool,
    /// Characters.
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

impl Spec {
    pub(super) fn flag(&mut self, byte: u8) -> Option<&mut bool> {
        match byte {
            b'-' => Some(&mut self.minus),
            b'+' => Some(&mut self.plus),
            b'#' => Some(&mut self.sharp),
            b' ' => Some(&mut self.space),
            b'0' => Some(&mut self.zero),
            _ => None,
        }
    }

    /// For the verb `v` two flags mean something else.
    pub(super) fn for_values(&mut self) {
        self.sharp_v = std::mem::take(&mut self.sharp);
        self.plus_v = std::mem::take(&mut self.plus);
    }

    /// Writes `text` to the width, zeros on the left if they were asked for.
    pub(super) fn pad(&self, out: &mut Buffer, text: &[u8]) -> Result<(), Limit> {
        let len = self.width.map_or(0, |_| runes(text).count());
        let missing = self.width.map_or(0, |width| width.saturating_sub(len));
        if self.minus {
            out.push(text)?;
            return out.fill(b' ', missing);
        }
        out.fill(if self.zero { b'0' } else { b' ' }, missing)?;
        out.push(text)
    }
}

/// `value` by `verb`, or the complaint that Go writes in its place.
pub(super) fn write_value(
    out: &mut Buffer,
    spec: &Spec,
    verb: char,
    value: &Value,
) -> Result<(), Limit> {
    if verb == 'T' {
        return write_text(out, spec, 's', value.type_name().as_bytes()).map(|_| ());
    }
    let written = match value {
        Value::Nil if verb == 'v' => spec.pad(out, b"<nil>").map(|()| true)?,
        Value::Nil => false,
        Value::Bool(value) if matches!(verb, 'v' | 't') => {
            spec.pad(out, value.to_string().as_bytes()).map(|()| true)?
        }
        Value::Bool(_) => false,
        Value::Int(value) => integer::write_int(out, spec, verb, *value)?,
        Value::Byte(value) => integer::write_byte(out, spec, verb, *value)?,
        Value::Float(value) => float::write_float(out, spec, verb, *value)?,
        Value::Text(text) => write_text(out, spec, verb, text)?,
        Value::Time(created) => write_text(out, spec, verb, created.to_go().as_bytes())?,
        Value::List(_) | Value::Map(_) if verb == 'p' => false,
        Value::List(list) => {
            let parts = list.iter().map(|text| (None, Value::Text(text.clone())));
            write_parts(out, spec, verb, ("", "[]string"), parts)?;
            true
        }
        Value::Map(map) => {
            let parts = map
                .iter()
                .map(|(key, value)| (Some(Value::Text(key.clone())), Value::Text(value.clone())));
            write_parts(out, spec, verb, ("map", "map[string]string"), parts)?;
            true
        }
        Value::Container(fields) => {
            out.push(b"&")?;
            write_container(out, spec, verb, fields)?;
            true
        }
    };
    if written { Ok(()) } else { complain(out, spec, verb, value) }
}

/// The container's fields in braces.
pub(super) fn write_container(
    out: &mut Buffer,
    spec: &Spec,
    verb: char,
    fields: &[(&'static str, Value)],
) -> Result<(), Limit> {
    out.push(if spec.sharp_v { b"logger.Info{" } else { b"{" })?;
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(if spec.sharp_v { b", " } else { b" " })?;
        }
        if spec.plus_v || spec.sharp_v {
            out.push_str(name)?;
            out.push(b":")?;
        }
        write_value(out, spec, verb, value)?;
    }
    out.push(b"}")
}

fn write_parts(
    out: &mut Buffer,
    spec: &Spec,
    verb: char,
    (name, go_type): (&str, &str),
    parts: impl Iterator<Item = (Option<Value>, Value)>,
) -> Result<(), Limit> {
    let (start, separator, end) = if spec.sharp_v { ("{", ", ", "}") } else { ("[", " ", "]") };
    out.push_str(if spec.sharp_v { go_type } else { name })?;
    out.push_str(start)?;
    for (at, (key, value)) in parts.enumerate() {
        if at > 0 {
            out.push_str(separator)?;
        }
        if let Some(key) = key {
            write_value(out, spec, verb, &key)?;
            out.push(b":")?;
        }
        write_value(out, spec, verb, &value)?;
    }
    out.push_str(end)
}

fn complain(out: &mut Buffer, spec: &Spec, verb: char, value: &Value) -> Result<(), Limit> {
    out.push_str(&format!("%!{verb}("))?;
    if matches!(value, Value::Nil) {
        out.push_str("<nil>")?;
    } else {
        out.push_str(value.type_name())?;
        out.push(b"=")?;
        write_value(out, spec, 'v', value)?;
    }
    out.push(b")")
}

/// Whether texts have such a verb.
fn write_text(out: &mut Buffer, spec: &Spec, verb: char, text: &[u8]) -> Result<bool, Limit> {
    match verb {
        'v' if spec.sharp_v => spec.pad(out, &quote::quote(truncate(spec, text), '"', false))?,
        'v' | 's' => spec.pad(out, truncate(spec, text))?,
        'q' => {
            let text = truncate(spec, text);
            if spec.sharp && quote::can_backquote(text) {
                spec.pad(out, &[b"`", text, b"`"].concat())?;
            } else {
                spec.pad(out, &quote::quote(text, '"', spec.plus))?;
            }
        }
        'x' | 'X' => write_hexadecimal(out, spec, verb, text)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// At most as many characters as the precision says.
fn truncate<'a>(spec: &Spec, text: &'a [u8]) -> &'a [u8] {
    let Some(precision) = spec.precision else { return text };
    let len: usize = runes(text).take(precision).map(|rune| rune.bytes.len()).sum();
    &text[..len]
}

fn write_hexadecimal(out: &mut Buffer, spec: &Spec, verb: char, text: &[u8]) -> Result<(), Limit> {
    let text = &text[..spec.precision.map_or(text.len(), |precision| precision.min(text.len()))];
    let prefix = if verb == 'X' { "0X" } else { "0x" };
    let mut digits = Buffer::default();
    for (at, byte) in text.iter().enumerate() {
        if spec.space && at > 0 {
            digits.push(b" ")?;
        }
        if spec.sharp && (spec.space || at == 0) {
            digits.push_str(prefix)?;
        }
        let byte = if verb == 'X' { format!("{byte:02X}") } else { format!("{byte:02x}") };
        digits.push_str(&byte)?;
    }
    spec.pad(out, digits.as_bytes())
}
