// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::collections::BTreeMap;

use rmpv::Value;

use super::*;
use crate::driver::{Configure, normalize};
use crate::launch::Launch;
use crate::scratch::Random;

const TIME_NS: u64 = 1_772_719_629_123_456_789;
const ID: &str = "4f1c0e8f5a5db7a6c9d8e7f60123456789abcdef0123456789abcdef01234567";

fn encoder(written: &[(&str, &str)], labels: &[(&str, &str)]) -> Encoder {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let launch = Launch {
        options: map(written),
        container_id: ID.to_owned(),
        container_name: "/web".to_owned(),
        labels: map(labels),
        ..Launch::default()
    };
    let options = normalize("fluentd", &launch.options).unwrap();
    Encoder::new(&Options::parse(&options, &launch, b"host").unwrap(), 7)
}

fn line(text: &[u8]) -> Record<'_> {
    Record { stream: Stream::Stdout, time_ns: TIME_NS, text, piece: None }
}

fn piece(text: &[u8], last: bool) -> Record<'_> {
    Record { piece: Some(Piece { id: 1, ordinal: 3, last }), ..line(text) }
}

fn encoded(encoder: &mut Encoder, record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(record, &mut out);
    out
}

/// Everything in `bytes`, as a library reads it that is not ours.
fn decoded(mut bytes: &[u8]) -> Vec<Value> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(rmpv::decode::read_value(&mut bytes).unwrap());
    }
    values
}

/// The members of an event's record, in bytes.
fn members(record: &Value) -> Vec<(String, Vec<u8>)> {
    let bytes = |value: &Value| match value {
        Value::String(text) => text.as_bytes().to_vec(),
        other => panic!("{other} is no text"),
    };
    let pairs = record.as_map().unwrap().iter();
    pairs.map(|(key, value)| (key.as_str().unwrap().to_owned(), bytes(value))).collect()
}

