// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Durable trust: the metadata accepted last, byte for byte, in `<root>/trust/`.
//!
//! ```text
//! N.root.json        every root after the anchor, written as it is accepted
//! N.snapshot.json    named by version, as in a repository
//! N.targets.json
//! timestamp.json     written last: names, by what it pins, the two above
//! clock              the latest time that metadata was accepted at
//! ```
//!
//! Invariants: what is accepted is durable before anybody acts on it; the
//! three lower roles change together, by the rename of `timestamp.json`; no
//! version falls, except that a role whose keys a new root has replaced starts
//! afresh, as the specification demands. Stored metadata sets floors even when
//! it has expired.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::Limits;
use crate::engine::error::{TrustError, UpdateError};
use crate::engine::trust::{self, Begin, Role, TARGETS, Verifier, VerifyError};
use crate::os::files::{self, FileError, Files};

/// The directory of durable trust.
#[derive(Debug, Clone)]
pub(crate) struct TrustStore {
    files: Arc<dyn Files>,
    directory: PathBuf,
    anchor: PathBuf,
    limits: Limits,
    begin: Begin,
}

/// The bytes of the three lower roles that were accepted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) timestamp: Vec<u8>,
    pub(crate) snapshot: Vec<u8>,
    pub(crate) targets: Vec<u8>,
}

/// What was accepted before: a verifier with its floors in place.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) verifier: Box<dyn Verifier>,
    pub(crate) accepted: Option<Accepted>,
    /// Floors that a key rotation has lifted, in words.
    pub(crate) warnings: Vec<String>,
    /// The delegated roles that were asked.
    pub(crate) delegated: Vec<String>,
    /// Roles whose keys a root has replaced since the anchor, by their names.
    replaced: BTreeSet<&'static str>,
}

impl Trusted {
    /// What begins with this root, of whose predecessors nothing is known.
    fn new(verifier: Box<dyn Verifier>) -> Self {
        let replaced = match verifier.versions().root {
            0 | 1 => BTreeSet::new(),
            _ => LOWER.map(Role::name).into(),
        };
        let (accepted, warnings, delegated) = Default::default();
        Self { verifier, accepted, warnings, delegated, replaced }
    }

    /// Follows the root chain by exactly one version.
    pub(crate) fn update_root(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let before = LOWER.map(|role| self.verifier.keys(role));
        self.verifier.update_root(bytes)?;
        for (role, before) in LOWER.into_iter().zip(before) {
            if self.verifier.keys(role) != before {
                self.replaced.insert(role.name());
            }
        }
        Ok(())
    }

    fn feed(&mut self, role: Role, bytes: &[u8]) -> Result<(), VerifyError> {
        match role {
            Role::Root => self.update_root(bytes).map_err(VerifyError::Refused),
            Role::Timestamp => self.verifier.update_timestamp(bytes, Timestamp::MIN).map(|_| ()),
            Role::Snapshot => self.verifier.update_snapshot(bytes, Timestamp::MIN),
            Role::Targets => self.verifier.update_targets(bytes, Timestamp::MIN),
        }
    }

    /// Takes what is stored, whenever it expired; false if the role's keys were replaced,
    /// so that it is no floor. Replaces the bytes by those that verify.
    fn take(&mut self, role: Role, path: &Path, bytes: &mut Vec<u8>) -> Result<bool, UpdateError> {
        let mut taken = self.feed(role, bytes);
        // Agents before this one took what a mirror had added in the name of keys that did not
        // count then. The signatures that did are none of those.
        if let Err(VerifyError::Refused(TrustError::RepeatedSignature { .. })) = taken
            && let Some(plain) = trust::without_repeats(bytes)
        {
            taken = self.feed(role, &plain);
            *bytes = plain;
        }
        match taken {
            Ok(()) | Err(VerifyError::Expired { .. }) => Ok(true),
            Err(VerifyError::Refused(TrustError::Signature { .. }))
                if self.replaced.contains(role.name()) =>
            {
                let role = role.name();
                self.warnings.push(format!(
                    "the keys of the {role} role were replaced; its stored version no longer counts"
                ));
                Ok(false)
            }
            Err(VerifyError::Refused(source)) => Err(damaged(path, source)),
        }
    }
}

