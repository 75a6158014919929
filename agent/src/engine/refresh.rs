// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Refreshing the metadata: the client workflow of The Update Framework
//! (specification 5.3 to 5.6) against one source, with what is accepted made
//! durable before it is used.

use std::fmt;

use jiff::Timestamp;

use crate::config;
use crate::engine::Limits;
use crate::engine::error::{FetchError, TrustError, UpdateError};
use crate::engine::history::{Action, Entry};
use crate::engine::source::{Expect, Memory, Remembered, Repository};
use crate::engine::trust::{self, Freshness, Role, SearchError, TARGETS, TargetPin, VerifyError};
use crate::engine::trust_store::{Lifted, TrustStore, Trusted};
use crate::os::FileError;

/// What happens to metadata past its expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// It is refused: a mirror must not be able to hold the node back.
    Refuse,
    /// It is taken and reported: an operator carried it here by hand.
    Warn,
}

/// What a node takes for the present: its clock, but nothing before the latest
/// time at which it accepted metadata. So a clock that fell back to 1970 opens no
/// way back, and one that runs ahead shuts nothing once it is right again: the
/// floor never exceeds the expiry of what was accepted, delegated roles included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    clock: Timestamp,
    floor: Option<Timestamp>,
}

impl Present {
    pub(crate) fn new(clock: Timestamp, floor: Option<Timestamp>) -> Self {
        Self { clock, floor: floor.filter(|floor| *floor > clock) }
    }

    pub(crate) fn time(self) -> Timestamp {
        self.floor.unwrap_or(self.clock)
    }
}

impl fmt::Display for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this node's clock says {}", self.clock)?;
        match self.floor {
            Some(floor) => write!(f, ", and it accepted metadata at {floor} already"),
            None => Ok(()),
        }
    }
}

/// One refresh: the source and the rules that hold for it.
pub(crate) struct Refresh<'a> {
    pub(crate) repository: &'a mut dyn Repository,
    /// The source as configured, for messages.
    pub(crate) from: String,
    pub(crate) now: Present,
    pub(crate) expiry: Expiry,
    pub(crate) limits: &'a Limits,
    pub(crate) memory: &'a Memory,
    /// Writes down what is about to be changed; no record, no change.
    pub(crate) record: &'a mut dyn FnMut(Entry) -> Result<(), FileError>,
}

