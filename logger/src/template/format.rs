// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Values as text, as Go's package `fmt` prints them.
//!
//! Different from Go: floats have no `%b`, `%x`; a time is a text for every
//! verb that texts have and has no other; `%p` is never right.

mod float;
mod integer;
mod quote;
mod verb;

pub(super) use self::float::json_float;

use super::buffer::Buffer;
use super::error::Limit;
use super::value::Value;

use self::verb::Spec;
use self::verb::write_value;

/// Largest width or precision that Go reads.
const NUMBER_MAX: usize = 1_000_000;

/// `print`: a space between two values of which neither is a text.
pub(super) fn print(values: &[Value]) -> Result<Vec<u8>, Limit> {
    let mut out = Buffer::default();
    let mut after_text = true;
    for value in values {
        let is_text = matches!(value, Value::Text(_));
        if !is_text && !after_text {
            out.push(b" ")?;
        }
        write_value(&mut out, &Spec::default(), 'v', value)?;
        after_text = is_text;
    }
    Ok(out.into_bytes())
}

/// `println`: spaces between all, and a newline.
pub(super) fn print_line(values: &[Value]) -> Result<Vec<u8>, Limit> {
    let mut out = Buffer::default();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(b" ")?;
        }
        write_value(&mut out, &Spec::default(), 'v', value)?;
    }
    out.push(b"\n")?;
    Ok(out.into_bytes())
}

/// What an action or an escaping function prints: what is missing is said, and
/// the container is no pointer.
pub(super) fn print_action(out: &mut Buffer, value: &Value) -> Result<(), Limit> {
    match value {
        Value::Nil => out.push_str("<no value>"),
        Value::Text(text) => out.push(text),
        Value::Container(fields) => verb::write_container(out, &Spec::default(), 'v', fields),
        _ => write_value(out, &Spec::default(), 'v', value),
    }
}

/// `printf`.
pub(super) fn print_format(format: &[u8], values: &[Value]) -> Result<Vec<u8>, Limit> {
    let mut printer = Printer {
        format,
        at: 0,
        values,
        argument: 0,
        reordered: false,
        good_index: true,
        out: Buffer::default(),
    };
    while printer.at < format.len() {
        let literal = &format[printer.at..];
        let len = literal.iter().position(|&byte| byte == b'%').unwrap_or(literal.len());
        printer.out.push(&literal[..len])?;
        printer.at += len + 1;
        if len < literal.len() {
            printer.directive()?;
        }
    }
    if !printer.reordered && printer.argument < values.len() {
        printer.extra()?;
    }
    Ok(printer.out.into_bytes())
}

struct Printer<'a> {
    format: &'a [u8],
    /// Next byte of the format.
    at: usize,
    values: &'a [Value],
    /// Next value.
    argument: usize,
    /// Whether an index `[n]` was seen.
    reordered: bool,
    /// Whether the indices of this directive are right.
    good_index: bool,
    out: Buffer,
}

impl Printer<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// After `%`.
    fn directive(&mut self) -> Result<(), Limit> {
        self.good_index = true;
        let mut spec = Spec::default();
        while let Some(flag) = self.peek().and_then(|byte| spec.flag(byte)) {
            *flag = true;
            self.at += 1;
        }
        let mut after_index = self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.int_argument() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)")?,
            }
            after_index = false;
        } else {
            spec.width = self.number();
            self.good_index &= !(after_index && spec.width.is_some());
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.good_index &= !after_index;
            after_index = self.index();
            if self.peek() == Some(b'*') {
                self.at += 1;
                spec.precision = self.int_argument().and_then(|value| usize::try_from(value).ok());
                if spec.precision.is_none() {
                    self.out.push_str("%!(BADPREC)")?;
                }
                after_index = false;
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !after_index {
            self.index();
        }
        self.verb(spec)
    }

    fn verb(&mut self, mut spec: Spec) -> Result<(), Limit> {
        let Some(rune) = super::runes::runes(&self.format[self.at.min(self.format.len())..]).next()
        else {
            return self.out.push_str("%!(NOVERB)");
        };
        self.at += rune.bytes.len();
        let verb = rune.value.unwrap_or(char::REPLACEMENT_CHARACTER);
        if verb == '%' {
            return self.out.push(b"%");
        }
        let values = self.values;
        let wrong = if self.good_index { "(MISSING)" } else { "(BADINDEX)" };
        match values.get(self.argument).filter(|_| self.good_index) {
            Some(value) => {
                self.argument += 1;
                if verb == 'v' {
                    spec.for_values();
                }
                write_value(&mut self.out, &spec, verb, value)
            }
            None => self.out.push_str(&format!("%!{verb}{wrong}")),
        }
    }

    /// Decimal digits; too many of them end the format, as in Go.
    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut number = 0;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            number = number * 10 + usize::from(digit - b'0');
            if number > NUMBER_MAX {
                self.at = self.format.len();
                return None;
            }
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }

    /// A value that is to be a width or a precision.
    fn int_argument(&mut self) -> Option<i64> {
        let value = self.values.get(self.argument)?;
        self.argument += 1;
        let number = match value {
            Value::Int(value) => *value,
            Value::Byte(value) => i64::from(*value),
            _ => return None,
        };
        usize::try_from(number.unsigned_abs()).ok().filter(|&size| size <= NUMBER_MAX)?;
        Some(number)
    }

    /// `[n]`: which value comes next, from 1. Whether there was one.
    fn index(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let rest = &self.format[self.at + 1..];
        let Some(len) = rest.iter().position(|&byte| byte == b']') else {
            self.good_index = false;
            self.at += 1;
            return false;
        };
        self.at += len + 2;
        let digits = std::str::from_utf8(&rest[..len]).ok();
        let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|text| text.parse::<usize>().ok()) {
            Some(index) if (1..=self.values.len()).contains(&index) => self.argument = index - 1,
            _ => self.good_index = false,
        }
        true
    }

    /// Values that the format does not mention.
    fn extra(&mut self) -> Result<(), Limit> {
        self.out.push_str("%!(EXTRA ")?;
        for (at, value) in self.values[self.argument..].iter().enumerate() {
            if at > 0 {
                self.out.push(b", ")?;
            }
            if !matches!(value, Value::Nil) {
                self.out.push_str(value.type_name())?;
                self.out.push(b"=")?;
            }
            write_value(&mut self.out, &Spec::default(), 'v', value)?;
        }
        self.out.push(b")")
    }
}
