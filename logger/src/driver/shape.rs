// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The shape that every driver has: options → encoder → transport.

use dockerlogger_manifest::Normalized;

use super::{ConfigError, Identity, Sink};
use crate::launch::Launch;
use crate::local_time::LocalTime;
use crate::record::Record;

/// What the options of a driver say: text became types once, tag and attributes
/// are rendered.
pub(crate) trait Configure: Sized {
    /// What makes frames of this driver.
    type Encoder: Encode;

    /// Reads options that validation has accepted, for the container of `launch`
    /// in the zone `host`.
    ///
    /// # Errors
    /// When they can never work: by option, value and what is accepted.
    fn parse(options: &Normalized, launch: &Launch, host: &[u8]) -> Result<Self, ConfigError>;

    /// Where the frames go.
    fn sink(&self) -> Sink;

    /// An encoder with everything rendered that stays the same.
    fn encoder(&self, identity: &Identity, local_time: LocalTime) -> Self::Encoder;

    /// The longest piece of a line, in bytes; at most 64 KiB.
    fn piece_limit(&self) -> usize {
        PIECE_LIMIT
    }
}

/// The longest piece of a line in Docker, in bytes.
pub(crate) const PIECE_LIMIT: usize = 16 << 10;

/// The longest piece of a line in the profiles of Triton, in bytes.
pub(crate) const TRITON_PIECE_LIMIT: usize = 64 << 10;

/// Makes frames of records: no I/O, no clock.
pub(crate) trait Encode {
    /// Appends the frame of `record`, or nothing where the format has no place
    /// for such a record. Bytes of a line may be escaped and are never lost.
    fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>);

    /// Whether all records of a batch become one frame.
    fn packs(&self) -> bool {
        false
    }

    /// Ends the one frame in `out`, with so many `records`, of an encoder that packs.
    fn end_pack(&mut self, _records: u64, _out: &mut Vec<u8>) {}
}
