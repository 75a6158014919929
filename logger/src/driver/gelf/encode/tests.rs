// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::collections::BTreeMap;

use super::*;
use crate::driver::{Configure, normalize};
use crate::launch::Launch;

const TIME_NS: u64 = 1_772_719_629_123_456_789;

fn launch(options: &[(&str, &str)]) -> Launch {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    Launch {
        options: map(options),
        container_id: "4f1c0e8f5a5d4c5e9b1a2f3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70".to_owned(),
        container_name: "//web".to_owned(),
        created: "2026-03-05T14:00:00.500Z".to_owned(),
        image_id: "sha256:9c7a54a9a43cca047013b82af109fe963fde787f63f9e016fdc3384500c2823d"
            .to_owned(),
        image_name: "nginx:1.27".to_owned(),
        program: "/docker-entrypoint.sh".to_owned(),
        args: ["nginx", "-g", "daemon off;"].map(str::to_owned).to_vec(),
        labels: map(&[("tier", "w\"eb"), ("_tag", "taken"), ("", "nameless"), ("id", "7")]),
        ..Launch::default()
    }
}

fn encoder(options: &[(&str, &str)]) -> Encoder {
    let launch = launch(options);
    let options = normalize("gelf", &launch.options).unwrap();
    let options = Options::parse(&options, &launch, b"cn01").unwrap();
    Encoder::new(&options, &Identity { host: b"cn01".to_vec(), pid: 1234 })
}

fn encoded(options: &[(&str, &str)], record: &Record<'_>) -> String {
    let mut out = Vec::new();
    encoder(options).encode(record, &mut out);
    String::from_utf8(out).unwrap()
}

fn line(text: &[u8]) -> Record<'_> {
    Record { stream: Stream::Stdout, time_ns: TIME_NS, text, piece: None }
}

const UDP: (&str, &str) = ("gelf-address", "udp://h:12201");
const TCP: (&str, &str) = ("gelf-address", "tcp://h:12201");
const PLAIN: (&str, &str) = ("gelf-compression-type", "none");

#[test]
fn worked_messages() {
    let message = encoded(&[UDP, PLAIN], &line(b"a <b>"));
    assert_eq!(
        message,
        concat!(
            r#"{"version":"1.1","host":"cn01","short_message":"a \u003cb\u003e","#,
            r#""timestamp":1772719629.123,"level":6,"_command":"/docker-entrypoint.sh nginx -g daemon off;","#,
            r#""_container_id":"4f1c0e8f5a5d4c5e9b1a2f3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70","#,
            r#""_container_name":"/web","_created":"2026-03-05T14:00:00.5Z","#,
            r#""_image_id":"sha256:9c7a54a9a43cca047013b82af109fe963fde787f63f9e016fdc3384500c2823d","#,
            r#""_image_name":"nginx:1.27","_tag":"4f1c0e8f5a5d"}"#
        )
    );
    assert_eq!(encoded(&[TCP], &line(b"a <b>")), message.clone() + "\0");
    let triton = encoded(&[UDP, PLAIN, ("gelf-tag", "{{.ID}}")], &line(b"\x20\xc2\xa0a <b>\r"));
    let triton_wants = message
        .replace(r#","timestamp""#, r#","full_message":"","timestamp""#)
        .replace(r#""level":6"#, r#""level":6,"facility":"""#)
        .replace("\"/web\"", "\"web\"")
        .replace(r#""_tag":"4f1c0e8f5a5d""#, r#""_tag":"{{.ID}}""#);
    assert_eq!(triton, triton_wants);
    let both = [UDP, PLAIN, ("gelf-tag", "x"), ("tag", "{{.ImageName}}")];
    assert_eq!(
        encoded(&both, &line(b"a <b>")),
        message.replace(r#""_tag":"4f1c0e8f5a5d""#, r#""_tag":"nginx:1.27""#)
    );
    let stderr = Record { stream: Stream::Stderr, ..line(b"a <b>") };
    assert_eq!(encoded(&[UDP, PLAIN], &stderr), message.replace("\"level\":6", "\"level\":3"));
}

#[test]
fn attributes_take_the_place_of_fields() {
    let message = encoded(&[TCP, ("labels", "tier,_tag,id,"), ("tag", "x")], &line(b"a"));
    assert!(message.contains(r#","_":"nameless","_command":"#), "{message}");
    assert!(message.contains(r#","_id":"7","_image_id":"#), "{message}");
    assert!(message.ends_with(",\"_tag\":\"taken\",\"_tier\":\"w\\\"eb\"}\0"), "{message}");
}

#[test]
fn times_have_the_digits_they_need() {
    for (time_ns, text) in [
        (TIME_NS, "1772719629.123"),
        (1_772_719_629_100_000_000, "1772719629.1"),
        (1_772_719_629_120_999_999, "1772719629.12"),
        (1_772_719_629_001_000_000, "1772719629.001"),
        (1_772_719_629_010_000_000, "1772719629.01"),
        (1_772_719_629_000_999_999, "1772719629"),
        (0, "0"),
    ] {
        let message = encoded(&[TCP], &Record { time_ns, ..line(b"a") });
        assert!(message.contains(&format!("\"timestamp\":{text},\"level\"")), "{message}");
    }
}

#[test]
fn empty_lines() {
    let end = Some(Piece { id: 1, ordinal: 2, last: true });
    for (options, text, piece, sent) in [
        (&[TCP][..], &b""[..], None, false),
        (&[TCP], b"", end, false),
        (&[TCP], b" ", None, true),
        (&[UDP, PLAIN, ("gelf-tag", "t")], b"", None, true),
        (&[UDP, PLAIN, ("gelf-tag", "t")], b" ", None, true),
        (&[UDP, PLAIN, ("gelf-tag", "t")], b"", end, false),
        (&[UDP], b"", None, false),
    ] {
        let message = encoded(options, &Record { piece, ..line(text) });
        assert_eq!(!message.is_empty(), sent, "{options:?} {text:?}");
    }
}

#[test]
fn pieces_say_so_where_wanted() {
    let piece = Some(Piece { id: 0xdead_beef, ordinal: 12, last: false });
    let record = Record { piece, ..line(b"a") };
    assert_eq!(encoded(&[TCP], &record), encoded(&[TCP], &line(b"a")));
    let marked = [TCP, ("gelf-partial", "true")];
    let message = encoded(&marked, &record);
    assert!(
        message.ends_with(
            ",\"_partial_id\":\"00000000deadbeef\",\"_partial_ordinal\":12,\"_partial_last\":\"false\"}\0"
        ),
        "{message}"
    );
    assert!(!encoded(&marked, &line(b"a")).contains("_partial"));
}

#[test]
fn white_space_is_what_unicode_says() {
    for (text, rest) in [
        (&b" \t\r\x0b\x0ca b\xe2\x80\x83 \r"[..], &b"a b"[..]),
        (b"\x85 a", b"\x85 a"),
        (b" \xff ", b"\xff"),
        (b" a\xff b ", b"a\xff b"),
        (b" a \xff", b"a \xff"),
        (b"\xe2\x80\x83\xff\xe2\x80\x83", b"\xff"),
        (b" ", b""),
        (b"", b""),
        (b"\xff", b"\xff"),
        (b"  \xff\xfe  ", b"\xff\xfe"),
    ] {
        assert_eq!(trimmed(text), rest, "{text:?}");
    }
}
