// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Record to line of JSON. Everything but text and time is rendered once.

use super::Options;
use crate::driver::Encode;
use crate::json::{Escapes, push_string, push_text};
use crate::record::{Record, Stream};
use crate::rfc3339::Rfc3339;

/// Renders the lines of one container.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// What stands between text and time, for each stream, newline included.
    middles: [Vec<u8>; 2],
    time: Rfc3339,
}

impl Encoder {
    /// An encoder with everything but text and time rendered.
    pub(crate) fn new(options: &Options) -> Self {
        let mut attributes = Vec::new();
        for (key, value) in &options.attributes {
            let separator = if attributes.is_empty() { &b"\"attrs\":{"[..] } else { b"," };
            attributes.extend_from_slice(separator);
            push_string(&mut attributes, key.as_bytes(), Escapes::Letters);
            attributes.push(b':');
            push_string(&mut attributes, value.as_bytes(), Escapes::Letters);
        }
        if !attributes.is_empty() {
            attributes.extend_from_slice(b"},");
        }
        let middle = |stream: &[u8]| {
            [TEXT_END, b"\"stream\":\"", stream, b"\",", &attributes, b"\"time\":\""].concat()
        };
        Self { middles: [middle(b"stdout"), middle(b"stderr")], time: Rfc3339::default() }
    }
}

impl Encode for Encoder {
    /// Appends the line. Empty lines are lines too.
    fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let middle = &self.middles[usize::from(record.stream == Stream::Stderr)];
        let newline = record.piece.is_none_or(|piece| piece.last);
        if newline || !record.text.is_empty() {
            out.extend_from_slice(b"{\"log\":\"");
            push_text(out, record.text, Escapes::LineEnds);
            out.extend_from_slice(if newline { middle } else { &middle[NEWLINE.len()..] });
        } else {
            out.push(b'{');
            out.extend_from_slice(&middle[TEXT_END.len()..]);
        }
        self.time.push(out, record.time_ns);
        out.extend_from_slice(b"\"}\n");
    }
}

/// What a line ends with, escaped.
const NEWLINE: &[u8] = b"\\n";

/// What the text of a whole line ends with.
const TEXT_END: &[u8] = b"\\n\",";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::driver::LogFiles;
    use crate::record::Piece;

    const TIME_NS: u64 = 1_772_719_629_123_456_789;

    fn encoder(attributes: &[(&str, &str)]) -> Encoder {
        let attributes = attributes
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect::<BTreeMap<_, _>>();
        Encoder::new(&Options { files: LogFiles::default(), attributes })
    }

    fn line(
        encoder: &mut Encoder,
        stream: Stream,
        time_ns: u64,
        text: &[u8],
        piece: Option<Piece>,
    ) -> String {
        let mut out = Vec::new();
        encoder.encode(&Record { stream, time_ns, text, piece }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn worked_lines() {
        let mut plain = encoder(&[]);
        let text = line(&mut plain, Stream::Stdout, TIME_NS, b"hello", None);
        assert_eq!(text.len(), 76);
        assert_eq!(
            text,
            "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2026-03-05T14:07:09.123456789Z\"}\n"
        );
        let mut full = encoder(&[("tag", "web"), ("dc", "l\tr<")]);
        assert_eq!(
            line(&mut full, Stream::Stderr, 1_772_719_629_500_000_000, b"a <b> \xff\t.\r", None),
            "{\"log\":\"a \\u003cb\\u003e \\ufffd\\u0009.\\r\\n\",\"stream\":\"stderr\",\
             \"attrs\":{\"dc\":\"l\\tr\\u003c\",\"tag\":\"web\"},\"time\":\"2026-03-05T14:07:09.5Z\"}\n"
        );
    }

    #[test]
    fn pieces_and_empty_lines() {
        let mut encoder = encoder(&[]);
        let tail = "\"stream\":\"stdout\",\"time\":\"2026-03-05T14:07:09.123456789Z\"}\n";
        let piece = |last| Some(Piece { id: 1, ordinal: 2, last });
        for (text, piece, head) in [
            (&b""[..], None, "{\"log\":\"\\n\","),
            (b"ab", piece(false), "{\"log\":\"ab\","),
            (b"ab", piece(true), "{\"log\":\"ab\\n\","),
            (b"", piece(true), "{\"log\":\"\\n\","),
            (b"", piece(false), "{"),
        ] {
            assert_eq!(
                line(&mut encoder, Stream::Stdout, TIME_NS, text, piece),
                format!("{head}{tail}")
            );
        }
    }

    #[test]
    fn stream_and_time_are_those_of_the_record() {
        let mut encoder = encoder(&[]);
        for (stream, time_ns, tail) in [
            (Stream::Stdout, TIME_NS, "\"stdout\",\"time\":\"2026-03-05T14:07:09.123456789Z\"}\n"),
            (Stream::Stderr, TIME_NS, "\"stderr\",\"time\":\"2026-03-05T14:07:09.123456789Z\"}\n"),
            (
                Stream::Stderr,
                TIME_NS + 1,
                "\"stderr\",\"time\":\"2026-03-05T14:07:09.12345679Z\"}\n",
            ),
        ] {
            let text = line(&mut encoder, stream, time_ns, b"x", None);
            assert!(text.ends_with(tail), "{text}");
        }
    }
}
