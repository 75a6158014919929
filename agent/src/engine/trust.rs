// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Trust in metadata: a seam over The Update Framework's rules.
//!
//! A [`Verifier`] is fed bytes and an explicit "now" and says what may be
//! believed. It does no I/O. The one implementation stands on
//! `sigstore_tuf::TrustedMetadataSet`; nothing outside this module names it.

use std::fmt;

use dockerlogger_manifest::Digest;
use jiff::Timestamp;
use sigstore_tuf::TrustedMetadataSet;

use crate::engine::error::TrustError;
use crate::engine::view::TrustVersions;

mod ring_provider;

/// The four roles of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Root,
    Timestamp,
    Snapshot,
    Targets,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        }
    }
}

/// What a parent role says about a metadata file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetaPin {
    pub(crate) version: u64,
    pub(crate) length: Option<u64>,
}

/// What the targets role says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetPin {
    pub(crate) length: u64,
    pub(crate) sha256: Digest,
}

/// Whether a timestamp brought anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It is newer than the one trusted before.
    New,
    /// It has the version trusted before, which stays.
    Same,
}

/// Why metadata is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// It verifies, but "now" is past its expiry.
    #[error("expired at {expires}")]
    Expired {
        /// When it expired.
        expires: Timestamp,
    },
    /// It does not verify.
    #[error(transparent)]
    Refused(#[from] TrustError),
}

