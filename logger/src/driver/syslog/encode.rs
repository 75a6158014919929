// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Record to syslog message. Everything that stays the same is rendered once;
//! the time, when its second changes.

use super::severity::{LineSeverity, Severity};
use super::structured::StructuredData;
use super::{Framing, Options, Profile};
use crate::driver::{Encode, Identity};
use crate::local_time::{LocalTime, push_padded};
use crate::record::{Record, Stream};
use crate::template::container::harmless;

/// Renders the messages of one container.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// What stands before the time, for each severity.
    heads: [Vec<u8>; 8],
    /// What stands between time and text, with the structured data of a whole
    /// line.
    middle: Vec<u8>,
    /// Where lines may have structured data: it, and where in `middle`.
    structured: Option<(StructuredData, std::ops::Range<usize>)>,
    /// The middle of a piece.
    piece_middle: Vec<u8>,
    line_severity: Option<LineSeverity>,
    framing: Framing,
    style: TimeStyle,
    empty_lines: EmptyLines,
    local_time: LocalTime,
    time: RenderedTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeStyle {
    /// `Mmm dd hh:mm:ss`
    Stamp,
    /// `YYYY-MM-DDThh:mm:ssZ`
    Seconds,
    /// The same with six digits of fraction.
    Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EmptyLines {
    Sent,
    Left,
}

/// The text of one second.
#[derive(Debug, Default)]
struct RenderedTime {
    second: Option<u64>,
    /// Up to the seconds.
    text: Vec<u8>,
    /// The zone behind the fraction.
    zone: Vec<u8>,
}

impl Encoder {
    /// An encoder with everything but time and text rendered.
    pub(crate) fn new(options: &Options, identity: &Identity, local_time: LocalTime) -> Self {
        let version = match options.profile {
            Profile::Rfc5424 | Profile::Rfc5424Micro => "1 ",
            _ => "",
        };
        let head = |severity: Severity| {
            let pri = u64::from(options.facility.code()) * 8 + u64::from(severity);
            let mut head = vec![b'<'];
            push_padded(&mut head, pri, 1, b'0');
            head.push(b'>');
            head.extend_from_slice(version.as_bytes());
            head
        };
        let tag = options.tag.as_slice();
        // The zone's own name, which its root may have set to anything.
        let host: Vec<u8> = match identity.host.as_slice() {
            b"" => b"localhost".to_vec(),
            host => host.iter().map(|&byte| harmless(byte)).collect(),
        };
        let host = host.as_slice();
        let pid = identity.pid.to_string();
        let pid = pid.as_bytes();
        let middle: Vec<&[u8]> = match &options.profile {
            Profile::Local => vec![b" ", tag, b"[", pid, b"]: "],
            Profile::Rfc3164 => vec![b" ", host, b" ", tag, b"[", pid, b"]: "],
            Profile::Rfc5424 | Profile::Rfc5424Micro => {
                vec![b" ", host, b" ", tag, b" ", pid, b" ", tag, b" "]
            }
            Profile::Triton(program) => {
                vec![b" ", host, b" ", program.as_bytes(), b"/", tag, b"[", pid, b"]: "]
            }
        };
        let mut middle = middle.concat();
        let mut structured = None;
        if matches!(options.profile, Profile::Rfc5424 | Profile::Rfc5424Micro) {
            let start = middle.len();
            match &options.attributes {
                None => middle.push(b'-'),
                Some(attributes) => {
                    let data = StructuredData::new(attributes);
                    data.push(None, &mut middle);
                    structured = Some((data, start..middle.len()));
                }
            }
            middle.push(b' ');
        }
        let (style, empty_lines) = match options.profile {
            Profile::Local | Profile::Rfc3164 => (TimeStyle::Stamp, EmptyLines::Left),
            Profile::Rfc5424 => (TimeStyle::Seconds, EmptyLines::Left),
            Profile::Rfc5424Micro => (TimeStyle::Micros, EmptyLines::Left),
            Profile::Triton(_) => (TimeStyle::Seconds, EmptyLines::Sent),
        };
        Self {
            heads: [0, 1, 2, 3, 4, 5, 6, 7].map(head),
            middle,
            structured,
            piece_middle: Vec::new(),
            line_severity: options.severity_from_line.then(LineSeverity::default),
            framing: options.framing,
            style,
            empty_lines,
            local_time,
            time: RenderedTime::default(),
        }
    }
}

impl Encode for Encoder {
    /// Appends the message. Empty lines are left out except in Triton's layout;
    /// so is the empty end of a line that was sent in pieces, except where the
    /// structured data says that it is the end.
    fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let (severity, text) = match &mut self.line_severity {
            Some(lines) => lines.of(record),
            None => (None, record.text),
        };
        let sent = match record.piece {
            None => self.empty_lines == EmptyLines::Sent,
            Some(_) => self.structured.is_some(),
        };
        if text.is_empty() && !sent {
            return;
        }
        let severity = severity.unwrap_or(match record.stream {
            Stream::Stdout => SEVERITY_INFO,
            Stream::Stderr => SEVERITY_ERR,
        });
        let second = record.time_ns / NS_PER_S;
        if self.time.second != Some(second) {
            self.render_time(second);
        }
        let middle = match (&self.structured, record.piece) {
            (Some((data, range)), Some(_)) => {
                self.piece_middle.clear();
                self.piece_middle.extend_from_slice(&self.middle[..range.start]);
                data.push(record.piece, &mut self.piece_middle);
                self.piece_middle.extend_from_slice(&self.middle[range.end..]);
                &self.piece_middle
            }
            _ => &self.middle,
        };
        let head = &self.heads[usize::from(severity & 7)];
        let RenderedTime { text: time, zone, .. } = &self.time;
        let micros = if self.style == TimeStyle::Micros { FRACTION_BYTES } else { 0 };
        if self.framing == Framing::OctetCounting {
            let parts = head.len() + time.len() + micros + zone.len() + middle.len();
            push_padded(out, (parts + text.len() + 1) as u64, 1, b'0');
            out.push(b' ');
        }
        out.extend_from_slice(head);
        out.extend_from_slice(time);
        if micros > 0 {
            out.push(b'.');
            push_padded(out, record.time_ns % NS_PER_S / 1000, 6, b'0');
        }
        out.extend_from_slice(zone);
        out.extend_from_slice(middle);
        out.extend_from_slice(text);
        out.push(b'\n');
    }
}

