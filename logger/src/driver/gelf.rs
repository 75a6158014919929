// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The gelf driver: GELF 1.1 records as Docker and, in its own profile, Triton
//! send them. Over UDP compressed and, where large, in chunks; over TCP each
//! ended by a zero byte.

mod chunks;
mod compress;
mod encode;
mod options;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

pub(crate) use chunks::{ChunkSize, Chunks, push_chunk};
pub(crate) use encode::Encoder;
pub(crate) use options::Options;
