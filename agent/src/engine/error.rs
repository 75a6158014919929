// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What can go wrong while opening, updating or rolling back, and what kind
//! of trouble it is.

use std::path::PathBuf;

use dockerlogger_manifest::{Digest, Version};
use jiff::Timestamp;

use crate::engine::policy::Reason;
pub use crate::engine::refresh::Present;
pub use crate::os::FileError;
pub use artifact::{ArtifactError, ProbeError};
pub use fetch::FetchError;
pub use trust::TrustError;

mod artifact;
mod fetch;
mod trust;

/// What a caller does about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// What the source offers must not be installed here. Trying again gives
    /// the same answer until the publisher or the operator changes something.
    Refused,
    /// The source could not be reached or did not answer in time; trying
    /// again later is right.
    Temporary,
    /// This node is in the way: no space, a read-only file system, a damaged file.
    Local,
}

/// The engine cannot take charge of its root.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another engine holds the lock.
    #[error("{} is locked by {}", path.display(), holder(*pid))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that wrote its id into the lock file, if it is readable.
        pid: Option<u32>,
    },
    /// It could not be read, by somebody who only looks.
    #[error("cannot read the install root")]
    Look(#[source] FileError),
    /// The layout could not be created, read or repaired.
    #[error("cannot set up the install root")]
    Layout(#[source] FileError),
}

/// An update that did not happen. What was installed before still is.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The policy declines what the channel offers.
    #[error("not installed: {0}")]
    Declined(Reason),
    /// The clock asks for what was refused here more than once, not long ago.
    #[error(
        "{what} was refused {times} times, the last time because of this: {why}; it is asked for \
         again after {until:.0}, or with an update by hand"
    )]
    RefusedBefore {
        /// The release or the image.
        what: String,
        /// How often in a row.
        times: u32,
        /// The clock does not ask for it before this.
        until: Timestamp,
        /// Why it was refused the last time, as a chain of causes.
        why: String,
    },
    /// The source failed or broke a limit.
    #[error("cannot fetch {name} from {from}")]
    Fetch {
        /// The path inside the repository.
        name: String,
        /// The source, as configured.
        from: String,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// Metadata did not verify.
    #[error("refused {role} metadata from {from}")]
    Metadata {
        /// `root`, `timestamp`, `snapshot`, `targets` or a delegated role.
        role: String,
        /// The source, as configured.
        from: String,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// Metadata verified but is too old to be believed.
    #[error("{role} metadata from {from} expired at {expires}; {now}")]
    Expired {
        /// `root`, `timestamp`, `snapshot`, `targets` or a delegated role.
        role: String,
        /// The source, as configured.
        from: String,
        /// When it expired.
        expires: Timestamp,
        /// What the node takes for the present.
        now: Present,
    },
    /// The trust anchor is absent, unreadable or not a root of trust.
    #[error("cannot use the trust anchor {}", path.display())]
    TrustAnchor {
        /// The configured file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// Accepted metadata on this node no longer verifies.
    #[error(
        "the stored metadata {} does not verify; remove {} to trust the anchor afresh",
        path.display(), path.parent().unwrap_or(path).display()
    )]
    TrustStore {
        /// The damaged file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// A signed document contradicts another or itself.
    #[error("{name} is not acceptable: {problem}")]
    Document {
        /// The target's name in the repository.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The artifact's content is not what was signed.
    #[error("refused the artifact {name}")]
    Artifact {
        /// The artifact's name in the repository.
        name: String,
        /// Why.
        #[source]
        source: ArtifactError,
    },
    /// The staged logger does not prove to be the release.
    #[error("the logger of release {version} failed its probe")]
    Probe {
        /// The release it should be.
        version: Version,
        /// Why.
        #[source]
        source: Box<ProbeError>,
    },
    /// Not enough room.
    #[error(
        "{} has {available} bytes available, release {version} needs {needed} and {reserve} stay in reserve",
        path.display()
    )]
    Space {
        /// The install root.
        path: PathBuf,
        /// The release.
        version: Version,
        /// What the file system says.
        available: u64,
        /// What staging takes.
        needed: u64,
        /// What must remain.
        reserve: u64,
    },
    /// Something more urgent came between two steps.
    #[error("ended before anything was changed")]
    Interrupted(#[source] FetchError),
    /// The state is lost, and what is installed cannot be explained.
    #[error("updates are held: {0}")]
    Held(String),
    /// A file operation failed.
    #[error("cannot change the install root")]
    File(#[from] FileError),
    /// The worker thread did not come back.
    #[error("the update was abandoned")]
    Abandoned,
}

impl UpdateError {
    /// Whether it was ended for something more urgent.
    pub(crate) fn is_interrupted(&self) -> bool {
        match self {
            Self::Interrupted(_) => true,
            Self::Fetch { source, .. }
            | Self::Artifact { source: ArtifactError::Read(source), .. } => {
                matches!(source, FetchError::Interrupted { .. })
            }
            _ => false,
        }
    }

    /// Whether another source of the same repository may do better.
    pub(crate) fn is_of_source(&self) -> bool {
        match self {
            error if error.is_interrupted() => false,
            Self::RefusedBefore { .. }
            | Self::Fetch { .. }
            | Self::Metadata { .. }
            | Self::Expired { .. }
            | Self::Document { .. } => true,
            Self::Artifact { source, .. } => !matches!(source, ArtifactError::File(_)),
            _ => false,
        }
    }

    /// What a caller does about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Fetch { source, .. } => source.kind(),
            Self::Artifact { source, .. } => match source {
                ArtifactError::Read(source) => source.kind(),
                ArtifactError::File(_) => FailureKind::Local,
                _ => FailureKind::Refused,
            },
            Self::Probe { source, .. } => source.kind(),
            Self::Interrupted(source) => source.kind(),
            Self::Declined(_)
            | Self::RefusedBefore { .. }
            | Self::Metadata { .. }
            | Self::Expired { .. }
            | Self::Document { .. } => FailureKind::Refused,
            Self::TrustAnchor { .. }
            | Self::TrustStore { .. }
            | Self::Space { .. }
            | Self::Held(_)
            | Self::File(_)
            | Self::Abandoned => FailureKind::Local,
        }
    }
}

