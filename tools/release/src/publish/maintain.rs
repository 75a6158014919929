// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What happens to a repository between releases: renewing what expires,
//! stopping and starting a channel, taking a release back, trusting another role
//! with a part of it, adopting a new root.

use std::fs::File;
use std::num::{NonZeroU32, NonZeroU64};

use dockerlogger_manifest::{Channel, ChannelName, Release, Version};
use jiff::Timestamp;
use tough::schema::{DelegatedRole, Delegations, PathSet, Signed, Targets};

use crate::cli::{
    AdoptOptions, At, ChannelOptions, DelegateOptions, RenewOptions, RevokeOptions, Under,
};
use crate::delegate::RoleName;
use crate::files;
use crate::publish::built::NewTarget;
use crate::publish::sign::{Request, SignError};
use crate::publish::{
    PlannedWrite, PublishError, WriteKind, described, existing, lock, make_directories, role,
    writes,
};
use crate::repository::{Layout, Repository, RepositoryError};
use crate::root::{ANCHOR, OnlineKeys};
use crate::rotate::{self, RotateError};

/// What was done to a repository.
#[derive(Debug)]
pub(crate) struct Maintained {
    /// In a line.
    pub(crate) done: String,
    /// Version and expiry of every role that was signed.
    pub(crate) roles: Vec<(String, NonZeroU64, Timestamp)>,
}

/// A repository could not be maintained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaintainError {
    /// As with a release.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The new root is not one.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// There is nothing to maintain.
    #[error("{} is not a repository that was published to", repo.display())]
    Empty {
        /// The directory.
        repo: std::path::PathBuf,
    },
    /// There is no such channel.
    #[error("the repository has no channel {0}")]
    NoChannel(ChannelName),
    /// There is no such release.
    #[error("the repository has no release {0}")]
    NoRelease(Version),
    /// Nodes are told to have it.
    #[error(
        "release {version} is what channel {channel} names: publish another release on it first"
    )]
    Named {
        /// The release.
        version: Version,
        /// The channel.
        channel: ChannelName,
    },
    /// Another role lists the release.
    #[error(
        "release {version} is listed by role {by}: name it with --role, or leave --role out for targets"
    )]
    Elsewhere {
        /// The release.
        version: Version,
        /// Who lists it.
        by: String,
    },
    /// There is no such role.
    #[error("the targets do not delegate to role {0}")]
    NoRole(RoleName),
    /// What the role has published would count no longer.
    #[error(
        "what role {0} has published is signed by keys that would not count any more: sign it in \
         the same step, with --role-key"
    )]
    Resign(RoleName),
    /// More signatures are asked for than there are keys.
    #[error("a threshold of {threshold} cannot be met with {keys} key(s)")]
    Threshold {
        /// Signatures asked for.
        threshold: u32,
        /// Keys named.
        keys: usize,
    },
    /// A document of the repository is not one.
    #[error("failed to parse {name}")]
    Document {
        /// The target.
        name: String,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// Too few root keys signed the new root.
    #[error(
        "root version {version} has {old} of {old_needed} signatures of the keys before it and \
         {new} of {new_needed} of its own: sign it first"
    )]
    Unsigned {
        /// The new version.
        version: u64,
        /// Good signatures by the old root's keys.
        old: usize,
        /// How many there must be.
        old_needed: u64,
        /// Good signatures by its own keys.
        new: usize,
        /// How many there must be.
        new_needed: u64,
    },
}

impl From<crate::keys::KeyError> for MaintainError {
    fn from(error: crate::keys::KeyError) -> Self {
        Self::Publish(error.into())
    }
}

impl From<crate::files::FileError> for MaintainError {
    fn from(error: crate::files::FileError) -> Self {
        Self::Publish(error.into())
    }
}

/// A repository that is held, verified, and about to be signed.
struct Session {
    repository: Repository,
    request: Request,
    _lock: File,
}

impl Session {
    async fn open(at: &At, keys: OnlineKeys, now: Timestamp) -> Result<Self, MaintainError> {
        Self::open_locked(at, lock(&Layout::new(&at.repo))?, keys, now).await
    }

    async fn open_locked(
        at: &At,
        lock: File,
        keys: OnlineKeys,
        now: Timestamp,
    ) -> Result<Self, MaintainError> {
        let layout = Layout::new(&at.repo);
        let anchor = at.keys.join(ANCHOR);
        let empty = || MaintainError::Empty { repo: at.repo.clone() };
        let repository = existing(&layout, &anchor).await?.ok_or_else(empty)?;
        let request = Request::new(layout, anchor, keys, at.lifetimes, now);
        Ok(Self { repository, request, _lock: lock })
    }

    /// The same, to sign the targets or the list of a delegated role.
    async fn open_under(at: &At, under: &Under, now: Timestamp) -> Result<Self, MaintainError> {
        let mut session = Self::open(at, OnlineKeys::load_under(&at.keys, under)?, now).await?;
        session.request.role = under.role.as_ref().map(ToString::to_string);
        Ok(session)
    }

