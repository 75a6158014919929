// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Properties that hold for any bytes, for the fuzzer and for the tests.

use std::collections::BTreeMap;

use dockerlogger_manifest::status::{FORMAT, MAGIC, PAGE_BYTES, StatusPage, at};

use crate::driver::{self, Cut, Settings};
use crate::launch::{Launch, parse_options};
use crate::lines::{Flush, Splitter};
use crate::metadata;
use crate::record::Stream;
use crate::ring::{self, Carried};
use crate::status;

/// A promise about bytes that a stranger may send.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Unique; of a driver, that comes first in it.
    pub name: &'static str,
    /// Panics if the promise is broken.
    pub holds: fn(&[u8]),
    /// Bytes that it is likely to care about.
    pub words: &'static [&'static [u8]],
}

/// All of them.
pub fn properties() -> impl Iterator<Item = Property> {
    CORE.iter().copied().chain(driver::properties())
}

/// What text in JSON is likely to care about.
pub(crate) const JSON_WORDS: &[&[u8]] = &[
    b"<",
    b"\"",
    b"\\",
    b"\n",
    "\u{2028}".as_bytes(),
    b"some text, and ",
    "\u{e9}".as_bytes(),
    b"\0",
];

/// What a reader of JSON sees of `text`: U+FFFD for each byte that is no UTF-8.
pub(crate) fn shown_chars(text: &[u8]) -> impl Iterator<Item = char> {
    text.utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().chain(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER))
    })
}

/// What is no driver's.
const CORE: &[Property] = &[
    Property {
        name: "ring-recovery",
        holds: ring_recovery,
        words: &[b"\0\0\0\0\0\0\0\0", b"text"],
    },
    Property {
        name: "status-page",
        holds: status_page,
        words: &[b"dklogsta", b"\0\0\0\0\0\0\0\0", b"text", b"\x1b[0m"],
    },
    Property {
        name: "splitter",
        holds: splitter,
        words: &[b"\n", b"\r\n", b"some text", b"\n\n", b"a line that is rather long"],
    },
    Property {
        name: "options",
        holds: options,
        words: &[
            b"{",
            b"}",
            b"\"",
            b":",
            b",",
            b"\"tag\":\"",
            b"\"mode\":\"blocking\"",
            b"null",
            b"\\u",
        ],
    },
    Property {
        name: "tag",
        holds: tag,
        words: &[b"{{", b"}}", b".ID", b".Name", b" ", b"|", b"\"", b"printf", b"{{.FullID}}"],
    },
    Property {
        name: "metadata",
        // A socket that says anything: refused, or what it says.
        holds: metadata::check_any,
        words: &[b"SUCCESS ", b"NOTFOUND", b"V2 ", b"W10=", b"00000001 ", b" "],
    },
];

/// A ring file: recovery never panics, never leaves the ring's bounds, and finds
/// the same when it looks again. The first half of `bytes` is taken as a file;
/// then all of it as the entries of a file whose header is right.
pub(crate) fn ring_recovery(bytes: &[u8]) {
    let _ = ring::recover(bytes, &mut || {});
    ring::check_recovery(bytes);
}

/// A status page: refused, or read into something that is safe to print.
fn status_page(bytes: &[u8]) {
    let _ = StatusPage::decode(bytes);
    let mut page = bytes.to_vec();
    page.resize(PAGE_BYTES, 0);
    page[at::MAGIC..at::MAGIC + 8].copy_from_slice(&MAGIC.to_le_bytes());
    page[at::FORMAT..at::FORMAT + 4].copy_from_slice(&FORMAT.to_le_bytes());
    let Ok(page) = StatusPage::decode(&page) else { panic!("a page with a right beginning") };
    assert!(page.ring.held <= page.ring.capacity);
    let text = status::text(&page);
    assert!(text.len() < 4 * PAGE_BYTES && !text.contains('\u{1b}'));
    assert!(!status::json(&page).contains('\n'));
}

/// A stream cut into reads at places that `bytes` chooses: its lines and pieces
/// are its bytes again, however it was cut and wherever a successor took over.
fn splitter(bytes: &[u8]) {
    let Some((&[limit, step, hand_over], text)) = bytes.split_first_chunk() else { return };
    let cut = if limit % 2 == 0 { Cut::Bytes } else { Cut::Characters };
    let limit = (16 + usize::from(limit), cut);
    let mut splitter = Splitter::new(Stream::Stdout, limit, Carried::default(), 1);
    let mut out = Vec::new();
    for (n, read) in text.chunks(1 + usize::from(step)).enumerate() {
        if n % (1 + usize::from(hand_over)) == 0 {
            splitter = Splitter::new(Stream::Stdout, limit, splitter.carried(), 1);
        }
        let mut rest = read;
        while let Some(record) = splitter.next_record(&mut rest, 1) {
            assert!(record.text.len() <= limit.0);
            out.extend_from_slice(record.text);
            if record.piece.is_none_or(|piece| piece.last) {
                out.push(b'\n');
            }
        }
        assert!(rest.is_empty());
    }
    while let Some(record) = splitter.flush(1, Flush::Ends) {
        out.extend_from_slice(record.text);
    }
    assert!(out == text, "{} bytes became {}", text.len(), out.len());
}

/// Log options as dockerinit passes them: refused or understood.
fn options(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(mut options) = parse_options("the test", &text) else { return };
    options.entry("syslog-address".to_owned()).or_insert_with(|| "udp://h".to_owned());
    let launch = Launch { options, ..Launch::default() };
    match Settings::parse("syslog", &launch, b"host") {
        Ok(settings) => assert!(settings.generic.buffer_bytes >= 64 << 10),
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
}

/// A tag template: refused or rendered.
fn tag(bytes: &[u8]) {
    let template = String::from_utf8_lossy(bytes).into_owned();
    let options = BTreeMap::from([
        ("syslog-address".to_owned(), "udp://h".to_owned()),
        ("tag".to_owned(), template),
    ]);
    let launch = Launch { options, container_id: "4f1c0e8f5a5d".to_owned(), ..Launch::default() };
    let _ = Settings::parse("syslog", &launch, b"host").map_err(|error| error.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Random;

    /// The words of a property, mixed with any bytes.
    fn input(words: &[&[u8]], seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        let mut bytes = Vec::new();
        for _ in 0..random.below(40) {
            match usize::try_from(random.below(words.len() as u64 + 2)).unwrap() {
                n if n < words.len() => bytes.extend_from_slice(words[n]),
                _ => bytes.push(random.byte()),
            }
        }
        bytes
    }

    #[test]
    fn every_property_holds() {
        let mut names = Vec::new();
        for Property { name, holds, words } in properties() {
            println!("{name}");
            (1..1500).for_each(|seed| holds(&input(words, seed)));
            (1..150).for_each(|seed| holds(&input(words, seed).repeat(9)));
            (1..15).for_each(|seed| holds(&input(words, seed).repeat(300)));
            (1..150).for_each(|seed| holds(&input(&[], seed).repeat(9)));
            names.push(name);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
        for driver in driver::zone_drivers() {
            assert!(names.iter().any(|name| name.starts_with(&driver)), "nothing about {driver}");
        }
    }
}
