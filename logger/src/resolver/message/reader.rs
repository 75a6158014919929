// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Numbers, names and records at a place in a message.

use super::super::name::Name;
use super::DecodeError;

/// A name has at most 127 labels, so it needs no more pointers than that.
const POINTERS_MAX: usize = 127;

/// One resource record.
pub(super) struct Record<'a> {
    pub(super) owner: Name,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl_secs: u32,
    pub(super) data: &'a [u8],
    pub(super) data_at: usize,
}

/// A place in a message.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// The same message at another place.
    pub(super) const fn moved_to(&self, at: usize) -> Self {
        Self { message: self.message, at }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.message.get(self.at..).unwrap_or_default();
        let bytes = rest.get(..count).ok_or(DecodeError::Cut { at: self.message.len() })?;
        self.at += count;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.bytes(1)?.iter().fold(0, |_zero, byte| *byte))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(self.bytes(2)?.iter().fold(0, |high, low| (high << 8) | u16::from(*low)))
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(self.bytes(4)?.iter().fold(0, |high, low| (high << 8) | u32::from(*low)))
    }

    pub(super) fn record(&mut self) -> Result<Record<'a>, DecodeError> {
        let owner = self.name()?;
        let (kind, class, ttl_secs) = (self.u16()?, self.u16()?, self.u32()?);
        // RFC 2181 section 8: a negative time to live is none.
        let ttl_secs = i32::try_from(ttl_secs).map_or(0, i32::unsigned_abs);
        let length = usize::from(self.u16()?);
        let data_at = self.at;
        let data = self.bytes(length)?;
        Ok(Record { owner, kind, class, ttl_secs, data, data_at })
    }

    /// A name, RFC 1035 section 4.1.4: labels, then the root or a pointer to
    /// where the rest stands.
    pub(super) fn name(&mut self) -> Result<Name, DecodeError> {
        let start = self.at;
        let mut name = Name::root();
        let mut part = self.clone();
        let mut part_start = start;
        let mut pointers = 0;
        loop {
            let at = part.at;
            let length = part.u8()?;
            match length >> 6 {
                0 if length == 0 => break,
                0 => {
                    let label = part.bytes(usize::from(length))?;
                    if !name.push_label(label) {
                        return Err(DecodeError::NameTooLong { at: start });
                    }
                }
                3 => {
                    let low = part.u8()?;
                    let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if pointers == 0 {
                        self.at = part.at;
                    }
                    pointers += 1;
                    if target >= part_start || pointers > POINTERS_MAX {
                        return Err(DecodeError::Pointer { at });
                    }
                    part.at = target;
                    part_start = target;
                }
                _ => return Err(DecodeError::Label { at }),
            }
        }
        if pointers == 0 {
            self.at = part.at;
        }
        Ok(name)
    }
}
