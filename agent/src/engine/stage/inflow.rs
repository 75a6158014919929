// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The first half of the pass: packed bytes, hashed and kept as they come, and
//! unpacked into the queue.

use std::io::{self, Read};

use dockerlogger_manifest::Digest;

use crate::engine::digest::Hasher;
use crate::engine::error::ArtifactError;
use crate::engine::source::{Bounded, fetch_error};
use crate::engine::stage::BUFFER_BYTES;
use crate::engine::stage::queue::Feed;
use crate::os::files::NewFile;

/// What came of the artifact before, and where what comes now is kept, so that
/// it need not come again.
#[derive(Default)]
pub(crate) struct Kept {
    /// The first bytes of the artifact.
    pub(crate) before: Option<Box<dyn Read + Send>>,
    /// Where those that follow go.
    pub(crate) now: Option<Box<dyn NewFile>>,
}

/// Packed bytes, hashed as they pass.
pub(super) struct Packed<'a> {
    rest: Bounded,
    kept: Kept,
    hasher: Hasher,
    bytes: u64,
    failure: Option<ArtifactError>,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> Packed<'a> {
    pub(super) fn new(rest: Bounded, kept: Kept, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self { rest, kept, hasher: Hasher::new(), bytes: 0, failure: None, progress }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, ArtifactError> {
        if let Some(before) = &mut self.kept.before {
            let read = before.read(buffer);
            match read.map_err(|e| ArtifactError::Read(fetch_error(e)))? {
                0 => self.kept.before = None,
                count => return Ok(count),
            }
        }
        let count = loop {
            match self.rest.read(buffer) {
                Ok(count) => break count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(ArtifactError::Read(fetch_error(e))),
            }
        };
        if let Some(now) = self.kept.now.as_mut().filter(|_| count > 0) {
            now.write(&buffer[..count])?;
        }
        Ok(count)
    }
}

impl Read for Packed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.next(buffer) {
            Ok(count) => {
                self.hasher.update(&buffer[..count]);
                self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                (self.progress)(self.bytes);
                Ok(count)
            }
            Err(failure) => {
                self.failure = Some(failure);
                Err(io::Error::other("the source failed"))
            }
        }
    }
}

/// The way into the queue.
pub(super) struct Inflow {
    /// Unpacked bytes, at most.
    pub(super) limit: u64,
    pub(super) window_log_max: u32,
    pub(super) feed: Feed,
}

impl Inflow {
    /// Unpacks to the end. Gives the digest of the packed bytes; none if nobody
    /// wanted all of them.
    pub(super) fn run(self, packed: Packed<'_>) -> Result<Option<Digest>, ArtifactError> {
        let done = self.unpack(packed);
        if done.is_err() {
            self.feed.fail();
        }
        done
    }

    fn unpack(&self, packed: Packed<'_>) -> Result<Option<Digest>, ArtifactError> {
        let mut decoder =
            zstd::stream::read::Decoder::new(packed).map_err(ArtifactError::Decode)?;
        decoder.window_log_max(self.window_log_max).map_err(ArtifactError::Decode)?;
        let mut rest = usize::try_from(self.limit).unwrap_or(usize::MAX);
        while let Some(mut buffer) = self.feed.buffer() {
            let mut filled = 0;
            let mut end = None;
            while filled < BUFFER_BYTES && end.is_none() {
                match decoder.read(&mut buffer[filled..]) {
                    Ok(0) => end = Some(Ok(())),
                    Ok(count) => filled += count,
                    // The reader's own words, where there are any, say more than the decoder's.
                    Err(e) => {
                        let packed = decoder.get_mut().get_mut();
                        let failure = packed.failure.take();
                        end = Some(Err(failure.unwrap_or(ArtifactError::Decode(e))));
                    }
                }
            }
            if filled > rest {
                (filled, end) = (rest, Some(Err(ArtifactError::Unpacked { limit: self.limit })));
            }
            rest -= filled;
            buffer.truncate(filled);
            // What came before a failure is looked at before the failure is.
            if filled > 0 && !self.feed.give(buffer) {
                return Ok(None);
            }
            match end {
                None => {}
                Some(Ok(())) => return Ok(Some(decoder.finish().into_inner().hasher.finish())),
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}