fn member(record: &Value, key: &str) -> Option<Vec<u8>> {
    members(record).into_iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

#[test]
fn a_message_as_docker_writes_it() {
    let expected = [
        b"\x94\xac4f1c0e8f5a5d\xd2\x69\xa9\x8e\x0d\x84\xaccontainer_id\xd9\x40".as_slice(),
        ID.as_bytes(),
        b"\xaecontainer_name\xa4/web\xa6source\xa6stdout\xa3log\xa5hello\x80",
    ]
    .concat();
    assert_eq!(expected.len(), 144);
    assert_eq!(encoded(&mut encoder(&[], &[]), &line(b"hello")), expected);
    let triton = encoded(&mut encoder(&[("fluentd-tag", "{{.ID}}")], &[]), &line(b"hello"));
    assert_eq!(triton.split_last(), Some((&0xc0, &expected[..143])));
}

#[test]
fn times_in_both_forms() {
    let mut seconds = encoder(&[("tag", "t")], &[]);
    let mut nanos = encoder(&[("tag", "t"), ("fluentd-sub-second-precision", "1")], &[]);
    for (time_ns, whole, exact) in [
        (TIME_NS, b"\xd2\x69\xa9\x8e\x0d".as_slice(), b"\xd7\0\x69\xa9\x8e\x0d\x07\x5b\xcd\x15"),
        (0, b"\xd2\0\0\0\0", b"\xd7\0\0\0\0\0\0\0\0\0"),
        // 2038-01-19T03:14:08Z
        ((1 << 31) * NS_PER_S + 1, b"\xd3\0\0\0\0\x80\0\0\0", b"\xd7\0\x80\0\0\0\0\0\0\x01"),
    ] {
        for (encoder, time) in [(&mut seconds, whole), (&mut nanos, exact.as_slice())] {
            let out = encoded(encoder, &Record { time_ns, ..line(b"x") });
            assert_eq!(&out[..3 + time.len()], [b"\x94\xa1t", time].concat());
            decoded(&out);
        }
    }
}

#[test]
fn pieces_are_marked_and_the_marks_beat_attributes() {
    let labels = [("partial_id", "label"), ("a", "b"), ("log", "x"), ("source", "y")];
    let mut docker = encoder(&[("labels-regex", ".")], &labels);
    let whole = decoded(&encoded(&mut docker, &line(b"text")));
    assert_eq!(member(&whole[0][2], "partial_id").unwrap(), b"label");
    assert_eq!(member(&whole[0][2], "source").unwrap(), b"y");
    assert_eq!(member(&whole[0][2], "log").unwrap(), b"text");
    let first = decoded(&encoded(&mut docker, &piece(b"pie", false)));
    let last = decoded(&encoded(&mut docker, &piece(b"", true)));
    for (event, log, ends) in [(&first, "pie", "false"), (&last, "", "true")] {
        let record = &event[0][2];
        let names: Vec<String> = members(record).into_iter().map(|(name, _)| name).collect();
        let expected = [
            "a",
            "container_id",
            "container_name",
            "source",
            "log",
            "partial_message",
            "partial_id",
            "partial_ordinal",
            "partial_last",
        ];
        assert_eq!(names, expected);
        for (key, value) in [
            ("log", log),
            ("partial_message", "true"),
            ("partial_ordinal", "3"),
            ("partial_last", ends),
        ] {
            assert_eq!(member(record, key).unwrap(), value.as_bytes(), "{key}");
        }
        let id = member(record, "partial_id").unwrap();
        assert!(id.len() == 64 && id.iter().all(u8::is_ascii_hexdigit));
        assert_eq!(id, member(&first[0][2], "partial_id").unwrap());
    }
    let mut triton = encoder(&[("fluentd-tag", "t")], &[]);
    assert_eq!(members(&decoded(&encoded(&mut triton, &piece(b"pie", false)))[0][2]).len(), 4);
    assert_eq!(encoded(&mut triton, &piece(b"", true)), b"");
    assert!(!encoded(&mut triton, &line(b"")).is_empty());
}

#[test]
fn ids_of_chunks_end_the_frame_and_differ() {
    let mut encoder = encoder(&[("fluentd-request-ack", "true")], &[]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let out = encoded(&mut encoder, &line(b"x"));
        let event = decoded(&out);
        let chunk = member(&event[0][3], "chunk").unwrap();
        // The time, as little-endian base64.
        assert!(out.ends_with(&chunk) && chunk.starts_with(b"DY6paQAAA") && chunk.len() == 24);
        assert!(chunk.ends_with(b"=="));
        assert!(seen.insert(chunk));
    }
    let mut id = Vec::new();
    Chunks { state: 1 }.push_next(&mut id, TIME_NS);
    assert_eq!(id.len(), CHUNK_MEMBER_BYTES);
}

/// Key, header and 24 characters.
const CHUNK_MEMBER_BYTES: usize = 6 + 1 + 24;

#[test]
fn a_pack_is_one_message_with_all_its_records() {
    for acks in ["false", "true"] {
        let options = [("fluentd-mode", "packed-forward"), ("fluentd-request-ack", acks)];
        let mut encoder = encoder(&options, &[]);
        assert!(encoder.packs());
        let mut out = Vec::new();
        for n in 0..200 {
            encoder.encode(&line(format!("line {n}").as_bytes()), &mut out);
        }
        encoder.end_pack(200, &mut out);
        let message = decoded(&out);
        assert_eq!(message.len(), 1);
        let [tag, Value::Binary(entries), option] = message[0].as_array().unwrap().as_slice()
        else {
            panic!("{message:?}");
        };
        assert_eq!(tag.as_str(), Some("4f1c0e8f5a5d"));
        assert_eq!(option["size"], Value::from(200));
        let chunk = option.as_map().unwrap().iter().find(|(key, _)| key.as_str() == Some("chunk"));
        assert_eq!(chunk.is_some(), acks == "true");
        let entries = decoded(entries);
        assert_eq!(entries.len(), 200);
        for (n, entry) in entries.iter().enumerate() {
            assert_eq!(entry[0], Value::from(TIME_NS / NS_PER_S));
            assert_eq!(member(&entry[1], "log").unwrap(), format!("line {n}").into_bytes());
        }
    }
}

#[test]
fn any_bytes_come_back() {
    let mut random = Random::new(4);
    for run in 0..400 {
        let labels = vec![("label", "v"); 1];
        let many: Vec<String> = (0..random.below(20)).map(|n| format!("l{n}")).collect();
        let more = many.iter().map(|name| (name.as_str(), "value"));
        let labels: Vec<_> = labels.into_iter().chain(more).collect();
        let precision = if random.below(2) == 0 { "true" } else { "false" };
        let mode = if random.below(2) == 0 { "message" } else { "packed-forward" };
        let acks = if random.below(2) == 0 { "true" } else { "false" };
        let options = [
            ("labels-regex", "."),
            ("fluentd-sub-second-precision", precision),
            ("fluentd-mode", mode),
            ("fluentd-request-ack", acks),
        ];
        let mut encoder = encoder(&options, &labels);
        let borders = [0, 31, 32, 255, 256, 65_535, 65_536, random.below(300)];
        let texts: Vec<Vec<u8>> = (0..1 + random.below(4))
            .map(|_| {
                let length = borders[usize::try_from(random.below(8)).unwrap()];
                (0..length).map(|_| random.byte()).collect()
            })
            .collect();
        let (mut out, mut records) = (Vec::new(), 0);
        for text in &texts {
            let record = if random.below(2) == 0 { piece(text, true) } else { line(text) };
            encoder.encode(&record, &mut out);
            records += 1;
        }
        if encoder.packs() {
            encoder.end_pack(records, &mut out);
        }
        let mut events = decoded(&out);
        if encoder.packs() {
            let Value::Binary(entries) = &events[0][1] else { panic!("{events:?}") };
            events = decoded(entries);
        }
        let place = if encoder.packs() { 1 } else { 2 };
        let logs: Vec<Vec<u8>> =
            events.iter().map(|event| member(&event[place], "log").unwrap()).collect();
        assert_eq!(logs, texts, "run {run}");
        for event in &events {
            assert_eq!(member(&event[place], "label").unwrap(), b"v");
        }
    }
}
