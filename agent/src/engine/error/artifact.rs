// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Content that is not what was signed, and a logger that is not the release.

use std::io;

use dockerlogger_manifest::{Digest, Version};

use crate::engine::error::{FailureKind, FetchError};
use crate::os::FileError;

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
    /// The user that it is run as cannot get to it.
    #[error(
        "cannot run {command} without privileges: every folder above the install root must let \
         others pass (chmod o+x)"
    )]
    Unreachable {
        /// Program and arguments.
        command: String,
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
    /// It took a record, ended well, and nobody got the record.
    #[error("{command} ended well and its record did not arrive")]
    Undelivered {
        /// Program, driver and where the record was to go.
        command: String,
    },
    /// There is no receiver to try it on.
    #[error("cannot receive on loopback what driver {driver} sends")]
    Receiver {
        /// The driver.
        driver: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
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
            Self::Start { .. } | Self::Unreachable { .. } | Self::Receiver { .. } => {
                FailureKind::Local
            }
            _ => FailureKind::Refused,
        }
    }
}