/// The roles below the root, in the order in which they are taken.
const LOWER: [Role; 3] = [Role::Timestamp, Role::Snapshot, Role::Targets];

impl TrustStore {
    pub(crate) fn new(
        files: Arc<dyn Files>,
        directory: PathBuf,
        anchor: PathBuf,
        limits: Limits,
    ) -> Self {
        Self { files, directory, anchor, limits, begin: trust::begin }
    }

    /// With another implementation of the same rules.
    #[cfg(test)]
    pub(crate) fn verify_with(&mut self, begin: Begin) {
        self.begin = begin;
    }

    /// The anchor, then every stored root, then the stored roles as floors.
    pub(crate) fn load(&self) -> Result<Trusted, UpdateError> {
        let mut trusted = self.load_roots()?;
        self.load_floors(&mut trusted)?;
        Ok(trusted)
    }

    /// The anchor, then every stored root.
    pub(crate) fn load_roots(&self) -> Result<Trusted, UpdateError> {
        let verifier = self
            .load_anchor()
            .map_err(|source| UpdateError::TrustAnchor { path: self.anchor.clone(), source })?;
        let mut trusted = Trusted::new(verifier);
        loop {
            let path = self.root_path(trusted.verifier.versions().root.saturating_add(1));
            let stored = files::read(&*self.files, &path, self.limits.root_bytes)?;
            let Some(mut bytes) = stored else { return Ok(trusted) };
            trusted.take(Role::Root, &path, &mut bytes)?;
        }
    }

    /// Puts the stored lower roles under the verifier's root. Those whose keys
    /// a root has replaced set no floor any more.
    pub(crate) fn load_floors(&self, trusted: &mut Trusted) -> Result<(), UpdateError> {
        let path = self.directory.join(TIMESTAMP);
        let stored = files::read(&*self.files, &path, self.limits.timestamp_bytes)?;
        let Some(mut timestamp) = stored else { return Ok(()) };
        if !trusted.take(Role::Timestamp, &path, &mut timestamp)? {
            return Ok(());
        }
        let pin = trusted.verifier.snapshot_pin().map(|pin| pin.version);
        let (path, mut snapshot) = self.read_pinned(pin, "snapshot", self.limits.snapshot_bytes)?;
        if !trusted.take(Role::Snapshot, &path, &mut snapshot)? {
            // What pins it is no floor either (TUF specification, 5.3.11): whoever had the
            // snapshot's key may have brought its number up as far as numbers go.
            trusted.verifier.forget();
            return Ok(());
        }
        let pin = trusted.verifier.targets_pin(TARGETS).map(|pin| pin.version);
        let (path, mut targets) = self.read_pinned(pin, "targets", self.limits.targets_bytes)?;
        if trusted.take(Role::Targets, &path, &mut targets)? {
            trusted.accepted = Some(Accepted { timestamp, snapshot, targets });
        }
        Ok(())
    }

    /// The latest time that is known to have been, if any is.
    pub(crate) fn clock_floor(&self) -> Result<Option<Timestamp>, FileError> {
        let path = self.directory.join(CLOCK);
        let text = files::read(&*self.files, &path, CLOCK_BYTES_MAX)?;
        // What is damaged is as good as absent: the versions are floors in any case.
        Ok(text.and_then(|text| std::str::from_utf8(&text).ok()?.trim_end().parse().ok()))
    }

