// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Record to event. Everything but time, line and chunk id is rendered once.

use super::msgpack::{push_map_header, push_str, push_str_header, push_uint};
use super::options::{Mode, Options, Profile, TimeStyle};
use crate::driver::Encode;
use crate::record::{Piece, Record, Stream};

/// Renders the events of one container.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// `[TAG,` of a message, `[` of an entry of a pack.
    opening: Vec<u8>,
    /// From behind the time to the line, by stream: of a whole line, of a piece.
    middles: [[Vec<u8>; 2]; 2],
    /// What ends an event that has no chunk id of its own.
    closing: &'static [u8],
    /// `[TAG, bin` with four bytes for its length; empty where nothing is packed.
    pack_opening: Vec<u8>,
    profile: Profile,
    style: TimeStyle,
    chunks: Option<Chunks>,
    time: RenderedTime,
    /// The time of the last record.
    last_ns: u64,
}

/// An event's time as it is sent.
#[derive(Debug, Default)]
struct RenderedTime {
    /// The second, or the nanosecond.
    of: Option<u64>,
    bytes: Vec<u8>,
}

/// Makes ids of chunks.
#[derive(Debug)]
struct Chunks {
    /// Of a generator that passes through every number before it repeats one.
    state: u64,
}

impl Encoder {
    /// An encoder with everything rendered that stays the same. `seed` makes the
    /// ids of chunks differ from those of others.
    pub(crate) fn new(options: &Options, seed: u64) -> Self {
        let packed = options.mode == Mode::PackedForward;
        let mut opening = Vec::new();
        let mut pack_opening = Vec::new();
        if packed {
            opening.push(0x92);
            pack_opening.push(0x93);
            push_str(&mut pack_opening, &options.tag);
            pack_opening.extend_from_slice(&[0xc6, 0, 0, 0, 0]);
        } else {
            opening.push(0x94);
            push_str(&mut opening, &options.tag);
        }
        let middles = ["stdout", "stderr"].map(|source| {
            let marks = if options.profile == Profile::Triton { 0 } else { PIECE_MARKS.len() };
            [0, marks].map(|marks| middle(options, source, marks))
        });
        Self {
            opening,
            middles,
            closing: match options.profile {
                _ if packed || options.acks => b"",
                Profile::Docker => EMPTY_MAP,
                Profile::Triton => NIL,
            },
            pack_opening,
            profile: options.profile,
            style: options.time,
            chunks: options.acks.then_some(Chunks { state: seed }),
            time: RenderedTime::default(),
            last_ns: 0,
        }
    }
}

impl Encode for Encoder {
    /// Appends the event; nothing for the empty end of a line that was sent in
    /// pieces in Triton's profile, which has no mark that it would carry.
    fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        if record.text.is_empty() && record.piece.is_some() && self.profile == Profile::Triton {
            return;
        }
        if out.is_empty() {
            out.extend_from_slice(&self.pack_opening);
        }
        self.last_ns = record.time_ns;
        self.time.render(record.time_ns, self.style);
        out.extend_from_slice(&self.opening);
        out.extend_from_slice(&self.time.bytes);
        let middles = &self.middles[usize::from(record.stream == Stream::Stderr)];
        out.extend_from_slice(&middles[usize::from(record.piece.is_some())]);
        push_str_header(out, record.text.len());
        out.extend_from_slice(record.text);
        if let Some(piece) = record.piece.filter(|_| self.profile == Profile::Docker) {
            push_piece_marks(out, piece);
        }
        match &mut self.chunks {
            Some(chunks) if self.pack_opening.is_empty() => {
                out.push(0x81);
                chunks.push_next(out, record.time_ns);
            }
            _ => out.extend_from_slice(self.closing),
        }
    }

    fn packs(&self) -> bool {
        !self.pack_opening.is_empty()
    }

    fn end_pack(&mut self, records: u64, out: &mut Vec<u8>) {
        let from = self.pack_opening.len();
        let length = u32::try_from(out.len().saturating_sub(from)).unwrap_or(u32::MAX);
        if let Some(place) = out.get_mut(from.saturating_sub(4)..from) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        push_map_header(out, 1 + usize::from(self.chunks.is_some()));
        push_str(out, b"size");
        push_uint(out, records);
        if let Some(chunks) = &mut self.chunks {
            chunks.push_next(out, self.last_ns);
        }
    }
}

