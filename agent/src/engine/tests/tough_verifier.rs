// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The verifier a second time, on another library: `tough` parses and checks
//! signatures, the rules about versions and pins are those of the TUF
//! specification, 5.3 to 5.6. It shares no code with the one in use but the
//! search through delegations.

use std::collections::BTreeMap;

use dockerlogger_manifest::Digest;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tough::schema::{Metafile, PathSet, Role as _, RoleType, Root, Signed, Snapshot, Targets};

use crate::engine::digest;
use crate::engine::error::TrustError;
use crate::engine::trust::{
    Delegation, Edge, Freshness, MetaPin, Role, RoleKeys, TARGETS, TargetPin, Verifier, VerifyError,
};
use crate::engine::view::TrustVersions;

type Stamp = tough::schema::Timestamp;

#[derive(Debug, Clone)]
pub(super) struct ToughVerifier {
    root: Root,
    timestamp: Option<Stamp>,
    snapshot: Option<Snapshot>,
    /// Lists of targets by role; with their signatures, since others may delegate to them too.
    lists: BTreeMap<String, Signed<Targets>>,
}

/// This verifier in place of the one in use.
pub(super) fn begin(root: &[u8]) -> Result<Box<dyn Verifier>, TrustError> {
    Ok(Box::new(ToughVerifier::from_anchor(root)?))
}

impl ToughVerifier {
    pub(super) fn from_anchor(bytes: &[u8]) -> Result<Self, TrustError> {
        let root: Signed<Root> = role(bytes)?;
        verify(&root.signed, "root", &root)?;
        consistent(&root.signed)?;
        Ok(Self::new(root.signed))
    }

    fn new(root: Root) -> Self {
        Self { root, timestamp: None, snapshot: None, lists: BTreeMap::new() }
    }

    /// A list of targets that the snapshot pins, whoever vouches for it.
    fn list(
        &self,
        name: &str,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Signed<Targets>, VerifyError> {
        let snapshot = self.snapshot.as_ref().ok_or_else(|| refused("no snapshot"))?;
        fresh(snapshot.expires, now)?;
        let pin = snapshot.meta.get(&format!("{name}.json")).ok_or_else(|| refused("no pin"))?;
        pinned(&format!("{name}.json"), pin, bytes)?;
        let new: Signed<Targets> = role(bytes)?;
        if new.signed.version != pin.version {
            let (got, pin) = (new.signed.version, pin.version);
            let problem = format!("{name}.json version {got} does not match snapshot pin {pin}");
            return Err(refused(&problem).into());
        }
        Ok(new)
    }

    fn vouched(&self, edge: &Edge, list: &Signed<Targets>) -> Result<(), TrustError> {
        if ["root", "timestamp", "snapshot", TARGETS].contains(&edge.role.as_str()) {
            return Err(form("the name of a role that is not delegated"));
        }
        let delegations =
            self.lists.get(&edge.delegator).and_then(|list| list.signed.delegations.as_ref());
        let delegations = delegations.ok_or_else(|| form("nobody delegates to it"))?;
        delegations.verify_role(list, &edge.role).map_err(|e| unsigned(&edge.role, &e))
    }
}

impl Verifier for ToughVerifier {
    fn update_root(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let root: Signed<Root> = role(bytes)?;
        let (old, new) = (self.root.version.get(), root.signed.version.get());
        if old.checked_add(1) != Some(new) {
            return Err(TrustError::RootVersion { expected: old.saturating_add(1), offered: new });
        }
        verify(&self.root, "root", &root)?;
        verify(&root.signed, "root", &root)?;
        consistent(&root.signed)?;
        *self = Self::new(root.signed);
        Ok(())
    }

