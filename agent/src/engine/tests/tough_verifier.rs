// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The verifier a second time, on another library: `tough` parses and checks
//! signatures, the rules about versions and pins are those of the TUF
//! specification, 5.3 to 5.6. It shares no code with the one in use.

use dockerlogger_manifest::Digest;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tough::schema::{Metafile, Role as _, Root, Signed, Snapshot, Targets};

use crate::engine::digest;
use crate::engine::error::TrustError;
use crate::engine::trust::{Freshness, MetaPin, Role, TargetPin, Verifier, VerifyError};
use crate::engine::view::TrustVersions;

type Stamp = tough::schema::Timestamp;

#[derive(Debug)]
pub(super) struct ToughVerifier {
    root: Root,
    timestamp: Option<Stamp>,
    snapshot: Option<Snapshot>,
    targets: Option<Targets>,
}

impl ToughVerifier {
    pub(super) fn from_anchor(bytes: &[u8]) -> Result<Self, TrustError> {
        let root: Signed<Root> = role(bytes)?;
        verify(&root.signed, &root)?;
        consistent(&root.signed)?;
        Ok(Self { root: root.signed, timestamp: None, snapshot: None, targets: None })
    }
}

impl Verifier for ToughVerifier {
    fn update_root(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let root: Signed<Root> = role(bytes)?;
        let (old, new) = (self.root.version.get(), root.signed.version.get());
        if old.checked_add(1) != Some(new) {
            return Err(refused("root version"));
        }
        verify(&self.root, &root)?;
        verify(&root.signed, &root)?;
        consistent(&root.signed)?;
        *self = Self { root: root.signed, timestamp: None, snapshot: None, targets: None };
        Ok(())
    }

    fn update_timestamp(&mut self, bytes: &[u8], now: Timestamp) -> Result<Freshness, VerifyError> {
        let new: Signed<Stamp> = role(bytes)?;
        verify(&self.root, &new)?;
        if let Some(current) = &self.timestamp {
            if new.signed.version < current.version {
                return Err(refused("timestamp rollback").into());
            }
            if new.signed.version == current.version {
                self.check_expiry(Role::Timestamp, now)?;
                return Ok(Freshness::Same);
            }
            let pins = (new.signed.meta.get(SNAPSHOT), current.meta.get(SNAPSHOT));
            if let (Some(new), Some(current)) = pins
                && new.version < current.version
            {
                return Err(refused("snapshot rollback").into());
            }
        }
        fresh(new.signed.expires(), now)?;
        self.timestamp = Some(new.signed);
        Ok(Freshness::New)
    }

