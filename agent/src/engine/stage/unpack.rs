// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The first thread of the pass: packed bytes from the source, unpacked into the
//! queue. It does nothing else, for it is the slowest.

use std::io::{self, BufRead, Read};

use hyper::body::Bytes;

use crate::engine::error::ArtifactError;
use crate::engine::source::{Bounded, Pieces, read_piece};
use crate::engine::stage::queue::{Feed, Item};
use crate::engine::stage::{BUFFER_BYTES, Beginning};
use crate::os::files::FileError;

/// What is unpacked, and what it is held to.
pub(super) struct Unpack<'a> {
    /// The first bytes, where they are kept.
    pub(super) before: Option<Beginning>,
    /// Those that follow.
    pub(super) rest: Bounded,
    /// Told the packed bytes so far.
    pub(super) progress: &'a mut dyn FnMut(u64),
    /// Unpacked bytes, at most.
    pub(super) limit: u64,
    pub(super) window_log_max: u32,
}

impl Unpack<'_> {
    /// Unpacks to the end, or as long as anybody wants more.
    pub(super) fn run(self, feed: Feed) -> Result<(), ArtifactError> {
        let Self { before, rest: packed, progress, limit, window_log_max } = self;
        let tap = Tap { before, packed, progress, feed: &feed, current: Bytes::new(), bytes: 0 };
        let mut decoder =
            zstd::stream::read::Decoder::with_buffer(tap).map_err(ArtifactError::Decode)?;
        decoder.window_log_max(window_log_max).map_err(ArtifactError::Decode)?;
        let mut rest = usize::try_from(limit).unwrap_or(usize::MAX);
        while let Some(mut buffer) = feed.buffer() {
            let mut filled = 0;
            let mut end = None;
            while filled < BUFFER_BYTES && end.is_none() {
                match decoder.read(&mut buffer[filled..]) {
                    Ok(0) => end = Some(Ok(())),
                    Ok(count) => filled += count,
                    Err(e) => end = Some(Err(unreadable(e))),
                }
            }
            if filled > rest {
                (filled, end) = (rest, Some(Err(ArtifactError::Unpacked { limit })));
            }
            rest -= filled;
            buffer.truncate(filled);
            // What came before a failure is looked at before the failure is.
            if filled > 0 && !feed.give(Item::Unpacked(buffer)) {
                break;
            }
            if let Some(end) = end {
                if end.is_ok() {
                    feed.give(Item::End);
                }
                return end;
            }
        }
        Ok(())
    }
}

/// The decoder's error, or the one of what it reads.
fn unreadable(error: io::Error) -> ArtifactError {
    error.downcast().unwrap_or_else(ArtifactError::Decode)
}

/// Packed bytes, each piece of which goes into the queue as well.
struct Tap<'a> {
    before: Option<Beginning>,
    packed: Bounded,
    progress: &'a mut dyn FnMut(u64),
    feed: &'a Feed,
    current: Bytes,
    /// Bytes so far.
    bytes: u64,
}

impl Tap<'_> {
    /// The next piece, and whether it was kept before.
    fn next(&mut self) -> Result<(Bytes, bool), ArtifactError> {
        if let Some(Beginning { path, bytes }) = &mut self.before {
            // Not the source's fault, and no better the next time: it is to be removed.
            let bytes = read_piece(bytes).map_err(|e| FileError::new("read", path, e))?;
            if !bytes.is_empty() {
                return Ok((bytes, true));
            }
            self.before = None;
        }
        Ok((self.packed.piece().map_err(ArtifactError::Read)?, false))
    }
}

impl BufRead for Tap<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() {
            let (bytes, kept) = self.next().map_err(io::Error::other)?;
            if !bytes.is_empty() {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.bytes = self.bytes.saturating_add(length);
                (self.progress)(self.bytes);
                if !self.feed.give(Item::Packed { bytes: bytes.clone(), kept }) {
                    // Why nobody wants more is said by who did.
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
            self.current = bytes;
        }
        Ok(&self.current)
    }

    fn consume(&mut self, bytes: usize) {
        let _ = self.current.split_to(bytes.min(self.current.len()));
    }
}

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
