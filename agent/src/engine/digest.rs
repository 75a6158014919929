// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! SHA-256 of bytes, of streams, and of streams that go somewhere else too.

use std::io::{self, Read};

use dockerlogger_manifest::Digest;
use ring::digest;

/// A digest that is fed piece by piece.
#[derive(Clone)]
pub(crate) struct Hasher(digest::Context);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(self.0.finish().as_ref()) {
            *to = *from;
        }
        Digest::from_bytes(bytes)
    }
}

/// The digest of bytes in memory.
pub(crate) fn of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// The digest and length of what a reader gives.
pub(crate) fn of_reader(mut reader: impl Read) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    let mut length = 0_u64;
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok((hasher.finish(), length)),
            count => {
                hasher.update(&buffer[..count]);
                length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            }
        }
    }
}
