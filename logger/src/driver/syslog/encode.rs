// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Record to syslog message. Everything that stays the same is rendered once;
//! the time, when its second changes.

use super::{Options, Profile};
use crate::driver::Identity;
use crate::local_time::{LocalTime, push_padded};
use crate::record::{Record, Stream};

/// Renders the messages of one container.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// What stands before the time, for each stream.
    heads: [Vec<u8>; 2],
    /// What stands between time and text.
    middle: Vec<u8>,
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
        let pri = |severity: u8| u64::from(options.facility.code()) * 8 + u64::from(severity);
        let version = match options.profile {
            Profile::Rfc5424 | Profile::Rfc5424Micro => "1 ",
            _ => "",
        };
        let head = |severity| {
            let mut head = vec![b'<'];
            push_padded(&mut head, pri(severity), 1, b'0');
            head.push(b'>');
            head.extend_from_slice(version.as_bytes());
            head
        };
        let tag = options.tag.as_slice();
        let host = if identity.host.is_empty() { b"localhost" } else { identity.host.as_slice() };
        let pid = identity.pid.to_string();
        let pid = pid.as_bytes();
        let middle: Vec<&[u8]> = match &options.profile {
            Profile::Local => vec![b" ", tag, b"[", pid, b"]: "],
            Profile::Rfc3164 => vec![b" ", host, b" ", tag, b"[", pid, b"]: "],
            Profile::Rfc5424 | Profile::Rfc5424Micro => {
                vec![b" ", host, b" ", tag, b" ", pid, b" ", tag, b" - "]
            }
            Profile::Triton(program) => {
                vec![b" ", host, b" ", program.as_bytes(), b"/", tag, b"[", pid, b"]: "]
            }
        };
        let (style, empty_lines) = match options.profile {
            Profile::Local | Profile::Rfc3164 => (TimeStyle::Stamp, EmptyLines::Left),
            Profile::Rfc5424 => (TimeStyle::Seconds, EmptyLines::Left),
            Profile::Rfc5424Micro => (TimeStyle::Micros, EmptyLines::Left),
            Profile::Triton(_) => (TimeStyle::Seconds, EmptyLines::Sent),
        };
        Self {
            heads: [head(SEVERITY_INFO), head(SEVERITY_ERR)],
            middle: middle.concat(),
            style,
            empty_lines,
            local_time,
            time: RenderedTime::default(),
        }
    }

    /// Appends the message. Empty lines are left out except in Triton's layout;
    /// the empty end of a line that was sent in pieces always is.
    pub(crate) fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let sent = self.empty_lines == EmptyLines::Sent && record.piece.is_none();
        if record.text.is_empty() && !sent {
            return;
        }
        let second = record.time_ns / NS_PER_S;
        if self.time.second != Some(second) {
            self.render_time(second);
        }
        out.extend_from_slice(&self.heads[usize::from(record.stream == Stream::Stderr)]);
        out.extend_from_slice(&self.time.text);
        if self.style == TimeStyle::Micros {
            out.push(b'.');
            push_padded(out, record.time_ns % NS_PER_S / 1000, 6, b'0');
        }
        out.extend_from_slice(&self.time.zone);
        out.extend_from_slice(&self.middle);
        out.extend_from_slice(record.text);
        out.push(b'\n');
    }

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
const SEVERITY_INFO: u8 = 6;

/// RFC 5424 table 2: what a container writes to standard error.
const SEVERITY_ERR: u8 = 3;

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
        let options = Options {
            address: "tcp://h".parse().unwrap(),
            tls: TlsSettings { trust: Trust::Anyone, identity: None },
            facility: "daemon".parse().unwrap(),
            profile,
            tag: b"4f1c0e8f5a5d".to_vec(),
        };
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
}
