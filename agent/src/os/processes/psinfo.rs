// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! illumos' `/proc/PID/psinfo`, as a 64-bit reader gets it: `psinfo_t` of
//! `<sys/procfs.h>`, 416 bytes, little-endian on every machine Triton runs on.
//!
//! ```text
//! offset  0 pr_flag i32      4 pr_nlwp i32     8 pr_pid i32     12 pr_ppid i32
//!        16 pr_pgid …       40 pr_addr u64    48 pr_size u64    56 pr_rssize u64
//!        88 pr_start {i64 s, i64 ns}         136 pr_fname [16] 152 pr_psargs [80]
//!       232 pr_wstat i32   236 pr_argc i32   276 pr_zoneid i32 280 pr_contract i32
//!       288 pr_lwp (128 bytes)
//! ```

/// Bytes of the whole structure.
pub(super) const LENGTH: usize = 416;

/// What is of interest of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Psinfo {
    /// Light-weight processes; none are left in a dead one.
    lwps: i32,
    pub(super) parent: u32,
    pub(super) zone: u32,
    start_secs: i64,
    start_nanos: i64,
}

impl Psinfo {
    /// Reads the structure; none if there are not exactly as many bytes, or they cannot be true.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != LENGTH {
            return None;
        }
        let parent = u32::try_from(int(bytes, 12)?).ok()?;
        let zone = u32::try_from(int(bytes, 276)?).ok()?;
        let (start_secs, start_nanos) = (long(bytes, 88)?, long(bytes, 96)?);
        if start_secs < 0 || !(0..1_000_000_000).contains(&start_nanos) {
            return None;
        }
        Some(Self { lwps: int(bytes, 4)?, parent, zone, start_secs, start_nanos })
    }

    /// Whether it is a zombie.
    pub(super) fn is_dead(&self) -> bool {
        self.lwps == 0
    }

    /// Tells the process from a later one with its number.
    pub(super) fn birth(&self) -> u64 {
        let (secs, nanos) = (self.start_secs.unsigned_abs(), self.start_nanos.unsigned_abs());
        secs.wrapping_mul(1_000_000_000).wrapping_add(nanos)
    }
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(lwps: i32, parent: i32, secs: i64, nanos: i64) -> Vec<u8> {
        let mut bytes = vec![0xee; LENGTH];
        bytes[4..8].copy_from_slice(&lwps.to_le_bytes());
        bytes[12..16].copy_from_slice(&parent.to_le_bytes());
        bytes[88..96].copy_from_slice(&secs.to_le_bytes());
        bytes[96..104].copy_from_slice(&nanos.to_le_bytes());
        bytes[276..280].copy_from_slice(&42_i32.to_le_bytes());
        bytes
    }

    #[test]
    fn fields_are_found_where_the_header_puts_them() {
        let info = Psinfo::parse(&bytes(2, 4711, 1_700_000_000, 5)).unwrap();
        assert_eq!((info.parent, info.zone, info.is_dead()), (4711, 42, false));
        assert_eq!(info.birth(), 1_700_000_000_000_000_005);
        assert!(Psinfo::parse(&bytes(0, 1, 1, 0)).unwrap().is_dead());
    }

    #[test]
    fn what_cannot_be_true_is_no_process() {
        assert_eq!(Psinfo::parse(&[]), None);
        assert_eq!(Psinfo::parse(&bytes(1, 1, 1, 1)[1..]), None);
        assert_eq!(Psinfo::parse(&bytes(1, -1, 1, 1)), None);
        assert_eq!(Psinfo::parse(&bytes(1, 1, -1, 1)), None);
        assert_eq!(Psinfo::parse(&bytes(1, 1, 1, 1_000_000_000)), None);
        let longer = [bytes(1, 1, 1, 1), vec![0]].concat();
        assert_eq!(Psinfo::parse(&longer), None);
    }
}
