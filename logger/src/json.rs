// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Text in JSON as Docker's drivers write it: Go's rules, which differ from
//! those of any Rust library in what is escaped and in what becomes of bytes
//! that are no UTF-8.
//!
//! `<`, `>`, `&` and every control character but DEL are escaped, U+2028 and
//! U+2029 too, `/` never. Each single byte that is not part of valid UTF-8
//! becomes `\ufffd`; a U+FFFD that was written as such stays as it is.

/// How the control characters that JSON has letters for are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// `\b`, `\f`, `\n`, `\r`, `\t`: Go's `encoding/json`.
    Letters,
    /// Only `\n` and `\r`: the lines of Docker's json-file driver.
    LineEnds,
}

/// Appends `text` as it stands between the quotation marks of a JSON string.
pub fn push_text(out: &mut Vec<u8>, text: &[u8], escapes: Escapes) {
    out.reserve(text.len());
    let mut rest = text;
    loop {
        let error = match std::str::from_utf8(rest) {
            Ok(_) => return push_utf8(out, rest, escapes),
            Err(error) => error,
        };
        let (valid, tail) = rest.split_at(error.valid_up_to());
        push_utf8(out, valid, escapes);
        // What follows the first byte of a broken sequence are continuation
        // bytes, each as invalid alone as the sequence is.
        let (broken, tail) = tail.split_at(error.error_len().unwrap_or(tail.len()));
        for _ in broken {
            out.extend_from_slice(b"\\ufffd");
        }
        rest = tail;
    }
}

/// Appends `text` as a JSON string, quotation marks included.
pub fn push_string(out: &mut Vec<u8>, text: &[u8], escapes: Escapes) {
    out.push(b'"');
    push_text(out, text, escapes);
    out.push(b'"');
}

/// Appends `text`, which is valid UTF-8.
fn push_utf8(out: &mut Vec<u8>, text: &[u8], escapes: Escapes) {
    let mut rest = text;
    while let Some(at) = find_special(rest) {
        let (clean, special) = rest.split_at(at);
        out.extend_from_slice(clean);
        let len = push_special(out, special, escapes);
        rest = &special[len..];
    }
    out.extend_from_slice(rest);
}

/// The first byte that may have to be escaped. Whole blocks are looked at
/// without a branch, which the compiler makes few comparisons of; the last one
/// overlaps the one before.
fn find_special(text: &[u8]) -> Option<usize> {
    let is_clean =
        |block: &[u8; BLOCK]| !block.iter().fold(false, |any, &byte| any | is_special(byte));
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let clean = blocks.iter().take_while(|block| is_clean(block)).count() * BLOCK;
    if clean + rest.len() == text.len() && text.last_chunk().is_some_and(is_clean) {
        return None;
    }
    text[clean..].iter().position(|&byte| is_special(byte)).map(|at| clean + at)
}

/// Whether the byte is escaped, or begins a character that may be.
const fn is_special(byte: u8) -> bool {
    (byte < b' ')
        | (byte & !4 == b'"' & b'&')
        | (byte == b'\\')
        | (byte & !2 == b'<' & b'>')
        | (byte == LINE_SEPARATOR[0])
}

