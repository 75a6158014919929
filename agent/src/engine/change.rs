// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What an operator lays down for this node: holds, pins and blocks.
//!
//! They are part of the state, so they survive restarts and updates of the
//! agent; the policy reads them, and every one is in the history before it is
//! true.

use std::fmt;
use std::str::FromStr;

use dockerlogger_manifest::{Digest, Extra, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::core::Core;
use crate::engine::error::{FailureKind, UpdateError};
use crate::engine::history::{Action, Entry};
use crate::engine::state::State;
use crate::engine::view::{Barred, Blocked, Held, Pinned};
use crate::os::FileError;

/// Characters of a reason, at most.
pub const REASON_CHARS_MAX: usize = 500;

/// Blocks laid down by operators, at most; more is a mistake of a script.
pub const BLOCKS_MAX: usize = 256;

/// One thing to lay down or to lift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Keep this node on the release it has.
    Hold {
        /// Why, for whoever comes next.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Let this node follow its channel again.
    ReleaseHold,
    /// Bring this node to one release and keep it there.
    Pin {
        /// The release.
        version: Version,
    },
    /// Let this node follow its channel again.
    Unpin,
    /// Never install this on this node.
    Block {
        /// An artifact or every artifact of a version.
        what: Which,
        /// Why, for whoever comes next.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Lift a block, whoever made it: an operator, a rollback or a trial.
    Unblock {
        /// As it was blocked. A version lifts what rollbacks and trials blocked of
        /// it, too.
        what: Which,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold { .. } => f.write_str("hold"),
            Self::ReleaseHold => f.write_str("release-hold"),
            Self::Pin { version } => write!(f, "pin {version}"),
            Self::Unpin => f.write_str("unpin"),
            Self::Block { what, .. } => write!(f, "block {what}"),
            Self::Unblock { what } => write!(f, "unblock {what}"),
        }
    }
}

/// An artifact by its SHA-256, or a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Which {
    /// One artifact.
    Digest(Digest),
    /// Every artifact of a version.
    Version(Version),
}

/// Neither a digest nor a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither a version such as 1.2.0 nor a SHA-256 of 64 hexadecimal digits")]
pub struct ParseWhichError(String);

impl FromStr for Which {
    type Err = ParseWhichError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParseWhichError(text.chars().take(100).collect());
        let digest = text.parse().map(Self::Digest).ok();
        digest.or_else(|| text.parse().map(Self::Version).ok()).ok_or_else(malformed)
    }
}

impl TryFrom<String> for Which {
    type Error = ParseWhichError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Which> for String {
    fn from(which: Which) -> Self {
        which.to_string()
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Version(version) => version.fmt(f),
        }
    }
}

/// A change that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What runs cannot be forbidden.
    #[error("release {0} is what this node runs; roll back first, which blocks it as well")]
    BlocksCurrent(Version),
    /// There is no such block.
    #[error("{0} is not blocked on this node")]
    NotBlocked(Which),
    /// Too many blocks.
    #[error("{BLOCKS_MAX} releases are blocked already; lift one first")]
    TooMany,
    /// The reason is unusable.
    #[error("the reason must be one line of at most {REASON_CHARS_MAX} characters")]
    Reason,
    /// The state is lost, and what is installed cannot be explained.
    #[error("changes are held: {0}")]
    Held(String),
    /// A file operation failed.
    #[error("cannot change the install root")]
    File(#[from] FileError),
    /// The worker thread did not come back.
    #[error("the change was abandoned")]
    Abandoned,
}

impl ChangeError {
    /// What a caller does about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::BlocksCurrent(_) | Self::NotBlocked(_) | Self::TooMany | Self::Reason => {
                FailureKind::Refused
            }
            Self::Held(_) | Self::File(_) | Self::Abandoned => FailureKind::Local,
        }
    }
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// False: it was so already.
    pub changed: bool,
    /// In a sentence.
    pub text: String,
}

