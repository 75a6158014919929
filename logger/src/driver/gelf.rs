// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `gelf`: one record, one GELF 1.1 message, over UDP, TCP or TLS.
//!
//! | transport | bytes |
//! |---|---|
//! | `udp` | the message as gzip member, zlib stream or as it is; large ones in chunks |
//! | `tcp`, `tcp+tls` | the message and a zero byte, which is in none |
//!
//! The encoder makes one frame of a record. That is divided into chunks where it
//! is sent, because a socket may take only some of them.

mod chunks;
mod compress;
mod encode;
mod options;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

pub(crate) use chunks::{ChunkSize, Chunks, push_chunk};
pub(crate) use encode::Encoder;
pub(crate) use options::Options;
