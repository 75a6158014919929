// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a verb can fail with, and the process's exit code for it.

use std::path::PathBuf;

use axum::http::StatusCode;

use crate::api::UnknownDriver;
use crate::client::ClientError;
use crate::config::LoadError;
use crate::engine::{FailureKind, OpenError};
use crate::service::RunError;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is wrong.
    #[error(transparent)]
    Usage(clap::Error),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// The install root cannot be taken.
    #[error("failed to open the install root")]
    Open(#[from] OpenError),
    /// It cannot be seen what is installed.
    #[error("failed to look at this node")]
    Look(#[source] OpenError),
    /// The agent did not start.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The agent's own error, which is in its log already.
    #[error(transparent)]
    Logged(Box<CliError>),
    /// The running agent did not answer as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is nothing to update from.
    #[error("no source to update from: set \"source\" in the configuration, or give --source")]
    NoSource,
    /// `--source` is not a source.
    #[error(
        "--source {0:?} is not accepted; accepted: http(s)://HOST/…, a folder, or a .tar bundle"
    )]
    BadSource(String),
    /// The path of `--bundle` is no text.
    #[error("--bundle {0:?} is not accepted; accepted: a path, absolute or not, in UTF-8")]
    BundleName(PathBuf),
    /// A path on the command line cannot be made absolute.
    #[error("failed to find the absolute path of {}", path.display())]
    Path {
        /// The path as given.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No such driver.
    #[error(transparent)]
    UnknownDriver(#[from] UnknownDriver),
    /// The work was not done; the engine's own words.
    #[error("{text}")]
    Work {
        /// The chain of causes.
        text: String,
        /// What to do about it.
        kind: FailureKind,
    },
}

/// Refused or failed.
const FAILED: u8 = 1;
/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
/// `EX_TEMPFAIL`: trying again later is right.
const TEMPORARY: u8 = 75;
/// `EX_CONFIG`: trying again is useless until the configuration changes.
const CONFIG: u8 = 78;

/// The exit code for `error`. The service's start method and the documentation rely on it.
pub fn exit_code(error: &CliError) -> u8 {
    match error {
        CliError::Logged(error) => exit_code(error),
        CliError::Usage(error) if !error.use_stderr() => 0,
        CliError::Usage(_) | CliError::BadSource(_) | CliError::BundleName(_) => USAGE,
        CliError::Config(_) | CliError::NoSource => CONFIG,
        // An agent that begins or ends, or another verb.
        CliError::Open(OpenError::Locked { .. }) => TEMPORARY,
        CliError::Open(_)
        | CliError::Look(_)
        | CliError::Run(_)
        | CliError::Path { .. }
        | CliError::UnknownDriver(_) => FAILED,
        CliError::Client(error) => match error {
            ClientError::Declined { status: StatusCode::SERVICE_UNAVAILABLE, .. } => TEMPORARY,
            ClientError::Declined { .. }
            | ClientError::Connect { .. }
            | ClientError::Exchange(_)
            | ClientError::Unfinished
            | ClientError::Malformed(_)
            | ClientError::TooLong => FAILED,
        },
        CliError::Work { kind, .. } => match kind {
            FailureKind::Refused | FailureKind::Local => FAILED,
            FailureKind::Temporary => TEMPORARY,
        },
    }
}
