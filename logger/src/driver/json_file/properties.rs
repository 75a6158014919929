// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Properties that hold for any bytes (see `crate::fuzzing`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::driver::{Encode, Identity, Settings};
use crate::fuzzing::{JSON_WORDS, Property, shown_chars};
use crate::launch::Launch;
use crate::local_time::LocalTime;
use crate::record::{Piece, Record, Stream};

pub(crate) const ALL: &[Property] =
    &[Property { name: "json-file/line", holds: line, words: JSON_WORDS }];

/// Any text and any label as a line: one line of JSON, which reads back as what
/// went in, and in which nothing begins a second one.
fn line(bytes: &[u8]) {
    let Some((&[choice, time @ ..], rest)) = bytes.split_first_chunk::<9>() else { return };
    let (label, text) = rest.split_at(rest.len() / 3);
    let label = String::from_utf8_lossy(label).into_owned();
    let options = BTreeMap::from([("labels".to_owned(), "la\"bel".to_owned())]);
    let labels = BTreeMap::from([("la\"bel".to_owned(), label.clone())]);
    let launch = Launch { options, labels, ..Launch::default() };
    let Ok(settings) = Settings::parse("json-file", &launch, b"host") else {
        panic!("good options")
    };
    let identity = Identity { host: b"host".to_vec(), pid: 1 };
    let mut encoder = settings.driver.encoder(&identity, LocalTime::UTC);
    let stream = if choice & 1 == 0 { Stream::Stdout } else { Stream::Stderr };
    let last = choice & 4 == 0;
    let piece = (choice & 2 == 2).then_some(Piece { id: 1, ordinal: 1, last });
    let record = Record { stream, time_ns: u64::from_le_bytes(time), text, piece };
    let mut line = Vec::new();
    // The second one finds what the first one left in the encoder.
    for _ in 0..2 {
        line.clear();
        encoder.encode(&record, &mut line);
    }
    assert_eq!(line.pop(), Some(b'\n'));
    assert!(line.iter().all(|&byte| byte >= b' '));
    let Ok(read) = serde_json::from_slice::<Value>(&line) else {
        panic!("no JSON: {}", line.escape_ascii())
    };
    let whole = piece.is_none_or(|piece| piece.last);
    let shown = shown_chars(text).chain(whole.then_some('\n')).collect::<String>();
    assert_eq!(read["log"].as_str().unwrap_or_default(), shown);
    assert_eq!(read["stream"], if stream == Stream::Stdout { "stdout" } else { "stderr" });
    assert_eq!(read["attrs"]["la\"bel"], label);
    let fraction = read["time"].as_str().and_then(|time| time.strip_suffix('Z')).map(|time| {
        let digits = time.split_once('.').map_or("0", |(_, digits)| digits);
        format!("{digits:0<9}").parse()
    });
    assert_eq!(fraction, Some(Ok(record.time_ns % 1_000_000_000)));
    let keys: Vec<_> = read.as_object().into_iter().flat_map(|read| read.keys()).collect();
    let all = ["log", "stream", "attrs", "time"];
    assert_eq!(keys, if shown.is_empty() { &all[1..] } else { &all });
}
