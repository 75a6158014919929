// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A power cut, and what it leaves of bytes.

use crate::engine::tests::crash::random::Random;

/// What survives a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Only what was synced.
    Nothing,
    /// Everything, as if the cut had come a minute later.
    Everything,
    /// Every entry, and no bytes that were not synced.
    Names,
    /// Each operation and each file as the dice fall.
    Some(u64),
}

/// What a cut leaves of bytes that were not all synced.
pub(super) fn left_of(bytes: &[u8], durable: &[u8], cut: Cut, random: &mut Random) -> Vec<u8> {
    let synced = durable.len().min(bytes.len());
    match cut {
        Cut::Everything => bytes.to_vec(),
        Cut::Nothing | Cut::Names => durable.to_vec(),
        Cut::Some(_) => match random.below(4) {
            0 => durable.to_vec(),
            1 => bytes.to_vec(),
            2 => [&bytes[..synced], &vec![0; bytes.len() - synced]].concat(),
            _ => bytes[..synced + random.below(bytes.len() - synced + 1)].to_vec(),
        },
    }
}
