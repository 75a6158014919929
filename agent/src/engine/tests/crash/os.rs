// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The one thing the power cuts need that no safe interface has.

#![expect(unsafe_code, reason = "ext4 is shut down by an ioctl")]

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::ioctl::{Setter, ioctl, opcode};

/// `EXT4_IOC_SHUTDOWN`.
const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);

/// Shuts an ext4 down under everybody's feet.
pub(super) fn shut_down(mount: &Path, flag: u32) -> io::Result<()> {
    let directory = File::open(mount)?;
    // SAFETY: the opcode is the kernel's for this file system, and it reads
    // one u32 through the pointer that `Setter` makes of `flag`.
    unsafe { ioctl(&directory, Setter::<SHUTDOWN, u32>::new(flag)) }?;
    Ok(())
}
