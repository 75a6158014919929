// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Deflate (RFC 1951) for many small texts: each is one block with the fixed
//! codes, its repetitions found by one look into a small table.
//!
//! Nothing is cleared between texts. Places in the table count on from text to
//! text, so those of an earlier one lie before the beginning of this one.

/// What is remembered from text to text.
pub(super) struct Quick {
    /// By hash of four bytes: where they stood last.
    places: Box<[u64; 1 << HASH_BITS]>,
    /// The place of the text's first byte; nothing has stood at 0.
    base: u64,
}

/// Bits on their way into bytes, the first one lowest.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    count: u32,
}

/// Bits to write, the first one lowest.
#[derive(Clone, Copy)]
struct Code {
    bits: u32,
    count: u32,
}

impl Quick {
    pub(super) fn new() -> Self {
        Self { places: Box::new([0; 1 << HASH_BITS]), base: 1 }
    }

    /// Appends `text` as one deflate stream.
    pub(super) fn deflate(&mut self, text: &[u8], out: &mut Vec<u8>) {
        out.reserve(text.len() * 9 / 8 + 16);
        let mut bits = Bits { out, pending: 0, count: 0 };
        bits.push(LAST_BLOCK_WITH_FIXED_CODES);
        let mut at = 0;
        while let Some(four) = text.get(at..).and_then(<[u8]>::first_chunk) {
            match self.repetition(text, at, four) {
                Some((distance, len)) => {
                    bits.push(LENGTHS[len - LENGTH_MIN]);
                    bits.push(distance_code(distance));
                    at += len;
                }
                None => {
                    bits.push(LITERALS[usize::from(four[0])]);
                    at += 1;
                }
            }
        }
        for &byte in text.get(at..).unwrap_or_default() {
            bits.push(LITERALS[usize::from(byte)]);
        }
        bits.push(END_OF_BLOCK);
        bits.finish();
        self.base += text.len() as u64;
    }

    /// How far before `at` the bytes from there stood last, and how many of them.
    fn repetition(&mut self, text: &[u8], at: usize, four: &[u8; 4]) -> Option<(usize, usize)> {
        let here = self.base + at as u64;
        let before = std::mem::replace(&mut self.places[hash(*four)], here);
        if before < self.base {
            return None;
        }
        let distance = usize::try_from(here - before).ok()?;
        let earlier = text.get(at.checked_sub(distance)?..)?;
        if distance > DISTANCE_MAX || !earlier.starts_with(four) {
            return None;
        }
        let rest = &text[at..text.len().min(at + LENGTH_MAX)];
        Some((distance, common_prefix(rest, earlier)))
    }
}

