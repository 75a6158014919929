// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A decision as steps: data that can be printed before anything is done.

use std::fmt;

use dockerlogger_manifest::{Digest, Version};
use serde::Serialize;

use crate::engine::policy::{Decision, Move};

/// What an update would do, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Stay or move, with the reason.
    pub decision: Decision,
    /// In the order in which they are done; none for a node that stays.
    pub steps: Vec<Step>,
    /// What an operator should know although it is not in the way.
    pub warnings: Vec<String>,
}

/// One step. Each is idempotent; the order is law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// See that there is room.
    CheckSpace {
        /// Bytes that staging takes.
        needed: u64,
        /// Bytes that must remain.
        reserve: u64,
    },
    /// Fetch, verify and unpack the artifact into `store/`.
    Stage {
        /// The artifact's name in the repository.
        name: String,
        /// Its digest.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
    },
    /// Run the staged logger and compare what it says with the release.
    Probe {
        /// The release it should be.
        version: Version,
    },
    /// Write down, durably, what is about to be switched to.
    RecordIntent {
        /// The digest.
        digest: Digest,
    },
    /// Make `bin/logger` the new release: the commit point.
    Switch {
        /// The digest.
        digest: Digest,
    },
    /// Write down, durably, that the switch is done.
    Confirm {
        /// The release that is current from now on.
        version: Version,
    },
    /// Remove every stored release that is no longer kept.
    Collect,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CheckSpace { needed, reserve } => {
                write!(f, "check that {needed} bytes fit and {reserve} remain")
            }
            Self::Stage { name, digest, size } => {
                write!(f, "fetch and unpack {name} ({size} bytes, sha256 {digest})")
            }
            Self::Probe { version } => write!(f, "run the logger: is it release {version}?"),
            Self::RecordIntent { digest } => write!(f, "record the intent to switch to {digest}"),
            Self::Switch { digest } => write!(f, "switch bin/logger to {digest}"),
            Self::Confirm { version } => write!(f, "record release {version} as current"),
            Self::Collect => f.write_str("remove releases that are no longer kept"),
        }
    }
}

/// The steps of a decision. Pure.
///
/// `staged` says that the artifact is in `store/` already and verifies.
pub fn plan(decision: Decision, reserve_bytes: u64, staged: bool, warnings: Vec<String>) -> Plan {
    let steps = match &decision {
        Decision::Stay(_) => Vec::new(),
        Decision::Move(target) => steps(target, reserve_bytes, staged),
    };
    Plan { decision, steps, warnings }
}

fn steps(target: &Move, reserve_bytes: u64, staged: bool) -> Vec<Step> {
    let artifact = &target.artifact;
    let digest = target.digest;
    let mut steps = Vec::new();
    if !staged {
        let unpacked = artifact.unpacked_size().unwrap_or(u64::MAX);
        // Packed, it may be kept beside what is unpacked, until it is whole.
        let needed = unpacked.saturating_add(artifact.size).saturating_add(OVERHEAD_BYTES);
        steps.push(Step::CheckSpace { needed, reserve: reserve_bytes });
        steps.push(Step::Stage { name: artifact.name.clone(), digest, size: artifact.size });
    }
    steps.push(Step::Probe { version: target.to.clone() });
    steps.push(Step::RecordIntent { digest });
    steps.push(Step::Switch { digest });
    steps.push(Step::Confirm { version: target.to.clone() });
    steps.push(Step::Collect);
    steps
}

/// Room for the manifest, directories and state beside the unpacked files.
const OVERHEAD_BYTES: u64 = 2 * 1024 * 1024;
