// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Bytes of which there are at most 64 KiB.

use super::error::Limit;
use super::error::OUTPUT_BYTES_MAX;

/// What a template writes, and every text on the way: never longer than
/// [`OUTPUT_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Limit> {
        if bytes.len() > OUTPUT_BYTES_MAX - self.0.len() {
            return Err(Limit::Output);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn push_str(&mut self, text: &str) -> Result<(), Limit> {
        self.push(text.as_bytes())
    }

    /// `times` copies of `byte`.
    pub(super) fn fill(&mut self, byte: u8, times: usize) -> Result<(), Limit> {
        if times > OUTPUT_BYTES_MAX - self.0.len() {
            return Err(Limit::Output);
        }
        self.0.resize(self.0.len() + times, byte);
        Ok(())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