impl Refresh<'_> {
    /// Brings the trust up to date; what it returns is durable.
    pub(crate) fn run(&mut self, store: &TrustStore) -> Result<Trusted, UpdateError> {
        let mut trusted = store.load_roots()?;
        self.follow_roots(store, &mut trusted)?;
        // Under the newest root: what an older one broke, a newer one mends.
        store.load_floors(&mut trusted)?;
        if self.expiry == Expiry::Refuse {
            let expiry = trusted.verifier.check_expiry(Role::Root.name(), self.now.time());
            self.verified(Role::Root, expiry)?;
        }
        self.lower_roles(store, &mut trusted)?;
        for role in [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets] {
            let expiry = trusted.verifier.check_expiry(role.name(), self.now.time());
            trusted.warnings.extend(self.warning(role.name(), expiry));
        }
        Ok(trusted)
    }

    /// What the lists of targets, delegated ones included, say of a file.
    pub(crate) fn find(
        &mut self,
        trusted: &mut Trusted,
        name: &str,
    ) -> Result<Option<TargetPin>, UpdateError> {
        let (now, roles_max) = (self.believed_at(), self.limits.delegated_roles);
        let mut visited = Vec::new();
        let found = trust::search(&mut *trusted.verifier, name, now, roles_max, |role, pin| {
            visited.push(role.to_owned());
            let path = format!("metadata/{}.{}.json", pin.version, file_name(role));
            self.fetch(&path, expected(pin.length, self.limits.targets_bytes))
        });
        for role in visited {
            let expiry = trusted.verifier.check_expiry(&role, self.now.time());
            trusted.warnings.extend(self.warning(&role, expiry));
            trusted.delegated.push(role);
        }
        found.map_err(|error| match error {
            SearchError::Fetch(error) => error,
            SearchError::Role { role, source } => self.untrusted(role, source),
        })
    }

    /// A document that the targets list, whole and verified.
    pub(crate) fn document(
        &mut self,
        trusted: &mut Trusted,
        name: &str,
    ) -> Result<Vec<u8>, UpdateError> {
        let document = |problem: String| UpdateError::Document { name: name.to_owned(), problem };
        let pin = self
            .find(trusted, name)?
            .ok_or_else(|| document("the repository does not list it".to_owned()))?;
        if pin.length > self.limits.document_bytes {
            return Err(document(format!(
                "it has {} bytes, {} are allowed",
                pin.length, self.limits.document_bytes
            )));
        }
        // A document is what its digest says, wherever it came from.
        let key = format!("sha256:{}", pin.sha256);
        if let Some(content) = self.memory.get(&key).and_then(|known| known.content) {
            return Ok(content);
        }
        let bytes = self.fetch(&target_path(name, &pin), Expect::Exactly(pin.length))?;
        let got = crate::engine::digest::of(&bytes);
        if got != pin.sha256 {
            return Err(document(format!(
                "its digest is {got}, the repository says {}",
                pin.sha256
            )));
        }
        self.memory.put(&key, Remembered { etag: None, content: Some(bytes.clone()) });
        Ok(bytes)
    }

    fn follow_roots(
        &mut self,
        store: &TrustStore,
        trusted: &mut Trusted,
    ) -> Result<(), UpdateError> {
        for _ in 0..self.limits.root_rotations {
            let version = trusted.verifier.versions().root.saturating_add(1);
            let path = format!("metadata/{version}.root.json");
            let expect = Expect::AtMost(self.limits.root_bytes);
            let bytes = match self.repository.fetch(&path, expect) {
                Ok(bytes) => bytes,
                // Stores like S3 answer 403 for what is not there, to whoever may not list it.
                Err(FetchError::NotFound | FetchError::Status { status: 403 }) => break,
                Err(source) => return Err(self.fetch_failed(path, source)),
            };
            let updated = trusted.update_root(&bytes).map_err(VerifyError::Refused);
            let replaced = self.verified(Role::Root, updated)?;
            self.record_root(version, &replaced)?;
            store.store_root(version, &bytes)?;
        }
        Ok(())
    }

    fn record_root(&mut self, version: u64, replaced: &[&str]) -> Result<(), FileError> {
        let from = config::redacted(&self.from);
        let before = version.saturating_sub(1);
        let keys = match replaced {
            [] => "no keys".to_owned(),
            roles => format!("the keys of {}", roles.join(", ")),
        };
        let why = format!("root {before} vouches for a root of {from}; it replaces {keys}");
        let (from, to) = (Some(format!("root {before}")), Some(format!("root {version}")));
        (self.record)(Entry { what: Action::NewRoot, why, from, to, digest: None })
    }

    /// Before something is stored in the place of floors that count no more.
    fn record_lifted(&mut self, trusted: &mut Trusted) -> Result<(), FileError> {
        if trusted.lifted.is_empty() {
            return Ok(());
        }
        let floors = trusted
            .lifted
            .iter()
            .map(|Lifted { role, version, .. }| format!("{} {version}", role.name()));
        let from = Some(floors.collect::<Vec<_>>().join(", "));
        let reasons: Vec<&str> = trusted.lifted.iter().map(|lifted| lifted.why.as_str()).collect();
        let why = reasons.join("; ");
        let to = Some(format!("timestamp {}", trusted.verifier.versions().timestamp));
        (self.record)(Entry { what: Action::LiftFloors, why, from, to, digest: None })?;
        trusted.lifted.clear();
        Ok(())
    }

    /// Each role is durable before the next one is asked for.
    fn lower_roles(
        &mut self,
        store: &TrustStore,
        trusted: &mut Trusted,
    ) -> Result<(), UpdateError> {
        let believed_at = self.believed_at();
        let before = trusted.verifier.versions();

        let offered =
            self.fetch("metadata/timestamp.json", Expect::AtMost(self.limits.timestamp_bytes))?;
        let updated = trusted.verifier.update_timestamp(&offered, believed_at);
        if self.verified(Role::Timestamp, updated)? == Freshness::New {
            self.record_lifted(trusted)?;
            store.store_timestamp(trusted, offered)?;
        }

        let pin = trusted.verifier.snapshot_pin();
        let pin = pin.ok_or_else(|| self.unpinned(Role::Timestamp, "snapshot"))?;
        let stored = trusted.lower.snapshot.clone().filter(|_| before.snapshot == pin.version);
        let reused = stored.is_some();
        let snapshot = match stored {
            Some(stored) => stored,
            None => {
                let path = format!("metadata/{}.snapshot.json", pin.version);
                self.fetch(&path, expected(pin.length, self.limits.snapshot_bytes))?
            }
        };
        let updated = trusted.verifier.update_snapshot(&snapshot, believed_at);
        self.verified(Role::Snapshot, updated)?;
        let stored = trusted.lower.targets.clone();
        if !reused {
            store.store_snapshot(trusted, snapshot)?;
        }

        let pin = trusted.verifier.targets_pin(TARGETS);
        let pin = pin.ok_or_else(|| self.unpinned(Role::Snapshot, "targets"))?;
        let stored = stored.filter(|_| before.targets == pin.version);
        let reused = reused && stored.is_some() && trusted.is_whole();
        let targets = match stored {
            Some(stored) => stored,
            None => {
                let path = format!("metadata/{}.targets.json", pin.version);
                self.fetch(&path, expected(pin.length, self.limits.targets_bytes))?
            }
        };
        let updated = trusted.verifier.update_targets(&targets, believed_at);
        self.verified(Role::Targets, updated)?;
        if !reused {
            self.record_lifted(trusted)?;
            trusted.lower.targets = Some(targets);
            store.store(trusted)?;
        }
        Ok(())
    }

    fn fetch(&mut self, path: &str, expect: Expect) -> Result<Vec<u8>, UpdateError> {
        self.repository
            .fetch(path, expect)
            .map_err(|source| self.fetch_failed(path.to_owned(), source))
    }

    fn fetch_failed(&self, name: String, source: FetchError) -> UpdateError {
        UpdateError::Fetch { name, from: self.from.clone(), source }
    }

    fn unpinned(&self, role: Role, missing: &str) -> UpdateError {
        let source = TrustError::Malformed(format!("it names no {missing}"));
        self.untrusted(role.name().to_owned(), VerifyError::Refused(source))
    }

    fn verified<T>(&self, role: Role, result: Result<T, VerifyError>) -> Result<T, UpdateError> {
        result.map_err(|error| self.untrusted(role.name().to_owned(), error))
    }

    fn untrusted(&self, role: String, error: VerifyError) -> UpdateError {
        let from = self.from.clone();
        match error {
            VerifyError::Expired { expires } => {
                UpdateError::Expired { role, from, expires, now: self.now }
            }
            VerifyError::Refused(source) => UpdateError::Metadata { role, from, source },
        }
    }

    fn warning(&self, role: &str, expiry: Result<(), VerifyError>) -> Option<String> {
        let Err(VerifyError::Expired { expires }) = expiry else { return None };
        Some(format!("{role} metadata expired at {expires}; {}", self.now))
    }

    /// The time that metadata must not have expired at.
    fn believed_at(&self) -> Timestamp {
        match self.expiry {
            Expiry::Refuse => self.now.time(),
            Expiry::Warn => Timestamp::MIN,
        }
    }
}

/// A delegated role as part of a file name: whatever it is called, it names one
/// file in one folder.
fn file_name(role: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let encoded =
        |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    role.bytes().map(encoded).collect()
}

/// Where a target lies: the hash goes before the file name, not the folder.
pub(crate) fn target_path(name: &str, pin: &TargetPin) -> String {
    match name.rsplit_once('/') {
        Some((folder, file)) => format!("targets/{folder}/{}.{file}", pin.sha256),
        None => format!("targets/{}.{name}", pin.sha256),
    }
}

fn expected(length: Option<u64>, limit: u64) -> Expect {
    match length {
        Some(length) if length <= limit => Expect::Exactly(length),
        _ => Expect::AtMost(limit),
    }
}
