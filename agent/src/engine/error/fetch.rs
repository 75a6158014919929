// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A source that fails.

use std::io;
use std::path::PathBuf;

use crate::engine::error::FailureKind;
use crate::os::FileError;

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
    /// 407, for what goes through the proxy or for the tunnel that is to.
    #[error("the proxy asks for a user and a password, or for others than it was given")]
    ProxyPassword,
    /// The proxy cannot be reached, or does not connect to a source with TLS.
    #[error("the proxy opens no tunnel to the source")]
    Tunnel(#[source] reqwest::Error),
    /// The HTTP client could not be built, for want of CA certificates for example.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// There are no descriptors for sockets to be waited for with.
    #[error("cannot wait for the network")]
    Reactor(#[source] io::Error),
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
    /// A request for a part was answered with another part.
    #[error("the server answered a request for the bytes from {from} with others")]
    Range {
        /// The first byte that was asked for.
        from: u64,
    },
    /// The image API has no image that can be used.
    #[error("{problem}")]
    Image {
        /// What is wrong.
        problem: String,
    },
    /// Not enough room for the file of an image.
    #[error("it takes {needed} bytes, {available} are available and {reserve} stay in reserve")]
    Space {
        /// What the file system says.
        available: u64,
        /// The length of the file.
        needed: u64,
        /// What must remain.
        reserve: u64,
    },
    /// What came could not be kept on this node.
    #[error("cannot keep what came")]
    Keep(#[from] FileError),
    /// Something more urgent came.
    #[error("it gave way: {why}")]
    Interrupted {
        /// What came.
        why: String,
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
            Self::Network(_)
            | Self::ProxyPassword
            | Self::Tunnel(_)
            | Self::NoAnswer { .. }
            | Self::Interrupted { .. }
            | Self::TooSlow { .. } => FailureKind::Temporary,
            Self::Status { status } if *status >= 500 || matches!(status, 408 | 425 | 429) => {
                FailureKind::Temporary
            }
            Self::Truncated { network: true, .. } => FailureKind::Temporary,
            Self::Client(_)
            | Self::Reactor(_)
            | Self::Read(_)
            | Self::File { .. }
            | Self::Space { .. }
            | Self::Keep(_) => FailureKind::Local,
            Self::NotFound
            | Self::TooLong { .. }
            | Self::Truncated { .. }
            | Self::Status { .. }
            | Self::Range { .. }
            | Self::Image { .. }
            | Self::Bundle { .. } => FailureKind::Refused,
        }
    }
}
