// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is said on a stream around the frames: a greeting before the first one,
//! confirmations of those that arrived. Pure: bytes in, bytes out.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::window::Window;

/// The conversation with one peer. Left as it is, it is with one that has nothing to
/// say: what that says is thrown away, and what its kernel took counts as taken.
pub(crate) trait Session: fmt::Debug {
    /// The same conversation from its beginning, for another connection.
    fn anew(&self) -> Box<dyn Session>;

    /// Frames the peer confirms itself; `false`: its kernel's word has to do.
    fn confirms(&self) -> bool {
        false
    }

    /// A new connection stands; everything before `cursor` of the window's stream
    /// is behind it.
    fn begin(&mut self, _cursor: u64) {}

    /// Whether frames may be sent: the greeting is over.
    fn is_open(&self) -> bool {
        true
    }

    /// How long the peer may take nothing (`is_blocked`), or say nothing where it
    /// has to; `None`: the driver does not say.
    fn patience(&self, _is_blocked: bool) -> Option<Duration> {
        None
    }

    /// The peer said `bytes`, however they were cut on the way. What is to be
    /// answered is appended to `out`. Returns up to where in the window's stream
    /// the peer has confirmed; `None`: nothing new.
    ///
    /// # Errors
    /// When the peer cannot be talked to.
    fn hear(
        &mut self,
        _bytes: &[u8],
        _window: &Window,
        _out: &mut Vec<u8>,
    ) -> Result<Option<u64>, SessionError> {
        Ok(None)
    }
}

/// With a peer that has nothing to say.
#[derive(Debug)]
pub(crate) struct Silent;

impl Session for Silent {
    fn anew(&self) -> Box<dyn Session> {
        Box::new(Self)
    }
}

impl Clone for Box<dyn Session> {
    fn clone(&self) -> Self {
        self.anew()
    }
}

/// The peer broke the protocol, or refuses us: the connection is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SessionError(pub(crate) Cow<'static, str>);

impl SessionError {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// What the peer itself says about it goes along, as much as fits and can be
    /// shown.
    pub(crate) fn said(text: &str, reason: &[u8]) -> Self {
        let reason = String::from_utf8_lossy(reason);
        let shown: String = reason.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
        Self(format!("{text}: {shown}").into())
    }
}

/// Characters of a peer's reason that are passed on.
const REASON_MAX: usize = 100;
