// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The four signed roles of the next state of a repository.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::PathBuf;

use aws_lc_rs::rand::SystemRandom;
use dockerlogger_manifest::limits;
use jiff::Timestamp;
use serde::Serialize;
use tough::TargetName;
use tough::editor::signed::SignedRole;
use tough::schema::DelegatedTargets;
use tough::schema::Delegations;
use tough::schema::Hashes;
use tough::schema::KeyHolder;
use tough::schema::Metafile;
use tough::schema::Role;
use tough::schema::Root;
use tough::schema::Signed;
use tough::schema::Snapshot;
use tough::schema::Targets;

use crate::cli::Lifetimes;
use crate::delegate::covers;
use crate::files;
use crate::files::FileError;
use crate::lifetime::Lifetime;
use crate::lifetime::LifetimeRangeError;
use crate::publish::built::NewTarget;
use crate::repository::Layout;
use crate::repository::MAX_ROOT_BYTES;
use crate::repository::Repository;
use crate::root::OnlineKeys;
use crate::root::SPEC_VERSION;

/// What does not change while one publish is planned.
pub(super) struct Request {
    pub(super) layout: Layout,
    /// The trust anchor, which a new repository begins with.
    pub(super) anchor: PathBuf,
    pub(super) keys: OnlineKeys,
    pub(super) lifetimes: Lifetimes,
    pub(super) now: Timestamp,
    /// Targets that are no longer listed.
    pub(super) removed: Vec<String>,
    /// The root that takes over, signed by enough keys, and its bytes.
    pub(super) next_root: Option<(Root, Vec<u8>)>,
    /// The delegated role whose list is changed, in place of the targets.
    pub(super) role: Option<String>,
    /// Whom the targets trust from now on, if that changes.
    pub(super) delegations: Option<Delegations>,
}

/// Snapshot and timestamp, signed anew over the same targets.
pub(super) struct Renewed {
    pub(super) snapshot: SignedRole<Snapshot>,
    pub(super) timestamp: SignedRole<tough::schema::Timestamp>,
}

/// The signed roles, as they will be written.
pub(super) struct SignedRoles {
    pub(super) root: Root,
    pub(super) root_bytes: Vec<u8>,
    /// Those that changed: the targets, a delegated role, or both.
    pub(super) lists: Vec<SignedList>,
    pub(super) snapshot: SignedRole<Snapshot>,
    pub(super) timestamp: SignedRole<tough::schema::Timestamp>,
}

/// A list of targets, as it will be written.
pub(super) struct SignedList {
    pub(super) role: String,
    pub(super) version: NonZeroU64,
    pub(super) expires: Timestamp,
    pub(super) bytes: Vec<u8>,
    pin: Metafile,
}

/// The next state of a repository could not be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The root is not one.
    #[error("failed to parse root {}", path.display())]
    ParseRoot {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// The root is not signed by its own keys.
    #[error("root {} is not signed by the keys it names", path.display())]
    RootSignatures {
        /// The file.
        path: PathBuf,
        /// What is missing.
        source: Box<tough::schema::Error>,
    },
    /// The root names other keys.
    #[error("the root does not name {role}.pem as a key of the role {role}")]
    ForeignKey {
        /// The role the key is for.
        role: &'static str,
    },
    /// The role is not one that the targets delegate to.
    #[error("the targets do not delegate to role {role}: see `release delegate`")]
    NoRole {
        /// The role.
        role: String,
    },
    /// Nobody would ask the role for that.
    #[error("role {role} is not trusted with {name}")]
    NotDelegated {
        /// The role.
        role: String,
        /// The target.
        name: String,
    },
    /// Another list comes first.
    #[error("{name} is listed by role {by}, which is asked before role {role}")]
    Elsewhere {
        /// The role.
        role: String,
        /// The target.
        name: String,
        /// Who lists it.
        by: String,
    },
    /// It would expire in no year.
    #[error("failed to compute when the {role} expires")]
    Expires {
        /// The role.
        role: &'static str,
        /// Why not.
        source: LifetimeRangeError,
    },
    /// No version number is left.
    #[error("the {role} has used up its version numbers")]
    Exhausted {
        /// The role.
        role: String,
    },
    /// A name cannot be a target.
    #[error("{name:?} cannot be the name of a target")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: Box<tough::error::Error>,
    },
    /// The signature could not be made.
    #[error("failed to sign the {role}")]
    Role {
        /// The role.
        role: String,
        /// Why not.
        source: Box<tough::error::Error>,
    },
    /// No node would take it.
    #[error("the {role} would have {bytes} bytes; nodes take at most {limit}")]
    TooLarge {
        /// The role.
        role: String,
        /// What it would have.
        bytes: u64,
        /// What a node takes.
        limit: u64,
    },
}

