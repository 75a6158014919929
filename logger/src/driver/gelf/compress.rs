// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Records as gzip members (RFC 1952) or zlib streams (RFC 1950), one each, with
//! the headers of Docker's: receivers tell formats apart by their first bytes.

mod quick;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

use self::quick::Quick;

/// What becomes of a record before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    To {
        format: Format,
        /// -1 to 9.
        level: i8,
    },
}

/// What stands around the compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Gzip,
    Zlib,
}

/// Compresses one record after the other, with memory that is taken once.
#[derive(Debug)]
pub(crate) struct Compressor {
    format: Format,
    header: Vec<u8>,
    coder: Coder,
}

enum Coder {
    /// Level 1. The library's has a table of 128 KiB to clear before each record,
    /// which takes longer than all the rest.
    Quick(Quick),
    Library(Deflate),
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coder").finish_non_exhaustive()
    }
}

impl Compressor {
    /// Takes 16 KiB for level 1, about 200 KiB for any other.
    pub(crate) fn new(format: Format, level: i8) -> Self {
        let coder = if level == 1 {
            Coder::Quick(Quick::new())
        } else {
            Coder::Library(Deflate::new_with_config(DeflateConfig {
                level: level.into(),
                window_bits: -WINDOW_BITS,
                mem_level: MEM_LEVEL,
                ..DeflateConfig::default()
            }))
        };
        Self { format, header: header(format, level), coder }
    }

    /// Appends `record`, compressed.
    pub(crate) fn compress(&mut self, record: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header);
        match &mut self.coder {
            Coder::Quick(quick) => quick.deflate(record, out),
            Coder::Library(library) => deflate(library, record, out),
        }
        match self.format {
            Format::Gzip => {
                out.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
                let len = u32::try_from(record.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&len.to_le_bytes());
            }
            Format::Zlib => {
                out.extend_from_slice(&zlib_rs::adler32::adler32(1, record).to_be_bytes());
            }
        }
    }
}

fn header(format: Format, level: i8) -> Vec<u8> {
    match format {
        Format::Gzip => {
            let extra_flags = match level {
                1 => 4,
                9 => 2,
                _ => 0,
            };
            vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra_flags, UNKNOWN_SYSTEM]
        }
        Format::Zlib => {
            let check = match level {
                0 | 1 => 0x01,
                2..=5 => 0x5e,
                7..=9 => 0xda,
                _ => 0x9c,
            };
            vec![0x78, check]
        }
    }
}

/// Appends `record` as one deflate stream.
fn deflate(library: &mut Deflate, record: &[u8], out: &mut Vec<u8>) {
    library.reset();
    let mut rest = record;
    loop {
        let (start, taken, made) = (out.len(), library.total_in(), library.total_out());
        out.resize(start + zlib_rs::compress_bound(rest.len()), 0);
        let status = library.compress(rest, &mut out[start..], DeflateFlush::Finish);
        out.truncate(start + to_usize(library.total_out() - made));
        rest = &rest[to_usize(library.total_in() - taken)..];
        match status {
            Ok(Status::Ok) => {}
            Ok(Status::StreamEnd) => return,
            // It fails where it is used wrongly, and with no room; there was some.
            Ok(Status::BufError) | Err(_) => return debug_assert!(false, "{status:?}"),
        }
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

const UNKNOWN_SYSTEM: u8 = 255;

/// 8 KiB: more than a usual record.
const WINDOW_BITS: i32 = 13;

/// 4096 symbols to a block.
const MEM_LEVEL: i32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_are_those_of_docker() {
        for (format, level, first) in [
            (Format::Gzip, 1, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255][..]),
            (Format::Gzip, 9, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]),
            (Format::Gzip, -1, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]),
            (Format::Zlib, 0, &[0x78, 0x01]),
            (Format::Zlib, 1, &[0x78, 0x01]),
            (Format::Zlib, 2, &[0x78, 0x5e]),
            (Format::Zlib, 5, &[0x78, 0x5e]),
            (Format::Zlib, 6, &[0x78, 0x9c]),
            (Format::Zlib, -1, &[0x78, 0x9c]),
            (Format::Zlib, 7, &[0x78, 0xda]),
        ] {
            let mut out = b"before".to_vec();
            Compressor::new(format, level).compress(b"record", &mut out);
            assert_eq!(&out[6..6 + first.len()], first, "{format:?} {level}");
            if format == Format::Zlib {
                assert_eq!(u16::from_be_bytes([out[6], out[7]]) % 31, 0, "RFC 1950 section 2.2");
            }
        }
    }
}