    fn update_timestamp(&mut self, bytes: &[u8], now: Timestamp) -> Result<Freshness, VerifyError> {
        let new: Signed<Stamp> = role(bytes)?;
        verify(&self.root, "timestamp", &new)?;
        if let Some(current) = &self.timestamp {
            let (old, offered) = (current.version.get(), new.signed.version.get());
            if offered < old {
                return Err(rollback("timestamp", old, offered).into());
            }
            if offered == old {
                self.check_expiry("timestamp", now)?;
                return Ok(Freshness::Same);
            }
            let pins = (new.signed.meta.get(SNAPSHOT), current.meta.get(SNAPSHOT));
            if let (Some(new), Some(current)) = pins
                && new.version < current.version
            {
                let (old, offered) = (current.version.get(), new.version.get());
                return Err(rollback("snapshot (via timestamp)", old, offered).into());
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
        pinned(SNAPSHOT, pin, bytes)?;
        let new: Signed<Snapshot> = role(bytes)?;
        verify(&self.root, "snapshot", &new)?;
        if new.signed.version != pin.version {
            let (got, pin) = (new.signed.version, pin.version);
            let problem = format!("snapshot version {got} does not match timestamp pin {pin}");
            return Err(refused(&problem).into());
        }
        for (name, current) in self.snapshot.iter().flat_map(|snapshot| &snapshot.meta) {
            let Some(new) = new.signed.meta.get(name) else {
                let problem = format!("snapshot removes {name}, which the trusted snapshot pins");
                return Err(refused(&problem).into());
            };
            if new.version < current.version {
                let (old, offered) = (current.version.get(), new.version.get());
                return Err(rollback(&format!("{name} (via snapshot)"), old, offered).into());
            }
        }
        fresh(new.signed.expires(), now)?;
        self.snapshot = Some(new.signed);
        self.lists.clear();
        Ok(())
    }

    fn update_targets(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), VerifyError> {
        let new = self.list(TARGETS, bytes, now)?;
        verify(&self.root, TARGETS, &new)?;
        fresh(new.signed.expires(), now)?;
        self.lists.insert(TARGETS.to_owned(), new);
        Ok(())
    }

    fn update_delegated(
        &mut self,
        edge: &Edge,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let new = self.list(&edge.role, bytes, now)?;
        self.vouched(edge, &new)?;
        fresh(new.signed.expires(), now)?;
        self.lists.insert(edge.role.clone(), new);
        Ok(())
    }

    fn check_delegated(&self, edge: &Edge, now: Timestamp) -> Result<bool, VerifyError> {
        let Some(list) = self.lists.get(&edge.role) else { return Ok(false) };
        self.vouched(edge, list)?;
        fresh(list.signed.expires(), now)?;
        Ok(true)
    }

    fn forget(&mut self) {
        *self = Self::new(self.root.clone());
    }

    fn check_expiry(&self, role: &str, now: Timestamp) -> Result<(), VerifyError> {
        let expires = match role {
            "root" => Some(self.root.expires),
            "timestamp" => self.timestamp.as_ref().map(|role| role.expires),
            "snapshot" => self.snapshot.as_ref().map(|role| role.expires),
            list => self.lists.get(list).map(|role| role.signed.expires),
        };
        match expires {
            Some(expires) if expires <= now => Err(VerifyError::Expired { expires }),
            _ => Ok(()),
        }
    }

    fn keys(&self, role: Role) -> Option<RoleKeys> {
        let role = match role {
            Role::Root => RoleType::Root,
            Role::Timestamp => RoleType::Timestamp,
            Role::Snapshot => RoleType::Snapshot,
            Role::Targets => RoleType::Targets,
        };
        let keys = self.root.roles.get(&role)?;
        let ids = keys.keyids.iter().map(|id| format!("{id:?}")).collect();
        Some(RoleKeys { ids, threshold: keys.threshold.get() })
    }

    fn versions(&self) -> TrustVersions {
        TrustVersions {
            root: self.root.version.get(),
            timestamp: self.timestamp.as_ref().map_or(0, |role| role.version.get()),
            snapshot: self.snapshot.as_ref().map_or(0, |role| role.version.get()),
            targets: self.targets_pin(TARGETS).map_or(0, |pin| pin.version),
        }
    }

    fn snapshot_pin(&self) -> Option<MetaPin> {
        Some(meta_pin(self.timestamp.as_ref()?.meta.get(SNAPSHOT)?))
    }

    fn targets_pin(&self, role: &str) -> Option<MetaPin> {
        Some(meta_pin(self.snapshot.as_ref()?.meta.get(&format!("{role}.json"))?))
    }

    fn delegations(&self, role: &str, target: &str) -> Result<Vec<Delegation>, TrustError> {
        let list = self.lists.get(role).and_then(|list| list.signed.delegations.as_ref());
        let mut covering = Vec::new();
        for delegated in list.iter().flat_map(|delegations| &delegations.roles) {
            let covers = match &delegated.paths {
                PathSet::Paths(patterns) => {
                    // Its own patterns cross folders, which the specification does not want.
                    let mut covers = false;
                    for pattern in patterns {
                        covers |= covers_path(pattern.value(), target)?;
                    }
                    covers
                }
                PathSet::PathHashPrefixes(prefixes) => {
                    let digest = digest::of(target.as_bytes()).to_string();
                    prefixes.iter().any(|prefix| digest.starts_with(prefix.value()))
                }
            };
            if covers {
                let (role, terminating) = (delegated.name.clone(), delegated.terminating);
                covering.push(Delegation { role, terminating });
            }
        }
        Ok(covering)
    }

    fn target(&self, role: &str, name: &str) -> Option<TargetPin> {
        let mut targets = self.lists.get(role)?.signed.targets.iter();
        let (_, target) = targets.find(|(known, _)| known.raw() == name)?;
        let sha256 = <[u8; 32]>::try_from(target.hashes.sha256.as_ref()).ok()?;
        Some(TargetPin { length: target.length, sha256: Digest::from_bytes(sha256) })
    }
}

const SNAPSHOT: &str = "snapshot.json";

/// Whether a pattern of `*` and `?` covers a path, folder by folder.
fn covers_path(pattern: &str, path: &str) -> Result<bool, TrustError> {
    if pattern.contains(['[', ']', '{', '}', '\\']) {
        return Err(form("a pattern of more than * and ?"));
    }
    let (patterns, parts) = (pattern.split('/'), path.split('/'));
    let as_deep = patterns.clone().count() == parts.clone().count();
    let part = |(pattern, part): (&str, &str)| {
        let part: Vec<char> = part.chars().collect();
        covers_part(&pattern.chars().collect::<Vec<char>>(), &part)
    };
    Ok(as_deep && patterns.zip(parts).all(part))
}

fn covers_part(pattern: &[char], part: &[char]) -> bool {
    match pattern.split_first() {
        None => part.is_empty(),
        Some(('*', rest)) => (0..=part.len()).any(|taken| covers_part(rest, &part[taken..])),
        Some((wanted, rest)) => match part.split_first() {
            Some((got, left)) => (*wanted == '?' || wanted == got) && covers_part(rest, left),
            None => false,
        },
    }
}

/// It breaks a rule.
fn refused(problem: &str) -> TrustError {
    TrustError::Mismatch(problem.to_owned())
}

/// It is not what this library reads.
fn form(problem: &str) -> TrustError {
    TrustError::Malformed(problem.to_owned())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TrustError> {
    let malformed = |e| form(&format!("not JSON of the expected form: {e}"));
    serde_json::from_slice(bytes).map_err(malformed)
}

fn verify<T: tough::schema::Role + serde::Serialize>(
    root: &Root,
    name: &str,
    role: &Signed<T>,
) -> Result<(), TrustError> {
    root.verify_role(role).map_err(|e| unsigned(name, &e))
}

fn unsigned(name: &str, error: &tough::schema::Error) -> TrustError {
    match error {
        tough::schema::Error::SignatureThreshold { threshold, valid, .. } => {
            TrustError::Signature {
                role: name.to_owned(),
                found: usize::try_from(*valid).unwrap(),
                threshold: usize::try_from(*threshold).unwrap(),
            }
        }
        tough::schema::Error::DuplicateKeyId { keyid, .. } => {
            TrustError::RepeatedSignature { key: keyid.clone() }
        }
        other => refused(&other.to_string()),
    }
}

fn rollback(role: &str, accepted: u64, offered: u64) -> TrustError {
    TrustError::Rollback { role: role.to_owned(), accepted, offered }
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
    // It reads identifiers of keys as numbers, so that their letters may be large.
    let large = |signature: &serde_json::Value| {
        signature["keyid"].as_str().is_some_and(|id| id.contains(|c: char| c.is_ascii_uppercase()))
    };
    if file["signatures"].as_array().is_some_and(|signatures| signatures.iter().any(large)) {
        return Err(form("an identifier is not in normal form"));
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

fn pinned(name: &str, pin: &Metafile, bytes: &[u8]) -> Result<(), TrustError> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if let Some(pin) = pin.length.filter(|pin| *pin != length) {
        return Err(refused(&format!("{name}: length {length} != pinned {pin}")));
    }
    let differs = |hashes: &tough::schema::Hashes| {
        hashes.sha256.as_ref() != digest::of(bytes).as_bytes().as_slice()
    };
    match &pin.hashes {
        Some(hashes) if differs(hashes) => Err(refused(&format!("{name}: sha256 mismatch"))),
        _ => Ok(()),
    }
}

fn meta_pin(pin: &Metafile) -> MetaPin {
    MetaPin { version: pin.version.get(), length: pin.length }
}
