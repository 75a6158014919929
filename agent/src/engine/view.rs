// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a node tells about itself: plain data for status pages and drivers' lists.

use std::sync::Arc;

use dockerlogger_manifest::{ChannelName, Digest, DriverSpec, Extra, Release, Target, Version};
use jiff::Timestamp;
use serde::Serialize;

use crate::engine::change::Which;
use crate::engine::error::FailureKind;
use crate::engine::history::Record;
use crate::engine::trial::Trial;

/// A snapshot of the node, complete and consistent in itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeView {
    /// The channel the node follows.
    pub channel: ChannelName,
    /// The platform it installs for.
    pub target: Target,
    /// The release that `bin/logger` is.
    pub current: Option<Installed>,
    /// The release that a rollback would go to.
    pub previous: Option<Installed>,
    /// A switch that was begun and is neither confirmed nor taken back.
    pub pending: Option<Installed>,
    /// What is never installed without an operator's word.
    pub blocked: Vec<Blocked>,
    /// What an operator forbids on this node.
    pub barred: Vec<Barred>,
    /// Set: an operator wants this node to keep what it has.
    pub held: Option<Held>,
    /// Set: an operator wants this node to have one release.
    pub pinned: Option<Pinned>,
    /// The trial of the current release, while it lasts.
    pub trial: Option<Trial>,
    /// Why the loggers on trial cannot be watched, if so; the trial does not go on meanwhile.
    pub unwatched: Option<String>,
    /// Set: the current release is blocked, and runs because nothing better is whole.
    pub stands_in: Option<StandsIn>,
    /// Since when the current release is the current one.
    pub since: Option<Timestamp>,
    /// The versions of the metadata accepted last; none before the first check.
    pub trust: Option<TrustVersions>,
    /// The last check or update.
    pub last_check: Option<LastCheck>,
    /// Why nothing may be changed, if so.
    pub hold: Option<String>,
    /// What recovery found and did when the root was opened.
    pub notes: Vec<String>,
    /// What the medium did to the state since then, although it was repaired.
    pub alarms: Vec<String>,
    /// Every change on record, oldest first.
    #[serde(skip)]
    pub history: Arc<Vec<Record>>,
}

impl NodeView {
    /// A node on which nothing was ever installed.
    pub fn empty(channel: ChannelName, target: Target) -> Self {
        Self {
            channel,
            target,
            current: None,
            previous: None,
            pending: None,
            blocked: Vec::new(),
            barred: Vec::new(),
            held: None,
            pinned: None,
            trial: None,
            unwatched: None,
            stands_in: None,
            since: None,
            trust: None,
            last_check: None,
            hold: None,
            notes: Vec::new(),
            alarms: Vec::new(),
            history: Arc::default(),
        }
    }

    /// Whether what new containers start is absent, damaged or should not run: an update cannot wait.
    pub fn wants_release(&self) -> bool {
        let damaged = |current: &Installed| current.damage.is_some();
        self.current.as_ref().is_none_or(damaged) || self.stands_in.is_some()
    }
}

/// A release on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Its version.
    pub version: Version,
    /// SHA-256 of the artifact it was unpacked from; names its directory in `store/`.
    pub digest: Digest,
    /// When it was unpacked.
    pub installed_at: Timestamp,
    /// The signed manifest it came with; none where that is damaged or cannot be read.
    pub release: Option<Release>,
    /// What is wrong with it on disk, if it is the current release and no other could
    /// take its place.
    pub damage: Option<Damage>,
}

impl Installed {
    /// The drivers that containers have by it: none while `bin/logger` is not the logger
    /// that was signed, or cannot be read.
    pub fn drivers(&self) -> Option<&[DriverSpec]> {
        let startable = self.damage.as_ref().is_none_or(|damage| damage.startable);
        self.release.as_ref().filter(|_| startable).map(|release| release.drivers.as_slice())
    }
}

/// What is wrong with a release that is installed. The next update fetches it again,
/// unless it is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Whether it is known not to be what was signed.
    pub kind: DamageKind,
    /// In words; names the file.
    pub what: String,
    /// When this node saw it first, since the release was installed.
    pub since: Timestamp,
    /// Whether `bin/logger` is the logger that was signed all the same.
    pub startable: bool,
}

/// What kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DamageKind {
    /// It is not what was signed.
    Damaged,
    /// It cannot be read, and may be whole the next time.
    Unreadable,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            DamageKind::Damaged => "is damaged",
            DamageKind::Unreadable => "cannot be read",
        };
        let starts = match self.startable {
            true => "its logger starts all the same",
            false => "its logger is not to be relied on, only the platform's drivers work",
        };
        write!(f, "{kind} ({}); {starts}", self.what)
    }
}

/// An artifact that is not installed without an operator's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Blocked {
    /// SHA-256 of the artifact.
    pub digest: Digest,
    /// Its version.
    pub version: Version,
    /// Why, in words for an operator.
    pub reason: String,
    /// It failed its trial on this node; no operator asked for the block.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// What newer agents wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Why a release that is blocked runs all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandsIn {
    /// Why it is blocked, and by whom.
    pub why: String,
    /// The release whose place it takes, and which the next update brings back;
    /// none: the next update brings whatever may run.
    pub wanted: Option<Version>,
}

impl std::fmt::Display for StandsIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it is blocked ({}) and runs because no other is whole; ", self.why)?;
        match &self.wanted {
            Some(wanted) => write!(f, "an update brings release {wanted} back"),
            None => f.write_str("an update brings the next release that is not blocked"),
        }
    }
}

/// What an operator forbids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Barred {
    /// One artifact, or every artifact of a version.
    pub what: Which,
    /// Why, in the operator's words.
    pub reason: String,
    /// Who, as in the history.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// What newer agents wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Barred {
    /// Whether this forbids a release.
    pub fn covers(&self, version: &Version, digest: &Digest) -> bool {
        match &self.what {
            Which::Digest(barred) => barred == digest,
            Which::Version(barred) => barred == version,
        }
    }
}

/// An operator's wish that a node keeps what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Held {
    /// Why, in the operator's words.
    pub reason: String,
    /// Who, as in the history.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// What newer agents wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

/// An operator's wish that a node has one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Pinned {
    /// The release.
    pub version: Version,
    /// Who, as in the history.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// What newer agents wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Versions of metadata; none of them ever falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrustVersions {
    /// Of the root of trust.
    pub root: u64,
    /// Of the timestamp; 0 before the first check.
    pub timestamp: u64,
    /// Of the snapshot; 0 before the first check.
    pub snapshot: u64,
    /// Of the targets; 0 before the first check.
    pub targets: u64,
}

/// How the last check or update went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct LastCheck {
    /// When it began.
    pub at: Timestamp,
    /// In a word or a sentence: what was decided or done; empty if it failed.
    pub outcome: String,
    /// Why it failed, as a chain of causes.
    pub error: Option<String>,
    /// What kind of failure it was.
    pub kind: Option<FailureKind>,
    /// Its source was named for this once: it is not the one that the node follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// The sources that failed before another one was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// What this node was to have, as far as that is known: if the check failed, by one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Offered>,
}

/// The release that the channel names, or that this node is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Offered {
    /// Its version.
    pub version: Version,
    /// SHA-256 of its artifact for this platform.
    pub digest: Digest,
}

/// A source that failed or lied, so that the next one was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct PassedOver {
    /// The source, without what gives access.
    pub source: String,
    /// Why, as a chain of causes.
    pub why: String,
    /// What kind of failure it was.
    pub kind: FailureKind,
}

impl std::fmt::Display for PassedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} was passed over: {}", self.source, self.why)
    }
}