    fn update_snapshot(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError> {
        let timestamp = self.timestamp.as_ref().ok_or_else(|| refused("no timestamp"))?;
        fresh(timestamp.expires, now)?;
        let pin = timestamp.meta.get(SNAPSHOT).ok_or_else(|| refused("no pin"))?;
        pinned(pin, bytes)?;
        let new: Signed<Snapshot> = role(bytes)?;
        verify(&self.root, &new)?;
        if new.signed.version != pin.version {
            return Err(refused("snapshot version").into());
        }
        for (name, current) in self.snapshot.iter().flat_map(|snapshot| &snapshot.meta) {
            match new.signed.meta.get(name) {
                Some(new) if new.version >= current.version => {}
                _ => return Err(refused("targets rollback").into()),
            }
        }
        fresh(new.signed.expires(), now)?;
        (self.snapshot, self.targets) = (Some(new.signed), None);
        Ok(())
    }

    fn update_targets(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError> {
        let snapshot = self.snapshot.as_ref().ok_or_else(|| refused("no snapshot"))?;
        fresh(snapshot.expires, now)?;
        let pin = snapshot.meta.get(TARGETS).ok_or_else(|| refused("no pin"))?;
        pinned(pin, bytes)?;
        let new: Signed<Targets> = role(bytes)?;
        if new.signed.version != pin.version {
            return Err(refused("targets version").into());
        }
        verify(&self.root, &new)?;
        fresh(new.signed.expires(), now)?;
        self.targets = Some(new.signed);
        Ok(())
    }

    fn check_expiry(&self, role: Role, now: Timestamp) -> Result<(), VerifyError> {
        let expires = match role {
            Role::Root => Some(self.root.expires),
            Role::Timestamp => self.timestamp.as_ref().map(|role| role.expires),
            Role::Snapshot => self.snapshot.as_ref().map(|role| role.expires),
            Role::Targets => self.targets.as_ref().map(|role| role.expires),
        };
        match expires {
            Some(expires) if expires < now => Err(VerifyError::Expired { expires }),
            _ => Ok(()),
        }
    }

    fn versions(&self) -> TrustVersions {
        TrustVersions {
            root: self.root.version.get(),
            timestamp: self.timestamp.as_ref().map_or(0, |role| role.version.get()),
            snapshot: self.snapshot.as_ref().map_or(0, |role| role.version.get()),
            targets: self.targets.as_ref().map_or(0, |role| role.version.get()),
        }
    }

    fn snapshot_pin(&self) -> Option<MetaPin> {
        Some(meta_pin(self.timestamp.as_ref()?.meta.get(SNAPSHOT)?))
    }

    fn targets_pin(&self) -> Option<MetaPin> {
        Some(meta_pin(self.snapshot.as_ref()?.meta.get(TARGETS)?))
    }

    fn target(&self, name: &str) -> Option<TargetPin> {
        let mut targets = self.targets.as_ref()?.targets.iter();
        let (_, target) = targets.find(|(known, _)| known.raw() == name)?;
        let sha256 = <[u8; 32]>::try_from(target.hashes.sha256.as_ref()).ok()?;
        Some(TargetPin { length: target.length, sha256: Digest::from_bytes(sha256) })
    }
}

const SNAPSHOT: &str = "snapshot.json";
const TARGETS: &str = "targets.json";

/// It breaks a rule.
fn refused(problem: &str) -> TrustError {
    TrustError::Mismatch(problem.to_owned())
}

/// It is not what this library reads.
fn form(problem: &str) -> TrustError {
    TrustError::Malformed(problem.to_owned())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TrustError> {
    serde_json::from_slice(bytes).map_err(|e| form(&e.to_string()))
}

fn verify<T: tough::schema::Role + serde::Serialize>(
    root: &Root,
    role: &Signed<T>,
) -> Result<(), TrustError> {
    root.verify_role(role).map_err(|e| refused(&e.to_string()))
}

/// Parses a role of the specification's major version 1, in normal form: this
/// library checks signatures over what it understood, not over what it got.
fn role<T: DeserializeOwned + tough::schema::Role>(bytes: &[u8]) -> Result<Signed<T>, TrustError> {
    let file: serde_json::Value = parse(bytes)?;
    let got = sigstore_tuf::canonical_json::to_canonical_bytes(&file["signed"]);
    let role: Signed<T> = parse(bytes)?;
    let understood = role.signed.canonical_form().map_err(|e| form(&e.to_string()))?;
    if got.ok() != Some(understood) {
        return Err(form("it is not in normal form"));
    }
    match file["signed"]["spec_version"].as_str().and_then(|version| version.split('.').next()) {
        Some("1") => Ok(role),
        _ => Err(form("another specification")),
    }
}

fn consistent(root: &Root) -> Result<(), TrustError> {
    if root.consistent_snapshot { Ok(()) } else { Err(refused("no consistent snapshots")) }
}

fn fresh(expires: Timestamp, now: Timestamp) -> Result<(), VerifyError> {
    if expires <= now { Err(VerifyError::Expired { expires }) } else { Ok(()) }
}

fn pinned(pin: &Metafile, bytes: &[u8]) -> Result<(), TrustError> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let hash = |hashes: &tough::schema::Hashes| {
        hashes.sha256.as_ref() == digest::of(bytes).as_bytes().as_slice()
    };
    let good = pin.length.is_none_or(|pin| pin == length) && pin.hashes.as_ref().is_none_or(hash);
    if good { Ok(()) } else { Err(refused("length or hash")) }
}

fn meta_pin(pin: &Metafile) -> MetaPin {
    MetaPin { version: pin.version.get(), length: pin.length }
}
