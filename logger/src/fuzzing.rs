// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Properties that hold for any bytes, for the fuzzer and for the tests.
//!
//! Each takes what a stranger may send and panics if a promise is broken.

use std::collections::BTreeMap;

use dockerlogger_manifest::status::{FORMAT, MAGIC, PAGE_BYTES, StatusPage, at};

use crate::driver::gelf::Chunks;
use crate::driver::{ChunkSize, Cut, Identity, Settings, push_chunk};
use crate::launch::{Launch, parse_options};
use crate::lines::{Flush, Splitter};
use crate::local_time::LocalTime;
use crate::record::{Record, Stream};
use crate::ring::{self, Carried};
use crate::status;

/// A ring file: recovery never panics, never leaves the ring's bounds, and finds
/// the same when it looks again. The first half of `bytes` is taken as a file;
/// then all of it as the entries of a file whose header is right.
pub fn ring_recovery(bytes: &[u8]) {
    let _ = ring::recover(bytes);
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
    if let Some(record) = splitter.flush(1, Flush::Ends) {
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

/// Any text and any label as GELF, in a format that the first byte chooses: one
/// message, which reads back as what went in, and which nothing in it ends early.
pub fn gelf(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let (label, text) = rest.split_at(rest.len() / 3);
    let label = String::from_utf8_lossy(label).into_owned();
    let address = if choice < 64 { "tcp://h:1" } else { "udp://h:1" };
    let mut options = BTreeMap::from([
        ("gelf-address".to_owned(), address.to_owned()),
        ("labels".to_owned(), "label".to_owned()),
    ]);
    if choice >= 64 {
        let (kind, level) = (["gzip", "zlib"][usize::from(choice % 2)], choice / 2 % 11);
        options.insert("gelf-compression-type".to_owned(), kind.to_owned());
        options.insert("gelf-compression-level".to_owned(), format!("{}", i16::from(level) - 1));
    }
    let labels = BTreeMap::from([("label".to_owned(), label.clone())]);
    let launch = Launch { options, labels, ..Launch::default() };
    let Ok(settings) = Settings::parse("gelf", &launch, b"host") else { panic!("good options") };
    let identity = Identity { host: b"host\xff".to_vec(), pid: 1 };
    let mut encoder = settings.driver.encoder(&identity, LocalTime::UTC);
    let mut message = Vec::new();
    let record = Record { stream: Stream::Stdout, time_ns: 1_500_000_000, text, piece: None };
    // The second one finds what the first one left in the encoder's tables.
    for _ in 0..2 {
        message.clear();
        encoder.encode(&record, &mut message);
    }
    if text.is_empty() {
        return assert!(message.is_empty());
    }
    if choice >= 64 {
        message = inflated(&message);
    } else {
        assert_eq!(message.pop(), Some(0));
    }
    assert!(message.iter().all(|&byte| byte >= b' '));
    let Ok(read) = serde_json::from_slice::<serde_json::Value>(&message) else {
        panic!("no JSON: {}", message.escape_ascii())
    };
    let shown = text.utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().chain(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER))
    });
    assert_eq!(read["short_message"], shown.collect::<String>());
    assert_eq!(read["_label"], label);
    assert_eq!(read["timestamp"], 1.5);
}

/// What a gzip member or a zlib stream holds; its checksum is looked at.
fn inflated(bytes: &[u8]) -> Vec<u8> {
    // Either header, by itself.
    let mut inflate = zlib_rs::Inflate::new(true, 32 + 15);
    let mut out = vec![0; 1 << 20];
    let status = inflate.decompress(bytes, &mut out, zlib_rs::InflateFlush::Finish);
    assert_eq!(status, Ok(zlib_rs::Status::StreamEnd));
    assert_eq!(inflate.total_in(), bytes.len() as u64, "something follows the end");
    out.truncate(usize::try_from(inflate.total_out()).unwrap_or(0));
    out
}

/// Any record in chunks of a size that the first bytes choose: the record again,
/// in no datagram too large.
pub fn gelf_chunks(bytes: &[u8]) {
    let Some((&[size, repeat], record)) = bytes.split_first_chunk() else { return };
    let record = record.repeat(1 + usize::from(repeat));
    let size = 13 + usize::from(size) * 8;
    let chunks = Chunks { size: ChunkSize::Bytes(size), count_max: 128 };
    let Some(count) = chunks.count(record.len(), size) else {
        return assert!(record.len() >= 128 * (size - 12));
    };
    if count == 1 {
        return assert!(record.len() <= size);
    }
    let mut read = Vec::new();
    for n in 0..count {
        let mut datagram = Vec::new();
        push_chunk(&record, size, (n, count), 0x0102_0304_0506_0708, &mut datagram);
        assert!(datagram.len() <= size);
        let Some((header, data)) = datagram.split_first_chunk::<12>() else { panic!("no header") };
        assert_eq!(header[..10], [0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!([n, count].map(u8::try_from), [Ok(header[10]), Ok(header[11])]);
        read.extend_from_slice(data);
    }
    assert!(read == record);
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
    fn any_tag() {
        let words = &["{{", "}}", ".ID", ".Name", " ", "|", "\"", "printf", "{{.FullID}}"];
        inputs(words, 1500).for_each(|bytes| tag(&bytes));
    }
}
