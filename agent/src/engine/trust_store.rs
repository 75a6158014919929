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
//! R-V.timestamp.json version V, taken under root R, whose snapshot or targets are still to come
//! R-V.snapshot.json  its snapshot, whose targets are still to come
//! clock              the latest time that all that was asked for was accepted at
//! ```
//!
//! Invariants: what is accepted is durable before anybody acts on it, each role
//! as soon as it verifies; the three lower roles that are acted on change
//! together, by the rename of `timestamp.json`, and what was begun is kept beside
//! them until then, for its floors; no version falls, except that a role whose
//! keys a new root has replaced starts afresh, as the specification demands.
//! Stored metadata sets floors even when it has expired.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::Limits;
use crate::engine::error::{TrustError, UpdateError};
use crate::engine::trust::{self, Begin, Role, TARGETS, Verifier, VerifyError};
use crate::os::files::{self, FileError, Files};

mod trusted;

use trusted::{Begun, LOWER, Lower};

pub(crate) use trusted::{Lifted, Trusted};

/// The directory of durable trust.
#[derive(Debug, Clone)]
pub(crate) struct TrustStore {
    files: Arc<dyn Files>,
    directory: PathBuf,
    anchor: PathBuf,
    limits: Limits,
    begin: Begin,
}

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
        self.load_whole(trusted)?;
        for begun in self.begun()? {
            self.load_begun(trusted, begun)?;
        }
        if !trusted.is_whole() {
            // It was begun under the new keys, when that was put on record.
            trusted.lifted.retain(|lifted| lifted.role == Role::Targets);
        }
        Ok(())
    }

    /// The three roles that came together last.
    fn load_whole(&self, trusted: &mut Trusted) -> Result<(), UpdateError> {
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
        let counts = trusted.take(Role::Targets, &path, &mut targets)?;
        let targets = counts.then_some(targets);
        trusted.lower = Lower { timestamp: Some(timestamp), snapshot: Some(snapshot), targets };
        Ok(())
    }

    /// A timestamp after those, and its snapshot if that has come.
    fn load_begun(&self, trusted: &mut Trusted, begun: Begun) -> Result<(), UpdateError> {
        if trusted.replaced_since(begun.root) {
            let why = "the keys of the timestamp or the snapshot role were replaced; a timestamp that \
                       was taken under the old ones no longer counts";
            trusted.lift(Role::Timestamp, begun.version, why.to_owned());
            return Ok(());
        }
        let path = self.begun_path(begun, Role::Timestamp);
        let bytes = files::read(&*self.files, &path, self.limits.timestamp_bytes)?;
        let Some(bytes) = bytes else { return Ok(()) };
        let before = trusted.verifier.versions().timestamp;
        match trusted.feed(Role::Timestamp, &bytes) {
            Ok(()) if trusted.verifier.versions().timestamp > before => {}
            // What it began is done; it was not removed yet.
            Ok(()) | Err(VerifyError::Refused(TrustError::Rollback { .. })) => return Ok(()),
            Err(VerifyError::Refused(source)) => return Err(damaged(&path, source)),
            Err(VerifyError::Expired { .. }) => {}
        }
        trusted.lower.timestamp = Some(bytes);
        trusted.begun = Some(begun);
        let path = self.begun_path(begun, Role::Snapshot);
        let bytes = files::read(&*self.files, &path, self.limits.snapshot_bytes)?;
        let Some(bytes) = bytes else { return Ok(()) };
        match trusted.feed(Role::Snapshot, &bytes) {
            Ok(()) => {
                trusted.lower.snapshot = Some(bytes);
                // The verifier lets go of those of the snapshot before.
                trusted.lower.targets = None;
                Ok(())
            }
            Err(VerifyError::Refused(source)) => Err(damaged(&path, source)),
            Err(VerifyError::Expired { .. }) => Ok(()),
        }
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

    /// Makes a timestamp a floor, before what it pins has come.
    pub(crate) fn store_timestamp(
        &self,
        trusted: &mut Trusted,
        bytes: Vec<u8>,
    ) -> Result<(), FileError> {
        let versions = trusted.verifier.versions();
        let begun = Begun { root: versions.root, version: versions.timestamp };
        let path = self.begun_path(begun, Role::Timestamp);
        if self.differs(&path, &bytes)? {
            files::write_atomic(&*self.files, &path, &bytes, 0o644)?;
        }
        for older in self.begun()?.into_iter().filter(|older| *older < begun) {
            // One with a snapshot is that snapshot's floor.
            if self.files.stat(&self.begun_path(older, Role::Snapshot))?.is_none() {
                self.files.unlink(&self.begun_path(older, Role::Timestamp))?;
            }
        }
        trusted.lower.timestamp = Some(bytes);
        trusted.begun = Some(begun);
        Ok(())
    }

    /// Makes a snapshot a floor, before the targets that it pins have come.
    pub(crate) fn store_snapshot(
        &self,
        trusted: &mut Trusted,
        bytes: Vec<u8>,
    ) -> Result<(), FileError> {
        if let Some(begun) = trusted.begun {
            let path = self.begun_path(begun, Role::Snapshot);
            if self.differs(&path, &bytes)? {
                files::write_atomic(&*self.files, &path, &bytes, 0o644)?;
            }
            for role in [Role::Timestamp, Role::Snapshot] {
                for older in self.begun_with(role)?.into_iter().filter(|older| *older < begun) {
                    self.files.unlink(&self.begun_path(older, role))?;
                }
            }
        }
        trusted.lower.snapshot = Some(bytes);
        trusted.lower.targets = None;
        Ok(())
    }

    /// Makes the three lower roles durable, together.
    pub(crate) fn store(&self, trusted: &mut Trusted) -> Result<(), FileError> {
        let versions = trusted.verifier.versions();
        let snapshot = self.directory.join(format!("{}.snapshot.json", versions.snapshot));
        let targets = self.directory.join(format!("{}.targets.json", versions.targets));
        let timestamp = self.directory.join(TIMESTAMP);
        let Lower { timestamp: stamp, snapshot: shot, targets: list } = &trusted.lower;
        // In this order: the timestamp names the others.
        for (path, bytes) in [(&targets, list), (&snapshot, shot), (&timestamp, stamp)] {
            if let Some(bytes) = bytes
                && self.differs(path, bytes)?
            {
                files::write_atomic(&*self.files, path, bytes, 0o644)?;
            }
        }
        trusted.begun = None;
        for name in self.files.list(&self.directory)? {
            let path = self.directory.join(&name);
            let name = name.to_string_lossy();
            let lower = LOWER.iter().any(|role| name.ends_with(&format!(".{}.json", role.name())));
            if lower && path != snapshot && path != targets {
                self.files.unlink(&path)?;
            }
        }
        Ok(())
    }

    /// What was begun, oldest first.
    fn begun(&self) -> Result<Vec<Begun>, FileError> {
        self.begun_with(Role::Timestamp)
    }

    /// That of which there is such a file.
    fn begun_with(&self, role: Role) -> Result<Vec<Begun>, FileError> {
        let suffix = format!(".{}.json", role.name());
        let parse = |name: &std::ffi::OsStr| {
            let (root, version) = name.to_str()?.strip_suffix(&suffix)?.split_once('-')?;
            Some(Begun { root: root.parse().ok()?, version: version.parse().ok()? })
        };
        let names = self.files.list(&self.directory)?;
        let mut begun: Vec<Begun> = names.iter().filter_map(|name| parse(name)).collect();
        begun.sort();
        Ok(begun)
    }

    fn begun_path(&self, begun: Begun, role: Role) -> PathBuf {
        let Begun { root, version } = begun;
        self.directory.join(format!("{root}-{version}.{}.json", role.name()))
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
