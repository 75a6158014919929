// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What holds for any bytes; see `crate::fuzzing`.

use std::collections::BTreeMap;

use super::msgpack::{Reader, Value};
use super::session::Conversation;
use super::{Encoder, Options};
use crate::driver::{Configure, Encode, Session, normalize};
use crate::fuzzing::Property;
use crate::launch::Launch;
use crate::record::{Piece, Record, Stream};
use crate::ring::{Account, Amount};
use crate::window::{Replay, Window};

pub(crate) const ALL: &[Property] = &[
    Property {
        name: "fluentd/encoder",
        holds: encoder,
        words: &[b"\n", b"some text", b"log", b"partial_id", b"\x01\x02\x7f", b"source"],
    },
    Property {
        name: "fluentd/answers",
        holds: answers,
        words: &[
            b"\x81\xa3ack",
            b"\x92\xa4HELO",
            b"\x95\xa4PONG",
            b"\xfe\xfe",
            b"\x81\xa5nonce\xa1",
            b"\x3f",
        ],
    },
];

/// Options that the bits of `choice` turn on.
fn options(choice: u8, labels: BTreeMap<String, String>) -> Options {
    let switches = [
        ("fluentd-request-ack", "true"),
        ("fluentd-sub-second-precision", "true"),
        ("fluentd-mode", "packed-forward"),
        ("fluentd-tag", "tag"),
        ("fluentd-shared-key", "key"),
        ("labels-regex", "."),
    ];
    let chosen = switches.iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1);
    let written = chosen.map(|(_, &(name, value))| (name.to_owned(), value.to_owned())).collect();
    let launch = Launch { options: written, labels, ..Launch::default() };
    let Ok(options) = normalize("fluentd", &launch.options) else { panic!("options of the test") };
    let Ok(options) = Options::parse(&options, &launch, b"host") else { panic!("the same") };
    options
}

/// Lines and a label of any bytes: each line is in an event of its own, whole, and
/// nothing else is.
fn encoder(bytes: &[u8]) {
    let Some((&[choice, step], text)) = bytes.split_first_chunk() else { return };
    let label = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
    let mut encoder = Encoder::new(&options(choice, BTreeMap::from([(label, "l".to_owned())])), 1);
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    let lines: Vec<&[u8]> = text.chunks(1 + usize::from(step) * 8).collect();
    for (n, line) in lines.iter().enumerate() {
        let id = n as u64;
        let piece = (n % 3 == 1).then_some(Piece { id, ordinal: 2, last: n % 2 == 0 });
        let stream = if n % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
        encoder.encode(&Record { stream, time_ns: id << 57, text: line, piece }, &mut out);
        ends.push(out.len());
    }
    if encoder.packs() && !out.is_empty() {
        encoder.end_pack(lines.len() as u64, &mut out);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.value(), Ok(Value::Array(3)));
        assert!(matches!(reader.value(), Ok(Value::Bytes(_))));
        let Ok(Value::Bytes(entries)) = reader.value() else { panic!("no entries") };
        assert_eq!(reader.skip(), Ok(()));
        assert!(reader.rest().is_empty());
        check_events(entries, 2, &lines);
    } else {
        check_events(&out, 4, &lines);
    }
}

fn check_events(bytes: &[u8], elements: usize, lines: &[&[u8]]) {
    let mut reader = Reader::new(bytes);
    for line in lines {
        let mut whole = reader;
        assert_eq!(whole.skip(), Ok(()));
        assert_eq!(reader.value(), Ok(Value::Array(elements)));
        (0..elements / 2).for_each(|_| assert_eq!(reader.skip(), Ok(())));
        let Ok(Value::Map(members)) = reader.value() else { panic!("no record") };
        let mut logs = Vec::new();
        for _ in 0..members {
            let (Ok(key), Ok(value)) = (reader.value(), reader.value()) else {
                panic!("no member")
            };
            if key == Value::Bytes(b"log") {
                logs.push(value);
            }
        }
        assert_eq!(logs, [Value::Bytes(line)]);
        reader = whole;
    }
    assert!(reader.rest().is_empty());
}

/// What a server says: never believed beyond what was sent, and the same however
/// it is cut on the way. Where `bytes` has a 0xfe, a right confirmation is said.
fn answers(bytes: &[u8]) {
    let Some((&[choice, step], said)) = bytes.split_first_chunk() else { return };
    let options = options(choice, BTreeMap::new());
    let mut encoder = Encoder::new(&options, 1);
    let mut window = Window::new(Replay { max_bytes: 0, max_age_ns: 0 }, Account::default());
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    for _ in 0..2 {
        let mut batch = window.new_batch();
        for text in [b"one".as_slice(), b"two", b"three"] {
            let record = Record { stream: Stream::Stdout, time_ns: 1, text, piece: None };
            if !encoder.packs() {
                encoder.encode(&record, &mut batch.bytes);
                batch.end_frame(Amount::default());
                chunks.push(batch.bytes[batch.bytes.len().saturating_sub(24)..].to_vec());
            }
        }
        window.push(batch);
    }
    let sent = window.unsent_bytes() * u64::from(step) / 256;
    window.sent(usize::try_from(sent).unwrap_or(0), 0);
    let mut answers = Vec::new();
    for (n, byte) in said.iter().take(1000).enumerate() {
        match chunks.get(n % chunks.len().max(1)) {
            Some(chunk) if *byte == 0xfe => {
                answers.extend_from_slice(b"\x81\xa3ack\xb8");
                answers.extend_from_slice(chunk);
            }
            _ => answers.push(*byte),
        }
        answers.truncate(4000);
    }
    let hear = |cut: usize| {
        let mut conversation = Conversation::new(&options, [1, 2]);
        conversation.begin(0);
        let (mut confirmed, mut out) = (0, Vec::new());
        for part in answers.chunks(cut) {
            match conversation.hear(part, &window, &mut out) {
                Ok(news) => {
                    assert!(news.is_none_or(|news| news > confirmed && news <= window.cursor()));
                    confirmed = news.unwrap_or(confirmed);
                }
                Err(error) => {
                    assert!(!error.to_string().contains(char::is_control));
                    return Err(error);
                }
            }
        }
        assert!(out.len() < 1000);
        Ok((confirmed, conversation.is_open(), out))
    };
    assert_eq!(hear(1 + usize::from(step)), hear(usize::MAX));
}
