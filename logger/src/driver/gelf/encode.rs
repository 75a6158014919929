// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Record to GELF message. Everything but text, time and level is rendered once.

use dockerlogger_manifest::value::ServerTransport;

use super::compress::{Compression, Compressor};
use super::options::{Options, Partials, Profile};
use crate::driver::{Encode, Identity};
use crate::json::{Escapes, push_string, push_text};
use crate::local_time::push_padded;
use crate::record::{Piece, Record, Stream};

/// Renders the messages of one container.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// Up to the text.
    head: Vec<u8>,
    /// Behind the text, up to the time.
    middle: &'static [u8],
    /// Behind the time, for each stream.
    tails: [Vec<u8>; 2],
    /// What ends a message.
    end: &'static [u8],
    profile: Profile,
    partials: Partials,
    compressor: Option<Compressor>,
    /// A message before it is compressed.
    plain: Vec<u8>,
}

impl Encoder {
    /// An encoder with everything rendered that stays the same.
    pub(crate) fn new(options: &Options, identity: &Identity) -> Self {
        let host = if identity.host.is_empty() { b"localhost" } else { identity.host.as_slice() };
        let mut head = br#"{"version":"1.1","host":"#.to_vec();
        push_string(&mut head, host, Escapes::Letters);
        head.extend_from_slice(br#","short_message":""#);
        let (middle, facility): (&[u8], &[u8]) = match options.profile {
            Profile::Docker => (br#"","timestamp":"#, b""),
            Profile::Triton => (br#"","full_message":"","timestamp":"#, br#","facility":"""#),
        };
        let tail = |severity: u8| {
            let mut tail = [br#","level":"#, &[severity][..], facility].concat();
            for (name, value) in &options.fields {
                tail.push(b',');
                push_string(&mut tail, name.as_bytes(), Escapes::Letters);
                tail.push(b':');
                push_string(&mut tail, value.as_bytes(), Escapes::Letters);
            }
            tail
        };
        Self {
            head,
            middle,
            tails: [tail(SEVERITY_INFO), tail(SEVERITY_ERR)],
            end: if options.address.transport == ServerTransport::Udp { b"}" } else { b"}\0" },
            profile: options.profile,
            partials: options.partials,
            compressor: match options.compression {
                Compression::None => None,
                Compression::To { format, level } => Some(Compressor::new(format, level)),
            },
            plain: Vec::new(),
        }
    }
}

impl Encode for Encoder {
    /// Appends the message. Empty lines are left out except in Triton's profile;
    /// the empty end of a line that was sent in pieces always is.
    fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let sent = self.profile == Profile::Triton && record.piece.is_none();
        if record.text.is_empty() && !sent {
            return;
        }
        let Some(mut compressor) = self.compressor.take() else {
            self.push_message(record, out);
            return;
        };
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        self.push_message(record, &mut plain);
        compressor.compress(&plain, out);
        // One long record must not cost its size from then on.
        plain.shrink_to(PLAIN_KEPT_BYTES);
        self.plain = plain;
        self.compressor = Some(compressor);
    }
}

impl Encoder {
    fn push_message(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let text = match self.profile {
            Profile::Docker => record.text,
            Profile::Triton => trimmed(record.text),
        };
        let tail = &self.tails[usize::from(record.stream == Stream::Stderr)];
        out.reserve(self.head.len() + text.len() + tail.len() + SPARE_BYTES);
        out.extend_from_slice(&self.head);
        push_text(out, text, Escapes::Letters);
        out.extend_from_slice(self.middle);
        push_seconds(out, record.time_ns);
        out.extend_from_slice(tail);
        if let Some(piece) = record.piece.filter(|_| self.partials == Partials::Marked) {
            push_piece(out, piece);
        }
        out.extend_from_slice(self.end);
    }
}

/// Seconds with milliseconds, cut, in as few digits as there are: what Go prints
/// for such a number.
fn push_seconds(out: &mut Vec<u8>, time_ns: u64) {
    let millis = time_ns / 1_000_000;
    push_padded(out, millis / 1000, 1, b'0');
    match millis % 1000 {
        0 => {}
        fraction => {
            out.push(b'.');
            let (digits, width) = match fraction {
                _ if fraction % 100 == 0 => (fraction / 100, 1),
                _ if fraction % 10 == 0 => (fraction / 10, 2),
                _ => (fraction, 3),
            };
            push_padded(out, digits, width, b'0');
        }
    }
}

fn push_piece(out: &mut Vec<u8>, piece: Piece) {
    out.extend_from_slice(br#","_partial_id":""#);
    for byte in piece.id.to_be_bytes() {
        for digit in [byte >> 4, byte & 15] {
            out.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
    out.extend_from_slice(br#"","_partial_ordinal":"#);
    push_padded(out, piece.ordinal.into(), 1, b'0');
    // GELF 1.1 knows no truth values.
    out.extend_from_slice(br#","_partial_last":""#);
    out.extend_from_slice(if piece.last { b"true\"" } else { b"false\"" });
}

/// Without the white space at both ends, Unicode's too; a byte that is no UTF-8
/// is none.
fn trimmed(text: &[u8]) -> &[u8] {
    if let Ok(text) = std::str::from_utf8(text) {
        return text.trim().as_bytes();
    }
    let mut chunks = text.utf8_chunks();
    let white = |chunk: &str, rest: &str| chunk.len() - rest.len();
    let first = chunks.next().map_or("", |chunk| chunk.valid());
    let start = white(first, first.trim_start());
    let last = match chunks.last() {
        Some(chunk) if chunk.invalid().is_empty() => chunk.valid(),
        _ => "",
    };
    &text[start..text.len() - white(last, last.trim_end())]
}

/// The level of standard output: RFC 5424 table 2.
const SEVERITY_INFO: u8 = b'6';

/// The level of standard error.
const SEVERITY_ERR: u8 = b'3';

/// What a message needs for time, marks and punctuation, in bytes.
const SPARE_BYTES: usize = 160;

/// Memory for a message that is kept, in bytes.
const PLAIN_KEPT_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests;