impl Request {
    /// A request that adds to what is listed, under the root in force.
    pub(super) fn new(
        layout: Layout,
        anchor: PathBuf,
        keys: OnlineKeys,
        lifetimes: Lifetimes,
        now: Timestamp,
    ) -> Self {
        let (removed, next_root, role, delegations) = (Vec::new(), None, None, None);
        Self { layout, anchor, keys, lifetimes, now, removed, next_root, role, delegations }
    }

    /// Signs snapshot and timestamp anew; needs no key of the targets.
    pub(super) async fn renew(&self, existing: &Repository) -> Result<Renewed, SignError> {
        let (root, _) = self.root(Some(existing))?;
        if let Some(role) = self.keys.foreign(&root) {
            return Err(SignError::ForeignKey { role });
        }
        let snapshot = self.snapshot(Some(existing), &[])?;
        let holder = KeyHolder::Root(root);
        let snapshot = self.signed("snapshot", holder.clone(), snapshot).await?;
        let timestamp = self.timestamp(Some(existing), &snapshot)?;
        let timestamp = self.signed("timestamp", holder, timestamp).await?;
        Ok(Renewed { snapshot, timestamp })
    }

    /// Signs the earlier targets and the new ones under the next version numbers.
    pub(super) async fn sign(
        &self,
        existing: Option<&Repository>,
        new: &[NewTarget],
    ) -> Result<SignedRoles, SignError> {
        let (root, root_bytes) = self.root(existing)?;
        if let Some(role) = self.keys.foreign(&root) {
            return Err(SignError::ForeignKey { role });
        }
        let mut lists = Vec::new();
        let changed: (&[NewTarget], &[String]) = (new, &self.removed);
        if self.keys.sign_targets() {
            let (new, removed) = if self.role.is_none() { changed } else { (&[][..], &[][..]) };
            let mut targets =
                existing.map(|repository| repository.loaded().targets().signed.clone());
            if let (Some(targets), Some(delegations)) = (&mut targets, &self.delegations) {
                targets.delegations = Some(delegations.clone());
            }
            let targets = self.list("targets", targets, new, removed)?;
            let signed = self.signed("targets", KeyHolder::Root(root.clone()), targets).await?;
            lists.push(listed("targets", &signed));
        }
        if let Some(role) = &self.role {
            lists.push(self.delegated(existing, role, changed).await?);
        }
        let snapshot = self.snapshot(existing, &lists)?;
        let snapshot = self.signed("snapshot", KeyHolder::Root(root.clone()), snapshot).await?;
        let timestamp = self.timestamp(existing, &snapshot)?;
        let timestamp = self.signed("timestamp", KeyHolder::Root(root.clone()), timestamp).await?;
        Ok(SignedRoles { root, root_bytes, lists, snapshot, timestamp })
    }

    /// The list of a delegated role, signed by its keys.
    async fn delegated(
        &self,
        existing: Option<&Repository>,
        role: &str,
        (new, removed): (&[NewTarget], &[String]),
    ) -> Result<SignedList, SignError> {
        let in_force = existing.and_then(|it| it.loaded().targets().signed.delegations.as_ref());
        let delegations = self.delegations.as_ref().or(in_force);
        let delegated = delegations.and_then(|all| all.roles.iter().find(|it| it.name == role));
        let (Some(delegations), Some(delegated)) = (delegations, delegated) else {
            return Err(SignError::NoRole { role: role.to_owned() });
        };
        for target in new {
            let (role, name) = (role.to_owned(), target.name.clone());
            if !covers(delegated, &name) {
                return Err(SignError::NotDelegated { role, name });
            }
            match existing.and_then(|repository| repository.speaker(&name)) {
                Some(by) if by != Some(role.as_str()) => {
                    let by = by.unwrap_or("targets").to_owned();
                    return Err(SignError::Elsewhere { role, name, by });
                }
                _ => {}
            }
        }
        let before = existing.and_then(|repository| repository.list(role)).cloned();
        let targets = self.list(role, before, new, removed)?;
        let list = DelegatedTargets { name: role.to_owned(), targets };
        let holder = KeyHolder::Delegations(delegations.clone());
        Ok(listed(role, &self.signed(role, holder, list).await?))
    }

    /// The root in force: the newest of the repository, else the trust anchor.
    fn root(&self, existing: Option<&Repository>) -> Result<(Root, Vec<u8>), SignError> {
        if let Some((root, bytes)) = &self.next_root {
            return Ok((root.clone(), bytes.clone()));
        }
        if let Some(repository) = existing {
            let root = repository.loaded().root().signed.clone();
            let path = self.layout.role("root", root.version.get());
            return Ok((root, files::read(&path, MAX_ROOT_BYTES)?));
        }
        let path = self.anchor.clone();
        let bytes = files::read(&path, MAX_ROOT_BYTES)?;
        let root: Signed<Root> = serde_json::from_slice(&bytes)
            .map_err(|source| SignError::ParseRoot { path: path.clone(), source })?;
        root.signed
            .verify_role(&root)
            .map_err(|source| SignError::RootSignatures { path, source: Box::new(source) })?;
        Ok((root.signed, bytes))
    }

