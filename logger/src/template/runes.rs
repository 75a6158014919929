// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Text as Go sees it: bytes that are mostly UTF-8.

/// One step of a walk over a string: a character, or a byte that is part of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rune<'a> {
    /// Absent for a byte that is not UTF-8.
    pub(super) value: Option<char>,
    /// The bytes it stands for.
    pub(super) bytes: &'a [u8],
}

/// The characters of `bytes`; each byte that is not UTF-8 comes alone.
pub(super) fn runes(bytes: &[u8]) -> impl Iterator<Item = Rune<'_>> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let text = chunk.valid();
        let valid = text
            .char_indices()
            .map(|(at, c)| Rune { value: Some(c), bytes: &text.as_bytes()[at..at + c.len_utf8()] });
        valid.chain(chunk.invalid().chunks(1).map(|bytes| Rune { value: None, bytes }))
    })
}

/// Every character mapped; what is no character becomes U+FFFD.
pub(super) fn map_runes(bytes: &[u8], mut map: impl FnMut(char) -> char) -> Vec<u8> {
    let mapped: String =
        runes(bytes).map(|rune| map(rune.value.unwrap_or(char::REPLACEMENT_CHARACTER))).collect();
    mapped.into_bytes()
}

/// Go's upper case: one character stays one, so `ß` stays as it is.
pub(super) fn upper(c: char) -> char {
    match c {
        // Greek with iota: the one-to-one mapping of Unicode is the title case form.
        '\u{1f80}'..='\u{1faf}' => char::from_u32(u32::from(c) | 8).unwrap_or(c),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(u32::from(c) + 9).unwrap_or(c),
        _ => single(c.to_uppercase()).unwrap_or(c),
    }
}

/// Go's lower case, one to one.
pub(super) fn lower(c: char) -> char {
    match c {
        '\u{130}' => 'i',
        _ => single(c.to_lowercase()).unwrap_or(c),
    }
}

/// Whether Go counts it as printable: letters, marks, numbers, punctuation,
/// symbols and the ASCII space.
pub(super) fn is_print(c: char) -> bool {
    match c {
        ' '..='~' => true,
        _ if c.is_ascii() => false,
        // The standard library's escapes follow the same definition, but for
        // marks at the start of a string.
        _ => !format!("a{c}").escape_debug().any(|escaped| escaped == '\\'),
    }
}

fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    match (mapped.next(), mapped.next()) {
        (one, None) => one,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_characters_come_one_by_one() {
        let walked: Vec<_> = runes(b"a\xe2\x82\xc3\xa9\xff").map(|rune| rune.value).collect();
        assert_eq!(walked, [Some('a'), None, None, Some('é'), None]);
        assert_eq!(map_runes(b"\xe2\x82x", upper), "\u{fffd}\u{fffd}X".as_bytes());
    }

    #[test]
    fn case_maps_one_to_one() {
        for (c, expected) in [('a', 'A'), ('ß', 'ß'), ('é', 'É'), ('ᾳ', 'ᾼ'), ('ᾀ', 'ᾈ')]
        {
            assert_eq!(upper(c), expected, "{c}");
        }
        assert_eq!((lower('İ'), lower('Σ'), lower('É')), ('i', 'σ', 'é'));
    }

    #[test]
    fn printable_is_what_go_says() {
        for (c, expected) in [
            ('a', true),
            (' ', true),
            ('\u{7f}', false),
            ('\u{a0}', false),
            ('é', true),
            ('\u{301}', true),
            ('\u{200b}', false),
            ('\u{fffd}', true),
            ('世', true),
            ('\u{3000}', false),
            ('"', true),
        ] {
            assert_eq!(is_print(c), expected, "{c:?}");
        }
    }
}