/// The members that do not change, then the key of the line. Behind a piece's line
/// come `marks` more, which take the places of attributes of their names.
fn middle(options: &Options, source: &str, marks: usize) -> Vec<u8> {
    let mut members = options.members.clone();
    members.entry("source".to_owned()).or_insert_with(|| source.to_owned());
    for mark in PIECE_MARKS.iter().take(marks) {
        members.remove(*mark);
    }
    let mut out = Vec::new();
    push_map_header(&mut out, members.len() + 1 + marks);
    for (key, value) in &members {
        push_str(&mut out, key.as_bytes());
        push_str(&mut out, value.as_bytes());
    }
    push_str(&mut out, b"log");
    out
}

/// What marks a piece of a line.
const PIECE_MARKS: [&str; 4] = ["partial_message", "partial_id", "partial_ordinal", "partial_last"];

fn push_piece_marks(out: &mut Vec<u8>, piece: Piece) {
    let mut id = Vec::with_capacity(64);
    let mut state = piece.id;
    for _ in 0..4 {
        push_hex(&mut id, &next_random(&mut state).to_be_bytes());
    }
    let ordinal = piece.ordinal.to_string();
    let values: [&[u8]; 4] =
        [b"true", &id, ordinal.as_bytes(), if piece.last { b"true" } else { b"false" }];
    for (mark, value) in PIECE_MARKS.iter().zip(values) {
        push_str(out, mark.as_bytes());
        push_str(out, value);
    }
}

/// Appends two lower-case digits for each byte.
pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
}

impl RenderedTime {
    fn render(&mut self, time_ns: u64, style: TimeStyle) {
        let of = match style {
            TimeStyle::Seconds => time_ns / NS_PER_S,
            TimeStyle::Nanos => time_ns,
        };
        if self.of == Some(of) {
            return;
        }
        self.of = Some(of);
        self.bytes.clear();
        match style {
            TimeStyle::Seconds => match i32::try_from(of) {
                Ok(seconds) => {
                    self.bytes.push(0xd2);
                    self.bytes.extend_from_slice(&seconds.to_be_bytes());
                }
                Err(_) => {
                    self.bytes.push(0xd3);
                    self.bytes.extend_from_slice(&of.to_be_bytes());
                }
            },
            TimeStyle::Nanos => {
                // Until 2106, as the form has it.
                let seconds = u32::try_from(time_ns / NS_PER_S).unwrap_or(u32::MAX);
                let nanos = u32::try_from(time_ns % NS_PER_S).unwrap_or(0);
                self.bytes.extend_from_slice(&[0xd7, 0]);
                self.bytes.extend_from_slice(&seconds.to_be_bytes());
                self.bytes.extend_from_slice(&nanos.to_be_bytes());
            }
        }
    }
}

impl Chunks {
    /// Appends the member `chunk`: as in Docker, base64 of the time in seconds and
    /// eight random bytes.
    fn push_next(&mut self, out: &mut Vec<u8>, time_ns: u64) {
        out.extend_from_slice(b"\xa5chunk\xb8");
        let mut id = [0; 18];
        id[..8].copy_from_slice(&(time_ns / NS_PER_S).to_le_bytes());
        id[8..16].copy_from_slice(&next_random(&mut self.state).to_le_bytes());
        let (groups, _) = id.as_chunks::<3>();
        for [a, b, c] in groups {
            let digits = [a >> 2, a << 4 | b >> 4, b << 2 | c >> 6, *c];
            out.extend(digits.map(|digit| BASE64[usize::from(digit & 63)]));
        }
        // Two of the 18 bytes are not there.
        let end = out.len() - 2;
        out[end..].copy_from_slice(b"==");
    }
}

/// The next of a sequence that passes through every number (splitmix64).
const fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut n = *state;
    n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

const NS_PER_S: u64 = 1_000_000_000;

const EMPTY_MAP: &[u8] = b"\x80";
const NIL: &[u8] = b"\xc0";

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests;
