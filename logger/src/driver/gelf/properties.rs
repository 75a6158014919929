// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Properties that hold for any bytes (see `crate::fuzzing`).

use std::collections::BTreeMap;

use super::chunks::{ChunkSize, Chunks, push_chunk};
use crate::driver::{Encode, Identity, Settings};
use crate::fuzzing::{JSON_WORDS, Property, shown_chars};
use crate::launch::Launch;
use crate::local_time::LocalTime;
use crate::record::{Record, Stream};

pub(crate) const ALL: &[Property] = &[
    Property { name: "gelf/message", holds: message, words: JSON_WORDS },
    Property { name: "gelf/chunks", holds: chunks, words: &[b"a longer piece of text", b"\0\0"] },
];

/// Any text and any label as GELF, in a format that the first byte chooses: one
/// message, which reads back as what went in, and which nothing in it ends early.
fn message(bytes: &[u8]) {
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
    assert_eq!(read["short_message"], shown_chars(text).collect::<String>());
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
fn chunks(bytes: &[u8]) {
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
