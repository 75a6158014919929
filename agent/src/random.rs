// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Randomness that need not be secret: request ids, jitter, numbers of users.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// 64 random bits. The standard library keys each of its hash tables from the operating system's
/// randomness; that is unpredictable enough to spread polls and tell requests apart, and no more.
fn bits() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// An identifier in the form of a random (version 4) UUID.
pub(crate) fn request_id() -> String {
    let bytes = (u128::from(bits()) << 64 | u128::from(bits())).to_be_bytes();
    let mut bytes = bytes;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (idx, byte) in bytes.iter().enumerate() {
        if matches!(idx, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A number below `count`.
pub(crate) fn below(count: u32) -> u32 {
    u32::try_from(bits() % u64::from(count)).unwrap_or(0)
}

/// `mean` ± 25 %, evenly spread, so that nodes that started together do not poll together.
pub(crate) fn jittered(mean: Duration) -> Duration {
    mean.mul_f64(0.75 + fraction() / 2.0)
}

/// From nothing to `whole`, evenly spread.
pub(crate) fn part_of(whole: Duration) -> Duration {
    whole.mul_f64(fraction())
}

/// The upper 32 bits as a fraction of one.
fn fraction() -> f64 {
    f64::from(u32::try_from(bits() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_4_uuids_and_differ() {
        let (a, b) = (request_id(), request_id());
        assert_ne!(a, b);
        for id in [a, b] {
            let groups: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
            assert!(id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()), "{id}");
        }
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_varies() {
        let mean = Duration::from_secs(100);
        let drawn: Vec<Duration> = (0..200).map(|_| jittered(mean)).collect();
        assert!(drawn.iter().all(|d| (75..=125).contains(&d.as_secs())), "{drawn:?}");
        assert!(drawn.iter().any(|d| *d < mean) && drawn.iter().any(|d| *d > mean));
    }
}
