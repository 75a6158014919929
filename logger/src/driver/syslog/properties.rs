// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Properties that hold for any bytes (see `crate::fuzzing`). The decoders below
//! know nothing of the encoders.

#![expect(clippy::unwrap_used, reason = "a promise that is broken must stop the fuzzer")]

use std::collections::{BTreeMap, BTreeSet};

use dockerlogger_manifest::value::SyslogAddress;

use super::severity::said_by;
use super::structured::StructuredData;
use crate::driver::{Encode, Identity, Settings};
use crate::fuzzing::Property;
use crate::launch::Launch;
use crate::local_time::LocalTime;
use crate::record::{Piece, Record, Stream};

pub(crate) const ALL: &[Property] = &[
    Property {
        name: "syslog/address",
        holds: address,
        words: &[
            b"udp", b"tcp+tls", b"unix", b"://", b"/", b"[", b"::1", b"]", b":514", b"%2", b"@",
            b"?",
        ],
    },
    Property {
        name: "syslog/severity",
        holds: severity,
        words: &[
            b"<",
            b"3",
            b">",
            b"{",
            b"\"level\":",
            b"\"error\"",
            b"30",
            b",",
            b"[",
            b"}",
            b"\"a\":",
        ],
    },
    Property {
        name: "syslog/structured-data",
        holds: structured_data,
        words: &[
            b"\"",
            b"\\",
            b"]",
            b"=",
            b" ",
            b"\n",
            "\u{e9}".as_bytes(),
            b"a.very.long.key.of.a.label",
        ],
    },
    Property {
        name: "syslog/messages",
        holds: messages,
        words: &[
            b"\n",
            b"\r",
            b"\0",
            b"<30>",
            b"71 ",
            b"] ",
            b"\"",
            b"some text",
            b"{\"level\":1}",
        ],
    },
];

/// An address: refused in one line, or the same again when it is written out.
fn address(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<SyslogAddress>() {
        Ok(address) => assert_eq!(address.to_string().parse(), Ok(address)),
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains('\n') && said.len() < 2000, "{said}");
        }
    }
}

/// A line that may say its severity: what is left is the line, or its end.
fn severity(bytes: &[u8]) {
    let (severity, left) = said_by(bytes);
    assert!(severity.is_none_or(|severity| severity < 8));
    assert!(bytes == left || (bytes.ends_with(left) && left.len() + 3 == bytes.len()));
}

/// Attributes as structured data: a reader of RFC 5424 finds each once, with its
/// value, and no control character.
fn structured_data(bytes: &[u8]) {
    let mut parts = Parts(bytes);
    let mut attributes = BTreeMap::new();
    for _ in 0..parts.number() % 8 {
        attributes.insert(parts.text(), parts.text());
    }
    let piece = (parts.number() % 2 == 0).then_some(Piece { id: 1, ordinal: 2, last: true });
    let mut out = Vec::new();
    StructuredData::new(&attributes).push(piece, &mut out);
    let found = parameters(&out);
    let names: BTreeSet<_> = found.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), found.len());
    assert_eq!(found.len(), attributes.len() + if piece.is_some() { 3 } else { 0 });
    for (value, (_, found)) in attributes.values().zip(&found) {
        let plain = value.replace(|c: char| c.is_ascii_control(), "_");
        assert_eq!(found, plain.as_bytes());
    }
}

/// The parameters of one element, read by the grammar of RFC 5424 section 6.
fn parameters(data: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    assert!(!data.iter().any(u8::is_ascii_control));
    if data == b"-" {
        return Vec::new();
    }
    let mut rest = data.strip_prefix(b"[docker@38678").unwrap();
    let mut found = Vec::new();
    while let Some(parameter) = rest.strip_prefix(b" ") {
        let equals = parameter.iter().position(|&byte| byte == b'=').unwrap();
        let name = &parameter[..equals];
        assert!((1..=32).contains(&name.len()));
        assert!(name.iter().all(|byte| byte.is_ascii_graphic() && !b"]\"".contains(byte)));
        rest = parameter[equals + 1..].strip_prefix(b"\"").unwrap();
        let mut value = Vec::new();
        loop {
            match rest {
                [b'"', more @ ..] => {
                    rest = more;
                    break;
                }
                [b'\\', escaped, more @ ..] => {
                    assert!(b"\"\\]".contains(escaped));
                    value.push(*escaped);
                    rest = more;
                }
                [byte, more @ ..] => {
                    assert!(*byte != b']');
                    value.push(*byte);
                    rest = more;
                }
                [] => panic!("no end of the value"),
            }
        }
        found.push((name.to_vec(), value));
    }
    assert_eq!(rest, b"]");
    found
}

