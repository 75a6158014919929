// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Metadata that does not verify.

use crate::os::FileError;

/// Metadata that must not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Too few good signatures.
    #[error("signature of {role} metadata: {found} of {threshold} needed keys")]
    Signature {
        /// The role.
        role: String,
        /// Distinct good signatures.
        found: usize,
        /// How many the root asks for.
        threshold: usize,
    },
    /// One key is said to have signed twice: nobody's doing but a mirror's.
    #[error("key {key} signs it more than once")]
    RepeatedSignature {
        /// The identifier of the key.
        key: String,
    },
    /// Older than what was accepted before.
    #[error(
        "{role} version {offered} is older than version {accepted}, which this node accepted before"
    )]
    Rollback {
        /// The role.
        role: String,
        /// The floor.
        accepted: u64,
        /// What came.
        offered: u64,
    },
    /// The root chain has a gap.
    #[error("expected root version {expected}, got {offered}")]
    RootVersion {
        /// One more than the trusted version.
        expected: u64,
        /// What came.
        offered: u64,
    },
    /// Content, length or version differ from what the parent role pins.
    #[error("{0}")]
    Mismatch(String),
    /// Not metadata of the expected kind.
    #[error("{0}")]
    Malformed(String),
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}