/// Decides what may be believed. `Timestamp::MIN` as "now" takes expired
/// metadata too: floors, and what an operator imports by hand.
pub(crate) trait Verifier: Send + fmt::Debug {
    /// Follows the root chain by exactly one version. Drops the lower roles.
    fn update_root(&mut self, bytes: &[u8]) -> Result<(), TrustError>;
    /// Takes a timestamp that is not older than the trusted one.
    fn update_timestamp(&mut self, bytes: &[u8], now: Timestamp) -> Result<Freshness, VerifyError>;
    /// Takes the snapshot that the timestamp pins.
    fn update_snapshot(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError>;
    /// Takes the targets that the snapshot pins.
    fn update_targets(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError>;
    /// Says whether a trusted role has expired.
    fn check_expiry(&self, role: Role, now: Timestamp) -> Result<(), VerifyError>;
    /// The trusted versions; 0 where there is nothing yet.
    fn versions(&self) -> TrustVersions;
    /// The snapshot that the trusted timestamp pins.
    fn snapshot_pin(&self) -> Option<MetaPin>;
    /// The targets that the trusted snapshot pins.
    fn targets_pin(&self) -> Option<MetaPin>;
    /// A file that the trusted targets list, if they pin it by SHA-256.
    fn target(&self, name: &str) -> Option<TargetPin>;
}

/// The verifier in use.
#[derive(Debug)]
pub(crate) struct TufVerifier {
    set: TrustedMetadataSet,
}

impl TufVerifier {
    /// Starts from a root that is trusted as it is.
    pub(crate) fn from_anchor(root: &[u8]) -> Result<Self, TrustError> {
        ring_provider::install();
        let set = TrustedMetadataSet::from_root(root).map_err(trust_error)?;
        consistent(&set)?;
        Ok(Self { set })
    }
}

impl Verifier for TufVerifier {
    fn update_root(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        numbered(bytes)?;
        let mut next = self.set.clone();
        next.update_root(bytes).map_err(trust_error)?;
        consistent(&next)?;
        self.set = next;
        Ok(())
    }

    fn update_timestamp(&mut self, bytes: &[u8], now: Timestamp) -> Result<Freshness, VerifyError> {
        numbered(bytes)?;
        match self.set.update_timestamp(bytes, now) {
            Ok(()) => Ok(Freshness::New),
            Err(sigstore_tuf::Error::EqualVersion { .. }) => {
                self.check_expiry(Role::Timestamp, now)?;
                Ok(Freshness::Same)
            }
            Err(e) => Err(verify_error(e)),
        }
    }

    fn update_snapshot(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError> {
        numbered(bytes)?;
        self.set.update_snapshot(bytes, now).map_err(verify_error)
    }

    fn update_targets(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError> {
        numbered(bytes)?;
        self.set.update_targets(bytes, now).map(|_| ()).map_err(verify_error)
    }

    fn check_expiry(&self, role: Role, now: Timestamp) -> Result<(), VerifyError> {
        let expires = match role {
            Role::Root => Some(self.set.root().expires),
            Role::Timestamp => self.set.timestamp().map(|role| role.expires),
            Role::Snapshot => self.set.snapshot().map(|role| role.expires),
            Role::Targets => self.set.targets_role("targets").map(|role| role.expires),
        };
        match expires {
            Some(expires) if expires < now => Err(VerifyError::Expired { expires }),
            _ => Ok(()),
        }
    }

    fn versions(&self) -> TrustVersions {
        TrustVersions {
            root: self.set.root().version,
            timestamp: self.set.timestamp().map_or(0, |role| role.version),
            snapshot: self.set.snapshot().map_or(0, |role| role.version),
            targets: self.set.targets_role("targets").map_or(0, |role| role.version),
        }
    }

    fn snapshot_pin(&self) -> Option<MetaPin> {
        let pin = self.set.timestamp()?.snapshot_meta()?;
        Some(MetaPin { version: pin.version, length: pin.length })
    }

    fn targets_pin(&self) -> Option<MetaPin> {
        let pin = self.set.snapshot()?.meta.get("targets.json")?;
        Some(MetaPin { version: pin.version, length: pin.length })
    }

    fn target(&self, name: &str) -> Option<TargetPin> {
        let file = self.set.targets_role("targets")?.target(name)?;
        let sha256 = file.hashes.get("sha256")?.to_ascii_lowercase().parse().ok()?;
        Some(TargetPin { length: file.length, sha256 })
    }
}

/// Files are asked for by names that carry their version or hash. A
/// repository without them cannot be read while it is being published.
fn consistent(set: &TrustedMetadataSet) -> Result<(), TrustError> {
    if set.root().consistent_snapshot {
        return Ok(());
    }
    let version = set.root().version;
    Err(TrustError::Malformed(format!(
        "root version {version} lacks \"consistent_snapshot\": true"
    )))
}

/// Versions begin with 1, as the specification says; 0 would be no floor.
fn numbered(bytes: &[u8]) -> Result<(), TrustError> {
    #[derive(serde::Deserialize)]
    struct File {
        signed: Signed,
    }
    #[derive(serde::Deserialize)]
    struct Signed {
        version: u64,
    }
    let malformed =
        |e: serde_json::Error| TrustError::Malformed(format!("not JSON of the expected form: {e}"));
    let file: File = serde_json::from_slice(bytes).map_err(malformed)?;
    match file.signed.version {
        0 => Err(TrustError::Malformed("its version is 0; versions begin with 1".to_owned())),
        _ => Ok(()),
    }
}

fn verify_error(error: sigstore_tuf::Error) -> VerifyError {
    match error {
        sigstore_tuf::Error::Expired { expires, .. } => VerifyError::Expired { expires },
        other => VerifyError::Refused(trust_error(other)),
    }
}

fn trust_error(error: sigstore_tuf::Error) -> TrustError {
    use sigstore_tuf::Error;
    match error {
        Error::ThresholdNotMet { role, found, threshold } => {
            TrustError::Signature { role, found, threshold }
        }
        Error::Rollback { role, trusted, new } => {
            TrustError::Rollback { role, accepted: trusted, offered: new }
        }
        Error::BadRootVersion { trusted, new } => {
            TrustError::RootVersion { expected: trusted.saturating_add(1), offered: new }
        }
        Error::IntegrityMismatch(problem) => TrustError::Mismatch(problem),
        Error::Json(e) => TrustError::Malformed(format!("not JSON of the expected form: {e}")),
        other => TrustError::Malformed(other.to_string()),
    }
}
