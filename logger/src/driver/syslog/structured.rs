// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Structured data (RFC 5424 section 6.3): the container's attributes, and which
//! piece of a line a message is. An extension; Docker always sends `-`.
//!
//! One element, `docker@38678`: the number is Triton's among IANA's private
//! enterprise numbers.

use std::collections::BTreeMap;

use crate::local_time::push_padded;
use crate::record::Piece;

/// Renders the element of each message.
#[derive(Debug)]
pub(crate) struct StructuredData {
    /// What does not change: a parameter for each attribute.
    parameters: Vec<u8>,
}

impl StructuredData {
    pub(crate) fn new(attributes: &BTreeMap<String, String>) -> Self {
        let mut parameters = Vec::new();
        let mut names: Vec<Vec<u8>> = PIECE_NAMES.map(<[u8]>::to_vec).into();
        for (key, value) in attributes {
            let name = name_of(key, &names);
            push_parameter(&mut parameters, &name, value.as_bytes());
            names.push(name);
        }
        Self { parameters }
    }

    /// Appends the element, or the sign for none.
    pub(crate) fn push(&self, piece: Option<Piece>, out: &mut Vec<u8>) {
        if self.parameters.is_empty() && piece.is_none() {
            out.push(b'-');
            return;
        }
        out.extend_from_slice(b"[docker@38678");
        out.extend_from_slice(&self.parameters);
        if let Some(Piece { id, ordinal, last }) = piece {
            let [id_name, ordinal_name, last_name] = PIECE_NAMES;
            push_parameter(out, id_name, format!("{id:016x}").as_bytes());
            let mut digits = Vec::new();
            push_padded(&mut digits, ordinal.into(), 1, b'0');
            push_parameter(out, ordinal_name, &digits);
            push_parameter(out, last_name, if last { b"true" } else { b"false" });
        }
        out.push(b']');
    }
}

/// A name as the standard wants it: 1–32 printable characters of ASCII, without
/// `=`, space, `]` and `"`. Of a longer key the end stays, which says more than
/// the beginning; what is the same then as one of `taken` gets a number.
fn name_of(key: &str, taken: &[Vec<u8>]) -> Vec<u8> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let all: Vec<u8> = key.bytes().map(|byte| if fits(byte) { byte } else { b'_' }).collect();
    let all = if all.is_empty() { b"_".to_vec() } else { all };
    let end = |max: usize| &all[all.len().saturating_sub(max)..];
    let mut name = end(NAME_MAX).to_vec();
    let mut number = 2;
    while taken.contains(&name) {
        let mark = format!("~{number}");
        name = [end(NAME_MAX - mark.len()), mark.as_bytes()].concat();
        number += 1;
    }
    name
}

/// RFC 5424 section 6.3.3. A control character would be allowed, but a newline
/// ends a message where nothing counts its bytes.
fn push_parameter(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(b' ');
    out.extend_from_slice(name);
    out.extend_from_slice(b"=\"");
    for &byte in value {
        match byte {
            b'"' | b'\\' | b']' => out.extend_from_slice(&[b'\\', byte]),
            byte if byte.is_ascii_control() => out.push(b'_'),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Ours, so that no attribute may have them.
const PIECE_NAMES: [&[u8]; 3] = [b"partial_id", b"partial_ordinal", b"partial_last"];

/// The longest name, in bytes.
const NAME_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(attributes: &[(&str, &str)], piece: Option<Piece>) -> String {
        let attributes = attributes.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut out = Vec::new();
        StructuredData::new(&attributes).push(piece, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn elements() {
        assert_eq!(rendered(&[], None), "-");
        let piece = Some(Piece { id: 0xab, ordinal: 12, last: true });
        let partial = r#" partial_id="00000000000000ab" partial_ordinal="12" partial_last="true"]"#;
        assert_eq!(rendered(&[], piece), format!("[docker@38678{partial}"));
        assert_eq!(
            rendered(&[("tier", "web"), ("APP", "")], piece),
            format!(r#"[docker@38678 APP="" tier="web"{partial}"#)
        );
    }

    #[test]
    fn values_are_escaped_and_have_no_control_characters() {
        assert_eq!(
            rendered(&[("k", "a\"]\\\n\r\0é=")], None),
            r#"[docker@38678 k="a\"\]\\___é="]"#
        );
    }

    #[test]
    fn names_are_short_and_plain_and_their_own() {
        assert_eq!(
            rendered(&[("", "1"), ("a b", "2"), ("a=b", "3"), ("é\"]\n", "4")], None),
            r#"[docker@38678 _="1" a_b="2" a_b~2="3" _____="4"]"#
        );
        assert_eq!(rendered(&[("partial_id", "x")], None), r#"[docker@38678 partial_id~2="x"]"#);
        let long = |n| format!("{n}.com.docker.compose.project.working_dir");
        assert_eq!(
            rendered(&[(&long(1), "1"), (&long(2), "2")], None),
            r#"[docker@38678 cker.compose.project.working_dir="1" er.compose.project.working_dir~2="2"]"#
        );
    }
}