/// A rollback that did not happen. What was installed before still is.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is nothing to go back to.
    #[error("no previous release is kept on this node")]
    NoPrevious,
    /// What would be activated is blocked.
    #[error(
        "the previous release {version} ({digest}) is blocked on this node: {why}; \
         unblock it first"
    )]
    Blocked {
        /// The previous release.
        version: Version,
        /// Its artifact.
        digest: Digest,
        /// Why it was blocked, and by whom.
        why: String,
    },
    /// The newer release that would be activated does not prove to be what it was signed as.
    #[error("the logger of release {version} failed its probe")]
    Probe {
        /// The previous release.
        version: Version,
        /// Why.
        #[source]
        source: Box<ProbeError>,
    },
    /// What would be activated is damaged.
    #[error("the previous release {version} ({digest}) is damaged on disk")]
    Damaged {
        /// The previous release.
        version: Version,
        /// Its artifact.
        digest: Digest,
    },
    /// The state is lost, and what is installed cannot be explained.
    #[error("changes are held: {0}")]
    Held(String),
    /// A file operation failed.
    #[error("cannot change the install root")]
    File(#[from] FileError),
    /// The worker thread did not come back.
    #[error("the rollback was abandoned")]
    Abandoned,
}

impl RollbackError {
    /// What a caller does about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NoPrevious | Self::Blocked { .. } => FailureKind::Refused,
            Self::Probe { source, .. } => source.kind(),
            Self::Damaged { .. } | Self::Held(_) | Self::File(_) | Self::Abandoned => {
                FailureKind::Local
            }
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
