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
    if is_ascii(text) {
        return push_utf8(out, text, escapes);
    }
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

/// As the method of slices, which looks at the last bytes one by one.
fn is_ascii(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<BLOCK>() else { return text.is_ascii() };
    let (blocks, _) = text.as_chunks::<BLOCK>();
    blocks.iter().chain([last]).all(|block| block.iter().fold(0, |all, byte| all | byte) < 0x80)
}

/// Appends `text`, which is valid UTF-8.
fn push_utf8(out: &mut Vec<u8>, text: &[u8], escapes: Escapes) {
    let mut writer = Writer { out, text, start: 0, escapes: escapes.table() };
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (n, block) in blocks.iter().enumerate() {
        writer.escape(n * BLOCK, block, 0);
    }
    match text.last_chunk::<BLOCK>() {
        // Again the end of the block before.
        Some(block) => writer.escape(text.len() - BLOCK, block, BLOCK - rest.len()),
        None => {
            for (at, &byte) in rest.iter().enumerate() {
                if is_special(byte) {
                    writer.push_special(at);
                }
            }
        }
    }
    writer.copy_to(text.len());
}

/// Text on its way, of which the front was appended.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    text: &'a [u8],
    /// Where what was not appended begins.
    start: usize,
    escapes: &'static [Escape; 128],
}

impl Writer<'_> {
    /// Escapes what is special in `block`, which begins at `at` in the text,
    /// behind its first `done` bytes. All bytes are looked at without a branch,
    /// of which the compiler makes few comparisons; then eight answers at a time.
    #[inline(always)]
    fn escape(&mut self, at: usize, block: &[u8; BLOCK], done: usize) {
        let mut flags = [0; BLOCK];
        for (flag, &byte) in flags.iter_mut().zip(block) {
            *flag = u8::from(is_special(byte));
        }
        for (n, word) in flags.as_chunks::<8>().0.iter().enumerate().skip(done / 8) {
            let mut found = u64::from_le_bytes(*word);
            if n == done / 8 {
                found &= u64::MAX << (done % 8 * 8);
            }
            while found != 0 {
                self.push_special(at + n * 8 + found.trailing_zeros() as usize / 8);
                found &= found - 1;
            }
        }
    }

    /// Appends everything before `at`, and the special character there.
    #[inline(always)]
    fn push_special(&mut self, at: usize) {
        let byte = self.text[at];
        if byte == LINE_SEPARATOR[0] {
            let escape = match self.text[at..] {
                [_, 0x80, 0xa8, ..] => b"\\u2028",
                [_, 0x80, 0xa9, ..] => b"\\u2029",
                _ => return,
            };
            self.copy_to(at);
            self.out.extend_from_slice(escape);
            self.start = at + LINE_SEPARATOR.len();
            return;
        }
        self.copy_to(at);
        let escape = &self.escapes[usize::from(byte & 0x7f)];
        push_front(self.out, &escape.bytes, escape.len.into());
        self.start = at + 1;
    }

    /// Appends what stands before `end`.
    #[inline(always)]
    fn copy_to(&mut self, end: usize) {
        let rest = &self.text[self.start..];
        let len = end - self.start;
        match rest.first_chunk::<SHORT>() {
            Some(block) if len <= SHORT => push_front(self.out, block, len),
            _ => self.out.extend_from_slice(&rest[..len]),
        }
    }
}

/// Appends the first `len` bytes of a few: to copy all and forget some is less
/// work than to copy a number that only the machine knows.
#[inline(always)]
pub(crate) fn push_front<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

/// Whether the byte is escaped, or begins a character that may be.
const fn is_special(byte: u8) -> bool {
    (byte < b' ')
        | (byte & !4 == b'"' & b'&')
        | (byte == b'\\')
        | (byte & !2 == b'<' & b'>')
        | (byte == LINE_SEPARATOR[0])
}

/// What stands for a character of ASCII.
#[derive(Debug, Clone, Copy)]
struct Escape {
    bytes: [u8; 8],
    /// How many of `bytes`.
    len: u8,
}

impl Escapes {
    const fn table(self) -> &'static [Escape; 128] {
        const LETTERS: &[Escape; 128] = &Escapes::Letters.escapes();
        const LINE_ENDS: &[Escape; 128] = &Escapes::LineEnds.escapes();
        match self {
            Self::Letters => LETTERS,
            Self::LineEnds => LINE_ENDS,
        }
    }

    const fn escapes(self) -> [Escape; 128] {
        let mut all = [Escape { bytes: [0; 8], len: 0 }; 128];
        let mut byte = 0;
        while byte < 128 {
            all[byte as usize] = self.escape(byte);
            byte += 1;
        }
        all
    }

    const fn escape(self, byte: u8) -> Escape {
        let letter = match (byte, self) {
            (b'"' | b'\\', _) => byte,
            (b'\n', _) => b'n',
            (b'\r', _) => b'r',
            (b'\t', Self::Letters) => b't',
            (0x08, Self::Letters) => b'b',
            (0x0c, Self::Letters) => b'f',
            _ => {
                let (high, low) = (HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]);
                return Escape { bytes: [b'\\', b'u', b'0', b'0', high, low, 0, 0], len: 6 };
            }
        };
        Escape { bytes: [b'\\', letter, 0, 0, 0, 0, 0, 0], len: 2 }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// U+2028; U+2029 begins alike.
const LINE_SEPARATOR: [u8; 3] = [0xe2, 0x80, 0xa8];

/// Bytes looked at together. With fewer the compiler looks at each alone.
const BLOCK: usize = 64;

/// Bytes between two special ones that are copied without a look at how many.
const SHORT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::shown_chars;
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
            for _ in 0..random.below(30) {
                match random.below(10) {
                    n @ 0..8 => text.extend_from_slice(WORDS[usize::try_from(n).unwrap()]),
                    _ => text.push(random.byte()),
                }
            }
            for escapes in [Escapes::Letters, Escapes::LineEnds] {
                let quick = pushed(&text, escapes);
                assert_eq!(quick, slowly(&text, escapes), "{text:?}");
                let read: String = serde_json::from_str(&format!("\"{quick}\"")).unwrap();
                let lossy: String = shown_chars(&text).collect();
                assert_eq!(read, lossy);
            }
        }
    }
}