    /// Signs what was asked for and writes it.
    async fn write(self, new: Vec<NewTarget>, done: String) -> Result<Maintained, MaintainError> {
        let signed = self.request.sign(Some(&self.repository), &new).await;
        let signed = signed.map_err(|source| self.sign_error(source))?;
        make_directories(&self.request.layout)?;
        let writes = writes(&self.request.layout, new, &signed);
        writes.iter().try_for_each(PlannedWrite::execute)?;
        Ok(Maintained { done, roles: described(&signed) })
    }

    fn sign_error(&self, source: SignError) -> MaintainError {
        PublishError::Sign { directory: self.request.layout.directory().to_owned(), source }.into()
    }
}

/// Signs timestamp and snapshot anew, and a list where that is asked for.
pub(crate) async fn renew(
    options: &RenewOptions,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let done = "renewed what expires".to_owned();
    if options.with_targets || options.under.role.is_some() {
        let session = Session::open_under(&options.at, &options.under, now).await?;
        return session.write(Vec::new(), done).await;
    }
    let keys = OnlineKeys::load_frequent(&options.at.keys)?;
    let session = Session::open(&options.at, keys, now).await?;
    let (layout, renewed) = (&session.request.layout, session.request.renew(&session.repository));
    let signed = renewed.await.map_err(|source| session.sign_error(source))?;
    let roles = vec![
        role("snapshot", &signed.snapshot.signed().signed),
        role("timestamp", &signed.timestamp.signed().signed),
    ];
    let path = layout.role("snapshot", signed.snapshot.signed().signed.version.get());
    let bytes = signed.snapshot.buffer().clone();
    PlannedWrite { path, bytes, kind: WriteKind::New }.execute()?;
    let (path, bytes) = (layout.timestamp(), signed.timestamp.buffer().clone());
    PlannedWrite { path, bytes, kind: WriteKind::Replace }.execute()?;
    Ok(Maintained { done, roles })
}

/// Stops a channel, or lets it go on.
pub(crate) async fn set_halted(
    options: &ChannelOptions,
    halted: bool,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let session = Session::open_under(&options.at, &options.under, now).await?;
    let name = Channel::target_name(&options.channel);
    let absent = || MaintainError::NoChannel(options.channel.clone());
    let mut channel: Channel = document(&session.repository, &name)?.ok_or_else(absent)?;
    channel.halted = halted;
    let mut bytes = serde_json::to_vec_pretty(&channel)
        .map_err(|source| MaintainError::Document { name: name.clone(), source })?;
    bytes.push(b'\n');
    let (state, release) = (if halted { "halted" } else { "resumed" }, &channel.release);
    let done = format!("channel {} is {state} at release {release}", channel.name);
    session.write(vec![NewTarget { name, bytes }], done).await
}

/// Takes a release out of what is signed. Its files stay, unlisted.
pub(crate) async fn revoke(
    options: &RevokeOptions,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let mut session = Session::open_under(&options.at, &options.under, now).await?;
    let repository = &session.repository;
    let version = &options.version;
    let name = Release::target_name(version);
    let absent = || MaintainError::NoRelease(version.clone());
    let release: Release = document(repository, &name)?.ok_or_else(absent)?;
    let by = repository.speaker(&name).flatten();
    if by != session.request.role.as_deref() {
        let (version, by) = (version.clone(), by.unwrap_or("targets").to_owned());
        return Err(MaintainError::Elsewhere { version, by });
    }
    let entries = repository.entries().map_err(|e| repository_error(repository.layout(), e))?;
    for channel in entries.keys().filter(|name| name.starts_with("channels/")) {
        let channel: Channel = document(repository, channel)?.ok_or_else(absent)?;
        if channel.release == *version {
            let (version, channel) = (version.clone(), channel.name);
            return Err(MaintainError::Named { version, channel });
        }
    }
    let artifacts = release.targets.values().map(|artifact| artifact.name.clone());
    session.request.removed = artifacts.chain([name]).collect();
    let done = format!("release {version} is revoked: no node installs it any more");
    session.write(Vec::new(), done).await
}

/// Trusts a role with some of the targets, with other keys or paths than before, or no longer.
pub(crate) async fn delegate(
    options: &DelegateOptions,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let keys = OnlineKeys::load(&options.at.keys)?.with_role(&options.role_key)?;
    let mut session = Session::open(&options.at, keys, now).await?;
    let name = options.role.as_str();
    let in_force = session.repository.loaded().targets().signed.delegations.clone();
    let mut delegations = in_force.unwrap_or_default();
    let place = delegations.roles.iter().position(|role| role.name == name);
    if options.remove {
        let Some(place) = place else { return Err(MaintainError::NoRole(options.role.clone())) };
        delegations.roles.remove(place);
    } else {
        let role = delegated_role(options, &mut delegations)?;
        match place {
            Some(place) => delegations.roles[place] = role,
            None => delegations.roles.push(role),
        }
        let resigned = !options.role_key.is_empty();
        session.request.role = resigned.then(|| name.to_owned());
        if !resigned && !still_signed(&session.repository, &delegations, name)? {
            return Err(MaintainError::Resign(options.role.clone()));
        }
    }
    // A key that no role names any more has no business here.
    let named: Vec<_> = delegations.roles.iter().flat_map(|role| role.keyids.clone()).collect();
    delegations.keys.retain(|keyid, _| named.contains(keyid));
    let done = match (options.remove, &session.request.role) {
        (true, _) => format!("role {name} is trusted no longer"),
        (false, Some(_)) => format!("role {name} is trusted, and its list is signed"),
        (false, None) => format!("role {name} is trusted"),
    };
    session.request.delegations = Some(delegations);
    session.write(Vec::new(), done).await
}

