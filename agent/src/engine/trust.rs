// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Trust in metadata: a seam over The Update Framework's rules.
//!
//! A [`Verifier`] is fed bytes and an explicit "now" and says what may be
//! believed. It does no I/O. The one implementation stands on
//! `sigstore_tuf::TrustedMetadataSet`; nothing outside this module names it.

use std::collections::BTreeSet;
use std::fmt;

use dockerlogger_manifest::Digest;
use jiff::Timestamp;
use sigstore_tuf::TrustedMetadataSet;

use crate::engine::error::TrustError;
use crate::engine::view::TrustVersions;

mod ring_provider;
mod search;

pub(crate) use search::{SearchError, search};

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

/// Whose signatures count for a role, and how many of them it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleKeys {
    pub(crate) ids: BTreeSet<String>,
    pub(crate) threshold: u64,
}

/// One role trusts another with some of its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Whose keys vouch for the other's keys.
    pub(crate) delegator: String,
    /// The role that is trusted.
    pub(crate) role: String,
}

/// A role that may list a target, as its delegator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delegation {
    pub(crate) role: String,
    /// Whatever it does not list is not looked for elsewhere.
    pub(crate) terminating: bool,
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
    /// Takes a delegated role that the snapshot pins, on the delegator's word.
    fn update_delegated(
        &mut self,
        edge: &Edge,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), VerifyError>;
    /// Says whether a delegated role was taken before. If so, this delegator
    /// has to vouch for it too, and it must not have expired.
    fn check_delegated(&self, edge: &Edge, now: Timestamp) -> Result<bool, VerifyError>;
    /// Forgets the lower roles, and with them their floors.
    fn forget(&mut self);
    /// Says whether a trusted role, by its name, has expired.
    fn check_expiry(&self, role: &str, now: Timestamp) -> Result<(), VerifyError>;
    /// Whose signatures count for a role, as the root says; none if it names no such role.
    fn keys(&self, role: Role) -> Option<RoleKeys>;
    /// The trusted versions; 0 where there is nothing yet. Of targets that are still to come, the
    /// version that the snapshot pins: nothing older will be taken.
    fn versions(&self) -> TrustVersions;
    /// The snapshot that the trusted timestamp pins.
    fn snapshot_pin(&self) -> Option<MetaPin>;
    /// The list of targets by that name that the trusted snapshot pins:
    /// [`TARGETS`] or a delegated role.
    fn targets_pin(&self, role: &str) -> Option<MetaPin>;
    /// The roles to which a trusted list of targets delegates a target, in its order.
    fn delegations(&self, role: &str, target: &str) -> Result<Vec<Delegation>, TrustError>;
    /// A file that a trusted list of targets has, if it pins it by SHA-256.
    fn target(&self, role: &str, name: &str) -> Option<TargetPin>;
}

/// Makes a verifier from a root that is trusted as it is.
pub(crate) type Begin = fn(&[u8]) -> Result<Box<dyn Verifier>, TrustError>;

/// The verifier in use.
pub(crate) fn begin(root: &[u8]) -> Result<Box<dyn Verifier>, TrustError> {
    Ok(Box::new(TufVerifier::from_anchor(root)?))
}

/// The name of the list of targets that the root vouches for.
pub(crate) const TARGETS: &str = "targets";