impl Encoder {
    fn render_time(&mut self, second: u64) {
        let civil = self.local_time.civil(i64::try_from(second).unwrap_or(i64::MAX));
        let RenderedTime { text, zone, .. } = &mut self.time;
        text.clear();
        zone.clear();
        if self.style == TimeStyle::Stamp {
            let month = usize::from(civil.month).saturating_sub(1);
            text.extend_from_slice(MONTHS.get(month).copied().unwrap_or(b"Jan"));
            text.push(b' ');
            push_padded(text, civil.day.into(), 2, b' ');
        } else {
            push_padded(text, u64::try_from(civil.year).unwrap_or(0), 4, b'0');
            for part in [civil.month, civil.day] {
                text.push(b'-');
                push_padded(text, part.into(), 2, b'0');
            }
        }
        text.push(if self.style == TimeStyle::Stamp { b' ' } else { b'T' });
        push_padded(text, civil.hour.into(), 2, b'0');
        for part in [civil.minute, civil.second] {
            text.push(b':');
            push_padded(text, part.into(), 2, b'0');
        }
        if self.style != TimeStyle::Stamp {
            let minutes = civil.offset_minutes.unsigned_abs();
            if minutes == 0 {
                zone.push(b'Z');
            } else {
                zone.push(if civil.offset_minutes < 0 { b'-' } else { b'+' });
                push_padded(zone, u64::from(minutes / 60), 2, b'0');
                zone.push(b':');
                push_padded(zone, u64::from(minutes % 60), 2, b'0');
            }
        }
        self.time.second = Some(second);
    }
}

const NS_PER_S: u64 = 1_000_000_000;

/// RFC 5424 table 2: what a container writes to standard output.
const SEVERITY_INFO: Severity = 6;

/// RFC 5424 table 2: what a container writes to standard error.
const SEVERITY_ERR: Severity = 3;