impl Core {
    /// Lays down or lifts something. Durable when it returns.
    pub(crate) fn change(
        &mut self,
        change: &Change,
        now: Timestamp,
    ) -> Result<Changed, ChangeError> {
        self.settle(now).map_err(|e| match e {
            UpdateError::Held(hold) => ChangeError::Held(hold),
            UpdateError::File(e) => ChangeError::File(e),
            _ => ChangeError::Abandoned,
        })?;
        let by = self.actor.to_string();
        let mut next = self.state.clone();
        let Some((entry, text)) = apply(&mut next, change, &by, now)? else {
            let changed = Changed { changed: false, text: "it was so already".to_owned() };
            return Ok(changed);
        };
        self.record(entry, now)?;
        self.unsettled = true;
        self.states.save(&mut next)?;
        self.state = next;
        self.unsettled = false;
        self.publish();
        Ok(Changed { changed: true, text })
    }
}

/// What goes into the history of a change, and what to say of it; none if it was so already.
type Applied = Option<(Entry, String)>;

/// Makes `state` what it is after a change by an operator. Pure.
fn apply(
    state: &mut State,
    change: &Change,
    by: &str,
    now: Timestamp,
) -> Result<Applied, ChangeError> {
    let by = by.to_owned();
    match change {
        Change::Hold { reason } => {
            let reason = reason_of(reason.as_deref())?;
            Ok(hold(state, Held { reason, by, since: now, extra: Extra::new() }))
        }
        Change::ReleaseHold => Ok(release_hold(state)),
        Change::Pin { version } => {
            let version = version.clone();
            Ok(pin(state, Pinned { version, by, since: now, extra: Extra::new() }))
        }
        Change::Unpin => Ok(unpin(state)),
        Change::Block { what, reason } => {
            let (what, reason) = (what.clone(), reason_of(reason.as_deref())?);
            block(state, Barred { what, reason, by, since: now, extra: Extra::new() })
        }
        Change::Unblock { what } => unblock(state, what),
    }
}

fn entry(what: Action, why: &str, from: Option<String>, to: Option<String>) -> Entry {
    Entry { what, why: why.to_owned(), from, to, digest: None }
}

fn hold(state: &mut State, held: Held) -> Applied {
    if state.held.as_ref().is_some_and(|now| now.reason == held.reason) {
        return None;
    }
    let entry = entry(Action::Hold, &held.reason, None, None);
    state.held = Some(held);
    Some((entry, "this node keeps the release it has".to_owned()))
}

fn release_hold(state: &mut State) -> Applied {
    let held = state.held.take()?;
    let entry = entry(Action::ReleaseHold, &format!("was: {}", held.reason), None, None);
    Some((entry, "this node follows its channel again".to_owned()))
}

fn pin(state: &mut State, pinned: Pinned) -> Applied {
    if state.pinned.as_ref().is_some_and(|now| now.version == pinned.version) {
        return None;
    }
    let version = pinned.version.clone();
    let from = state.pinned.replace(pinned).map(|pinned| pinned.version.to_string());
    let why = "the operator chose this release";
    let entry = entry(Action::Pin, why, from, Some(version.to_string()));
    let next = match &state.current {
        Some(current) if current.version == version => "which it runs",
        _ => "which the next update installs",
    };
    Some((entry, format!("this node is pinned to release {version}, {next}")))
}

fn unpin(state: &mut State) -> Applied {
    let from = state.pinned.take()?.version.to_string();
    let entry = entry(Action::Unpin, "the operator lifted the pin", Some(from), None);
    Some((entry, "this node follows its channel again".to_owned()))
}

fn block(state: &mut State, barred: Barred) -> Result<Applied, ChangeError> {
    let what = &barred.what;
    if state.barred.len() >= BLOCKS_MAX {
        return Err(ChangeError::TooMany);
    }
    if let Some(current) = &state.current
        && match what {
            Which::Digest(digest) => current.digest == *digest,
            Which::Version(version) => current.version == *version,
        }
    {
        return Err(ChangeError::BlocksCurrent(current.version.clone()));
    }
    let digest = |blocked: &Blocked| *what == Which::Digest(blocked.digest);
    if state.barred.iter().any(|now| now.what == *what) || state.blocked.iter().any(digest) {
        return Ok(None);
    }
    let entry = entry(Action::Block, &barred.reason, None, Some(what.to_string()));
    let text = format!("{what} is blocked on this node");
    state.barred.push(barred);
    Ok(Some((entry, text)))
}

