// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! MessagePack, as much of it as the forward protocol needs: a few type bytes to
//! write, and a reader for what a server says that believes no length.

/// Appends a string, whatever its bytes are.
pub(super) fn push_str(out: &mut Vec<u8>, text: &[u8]) {
    push_str_header(out, text.len());
    out.extend_from_slice(text);
}

/// Appends what stands before the bytes of a string. Lengths of 4 GiB and more do
/// not occur.
pub(super) fn push_str_header(out: &mut Vec<u8>, len: usize) {
    if let Ok(short) = u8::try_from(len) {
        match short {
            0..32 => out.push(0xa0 | short),
            _ => out.extend_from_slice(&[0xd9, short]),
        }
    } else if let Ok(len) = u16::try_from(len) {
        out.push(0xda);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(0xdb);
        out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    }
}

/// Appends what stands before the members of a map. 65 536 members do not occur:
/// they are a container's labels and variables.
pub(super) fn push_map_header(out: &mut Vec<u8>, members: usize) {
    match u8::try_from(members) {
        Ok(few @ 0..16) => out.push(0x80 | few),
        _ => {
            out.push(0xde);
            out.extend_from_slice(&u16::try_from(members).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
}

/// Appends a number.
pub(super) fn push_uint(out: &mut Vec<u8>, n: u64) {
    if let Ok(n @ 0..128) = u8::try_from(n) {
        out.push(n);
    } else {
        out.push(0xcf);
        out.extend_from_slice(&n.to_be_bytes());
    }
}

/// What was read: a scalar, or the head of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Bool(bool),
    /// A string or binary: servers do not agree on which they send.
    Bytes(&'a [u8]),
    /// So many values follow.
    Array(usize),
    /// So many keys, each with its value, follow.
    Map(usize),
    /// A number, nil, or a type of somebody's own: nothing that means anything here.
    Other,
}

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadError {
    /// It may go on in what has not come yet.
    Incomplete,
    /// There is no such type, or it is nested too deeply.
    Malformed,
}

/// Reads values from the front of what has come so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next value, of arrays and maps the head.
    pub(super) fn value(&mut self) -> Result<Value<'a>, ReadError> {
        let kind = self.byte()?;
        Ok(match kind {
            0x00..=0x7f | 0xc0 | 0xe0..=0xff => Value::Other,
            0x80..=0x8f => Value::Map(usize::from(kind & 15)),
            0x90..=0x9f => Value::Array(usize::from(kind & 15)),
            0xa0..=0xbf => Value::Bytes(self.take(usize::from(kind & 31))?),
            0xc1 => return Err(ReadError::Malformed),
            0xc2 | 0xc3 => Value::Bool(kind == 0xc3),
            0xc4 | 0xd9 => self.bytes(1)?,
            0xc5 | 0xda => self.bytes(2)?,
            0xc6 | 0xdb => self.bytes(4)?,
            0xc7 => self.extension(1)?,
            0xc8 => self.extension(2)?,
            0xc9 => self.extension(4)?,
            0xcc | 0xd0 => self.skipped(1)?,
            0xcd | 0xd1 => self.skipped(2)?,
            0xca | 0xce | 0xd2 => self.skipped(4)?,
            0xcb | 0xcf | 0xd3 => self.skipped(8)?,
            // One byte says which type of somebody's own it is.
            0xd4..=0xd8 => self.skipped(1 + (1 << (kind - 0xd4)))?,
            0xdc => Value::Array(self.length(2)?),
            0xdd => Value::Array(self.length(4)?),
            0xde => Value::Map(self.length(2)?),
            0xdf => Value::Map(self.length(4)?),
        })
    }

    /// The next value, and past all that is in it.
    pub(super) fn whole(&mut self) -> Result<Value<'a>, ReadError> {
        let mut at = *self;
        self.skip()?;
        at.value()
    }

    /// Reads the next value, with all that is in it, for nothing.
    pub(super) fn skip(&mut self) -> Result<(), ReadError> {
        self.skip_nested(NESTING_MAX)
    }

    fn skip_nested(&mut self, levels: usize) -> Result<(), ReadError> {
        let inside = match self.value()? {
            Value::Array(values) => values,
            Value::Map(members) => members.saturating_mul(2),
            Value::Bool(_) | Value::Bytes(_) | Value::Other => return Ok(()),
        };
        let levels = levels.checked_sub(1).ok_or(ReadError::Malformed)?;
        // Each takes a byte at least: an absurd number ends with the bytes.
        (0..inside).try_for_each(|_| self.skip_nested(levels))
    }

    fn bytes(&mut self, length_bytes: usize) -> Result<Value<'a>, ReadError> {
        let length = self.length(length_bytes)?;
        Ok(Value::Bytes(self.take(length)?))
    }

    fn extension(&mut self, length_bytes: usize) -> Result<Value<'a>, ReadError> {
        let length = self.length(length_bytes)?;
        self.skipped(length.saturating_add(1))
    }

    fn skipped(&mut self, length: usize) -> Result<Value<'a>, ReadError> {
        self.take(length).map(|_| Value::Other)
    }

    /// A number in the network's order.
    fn length(&mut self, bytes: usize) -> Result<usize, ReadError> {
        Ok(self.take(bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn byte(&mut self) -> Result<u8, ReadError> {
        let (first, rest) = self.rest.split_first().ok_or(ReadError::Incomplete)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ReadError::Incomplete)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Arrays and maps inside each other, in what a server says.
const NESTING_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_value() {
        let bytes16 = [[0xc5, 0, 2].as_slice(), b"ab"].concat();
        for (bytes, value) in [
            ([0x05].as_slice(), Value::Other),
            (&[0xff], Value::Other),
            (&[0xc0], Value::Other),
            (&[0xc2], Value::Bool(false)),
            (&[0xc3], Value::Bool(true)),
            (&[0x83], Value::Map(3)),
            (&[0x92], Value::Array(2)),
            (&[0xa2, b'a', b'b'], Value::Bytes(b"ab")),
            (&[0xd9, 2, b'a', b'b'], Value::Bytes(b"ab")),
            (&[0xda, 0, 1, b'a'], Value::Bytes(b"a")),
            (&[0xdb, 0, 0, 0, 1, b'a'], Value::Bytes(b"a")),
            (&[0xc4, 1, b'a'], Value::Bytes(b"a")),
            (&bytes16, Value::Bytes(b"ab")),
            (&[0xc6, 0, 0, 0, 0], Value::Bytes(b"")),
            (&[0xd4, 0, 1], Value::Other),
            (&[0xd7, 0, 1, 2, 3, 4, 5, 6, 7, 8], Value::Other),
            (&[0xc7, 2, 0, 1, 2], Value::Other),
            (&[0xcb, 0, 0, 0, 0, 0, 0, 0, 0], Value::Other),
            (&[0xdc, 1, 0], Value::Array(256)),
            (&[0xdf, 0, 1, 0, 0], Value::Map(65536)),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.value(), Ok(value), "{bytes:x?}");
            assert!(reader.rest().is_empty(), "{bytes:x?}");
            for short in 0..bytes.len() {
                let read = Reader::new(&bytes[..short]).value();
                assert_eq!(read, Err(ReadError::Incomplete), "{:x?}", &bytes[..short]);
            }
        }
        assert_eq!(Reader::new(&[0xc1]).value(), Err(ReadError::Malformed));
    }

    #[test]
    fn lengths_are_not_believed_and_nesting_has_an_end() {
        for bytes in [[0xdd, 255, 255, 255, 255, 1].as_slice(), &[0xdb, 255, 255, 255, 255]] {
            assert_eq!(Reader::new(bytes).skip(), Err(ReadError::Incomplete));
        }
        assert_eq!(Reader::new(&[0x91; 100]).skip(), Err(ReadError::Malformed));
        let mut nested = vec![0x91; NESTING_MAX];
        nested.push(0xc0);
        assert_eq!(Reader::new(&nested).skip(), Ok(()));
    }

    #[test]
    fn headers_at_their_borders() {
        for (len, header) in [
            (31, [0xbf].as_slice()),
            (32, &[0xd9, 32]),
            (255, &[0xd9, 255]),
            (256, &[0xda, 1, 0]),
            (65535, &[0xda, 255, 255]),
            (65536, &[0xdb, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            push_str_header(&mut out, len);
            assert_eq!(out, header);
        }
        for (members, header) in [(15, [0x8f].as_slice()), (16, &[0xde, 0, 16])] {
            let mut out = Vec::new();
            push_map_header(&mut out, members);
            assert_eq!(out, header);
        }
        for (n, bytes) in [(127, [0x7f].as_slice()), (128, &[0xcf, 0, 0, 0, 0, 0, 0, 0, 128])] {
            let mut out = Vec::new();
            push_uint(&mut out, n);
            assert_eq!(out, bytes);
        }
    }
}
