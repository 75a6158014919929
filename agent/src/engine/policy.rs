// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Stay or move: the decision, pure over gathered facts.

use std::fmt;

use dockerlogger_manifest::{Artifact, Channel, ChannelName, Digest, Release, Target, Version};

use crate::engine::view::{Barred, Blocked, Held, Offered, Pinned};

/// Everything a decision depends on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The channel the node follows, as signed.
    pub channel: Channel,
    /// The release that the channel names, or that the node is pinned to, as signed.
    pub release: Release,
    /// This node's platform.
    pub target: Target,
    /// Version and digest of what is active, if anything.
    pub current: Option<(Version, Digest)>,
    /// Whether what is active is damaged on disk and wants installing again.
    pub damaged: bool,
    /// What must not be installed.
    pub blocked: Vec<Blocked>,
    /// What an operator forbids.
    pub barred: Vec<Barred>,
    /// Set: an operator wants this node to keep what it has.
    pub held: Option<Held>,
    /// Set: an operator wants this node to have one release; `release` is that one.
    pub pinned: Option<Pinned>,
}

impl Facts {
    /// What this node is to have, if that was built for it.
    pub(crate) fn offered(&self) -> Option<Offered> {
        let digest = self.release.targets.get(&self.target)?.sha256;
        Some(Offered { version: self.release.version.clone(), digest })
    }
}

/// The choice, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Leave everything as it is.
    Stay(Reason),
    /// Install and activate another release.
    Move(Move),
}

/// A change of release.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Move {
    /// What is active now, if anything.
    pub from: Option<Version>,
    /// What will be.
    pub to: Version,
    /// SHA-256 of the artifact.
    pub digest: Digest,
    /// The artifact, as the release describes it.
    #[serde(skip)]
    pub artifact: Artifact,
}

/// Why a node stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The channel's release is active.
    AlreadyInstalled {
        /// It.
        version: Version,
    },
    /// An operator wants this node to keep what it has.
    Held {
        /// Why.
        why: String,
        /// Who.
        by: String,
        /// The release that would be installed.
        version: Version,
    },
    /// The node is pinned to a release that its source does not have.
    PinUnavailable {
        /// The release.
        version: Version,
        /// Who pinned it.
        by: String,
    },
    /// The publisher stopped the channel.
    Halted {
        /// The channel.
        channel: ChannelName,
        /// The release it names.
        version: Version,
    },
    /// This very artifact is blocked on this node.
    Blocked {
        /// Its version.
        version: Version,
        /// Its digest.
        digest: Digest,
        /// Why it was blocked, and by whom.
        why: String,
    },
    /// The channel's release is older than what is active.
    Older {
        /// What is active.
        installed: Version,
        /// What the channel names.
        offered: Version,
    },
    /// The release was not built for this platform.
    NoArtifact {
        /// The release.
        version: Version,
        /// This node's platform.
        target: Target,
        /// The platforms it was built for.
        available: Vec<Target>,
    },
}

impl Reason {
    /// Whether an operator who asked for an update has to hear of a refusal.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Older { .. } | Self::NoArtifact { .. } | Self::PinUnavailable { .. } => true,
            Self::AlreadyInstalled { .. }
            | Self::Held { .. }
            | Self::Halted { .. }
            | Self::Blocked { .. } => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInstalled { version } => write!(f, "release {version} is installed"),
            Self::Held { why, by, version } => {
                write!(f, "this node is held by {by}, release {version} waits: {why}")
            }
            Self::PinUnavailable { version, by } => {
                write!(
                    f,
                    "this node is pinned to release {version} by {by}, and the source does not have it"
                )
            }
            Self::Halted { channel, version } => {
                write!(f, "channel {channel} is halted at release {version}")
            }
            Self::Blocked { version, digest, why } => {
                write!(f, "release {version} ({digest}) is blocked on this node: {why}")
            }
            Self::Older { installed, offered } => write!(
                f,
                "the channel names release {offered}, older than {installed}, which is installed; \
                 to go back on this node use rollback"
            ),
            Self::NoArtifact { version, target, available } => {
                write!(f, "release {version} has no artifact for {target}, only for ")?;
                if available.is_empty() {
                    return f.write_str("nothing");
                }
                for (i, target) in available.iter().enumerate() {
                    write!(f, "{}{target}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

/// Decides. Pure: the same facts give the same decision.
pub fn decide(facts: &Facts) -> Decision {
    let version = &facts.release.version;
    let Some(artifact) = facts.release.targets.get(&facts.target) else {
        return Decision::Stay(Reason::NoArtifact {
            version: version.clone(),
            target: facts.target.clone(),
            available: facts.release.targets.keys().cloned().collect(),
        });
    };
    let blocked = |digest: &Digest| facts.blocked.iter().find(|block| block.digest == *digest);
    // What is blocked runs only for want of another: anything that may run is better.
    let stands_in = facts.current.as_ref().is_some_and(|(version, digest)| {
        blocked(digest).is_some() || facts.barred.iter().any(|bar| bar.covers(version, digest))
    });
    if let Some((installed, digest)) = &facts.current
        && *digest == artifact.sha256
        && !facts.damaged
        && !stands_in
    {
        return Decision::Stay(Reason::AlreadyInstalled { version: installed.clone() });
    }
    // Repairing what is damaged changes nothing that anybody held.
    let same = facts.current.as_ref().is_some_and(|(_, digest)| *digest == artifact.sha256);
    if let (Some(held), false) = (&facts.held, same) {
        return Decision::Stay(Reason::Held {
            why: held.reason.clone(),
            by: held.by.clone(),
            version: version.clone(),
        });
    }
    let barred = facts.barred.iter().find(|barred| barred.covers(version, &artifact.sha256));
    if let Some(barred) = barred {
        return Decision::Stay(Reason::Blocked {
            version: version.clone(),
            digest: artifact.sha256,
            why: format!("{}, by {}", barred.reason, barred.by),
        });
    }
    // What was pinned was chosen on this node: the channel does not matter.
    let pinned = facts.pinned.is_some();
    if facts.channel.halted && !pinned {
        return Decision::Stay(Reason::Halted {
            channel: facts.channel.name.clone(),
            version: version.clone(),
        });
    }
    if let Some(blocked) = blocked(&artifact.sha256) {
        return Decision::Stay(Reason::Blocked {
            version: version.clone(),
            digest: blocked.digest,
            why: blocked.reason.clone(),
        });
    }
    let free = pinned || stands_in;
    let newer = facts.current.as_ref().filter(|(current, _)| version < current && !free);
    if let Some((installed, _)) = newer {
        return Decision::Stay(Reason::Older {
            installed: installed.clone(),
            offered: version.clone(),
        });
    }
    Decision::Move(Move {
        from: facts.current.as_ref().map(|(installed, _)| installed.clone()),
        to: version.clone(),
        digest: artifact.sha256,
        artifact: artifact.clone(),
    })
}

#[cfg(test)]
mod tests;
