// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What reader and sender tell each other besides the ring: two pipes that carry
//! wake-ups and nothing else. Each side wakes the other only if that one has
//! said in the ring's header that it waits.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::os;

/// Both ends of both pipes, as the reader holds them for the senders to come.
#[derive(Debug)]
pub(crate) struct Links {
    wake: (OwnedFd, OwnedFd),
    room: (OwnedFd, OwnedFd),
}

/// The ends that a sender keeps.
#[derive(Debug)]
pub(crate) struct SenderLinks {
    wake: RawFd,
    room: RawFd,
}

impl Links {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { wake: os::pipe()?, room: os::pipe()? })
    }

    /// Reader to sender: there is data, or an end to it.
    pub(crate) fn wake_sender(&self) {
        wake(self.wake.1.as_raw_fd());
    }

    /// Where the reader learns that there is room.
    pub(crate) const fn room(&self) -> &OwnedFd {
        &self.room.0
    }

    /// In a forked sender: closes the reader's ends, so that a wake pipe without
    /// a writer means that the reader is gone. The process ends without drops.
    pub(crate) fn sender_ends(&self) -> SenderLinks {
        os::close_inherited(self.wake.1.as_raw_fd());
        os::close_inherited(self.room.0.as_raw_fd());
        SenderLinks { wake: self.wake.0.as_raw_fd(), room: self.room.1.as_raw_fd() }
    }
}

impl SenderLinks {
    /// Sender to reader: there is room.
    pub(crate) fn wake_reader(&self) {
        wake(self.room);
    }

    /// Where the sender learns that there is data.
    pub(crate) const fn wake(&self) -> RawFd {
        self.wake
    }

    /// Forgets wake-ups; true if the reader is gone.
    pub(crate) fn drain(&self) -> bool {
        os::drain_pipe(self.wake)
    }
}

/// A full pipe wakes as well.
fn wake(pipe: RawFd) {
    let _ = os::write(pipe, &[0]);
}
