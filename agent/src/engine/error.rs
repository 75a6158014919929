// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What can go wrong while opening, updating or rolling back, and what kind
//! of trouble it is.

use std::io;
use std::path::PathBuf;

use dockerlogger_manifest::{Digest, Version};
use jiff::Timestamp;

use crate::engine::policy::Reason;
pub use crate::os::FileError;

/// What a caller does about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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
    /// The layout could not be created, read or repaired.
    #[error("cannot set up the install root")]
    Layout(#[source] FileError),
    /// The state was written by a newer agent.
    #[error(
        "{} has format {found}, this agent knows up to {known}: run the newer agent again",
        path.display()
    )]
    StateTooNew {
        /// The state file.
        path: PathBuf,
        /// The format it has.
        found: u64,
        /// The newest format this agent reads.
        known: u64,
    },
}

/// An update that did not happen. What was installed before still is.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The policy declines what the channel offers.
    #[error("not installed: {0}")]
    Declined(Reason),
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
        /// `root`, `timestamp`, `snapshot` or `targets`.
        role: &'static str,
        /// The source, as configured.
        from: String,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// Metadata verified but is too old to be believed.
    #[error("{role} metadata from {from} expired at {expires}; this node's clock says {now}")]
    Expired {
        /// `root`, `timestamp`, `snapshot` or `targets`.
        role: &'static str,
        /// The source, as configured.
        from: String,
        /// When it expired.
        expires: Timestamp,
        /// What the node takes for the present.
        now: Timestamp,
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
            Self::Declined(_)
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
            Self::NoPrevious => FailureKind::Refused,
            Self::Damaged { .. } | Self::Held(_) | Self::File(_) | Self::Abandoned => {
                FailureKind::Local
            }
        }
    }
}

/// A source that does not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The source has no such file.
    #[error("not found")]
    NotFound,
    /// More bytes than signed, or than the limit for unsigned lengths.
    #[error("longer than the {limit} bytes allowed")]
    TooLong {
        /// The signed length, or the limit.
        limit: u64,
    },
    /// Fewer bytes than signed.
    #[error("ended after {got} of {expected} bytes")]
    Truncated {
        /// What came.
        got: u64,
        /// What was signed.
        expected: u64,
        /// Whether the bytes came over a network that may have cut them.
        network: bool,
    },
    /// An answer that is neither success nor absence.
    #[error("the server answered {status}")]
    Status {
        /// The HTTP status code.
        status: u16,
    },
    /// Too slow to wait for.
    #[error("slower than {bytes_per_sec_min} bytes a second for {window_secs} seconds")]
    TooSlow {
        /// The floor.
        bytes_per_sec_min: u64,
        /// How long it was measured.
        window_secs: u64,
    },
    /// The answer did not begin in time.
    #[error("no answer within {secs} seconds")]
    NoAnswer {
        /// The limit.
        secs: u64,
    },
    /// Connecting, sending or receiving failed.
    #[error("the request failed")]
    Network(#[source] reqwest::Error),
    /// The HTTP client could not be built, for want of CA certificates for example.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// Reading failed half-way.
    #[error("reading failed")]
    Read(#[source] io::Error),
    /// A local directory or bundle could not be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The bundle is not a plain tar archive of a repository.
    #[error("not a release bundle: {problem}")]
    Bundle {
        /// What is wrong with it.
        problem: String,
    },
}

impl FetchError {
    /// What a caller does about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Network(_) | Self::NoAnswer { .. } | Self::TooSlow { .. } => {
                FailureKind::Temporary
            }
            Self::Status { status } if *status >= 500 || matches!(status, 408 | 425 | 429) => {
                FailureKind::Temporary
            }
            Self::Truncated { network: true, .. } => FailureKind::Temporary,
            Self::Client(_) | Self::Read(_) | Self::File { .. } => FailureKind::Local,
            Self::NotFound
            | Self::TooLong { .. }
            | Self::Truncated { .. }
            | Self::Status { .. }
            | Self::Bundle { .. } => FailureKind::Refused,
        }
    }
}

/// Metadata that must not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Too few good signatures.
    #[error("signature of {role} metadata: {found} of {threshold} needed keys")]
    Signature {
        /// The role.
        role: String,
        /// Distinct good signatures.
        found: usize,
        /// How many the root asks for.
        threshold: usize,
    },
    /// Older than what was accepted before.
    #[error(
        "{role} version {offered} is older than version {accepted}, which this node accepted before"
    )]
    Rollback {
        /// The role.
        role: String,
        /// The floor.
        accepted: u64,
        /// What came.
        offered: u64,
    },
    /// The root chain has a gap.
    #[error("expected root version {expected}, got {offered}")]
    RootVersion {
        /// One more than the trusted version.
        expected: u64,
        /// What came.
        offered: u64,
    },
    /// Content, length or version differ from what the parent role pins.
    #[error("{0}")]
    Mismatch(String),
    /// Not metadata of the expected kind.
    #[error("{0}")]
    Malformed(String),
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An artifact whose content is not what was signed.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The source failed, ended early or did not end.
    #[error("cannot read it")]
    Read(#[source] FetchError),
    /// The whole differs from the signed digest.
    #[error("digest is {got}, the release says {expected}")]
    Digest {
        /// What came.
        got: Digest,
        /// What was signed.
        expected: Digest,
    },
    /// Not decodable, or decodable only with more memory than allowed.
    #[error("not a zstd-compressed tar archive within the limits")]
    Decode(#[source] io::Error),
    /// Unpacks to more than the release says.
    #[error("unpacks to more than {limit} bytes")]
    Unpacked {
        /// The limit, derived from the signed file list.
        limit: u64,
    },
    /// An entry that is not exactly a signed file.
    #[error("entry \"{entry}\": {problem}")]
    Entry {
        /// The name as far as it can be shown.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A signed file is not in the archive.
    #[error("file \"{path}\" of the release is not in the archive")]
    Missing {
        /// Its path.
        path: String,
    },
    /// Writing the staged tree failed.
    #[error("cannot stage it")]
    File(#[from] FileError),
}

/// A logger that does not prove to be the release.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It could not be started.
    #[error("cannot run {command}")]
    Start {
        /// Program and arguments.
        command: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It did not end in time.
    #[error("{command} did not end within {secs} seconds")]
    TimedOut {
        /// Program and arguments.
        command: String,
        /// The limit.
        secs: u64,
    },
    /// It ended badly.
    #[error("{command} ended with {status}; stderr: \"{stderr}\"")]
    Failed {
        /// Program and arguments.
        command: String,
        /// Exit status.
        status: String,
        /// The first line of standard error, shortened.
        stderr: String,
    },
    /// It printed more than the limit.
    #[error("{command} printed more than {limit} bytes")]
    Output {
        /// Program and arguments.
        command: String,
        /// The limit.
        limit: u64,
    },
    /// It says it is something else.
    #[error("{command} says \"{got}\", the release says \"{expected}\"")]
    Version {
        /// Program and arguments.
        command: String,
        /// What it printed, shortened.
        got: String,
        /// The signed version.
        expected: Version,
    },
    /// Its driver list is not JSON or differs from the signed one.
    #[error("{command}: {problem}")]
    Drivers {
        /// Program and arguments.
        command: String,
        /// What differs.
        problem: String,
    },
}

impl ProbeError {
    /// What a caller does about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Start { .. } => FailureKind::Local,
            _ => FailureKind::Refused,
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
