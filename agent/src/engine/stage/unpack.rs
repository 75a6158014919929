// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The second thread of the pass: packed bytes from one queue, unpacked into the
//! next. It does nothing else, for it is the slowest.

use std::io::Read;

use crate::engine::error::ArtifactError;
use crate::engine::stage::queue::{Drain, Feed};
use crate::engine::stage::{BUFFER_BYTES, Stopped};

/// What the unpacked bytes are held to.
pub(super) struct Unpack {
    /// Unpacked bytes, at most.
    pub(super) limit: u64,
    pub(super) window_log_max: u32,
}

impl Unpack {
    /// Unpacks to the end, or as long as anybody wants more.
    pub(super) fn run(self, packed: Drain, feed: Feed) -> Result<(), Stopped> {
        let done = self.unpack(packed, &feed);
        if done.is_err() {
            feed.fail();
        }
        done
    }

    fn unpack(&self, packed: Drain, feed: &Feed) -> Result<(), Stopped> {
        let broken = packed.broken();
        let mut decoder =
            zstd::stream::read::Decoder::with_buffer(packed).map_err(ArtifactError::Decode)?;
        decoder.window_log_max(self.window_log_max).map_err(ArtifactError::Decode)?;
        let mut rest = usize::try_from(self.limit).unwrap_or(usize::MAX);
        while let Some(mut buffer) = feed.buffer() {
            let mut filled = 0;
            let mut end = None;
            while filled < BUFFER_BYTES && end.is_none() {
                match decoder.read(&mut buffer[filled..]) {
                    Ok(0) => end = Some(Ok(())),
                    Ok(count) => filled += count,
                    Err(e) => end = Some(Err(Stopped::reading(&broken, e))),
                }
            }
            if filled > rest {
                let refused = ArtifactError::Unpacked { limit: self.limit };
                (filled, end) = (rest, Some(Err(refused.into())));
            }
            rest -= filled;
            buffer.truncate(filled);
            // What came before a failure is looked at before the failure is.
            if filled > 0 && !feed.give(buffer) {
                break;
            }
            if let Some(end) = end {
                return end;
            }
        }
        Ok(())
    }
}