/// Any lines of a container with any name, image, labels and environment: a
/// reader finds one message for each, and its text at the message's end.
fn messages(bytes: &[u8]) {
    let (container, lines) = bytes.split_at(bytes.len() / 2);
    let mut parts = Parts(container);
    let choice = parts.number();
    let pick = |of: &'static [&'static str], shift: u32| {
        of[usize::from(choice >> shift) % of.len()].to_owned()
    };
    let rfc5424 = choice & 4 != 0;
    let format = pick(if rfc5424 { &["rfc5424", "rfc5424micro"] } else { &["", "rfc3164"] }, 0);
    let framing = pick(&["newline", "octet-counting"], 1);
    let severity = pick(&["stream", "line"], 5);
    let tag = pick(
        &[
            "{{.Name}}/{{.ImageName}}/{{.Command}}",
            "{{json .ContainerLabels}} {{.ContainerEnv}}",
            "{{range $k, $v := .ContainerLabels}}{{$k}}={{$v | upper}}{{end}}{{.ContainerArgs}}",
            "{{.ID}}{{.FullID}}{{.ImageID}}{{.Hostname}}{{(.ExtraAttributes nil).k}}",
        ],
        3,
    );
    let options = [
        ("syslog-address", "tcp://h".to_owned()),
        ("syslog-format", format),
        ("syslog-framing", framing.clone()),
        ("tag", tag),
        ("syslog-severity", severity.clone()),
        ("syslog-structured-data", (rfc5424 && choice & 64 != 0).to_string()),
        ("labels-regex", ".".to_owned()),
        ("env-regex", ".".to_owned()),
    ];
    let launch = Launch {
        options: options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        container_id: parts.text(),
        container_name: parts.text(),
        image_id: parts.text(),
        image_name: parts.text(),
        program: parts.text(),
        args: vec![parts.text()],
        labels: [(parts.text(), parts.text()), ("k".to_owned(), parts.text())].into(),
        env: vec![format!("K={}", parts.text()), parts.text()],
        argv0: "logger".to_owned(),
        ..Launch::default()
    };
    let host = parts.text().into_bytes();
    let Settings { driver, .. } = Settings::parse("syslog", &launch, &host).unwrap();
    let identity = Identity { host, pid: 1 };
    let mut encoder = driver.encoder(&identity, LocalTime::load(Some("")));
    let line_says = severity == "line";
    let mut out = Vec::new();
    let mut expected = Vec::new();
    // A line has no newline in it: that is what ends it.
    for text in lines.split(|&byte| byte == b'\n') {
        let record = Record { stream: Stream::Stdout, time_ns: 0, text, piece: None };
        encoder.encode(&record, &mut out);
        let left = if line_says { said_by(text).1 } else { text };
        if !left.is_empty() {
            expected.push(left);
        }
    }
    let messages = if framing == "newline" { by_newline(&out) } else { by_length(&out) };
    assert_eq!(messages.len(), expected.len());
    for (message, text) in messages.iter().zip(expected) {
        assert!(message.starts_with(b"<") && message.ends_with(text));
    }
}

/// RFC 6587 section 3.4.2.
fn by_newline(stream: &[u8]) -> Vec<&[u8]> {
    let mut messages: Vec<_> = stream.split(|&byte| byte == b'\n').collect();
    assert_eq!(messages.pop(), Some(b"".as_slice()));
    messages
}

/// RFC 6587 section 3.4.1; the newline that each ends with is taken off.
fn by_length(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while !stream.is_empty() {
        let space = stream.iter().position(|&byte| byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&stream[..space]).unwrap().parse().unwrap();
        let (message, rest) = stream[space + 1..].split_at(length);
        messages.push(message.strip_suffix(b"\n").unwrap());
        stream = rest;
    }
    messages
}

/// Parts of the bytes, of lengths that they say themselves.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn number(&mut self) -> u8 {
        let Some((&number, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        number
    }

    fn text(&mut self) -> String {
        let len = usize::from(self.number() % 64).min(self.0.len());
        let (part, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8_lossy(part).into_owned()
    }
}
