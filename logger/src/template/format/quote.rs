// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Quoted text, as in Go source.

use crate::template::runes::is_print;
use crate::template::runes::runes;

/// `text` in quotes and with escapes; `ascii`: nothing but ASCII.
pub(super) fn quote(text: &[u8], quote: char, ascii: bool) -> Vec<u8> {
    let mut quoted = String::from(quote);
    for rune in runes(text) {
        match rune.value {
            None => quoted.extend(rune.bytes.iter().map(|byte| format!("\\x{byte:02x}"))),
            Some(c) if c == quote || c == '\\' => quoted.extend(['\\', c]),
            Some(c) if (c.is_ascii() || !ascii) && is_print(c) => quoted.push(c),
            Some(c) => escape(c, &mut quoted),
        }
    }
    quoted.push(quote);
    quoted.into_bytes()
}

fn escape(c: char, to: &mut String) {
    let code = u32::from(c);
    match c {
        '\x07' => to.push_str("\\a"),
        '\x08' => to.push_str("\\b"),
        '\x0c' => to.push_str("\\f"),
        '\n' => to.push_str("\\n"),
        '\r' => to.push_str("\\r"),
        '\t' => to.push_str("\\t"),
        '\x0b' => to.push_str("\\v"),
        _ if c < ' ' || c == '\x7f' => to.push_str(&format!("\\x{code:02x}")),
        _ if code < 0x1_0000 => to.push_str(&format!("\\u{code:04x}")),
        _ => to.push_str(&format!("\\U{code:08x}")),
    }
}

/// Whether `text` can stand between backquotes.
pub(super) fn can_backquote(text: &[u8]) -> bool {
    runes(text).all(|rune| match rune.value {
        None | Some('\u{feff}' | '`' | '\x7f') => false,
        Some(c) => c >= ' ' || c == '\t',
    })
}
