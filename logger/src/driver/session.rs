// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is said on a stream around the frames: a greeting before the first one,
//! confirmations of those that arrived. Pure: bytes in, bytes out.

use crate::window::Window;

/// The conversation with one peer; of each kind a clone begins anew.
#[derive(Debug, Clone)]
pub(crate) enum Session {
    /// A peer that has nothing to say; what it says is thrown away, and what its
    /// kernel took counts as taken.
    Silent,
}

/// The peer broke the protocol, or refuses us: the connection is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SessionError(pub(crate) &'static str);

impl Session {
    /// Frames the peer confirms itself; `false`: its kernel's word has to do.
    pub(crate) const fn confirms(&self) -> bool {
        match self {
            Self::Silent => false,
        }
    }

    /// A new connection stands. What has to be sent before anything else is
    /// appended to `out`.
    pub(crate) fn begin(&mut self, _out: &mut Vec<u8>) {
        match self {
            Self::Silent => {}
        }
    }

    /// Whether frames may be sent: the greeting is over.
    pub(crate) const fn is_open(&self) -> bool {
        match self {
            Self::Silent => true,
        }
    }

    /// The peer said `bytes`, however they were cut on the way. What is to be
    /// answered is appended to `out`. Returns up to where in the window's stream
    /// the peer has confirmed; `None`: nothing new.
    ///
    /// # Errors
    /// When the peer cannot be talked to.
    pub(crate) fn hear(
        &mut self,
        _bytes: &[u8],
        _window: &Window,
        _out: &mut Vec<u8>,
    ) -> Result<Option<u64>, SessionError> {
        match self {
            Self::Silent => Ok(None),
        }
    }
}