    /// Raises the floor to `at`, unless it is as high within [`CLOCK_STEP`], or something of
    /// what is trusted had expired by then: it will be asked for again.
    pub(crate) fn raise_clock(&self, trusted: &Trusted, at: Timestamp) -> Result<(), FileError> {
        let top = [Role::Root].iter().chain(&LOWER).map(|role| role.name());
        let mut roles = top.chain(trusted.delegated.iter().map(String::as_str));
        if roles.any(|role| trusted.verifier.check_expiry(role, at).is_err()) {
            return Ok(());
        }
        if self.clock_floor()?.is_some_and(|floor| at.duration_since(floor) < CLOCK_STEP) {
            return Ok(());
        }
        let path = self.directory.join(CLOCK);
        files::write_atomic(&*self.files, &path, format!("{at}\n").as_bytes(), 0o644)
    }

    /// Makes one more root durable.
    pub(crate) fn store_root(&self, version: u64, bytes: &[u8]) -> Result<(), FileError> {
        files::write_atomic(&*self.files, &self.root_path(version), bytes, 0o644)
    }

    /// Makes the three lower roles durable, together.
    pub(crate) fn store(
        &self,
        verifier: &dyn Verifier,
        accepted: &Accepted,
    ) -> Result<(), FileError> {
        let versions = verifier.versions();
        let snapshot = self.directory.join(format!("{}.snapshot.json", versions.snapshot));
        let targets = self.directory.join(format!("{}.targets.json", versions.targets));
        for (path, bytes) in [(&targets, &accepted.targets), (&snapshot, &accepted.snapshot)] {
            if self.differs(path, bytes)? {
                files::write_atomic(&*self.files, path, bytes, 0o644)?;
            }
        }
        let timestamp = self.directory.join(TIMESTAMP);
        if self.differs(&timestamp, &accepted.timestamp)? {
            files::write_atomic(&*self.files, &timestamp, &accepted.timestamp, 0o644)?;
        }
        for name in self.files.list(&self.directory)? {
            let path = self.directory.join(&name);
            let name = name.to_string_lossy();
            let superseded = name.ends_with(".snapshot.json") || name.ends_with(".targets.json");
            if superseded && path != snapshot && path != targets {
                self.files.unlink(&path)?;
            }
        }
        Ok(())
    }

    fn load_anchor(&self) -> Result<Box<dyn Verifier>, TrustError> {
        let bytes = files::read(&*self.files, &self.anchor, self.limits.root_bytes)?
            .ok_or_else(|| TrustError::Malformed("there is no such file".to_owned()))?;
        (self.begin)(&bytes)
    }

    fn read_pinned(
        &self,
        version: Option<u64>,
        role: &str,
        bytes_max: u64,
    ) -> Result<(PathBuf, Vec<u8>), UpdateError> {
        let path = match version {
            Some(version) => self.directory.join(format!("{version}.{role}.json")),
            None => self.directory.join(TIMESTAMP),
        };
        let problem = match version {
            Some(_) => match files::read(&*self.files, &path, bytes_max)? {
                Some(bytes) => return Ok((path, bytes)),
                None => format!("it is gone although stored metadata names it as {role}"),
            },
            None => format!("stored metadata names no {role}"),
        };
        Err(damaged(&path, TrustError::Malformed(problem)))
    }

    fn differs(&self, path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match self.files.stat(path)? {
            Some(stat) if stat.length == length => {
                Ok(files::read(&*self.files, path, length)?.as_deref() != Some(bytes))
            }
            _ => Ok(true),
        }
    }

    fn root_path(&self, version: u64) -> PathBuf {
        self.directory.join(format!("{version}.root.json"))
    }
}

const TIMESTAMP: &str = "timestamp.json";
const CLOCK: &str = "clock";

/// A timestamp has 35 characters at most.
const CLOCK_BYTES_MAX: u64 = 256;

/// How much the floor may lag behind, so that a poll costs no write.
const CLOCK_STEP: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

fn damaged(path: &Path, source: TrustError) -> UpdateError {
    UpdateError::TrustStore { path: path.to_owned(), source }
}
