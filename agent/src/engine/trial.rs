// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The trial of a new release: watching the loggers that start from it. Pure
//! over a table of processes.
//!
//! `watch` sees loggers come and go and finds out why; `judge` decides. Why a
//! logger ended cannot be seen from outside: its exit ends the container, and the
//! container's end kills it, within milliseconds. So it says why on its status
//! page, as the last thing it does. One that is killed with its zone has no time
//! for that, and is not to blame.
//!
//! A trial in which no logger starts ends as well, and its release stays: a quiet
//! node would get no update any more, and the restarts of its agent would fail the
//! release. But it proves nothing: the release stays `untried`, and what is gone
//! back to, and kept until then, is the last one whose loggers were seen.

use dockerlogger_manifest::{Digest, Extra, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod judge;
mod watch;

pub(crate) use watch::Watch;

/// How often an agent may begin to watch one release; one more means that it
/// never came to an end, and the release goes.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// A trial, as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The artifact on trial.
    pub digest: Digest,
    /// Its version.
    pub version: Version,
    /// When the switch was begun.
    pub since: Timestamp,
    /// How often an agent began to watch.
    pub attempts: u32,
    /// What was seen.
    pub tally: Tally,
    /// What newer agents wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What was seen of the loggers of a release on trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Loggers that started.
    pub started: u32,
    /// What older agents counted, and want to find.
    pub ended_early: u32,
    /// Senders that died while their reader lived.
    pub senders_lost: u32,
    /// Loggers that read what they neither delivered nor dropped for a cause nor hold.
    #[serde(default)]
    pub losing: u32,
    /// Loggers that died: of a fault, or with a failure, or without a word while
    /// their zone lived on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub died: u32,
    /// Loggers that refused their configuration.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Tally {
    /// Everything that speaks against the release.
    pub(crate) const fn faults(self) -> [u32; 4] {
        [self.died, self.senders_lost, self.losing, self.refused]
    }
}
