// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a log driver is and takes, and what a release of the logger is.
//!
//! The one vocabulary that the logger, the agent and the tools share. Pure
//! types: no I/O, no clock, no async, no logging.
//!
//! * [`catalog`] — the drivers of this source tree, declared once as data. The
//!   logger binary prints it (`logger drivers --json`), the release tool copies
//!   what the binary says into the [`Release`], and the agent serves that.
//! * [`validate()`] — one set of `--log-opt` values against one [`DriverSpec`]:
//!   every problem at once, or the values normalized with defaults filled in.
//! * [`value`] — the scalar forms Docker's options have: sizes, durations,
//!   booleans, facilities, addresses. Text becomes a type here and nowhere else.
//! * [`status`] — the page of counters that a logger keeps for others to read.
//! * [`Release`] and [`Channel`] — the two signed documents of a repository.
//! * [`limits`] — how large the files of a repository may be.
//!
//! Invariants: an unknown JSON field is kept, never refused, so that an older
//! agent passes a newer manifest through unharmed; an unknown option *kind*
//! accepts any text, for the same reason.

pub mod catalog;
mod channel;
mod digest;
mod driver;
pub mod limits;
mod names;
mod problem;
mod release;
pub mod status;
mod validate;
pub mod value;

pub use channel::Channel;
pub use digest::Digest;
pub use digest::ParseDigestError;
pub use driver::Carrier;
pub use driver::DriverSpec;
pub use driver::OptionKind;
pub use driver::OptionSpec;
pub use driver::Route;
pub use driver::Runs;
pub use names::ChannelName;
pub use names::ParseNameError;
pub use names::Target;
pub use names::Version;
pub use problem::Problem;
pub use problem::ProblemCode;
pub use release::Artifact;
pub use release::ArtifactFile;
pub use release::Release;
pub use validate::Normalized;
pub use validate::SECRET;
pub use validate::validate;

/// Fields of a JSON object that this version does not know, kept as they came.
pub type Extra = serde_json::Map<String, serde_json::Value>;
