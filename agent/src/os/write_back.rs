// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Early write-back: a file's bytes leave for the disk while the rest of it is
//! still to come, so that the fsync at its end is short.
//!
//! Linux alone can be told so. Elsewhere, ZFS on illumos, they leave with the
//! next transaction group anyway, and nothing is done here.

#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "sync_file_range has no safe wrapper")
)]

use std::fs::File;
use std::io;

/// Starts to write what is dirty of a file, and does not wait for it. That the
/// file system cannot is no error; what the disk says is, for an fsync need not
/// hear it again.
#[cfg(target_os = "linux")]
pub(super) fn start(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    // SAFETY: takes no pointers; the descriptor is open for as long as `file` is borrowed.
    let status =
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    if status == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        e if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => Ok(()),
        e => Err(e),
    }
}

/// Nothing to do.
#[cfg(not(target_os = "linux"))]
pub(super) fn start(_: &File) -> io::Result<()> {
    Ok(())
}