impl Bits<'_> {
    fn push(&mut self, code: Code) {
        self.pending |= u64::from(code.bits) << self.count;
        self.count += code.count;
        if self.count >= 32 {
            self.out.extend_from_slice(&self.pending.to_le_bytes()[..4]);
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    fn finish(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
    }
}

/// Fibonacci hashing.
fn hash(four: [u8; 4]) -> usize {
    (u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many bytes two texts begin with alike; eight at a time.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (eights_a, _) = a.as_chunks::<8>();
    let (eights_b, _) = b.as_chunks::<8>();
    let alike = eights_a.iter().zip(eights_b).take_while(|(a, b)| a == b).count() * 8;
    alike + a[alike..].iter().zip(&b[alike..]).take_while(|(a, b)| a == b).count()
}

/// RFC 1951 section 3.2.5: from distance 5 on, each two codes halve an octave.
const fn distance_code(distance: usize) -> Code {
    #[expect(clippy::cast_possible_truncation, reason = "at most 32767")]
    let from_0 = (distance - 1) as u32;
    if from_0 < 4 {
        return Code { bits: reversed(from_0, 5), count: 5 };
    }
    let octave = from_0.ilog2();
    let extra = octave - 1;
    let symbol = 2 * octave + (from_0 >> extra & 1);
    let low = from_0 & ((1 << extra) - 1);
    Code { bits: reversed(symbol, 5) | low << 5, count: 5 + extra }
}

/// RFC 1951 section 3.2.6.
const fn fixed_code(symbol: u32) -> Code {
    let (code, count) = match symbol {
        0..=143 => (0b0011_0000 + symbol, 8),
        144..=255 => (0b1_1001_0000 + symbol - 144, 9),
        256..=279 => (symbol - 256, 7),
        _ => (0b1100_0000 + symbol - 280, 8),
    };
    Code { bits: reversed(code, count), count }
}

/// Codes go out with their first bit first, numbers with their lowest.
const fn reversed(code: u32, count: u32) -> u32 {
    code.reverse_bits() >> (32 - count)
}

const LITERALS: [Code; 256] = {
    let mut codes = [END_OF_BLOCK; 256];
    let mut byte = 0;
    while byte < 256 {
        codes[byte as usize] = fixed_code(byte);
        byte += 1;
    }
    codes
};

/// By length, from [`LENGTH_MIN`]: RFC 1951 section 3.2.5. Groups of four symbols
/// with one more extra bit each follow the first eight, which have none.
const LENGTHS: [Code; LENGTH_MAX - LENGTH_MIN + 1] = {
    let mut codes = [fixed_code(285); LENGTH_MAX - LENGTH_MIN + 1];
    let (mut symbol, mut at) = (257, 0);
    while symbol < 285 {
        let extra = if symbol < 265 { 0 } else { (symbol - 261) / 4 };
        let code = fixed_code(symbol);
        let mut low = 0;
        while low < 1 << extra && at < codes.len() - 1 {
            codes[at] = Code { bits: code.bits | low << code.count, count: code.count + extra };
            (low, at) = (low + 1, at + 1);
        }
        symbol += 1;
    }
    codes
};

const LAST_BLOCK_WITH_FIXED_CODES: Code = Code { bits: 0b011, count: 3 };
const END_OF_BLOCK: Code = fixed_code(256);

const LENGTH_MIN: usize = 3;
const LENGTH_MAX: usize = 258;
const DISTANCE_MAX: usize = 32 << 10;

/// 2048 places, 16 KiB.
const HASH_BITS: u32 = 11;

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(quick: &mut Quick, text: &[u8]) -> usize {
        let mut out = Vec::new();
        quick.deflate(text, &mut out);
        let mut inflate = zlib_rs::Inflate::new(false, 15);
        let mut back = vec![0; text.len() + 1];
        let status = inflate.decompress(&out, &mut back, zlib_rs::InflateFlush::Finish);
        assert_eq!(status, Ok(zlib_rs::Status::StreamEnd));
        back.truncate(usize::try_from(inflate.total_out()).unwrap());
        assert_eq!(back, text);
        out.len()
    }

    #[test]
    fn every_length_and_distance_reads_back() {
        let mut quick = Quick::new();
        for len in 4..=LENGTH_MAX + 2 {
            let part: Vec<u8> = (0..len).map(|n| n.to_le_bytes()[0] ^ 0x55).collect();
            round_trip(&mut quick, &[&part[..], b"...", &part, b"!"].concat());
        }
        for distance in (4..DISTANCE_MAX + 3).step_by(37).chain(DISTANCE_MAX - 1..=DISTANCE_MAX + 1)
        {
            let between = vec![b' '; distance - 4];
            round_trip(&mut quick, &[b"mark", &between[..], b"mark"].concat());
        }
    }

    #[test]
    fn what_repeats_is_small_and_what_does_not_grows_little() {
        let mut quick = Quick::new();
        assert!(round_trip(&mut quick, &[b'a'; 65_536]) < 700);
        let bytes: Vec<u8> = (0..=255).collect();
        assert!(round_trip(&mut quick, &bytes) <= 256 * 9 / 8 + 2);
        assert_eq!(round_trip(&mut quick, b""), 2);
    }

    #[test]
    fn an_earlier_text_is_forgotten() {
        let mut quick = Quick::new();
        let first = round_trip(&mut quick, b"0123456789abcdef");
        assert_eq!(round_trip(&mut quick, b"0123456789abcdef"), first);
    }
}