fn unblock(state: &mut State, what: &Which) -> Result<Applied, ChangeError> {
    let before = state.blocked.len() + state.barred.len();
    state.barred.retain(|barred| barred.what != *what);
    state.blocked.retain(|blocked| match what {
        Which::Digest(digest) => blocked.digest != *digest,
        Which::Version(version) => blocked.version != *version,
    });
    if before == state.blocked.len() + state.barred.len() {
        return Err(ChangeError::NotBlocked(what.clone()));
    }
    let why = "the operator lifted the block";
    let entry = entry(Action::Unblock, why, Some(what.to_string()), None);
    Ok(Some((entry, format!("{what} may be installed on this node again"))))
}

fn reason_of(given: Option<&str>) -> Result<String, ChangeError> {
    let reason = given.map_or("no reason was given", str::trim);
    if reason.is_empty()
        || reason.chars().count() > REASON_CHARS_MAX
        || reason.chars().any(char::is_control)
    {
        return Err(ChangeError::Reason);
    }
    Ok(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(state: &mut State, change: &Change) -> Result<bool, ChangeError> {
        apply(state, change, "someone", Timestamp::UNIX_EPOCH).map(|done| done.is_some())
    }

    #[test]
    fn laying_down_twice_is_once_and_so_is_lifting() {
        let mut state = State::default();
        let which: Which = "1.0.0".parse().unwrap();
        let pairs = [
            (Change::Hold { reason: None }, Change::ReleaseHold),
            (Change::Pin { version: "1.0.0".parse().unwrap() }, Change::Unpin),
        ];
        for (lay, lift) in pairs {
            assert!(!changed(&mut state, &lift).unwrap());
            assert!(changed(&mut state, &lay).unwrap());
            assert!(!changed(&mut state, &lay).unwrap());
            assert!(changed(&mut state, &lift).unwrap());
            assert_eq!(state, State::default());
        }
        let block = Change::Block { what: which.clone(), reason: Some(" it leaks ".to_owned()) };
        let unblock = Change::Unblock { what: which };
        assert!(matches!(changed(&mut state, &unblock), Err(ChangeError::NotBlocked(_))));
        assert!(changed(&mut state, &block).unwrap());
        assert!(!changed(&mut state, &block).unwrap());
        assert_eq!(state.barred[0].reason, "it leaks");
        assert!(changed(&mut state, &unblock).unwrap());
        assert_eq!(state, State::default());
    }

    #[test]
    fn a_version_lifts_the_blocks_of_its_artifacts() {
        let digest = Digest::from_bytes([7; 32]);
        let version: Version = "1.0.0".parse().unwrap();
        let reason = "rolled back".to_owned();
        let mut state = State::default();
        let blocked = Blocked {
            digest,
            version: version.clone(),
            reason,
            failed: false,
            extra: Extra::new(),
        };
        state.blocked.push(blocked);
        assert!(changed(&mut state, &Change::Unblock { what: Which::Version(version) }).unwrap());
        assert_eq!(state.blocked, []);
    }

    #[test]
    fn reasons_are_one_line() {
        let mut state = State::default();
        for reason in ["", "  ", "two\nlines", "x".repeat(REASON_CHARS_MAX + 1).as_str()] {
            let change = Change::Hold { reason: Some(reason.to_owned()) };
            assert!(matches!(changed(&mut state, &change), Err(ChangeError::Reason)), "{reason}");
        }
    }

    #[test]
    fn what_can_be_blocked_is_a_version_or_a_digest() {
        let digest = "ab".repeat(32);
        assert!(matches!(digest.parse(), Ok(Which::Digest(_))));
        assert!(matches!("1.2.3".parse(), Ok(Which::Version(_))));
        let error = "latest".parse::<Which>().unwrap_err().to_string();
        assert!(error.starts_with("\"latest\" is neither a version"), "{error}");
        let change = Change::Block { what: digest.parse().unwrap(), reason: None };
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        assert!(serde_json::from_str::<Change>(r#"{"change":"hold","force":true}"#).is_err());
    }
}
