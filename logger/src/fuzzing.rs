// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Properties that hold for any bytes, for the fuzzer and for the tests.
//!
//! Each takes what a stranger may send and panics if a promise is broken.

mod syslog;

pub use syslog::{address, severity, structured_data, syslog};

use std::collections::BTreeMap;

use dockerlogger_manifest::status::{FORMAT, MAGIC, PAGE_BYTES, StatusPage, at};

use crate::driver::{Cut, Settings, fluentd, gelf, json_file};
use crate::launch::{Launch, parse_options};
use crate::lines::{Flush, Splitter};
use crate::metadata;
use crate::record::Stream;
use crate::ring::{self, Carried};
use crate::status;

/// A ring file: recovery never panics, never leaves the ring's bounds, and finds
/// the same when it looks again. The first half of `bytes` is taken as a file;
/// then all of it as the entries of a file whose header is right.
pub fn ring_recovery(bytes: &[u8]) {
    let _ = ring::recover(bytes, &mut || {});
    ring::check_recovery(bytes);
}

/// A status page: refused, or read into something that is safe to print.
pub fn status_page(bytes: &[u8]) {
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
pub fn splitter(bytes: &[u8]) {
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
pub fn config(bytes: &[u8]) {
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
pub fn tag(bytes: &[u8]) {
    let template = String::from_utf8_lossy(bytes).into_owned();
    let options = BTreeMap::from([
        ("syslog-address".to_owned(), "udp://h".to_owned()),
        ("tag".to_owned(), template),
    ]);
    let launch = Launch { options, container_id: "4f1c0e8f5a5d".to_owned(), ..Launch::default() };
    let _ = Settings::parse("syslog", &launch, b"host").map_err(|error| error.to_string());
}

/// Lines of any bytes as Fluentd's events: each can be read back.
pub fn fluentd_encoder(bytes: &[u8]) {
    fluentd::properties::encoder(bytes);
}

/// A Fluentd server that says anything: confirmations count for what was sent, and
/// never more.
pub fn fluentd_answers(bytes: &[u8]) {
    fluentd::properties::answers(bytes);
}

/// Any text and any label as GELF, compressed or not: one message, which reads back
/// as what went in.
pub fn gelf(bytes: &[u8]) {
    gelf::properties::message(bytes);
}

/// Any record in chunks of any size: the record again.
pub fn gelf_chunks(bytes: &[u8]) {
    gelf::properties::chunks(bytes);
}

/// Any text and any label as a line of json-file: one line, which reads back as
/// what went in.
pub fn json_file(bytes: &[u8]) {
    json_file::properties::line(bytes);
}

/// A metadata socket that says anything: refused, or what it says.
pub fn metadata(bytes: &[u8]) {
    metadata::check_any(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Random;

    /// Bytes that a property is likely to care about, mixed with any.
    fn inputs(words: &'static [&'static str], runs: u64) -> impl Iterator<Item = Vec<u8>> {
        (1..runs).map(move |seed| {
            let mut random = Random::new(seed);
            let mut bytes = Vec::new();
            for _ in 0..random.below(40) {
                match random.below(words.len() as u64 + 2) {
                    n if n < words.len() as u64 => {
                        bytes.extend_from_slice(words[usize::try_from(n).unwrap()].as_bytes());
                    }
                    _ => bytes.push(random.byte()),
                }
            }
            bytes
        })
    }

    #[test]
    fn any_page() {
        inputs(&["dklogsta", "\0\0\0\0\0\0\0\0", "text", "\u{1b}[0m"], 1500)
            .for_each(|bytes| status_page(&bytes.repeat(100)));
    }

    #[test]
    fn any_stream() {
        inputs(&["\n", "\r\n", "some text", "\n\n", "a line that is rather long"], 3000)
            .for_each(|bytes| splitter(&bytes));
    }

    #[test]
    fn any_options() {
        let words =
            &["{", "}", "\"", ":", ",", "\"tag\":\"", "\"mode\":\"blocking\"", "null", "\\u"];
        inputs(words, 1500).for_each(|bytes| config(&bytes));
    }

    #[test]
    fn any_lines_for_fluentd() {
        let words = &["\n", "some text", "log", "partial_id", "\u{1}\u{2}\u{7f}", "source"];
        inputs(words, 1500).for_each(|bytes| fluentd_encoder(&bytes.repeat(20)));
    }

    #[test]
    fn any_answers_of_fluentd() {
        let words = &["\u{1}", "\u{3f}", "HELO", "PONG", "ack", "nonce"];
        inputs(words, 1500).for_each(|bytes| fluentd_answers(&bytes));
        // What begins as answers do is more likely to go on.
        let starts: [&[u8]; 5] =
            [b"\x81\xa3ack", b"\x92\xa4HELO", b"\x95\xa4PONG", b"\xfe\xfe", b"\x81\xa5nonce\xa1"];
        for seed in 1..1500 {
            let mut random = Random::new(seed);
            let mut bytes = vec![random.byte(), random.byte()];
            for _ in 0..random.below(12) {
                match random.below(6) {
                    5 => bytes.push(random.byte()),
                    n => bytes.extend_from_slice(starts[usize::try_from(n).unwrap()]),
                }
            }
            fluentd_answers(&bytes);
        }
    }

    #[test]
    fn any_gelf_record() {
        let words = &["<", "\"", "\\", "\n", "\u{2028}", "some text, and ", "é", "\0"];
        inputs(words, 3000).for_each(|bytes| gelf(&bytes));
        inputs(words, 300).for_each(|bytes| gelf(&bytes.repeat(300)));
        inputs(&[], 300).for_each(|bytes| gelf(&bytes.repeat(9)));
    }

    #[test]
    fn any_gelf_chunks() {
        inputs(&["a longer piece of text", "\0\0"], 3000).for_each(|bytes| gelf_chunks(&bytes));
    }

    #[test]
    fn any_line_of_json_file() {
        let words = &["<", "\"", "\\", "\n", "\u{2028}", "some text, and ", "é", "\0"];
        inputs(words, 3000).for_each(|bytes| super::json_file(&bytes));
        inputs(&[], 300).for_each(|bytes| super::json_file(&bytes.repeat(9)));
    }

    #[test]
    fn any_answers_of_metadata() {
        let words = &["SUCCESS ", "NOTFOUND", "V2 ", "W10=", "00000001 ", " "];
        inputs(words, 3000).for_each(|bytes| super::metadata(&bytes));
    }

    #[test]
    fn any_address() {
        let words =
            &["udp", "tcp+tls", "unix", "://", "/", "[", "::1", "]", ":514", "%2", "@", "?"];
        inputs(words, 1500).for_each(|bytes| address(&bytes));
    }

    #[test]
    fn any_severity() {
        let words = &["<", "3", ">", "{", "\"level\":", "\"error\"", "30", ",", "[", "}", "\"a\":"];
        inputs(words, 3000).for_each(|bytes| severity(&bytes));
    }

    #[test]
    fn any_attribute() {
        let words = &["\"", "\\", "]", "=", " ", "\n", "\u{e9}", "a.very.long.key.of.a.label"];
        inputs(words, 3000).for_each(|bytes| structured_data(&bytes));
    }

    #[test]
    fn any_line_of_any_container() {
        let words = &["\n", "\r", "\0", "<30>", "71 ", "] ", "\"", "some text", "{\"level\":1}"];
        inputs(words, 3000).for_each(|bytes| syslog(&bytes));
    }

    #[test]
    fn any_tag() {
        let words = &["{{", "}}", ".ID", ".Name", " ", "|", "\"", "printf", "{{.FullID}}"];
        inputs(words, 1500).for_each(|bytes| tag(&bytes));
    }
}