/// A verifier on `sigstore_tuf`.
#[derive(Debug, Clone)]
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
        well_formed(bytes)?;
        let mut next = self.set.clone();
        next.update_root(bytes).map_err(trust_error)?;
        consistent(&next)?;
        self.set = next;
        Ok(())
    }

    fn update_timestamp(&mut self, bytes: &[u8], now: Timestamp) -> Result<Freshness, VerifyError> {
        well_formed(bytes)?;
        match self.set.update_timestamp(bytes, just_after(now)) {
            Ok(()) => Ok(Freshness::New),
            Err(sigstore_tuf::Error::EqualVersion { .. }) => {
                self.check_expiry(Role::Timestamp.name(), now)?;
                Ok(Freshness::Same)
            }
            Err(e) => Err(verify_error(e)),
        }
    }

    fn update_snapshot(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError> {
        well_formed(bytes)?;
        self.set.update_snapshot(bytes, just_after(now)).map_err(verify_error)
    }

    fn update_targets(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError> {
        well_formed(bytes)?;
        self.set.update_targets(bytes, just_after(now)).map(|_| ()).map_err(verify_error)
    }

    fn update_delegated(
        &mut self,
        edge: &Edge,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        well_formed(bytes)?;
        let (role, delegator) = (&edge.role, &edge.delegator);
        let taken = self.set.update_delegated_targets(bytes, role, delegator, just_after(now));
        taken.map(|_| ()).map_err(verify_error)
    }

    fn check_delegated(&self, edge: &Edge, now: Timestamp) -> Result<bool, VerifyError> {
        if self.set.targets_role(&edge.role).is_none() {
            return Ok(false);
        }
        let (role, delegator) = (&edge.role, &edge.delegator);
        let checked = self.set.verify_delegated_targets(role, delegator, just_after(now));
        checked.map(|_| true).map_err(verify_error)
    }

    fn forget(&mut self) {
        // These very bytes were a root before.
        if let Ok(set) = TrustedMetadataSet::from_root(self.set.root_bytes()) {
            self.set = set;
        }
    }

    fn check_expiry(&self, role: &str, now: Timestamp) -> Result<(), VerifyError> {
        let expires = match role {
            "root" => Some(self.set.root().expires),
            "timestamp" => self.set.timestamp().map(|role| role.expires),
            "snapshot" => self.set.snapshot().map(|role| role.expires),
            list => self.set.targets_role(list).map(|role| role.expires),
        };
        match expires {
            Some(expires) if expires <= now => Err(VerifyError::Expired { expires }),
            _ => Ok(()),
        }
    }

    fn keys(&self, role: Role) -> Option<RoleKeys> {
        let keys = self.set.root().role(role.name())?;
        let threshold = u64::try_from(keys.threshold).unwrap_or(u64::MAX);
        Some(RoleKeys { ids: keys.keyids.iter().cloned().collect(), threshold })
    }

    fn versions(&self) -> TrustVersions {
        TrustVersions {
            root: self.set.root().version,
            timestamp: self.set.timestamp().map_or(0, |role| role.version),
            snapshot: self.set.snapshot().map_or(0, |role| role.version),
            targets: self.targets_pin(TARGETS).map_or(0, |pin| pin.version),
        }
    }

    fn snapshot_pin(&self) -> Option<MetaPin> {
        let pin = self.set.timestamp()?.snapshot_meta()?;
        Some(MetaPin { version: pin.version, length: pin.length })
    }

    fn targets_pin(&self, role: &str) -> Option<MetaPin> {
        let pin = self.set.snapshot()?.meta.get(&format!("{role}.json"))?;
        Some(MetaPin { version: pin.version, length: pin.length })
    }

    fn delegations(&self, role: &str, target: &str) -> Result<Vec<Delegation>, TrustError> {
        let list = self.set.targets_role(role).and_then(|list| list.delegations.as_ref());
        let mut covering = Vec::new();
        for delegated in list.iter().flat_map(|delegations| &delegations.roles) {
            if delegated.matches_path(target).map_err(trust_error)? {
                let (role, terminating) = (delegated.name.clone(), delegated.terminating);
                covering.push(Delegation { role, terminating });
            }
        }
        Ok(covering)
    }

    fn target(&self, role: &str, name: &str) -> Option<TargetPin> {
        let file = self.set.targets_role(role)?.target(name)?;
        let sha256 = file.hashes.get("sha256")?.to_ascii_lowercase().parse().ok()?;
        Some(TargetPin { length: file.length, sha256 })
    }
}

/// The library believes metadata in the very instant it expires at, the
/// specification (5.3.10) does not.
fn just_after(now: Timestamp) -> Timestamp {
    now.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(now)
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

/// What any metadata file has to be, whoever signed it. Versions begin with 1, as
/// the specification says; 0 would be no floor. No key signs twice, not even one
/// that does not count: the next root may make it count, and what was taken before
/// would verify no more.
fn well_formed(bytes: &[u8]) -> Result<(), TrustError> {
    #[derive(serde::Deserialize)]
    struct File {
        signed: Signed,
        signatures: Vec<Signature>,
    }
    #[derive(serde::Deserialize)]
    struct Signed {
        version: u64,
    }
    #[derive(serde::Deserialize)]
    struct Signature {
        keyid: String,
    }
    let malformed =
        |e: serde_json::Error| TrustError::Malformed(format!("not JSON of the expected form: {e}"));
    let file: File = serde_json::from_slice(bytes).map_err(malformed)?;
    if file.signed.version == 0 {
        let problem = "its version is 0; versions begin with 1".to_owned();
        return Err(TrustError::Malformed(problem));
    }
    let mut keys = BTreeSet::new();
    for Signature { keyid } in file.signatures {
        if let Some(key) = keys.replace(keyid) {
            return Err(TrustError::RepeatedSignature { key });
        }
    }
    Ok(())
}

/// The version that metadata says it has; 0 if it has no form at all.
pub(crate) fn version(bytes: &[u8]) -> u64 {
    let file: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    file["signed"]["version"].as_u64().unwrap_or(0)
}

/// Metadata without the signatures of keys that are said to have signed it more
/// than once; none if it has no form at all.
pub(crate) fn without_repeats(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut file: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let signatures = file.get_mut("signatures")?.as_array_mut()?;
    let all = signatures.clone();
    signatures.retain(|one| all.iter().filter(|other| other["keyid"] == one["keyid"]).count() == 1);
    serde_json::to_vec(&file).ok()
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
