// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is said on a stream around the frames: a greeting before the first one,
//! confirmations of those that arrived. Pure: bytes in, bytes out.

use std::borrow::Cow;
use std::time::Duration;

use super::fluentd;
use crate::window::Window;

/// The conversation with one peer; of each kind a clone begins anew.
#[derive(Debug, Clone)]
pub(crate) enum Session {
    /// A peer that has nothing to say; what it says is thrown away, and what its
    /// kernel took counts as taken.
    Silent,
    /// A peer that may want a greeting and may confirm frames.
    Fluentd(Box<fluentd::Conversation>),
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

impl Session {
    /// Frames the peer confirms itself; `false`: its kernel's word has to do.
    pub(crate) const fn confirms(&self) -> bool {
        match self {
            Self::Silent => false,
            Self::Fluentd(conversation) => conversation.confirms(),
        }
    }

    /// A new connection stands; everything before `cursor` of the window's stream
    /// is behind it.
    pub(crate) fn begin(&mut self, cursor: u64) {
        match self {
            Self::Silent => {}
            Self::Fluentd(conversation) => conversation.begin(cursor),
        }
    }

    /// Whether frames may be sent: the greeting is over.
    pub(crate) const fn is_open(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Fluentd(conversation) => conversation.is_open(),
        }
    }

    /// How long the peer may take nothing (`is_blocked`), or say nothing where it
    /// has to; `None`: the driver does not say.
    pub(crate) fn patience(&self, is_blocked: bool) -> Option<Duration> {
        match self {
            Self::Silent => None,
            Self::Fluentd(conversation) => conversation.patience(is_blocked),
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
        bytes: &[u8],
        window: &Window,
        out: &mut Vec<u8>,
    ) -> Result<Option<u64>, SessionError> {
        match self {
            Self::Silent => Ok(None),
            Self::Fluentd(conversation) => conversation.hear(bytes, window, out),
        }
    }
}