/// A dot and six digits.
const FRACTION_BYTES: usize = 7;

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{TlsSettings, Trust};
    use crate::record::Piece;

    const TIME_NS: u64 = 1_772_719_629_123_456_789;

    fn encoder(profile: Profile, zone: &str) -> Encoder {
        encoder_of(options(profile), zone)
    }

    fn options(profile: Profile) -> Options {
        Options {
            address: "tcp://h".parse().unwrap(),
            tls: TlsSettings { trust: Trust::Anyone, identity: None },
            facility: "daemon".parse().unwrap(),
            profile,
            tag: b"4f1c0e8f5a5d".to_vec(),
            framing: Framing::Newline,
            severity_from_line: false,
            attributes: None,
        }
    }

    fn encoder_of(options: Options, zone: &str) -> Encoder {
        let identity = Identity { host: b"cn01".to_vec(), pid: 1234 };
        Encoder::new(&options, &identity, LocalTime::load(Some(zone)))
    }

    fn line(stream: Stream, text: &[u8]) -> Record<'_> {
        Record { stream, time_ns: TIME_NS, text, piece: None }
    }

    #[test]
    fn worked_messages() {
        let triton = Profile::Triton("logger".to_owned());
        for (profile, zone, text) in [
            (Profile::Local, "", "<30>Mar  5 14:07:09 4f1c0e8f5a5d[1234]: hello\n"),
            (Profile::Rfc3164, "", "<30>Mar  5 14:07:09 cn01 4f1c0e8f5a5d[1234]: hello\n"),
            (
                Profile::Rfc5424,
                "",
                "<30>1 2026-03-05T14:07:09Z cn01 4f1c0e8f5a5d 1234 4f1c0e8f5a5d - hello\n",
            ),
            (
                Profile::Rfc5424Micro,
                "",
                "<30>1 2026-03-05T14:07:09.123456Z cn01 4f1c0e8f5a5d 1234 4f1c0e8f5a5d - hello\n",
            ),
            (
                Profile::Rfc5424Micro,
                "CET-1",
                "<30>1 2026-03-05T15:07:09.123456+01:00 cn01 4f1c0e8f5a5d 1234 4f1c0e8f5a5d - hello\n",
            ),
            (
                Profile::Rfc5424,
                "<-0330>3:30",
                "<30>1 2026-03-05T10:37:09-03:30 cn01 4f1c0e8f5a5d 1234 4f1c0e8f5a5d - hello\n",
            ),
            (triton, "", "<30>2026-03-05T14:07:09Z cn01 logger/4f1c0e8f5a5d[1234]: hello\n"),
        ] {
            let mut out = Vec::new();
            encoder(profile, zone).encode(&line(Stream::Stdout, b"hello"), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn text_is_opaque_and_the_second_is_kept() {
        let mut encoder = encoder(Profile::Local, "");
        let mut out = Vec::new();
        encoder.encode(&line(Stream::Stderr, b"\xff\0\r"), &mut out);
        assert_eq!(out, b"<27>Mar  5 14:07:09 4f1c0e8f5a5d[1234]: \xff\0\r\n");
        out.clear();
        let later = Record { time_ns: TIME_NS + 10_000_000_000, ..line(Stream::Stdout, b"x") };
        encoder.encode(&later, &mut out);
        assert_eq!(out, b"<30>Mar  5 14:07:19 4f1c0e8f5a5d[1234]: x\n");
    }

    #[test]
    fn empty_lines() {
        let piece = Some(Piece { id: 1, ordinal: 2, last: true });
        for (profile, piece, sent) in [
            (Profile::Local, None, false),
            (Profile::Rfc5424, None, false),
            (Profile::Triton("logger".to_owned()), None, true),
            (Profile::Triton("logger".to_owned()), piece, false),
        ] {
            let mut out = Vec::new();
            let record = Record { piece, ..line(Stream::Stdout, b"") };
            encoder(profile, "").encode(&record, &mut out);
            assert_eq!(!out.is_empty(), sent);
        }
    }

    #[test]
    fn what_is_counted_is_what_follows() {
        let counted = |profile| Options { framing: Framing::OctetCounting, ..options(profile) };
        let message =
            "<30>1 2026-03-05T14:07:09.123456Z cn01 4f1c0e8f5a5d 1234 4f1c0e8f5a5d - h\u{e9}\n";
        let mut out = Vec::new();
        let mut encoder = encoder_of(counted(Profile::Rfc5424Micro), "");
        encoder.encode(&line(Stream::Stdout, "h\u{e9}".as_bytes()), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{} {message}", message.len()));
        for profile in [Profile::Local, Profile::Rfc3164, Profile::Triton("l".to_owned())] {
            let mut out = Vec::new();
            encoder_of(counted(profile), "").encode(&line(Stream::Stdout, b"x"), &mut out);
            let text = String::from_utf8(out).unwrap();
            let (count, message) = text.split_once(' ').unwrap();
            assert_eq!(count.parse::<usize>().unwrap(), message.len());
        }
    }

    #[test]
    fn structured_data_says_which_piece_it_is_even_of_nothing() {
        let attributes = [("tier".to_owned(), "web".to_owned())].into();
        let options = Options { attributes: Some(attributes), ..options(Profile::Rfc5424) };
        let mut encoder = encoder_of(options, "");
        let mut encoded = |text, piece| {
            let mut out = Vec::new();
            encoder.encode(&Record { piece, ..line(Stream::Stdout, text) }, &mut out);
            let text = String::from_utf8(out).unwrap();
            text[text.find('[').unwrap()..].to_owned()
        };
        assert_eq!(encoded(b"a", None), "[docker@38678 tier=\"web\"] a\n");
        let piece = Some(Piece { id: 1, ordinal: 2, last: true });
        let partial = r#" partial_id="0000000000000001" partial_ordinal="2" partial_last="true"]"#;
        assert_eq!(encoded(b"", piece), format!("[docker@38678 tier=\"web\"{partial} \n"));
        assert_eq!(encoded(b"c", None), "[docker@38678 tier=\"web\"] c\n");
    }

    #[test]
    fn a_line_says_its_severity() {
        let options = Options { severity_from_line: true, ..options(Profile::Local) };
        let mut encoder = encoder_of(options, "");
        let mut encoded = |stream, text| {
            let mut out = Vec::new();
            encoder.encode(&line(stream, text), &mut out);
            String::from_utf8(out).unwrap()
        };
        let out = encoded(Stream::Stdout, b"<2>text");
        assert!(out.starts_with("<26>") && out.ends_with(": text\n"), "{out}");
        assert!(encoded(Stream::Stderr, b"{\"level\":30}").starts_with("<30>"));
        assert!(encoded(Stream::Stderr, b"text").starts_with("<27>"));
        assert_eq!(encoded(Stream::Stdout, b"<2>"), "", "nothing but a severity is nothing");
    }
}