fn delegated_role(
    options: &DelegateOptions,
    delegations: &mut Delegations,
) -> Result<DelegatedRole, MaintainError> {
    let mut keyids = Vec::new();
    for path in &options.key {
        let key = rotate::public_key(path)?;
        let keyid = key.key_id().map_err(|e| RotateError::Canonical(Box::new(e)))?;
        delegations.keys.insert(keyid.clone(), key);
        if !keyids.contains(&keyid) {
            keyids.push(keyid);
        }
    }
    let (threshold, keys) = (options.threshold, keyids.len());
    if usize::try_from(threshold).is_ok_and(|threshold| threshold > keys) {
        return Err(MaintainError::Threshold { threshold, keys });
    }
    let patterns = options.paths.iter().map(|path| tough::schema::PathPattern::new(path.as_str()));
    let patterns = patterns.collect::<Result<_, _>>();
    Ok(DelegatedRole {
        name: options.role.to_string(),
        keyids,
        threshold: NonZeroU64::from(NonZeroU32::new(threshold).unwrap_or(NonZeroU32::MIN)),
        paths: PathSet::Paths(patterns.map_err(|e| RotateError::Canonical(Box::new(e)))?),
        terminating: options.terminating,
        targets: None,
    })
}

/// Whether what the role has published, if anything, is good by its new keys.
fn still_signed(
    repository: &Repository,
    delegations: &Delegations,
    role: &str,
) -> Result<bool, MaintainError> {
    let Some(list) = repository.list(role) else { return Ok(true) };
    let path = repository.layout().role(role, list.version.get());
    let bytes = files::read(&path, crate::repository::MAX_METADATA_BYTES)?;
    let signed: Option<Signed<Targets>> = serde_json::from_slice(&bytes).ok();
    Ok(signed.is_some_and(|signed| delegations.verify_role(&signed, role).is_ok()))
}

/// Publishes a root that enough keys have signed, and signs everything below
/// it with the keys it names. Doing it twice is doing it once.
pub(crate) async fn adopt(
    options: &AdoptOptions,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let layout = Layout::new(&options.at.repo);
    let keys = OnlineKeys::load(&options.at.keys)?;
    let new = rotate::read_root(&options.root)?;
    let bytes = files::read(&options.root, crate::repository::MAX_ROOT_BYTES)?;
    let path = layout.role("root", new.signed.version.get());
    let lock = lock(&layout)?;
    let published = files::read_if_present(&path, crate::repository::MAX_ROOT_BYTES)?;
    let begun = published.as_ref() == Some(&bytes);
    let mut session = if begun && existing(&layout, &options.at.keys.join(ANCHOR)).await.is_err() {
        // An adoption that was interrupted: without its root the repository is as it was.
        std::fs::remove_file(&path).map_err(files::doing("remove", &path))?;
        let session = Session::open_locked(&options.at, lock, keys, now).await;
        if session.is_err() {
            // It is not the root that is in the way.
            files::write_new(&path, &bytes)?;
        }
        session?
    } else {
        Session::open_locked(&options.at, lock, keys, now).await?
    };
    let old = session.repository.loaded().root().signed.clone();
    let done = format!("root version {} is in force", new.signed.version);
    if begun && old.version == new.signed.version {
        return session.write(Vec::new(), done).await;
    }
    rotate::follows(&options.root, &old, &new.signed)?;
    let signing = rotate::signing(&options.root, &old, &new);
    if old.verify_role(&new).is_err() || new.signed.verify_role(&new).is_err() {
        let (version, (old, old_needed)) = (signing.version, signing.old);
        let (new, new_needed) = signing.new;
        return Err(MaintainError::Unsigned { version, old, old_needed, new, new_needed });
    }
    session.request.next_root = Some((new.signed, bytes));
    session.write(Vec::new(), done).await
}

/// A document that the repository lists, if it does.
fn document<T: serde::de::DeserializeOwned>(
    repository: &Repository,
    name: &str,
) -> Result<Option<T>, MaintainError> {
    let failed = |e| repository_error(repository.layout(), e);
    let entries = repository.entries().map_err(failed)?;
    let Some(entry) = entries.get(name) else { return Ok(None) };
    let bytes = repository.read(name, *entry).map_err(failed)?;
    let document = serde_json::from_slice(&bytes);
    document.map(Some).map_err(|source| MaintainError::Document { name: name.to_owned(), source })
}

fn repository_error(layout: &Layout, source: RepositoryError) -> MaintainError {
    let directory = layout.directory().to_owned();
    PublishError::Repository { directory, source: Box::new(source) }.into()
}
