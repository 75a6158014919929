// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The first thread of the pass: packed bytes, hashed and kept as they come.

use std::io::{self, Read};
use std::path::PathBuf;

use dockerlogger_manifest::Digest;

use crate::engine::digest::Hasher;
use crate::engine::error::ArtifactError;
use crate::engine::source::{Bounded, fetch_error};
use crate::engine::stage::queue::Feed;
use crate::os::files::{FileError, NewFile};

/// What came of the artifact before, and where what comes now is kept, so that
/// it need not come again.
#[derive(Default)]
pub(crate) struct Kept {
    /// The first bytes of the artifact.
    pub(crate) before: Option<Beginning>,
    /// Where those that follow go.
    pub(crate) now: Option<Box<dyn NewFile>>,
}

/// Bytes that came before.
pub(crate) struct Beginning {
    /// The file they are in.
    pub(crate) path: PathBuf,
    pub(crate) bytes: Box<dyn Read + Send>,
}

/// Packed bytes on their way into the queue.
pub(super) struct Intake<'a> {
    pub(super) rest: Bounded,
    pub(super) kept: Kept,
    /// Told the bytes so far.
    pub(super) progress: &'a mut dyn FnMut(u64),
}

impl Intake<'_> {
    /// Reads to the end. Gives the digest of the packed bytes; none if nobody
    /// wanted all of them.
    pub(super) fn run(mut self, feed: Feed) -> Result<Option<Digest>, ArtifactError> {
        let mut hasher = Hasher::new();
        let mut bytes = 0_u64;
        while let Some(mut buffer) = feed.buffer() {
            match self.next(&mut buffer) {
                Ok(0) => return Ok(Some(hasher.finish())),
                Ok(count) => {
                    buffer.truncate(count);
                    hasher.update(&buffer);
                    bytes = bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                    (self.progress)(bytes);
                    if !feed.give(buffer) {
                        break;
                    }
                }
                Err(failure) => {
                    feed.fail();
                    return Err(failure);
                }
            }
        }
        Ok(None)
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, ArtifactError> {
        if let Some(Beginning { path, bytes }) = &mut self.kept.before {
            // Not the source's fault, and no better the next time: it is to be removed.
            match bytes.read(buffer).map_err(|e| FileError::new("read", path, e))? {
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
