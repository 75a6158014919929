// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! How large the files of a repository may be, in bytes: what a node takes by default,
//! and what is signed at most. Raising one asks for agents that have the new value first.

/// One root: 512 KiB.
pub const ROOT_BYTES_MAX: u64 = 512 << 10;

/// The timestamp: 16 KiB.
pub const TIMESTAMP_BYTES_MAX: u64 = 16 << 10;

/// The snapshot: 2 MiB.
pub const SNAPSHOT_BYTES_MAX: u64 = 2 << 20;

/// One list of targets, that of a delegated role too: 8 MiB.
pub const TARGETS_BYTES_MAX: u64 = 8 << 20;

/// A [`Channel`](crate::Channel) or a [`Release`](crate::Release): 1 MiB.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// An artifact, packed and unpacked alike: 256 MiB.
pub const ARTIFACT_BYTES_MAX: u64 = 256 << 20;