/// Appends the special character that `text` begins with; returns how many bytes
/// it has.
fn push_special(out: &mut Vec<u8>, text: &[u8], escapes: Escapes) -> usize {
    let byte = text[0];
    if byte == LINE_SEPARATOR[0] {
        let (escape, len): (&[u8], _) = match text {
            [_, 0x80, 0xa8, ..] => (b"\\u2028", 3),
            [_, 0x80, 0xa9, ..] => (b"\\u2029", 3),
            _ => (&text[..1], 1),
        };
        out.extend_from_slice(escape);
        return len;
    }
    let letter = match (byte, escapes) {
        (b'"' | b'\\', _) => Some(byte),
        (b'\n', _) => Some(b'n'),
        (b'\r', _) => Some(b'r'),
        (b'\t', Escapes::Letters) => Some(b't'),
        (0x08, Escapes::Letters) => Some(b'b'),
        (0x0c, Escapes::Letters) => Some(b'f'),
        _ => None,
    };
    match letter {
        Some(letter) => out.extend_from_slice(&[b'\\', letter]),
        None => {
            let digit = |n: u8| HEX[usize::from(n & 15)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
        }
    }
    1
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// U+2028; U+2029 begins alike.
const LINE_SEPARATOR: [u8; 3] = [0xe2, 0x80, 0xa8];

/// Bytes looked at together: one register of any machine we run on.
const BLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Random;

    fn pushed(text: &[u8], escapes: Escapes) -> String {
        let mut out = Vec::new();
        push_text(&mut out, text, escapes);
        String::from_utf8(out).unwrap()
    }

    /// The same rules, one character at a time, from the characters' side.
    fn slowly(text: &[u8], escapes: Escapes) -> String {
        let mut out = String::new();
        let mut at = 0;
        while at < text.len() {
            let end = (at + 4).min(text.len());
            let found = (at + 1..=end).find_map(|end| std::str::from_utf8(&text[at..end]).ok());
            let Some(c) = found.and_then(|text| text.chars().next()) else {
                out.push_str("\\ufffd");
                at += 1;
                continue;
            };
            at += c.len_utf8();
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' if escapes == Escapes::Letters => out.push_str("\\t"),
                '\u{8}' if escapes == Escapes::Letters => out.push_str("\\b"),
                '\u{c}' if escapes == Escapes::Letters => out.push_str("\\f"),
                '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                _ => out.push(c),
            }
        }
        out
    }

    #[test]
    fn escapes_of_go() {
        for (text, letters, line_ends) in [
            (&b"plain /text\x7f"[..], "plain /text\u{7f}", "plain /text\u{7f}"),
            (b"\"\\", r#"\"\\"#, r#"\"\\"#),
            (b"\n\r\t\x08\x0c", r"\n\r\t\b\f", r"\n\r\u0009\u0008\u000c"),
            (b"\0\x1b<>&", r"\u0000\u001b\u003c\u003e\u0026", r"\u0000\u001b\u003c\u003e\u0026"),
            ("\u{2028}\u{2029}\u{2027}€é".as_bytes(), "\\u2028\\u2029\u{2027}€é", ""),
            ("\u{fffd}".as_bytes(), "\u{fffd}", "\u{fffd}"),
            (b"a\xe2\x82", r"a\ufffd\ufffd", r"a\ufffd\ufffd"),
            (b"\xff\xfeb\x80\xe2", r"\ufffd\ufffdb\ufffd\ufffd", ""),
            (b"\xed\xa0\x80\xc0\xaf", r"\ufffd\ufffd\ufffd\ufffd\ufffd", ""),
        ] {
            assert_eq!(pushed(text, Escapes::Letters), letters);
            let line_ends = if line_ends.is_empty() { letters } else { line_ends };
            assert_eq!(pushed(text, Escapes::LineEnds), line_ends);
        }
        let mut out = Vec::new();
        push_string(&mut out, b"a\"", Escapes::Letters);
        assert_eq!(out, br#""a\"""#);
    }

    #[test]
    fn few_bytes_are_special() {
        let special: Vec<u8> = (0..=255).filter(|&byte| is_special(byte)).collect();
        assert_eq!(special, [&(0..32).collect::<Vec<u8>>()[..], b"\"&<>\\\xe2"].concat());
    }

    #[test]
    fn any_bytes_are_written_as_the_slow_way_writes_them() {
        const WORDS: [&[u8]; 8] = [
            b"a longer piece of plain text",
            b"\xe2\x80\xa8",
            b"\xe2\x80",
            b"\xf0\x9f\x98\x80",
            b"\xc3\xa9",
            b"<>&\"\\",
            b"\t\n\r\x08\x0c\0\x1f\x7f",
            b"\xe2",
        ];
        for seed in 1..4000 {
            let mut random = Random::new(seed);
            let mut text = Vec::new();
            for _ in 0..random.below(12) {
                match random.below(10) {
                    n @ 0..8 => text.extend_from_slice(WORDS[usize::try_from(n).unwrap()]),
                    _ => text.push(random.byte()),
                }
            }
            for escapes in [Escapes::Letters, Escapes::LineEnds] {
                let quick = pushed(&text, escapes);
                assert_eq!(quick, slowly(&text, escapes), "{text:?}");
                let read: String = serde_json::from_str(&format!("\"{quick}\"")).unwrap();
                let lossy: String = text
                    .utf8_chunks()
                    .flat_map(|chunk| {
                        chunk.valid().chars().chain(chunk.invalid().iter().map(|_| '\u{fffd}'))
                    })
                    .collect();
                assert_eq!(read, lossy);
            }
        }
    }
}
