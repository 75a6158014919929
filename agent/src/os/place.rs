// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Descriptors 3, 4, … of a child: the launch contract of the logger names
//! them, and the standard library places only 0 to 2.

#![expect(unsafe_code, reason = "placing descriptors happens between fork and exec")]

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::process::Command;

/// The first descriptor that is placed.
const FIRST: RawFd = 3;

/// Sources lie here or above, so that placing one overwrites no other.
const ABOVE: RawFd = 16;

/// Descriptors on their way to a child.
#[derive(Debug)]
pub(crate) struct Placed {
    sources: Vec<OwnedFd>,
    /// Keeps the numbers taken, so that nothing the standard library opens for
    /// the child lies there.
    _taken: Vec<File>,
}

impl Placed {
    /// Prepares copies of `streams`, the first of which becomes descriptor 3.
    pub(crate) fn new(streams: &[OwnedFd]) -> io::Result<Self> {
        let copy = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), ABOVE);
        let sources = streams.iter().map(copy).collect::<Result<Vec<_>, _>>()?;
        let mut taken = Vec::new();
        loop {
            let file = File::open("/dev/null")?;
            if file.as_raw_fd() >= ABOVE {
                return Ok(Self { sources, _taken: taken });
            }
            taken.push(file);
        }
    }

    /// Has `command` give the descriptors to its child. The value must live
    /// until the child was spawned.
    pub(crate) fn give(&self, command: &mut Command) {
        let sources: Vec<RawFd> = self.sources.iter().map(AsRawFd::as_raw_fd).collect();
        let place = move || {
            for (to, from) in (FIRST..).zip(&sources) {
                // SAFETY: `from` is open until the child was spawned; `to` is a number of this
                // child, which is never closed here because of ManuallyDrop.
                let (from, mut to) = unsafe {
                    let from = ManuallyDrop::new(OwnedFd::from_raw_fd(*from));
                    (from, ManuallyDrop::new(OwnedFd::from_raw_fd(to)))
                };
                rustix::io::dup2(from.as_fd(), &mut to)?;
            }
            Ok(())
        };
        // SAFETY: the closure makes system calls alone; it allocates nothing and takes no lock.
        unsafe { command.pre_exec(place) };
    }
}