    /// The next version of a list of targets.
    fn list(
        &self,
        role: &str,
        before: Option<Targets>,
        new: &[NewTarget],
        removed: &[String],
    ) -> Result<Targets, SignError> {
        let version = next(role, self.layout.highest(role)?.unwrap_or(0))?;
        let expires = self.end("targets", self.lifetimes.targets)?;
        let mut targets = before.unwrap_or_else(|| Targets {
            delegations: None,
            ..Targets::new(SPEC_VERSION.to_owned(), version, expires)
        });
        targets.version = version;
        targets.expires = expires;
        targets.targets.retain(|name, _| !removed.contains(&name.resolved().to_owned()));
        for target in new {
            let name = TargetName::new(target.name.as_str()).map_err(|source| SignError::Name {
                name: target.name.clone(),
                source: Box::new(source),
            })?;
            targets.targets.insert(name, target.signed());
        }
        Ok(targets)
    }

    fn snapshot(
        &self,
        existing: Option<&Repository>,
        lists: &[SignedList],
    ) -> Result<Snapshot, SignError> {
        let version = next("snapshot", self.layout.highest("snapshot")?.unwrap_or(0))?;
        let expires = self.end("snapshot", self.lifetimes.snapshot)?;
        let mut snapshot = match existing {
            Some(repository) => repository.loaded().snapshot().signed.clone(),
            None => Snapshot::new(SPEC_VERSION.to_owned(), version, expires),
        };
        snapshot.version = version;
        snapshot.expires = expires;
        for list in lists {
            snapshot.meta.insert(format!("{}.json", list.role), list.pin.clone());
        }
        Ok(snapshot)
    }

    fn timestamp(
        &self,
        existing: Option<&Repository>,
        snapshot: &SignedRole<Snapshot>,
    ) -> Result<tough::schema::Timestamp, SignError> {
        let before = existing.map(|repository| repository.loaded().timestamp().signed.clone());
        let version = next("timestamp", before.as_ref().map_or(0, |before| before.version.get()))?;
        let expires = self.end("timestamp", self.lifetimes.timestamp)?;
        let mut timestamp = before.unwrap_or_else(|| {
            tough::schema::Timestamp::new(SPEC_VERSION.to_owned(), version, expires)
        });
        timestamp.version = version;
        timestamp.expires = expires;
        timestamp.meta.insert("snapshot.json".to_owned(), metafile(snapshot));
        Ok(timestamp)
    }

    fn end(&self, role: &'static str, lifetime: Lifetime) -> Result<Timestamp, SignError> {
        lifetime.end(self.now).map_err(|source| SignError::Expires { role, source })
    }

    async fn signed<R: Role + Serialize>(
        &self,
        name: &str,
        holder: KeyHolder,
        role: R,
    ) -> Result<SignedRole<R>, SignError> {
        let signed = SignedRole::new(role, &holder, &self.keys.sources(), &SystemRandom::new())
            .await
            .map_err(|source| SignError::Role {
                role: name.to_owned(),
                source: Box::new(source),
            })?;
        let (bytes, limit) = (*signed.length(), limit(name));
        if bytes > limit {
            return Err(SignError::TooLarge { role: name.to_owned(), bytes, limit });
        }
        Ok(signed)
    }
}

/// The bytes that a node takes of a role.
fn limit(role: &str) -> u64 {
    match role {
        "snapshot" => limits::SNAPSHOT_BYTES_MAX,
        "timestamp" => limits::TIMESTAMP_BYTES_MAX,
        _ => limits::TARGETS_BYTES_MAX,
    }
}

fn listed<R: Role + Serialize>(role: &str, signed: &SignedRole<R>) -> SignedList {
    let list = &signed.signed().signed;
    SignedList {
        role: role.to_owned(),
        version: list.version(),
        expires: list.expires(),
        bytes: signed.buffer().clone(),
        pin: metafile(signed),
    }
}

/// The version after this one, which no file of the repository has.
fn next(role: &str, version: u64) -> Result<NonZeroU64, SignError> {
    let exhausted = || SignError::Exhausted { role: role.to_owned() };
    version.checked_add(1).and_then(NonZeroU64::new).ok_or_else(exhausted)
}

/// How the role above refers to this one: version, length and digest.
fn metafile<R: Role + Serialize>(role: &SignedRole<R>) -> Metafile {
    Metafile {
        length: Some(*role.length()),
        hashes: Some(Hashes { sha256: role.sha256().to_vec().into(), _extra: HashMap::new() }),
        version: role.signed().signed.version(),
        _extra: HashMap::new(),
    }
}
