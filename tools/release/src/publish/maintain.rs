// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What happens to a repository between releases: renewing what expires,
//! stopping and starting a channel, taking a release back, adopting a new root.

use std::num::NonZeroU64;
use std::path::Path;

use dockerlogger_manifest::{Channel, ChannelName, Release, Version};
use jiff::Timestamp;

use crate::cli::{AdoptOptions, ChannelOptions, RenewOptions, RevokeOptions};
use crate::files;
use crate::publish::built::NewTarget;
use crate::publish::sign::Request;
use crate::publish::{
    PlannedWrite, PublishError, WriteKind, described, existing, lock, make_directories, writes,
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
    pub(crate) roles: Vec<(&'static str, NonZeroU64, Timestamp)>,
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

/// Signs timestamp and snapshot anew, and the targets where that is asked for.
pub(crate) async fn renew(
    options: &RenewOptions,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let layout = Layout::new(&options.repo);
    let keys = match options.with_targets {
        true => OnlineKeys::load(&options.keys)?,
        false => OnlineKeys::load_frequent(&options.keys)?,
    };
    let anchor = options.keys.join(ANCHOR);
    let _lock = lock(&layout)?;
    let repository = open(&layout, &anchor).await?;
    let request = Request::new(layout, anchor, keys, options.lifetimes, now);
    let done = "renewed what expires".to_owned();
    if options.with_targets {
        return write_all(&request, &repository, Vec::new(), done).await;
    }
    let signed = request.renew(&repository).await.map_err(|source| sign_error(&request, source))?;
    let roles = vec![
        described("snapshot", &signed.snapshot.signed().signed),
        described("timestamp", &signed.timestamp.signed().signed),
    ];
    let path = request.layout.role("snapshot", roles[0].1.get());
    let bytes = signed.snapshot.buffer().clone();
    PlannedWrite { path, bytes, kind: WriteKind::New }.execute()?;
    let (path, bytes) = (request.layout.timestamp(), signed.timestamp.buffer().clone());
    PlannedWrite { path, bytes, kind: WriteKind::Replace }.execute()?;
    Ok(Maintained { done, roles })
}

/// Stops a channel, or lets it go on.
pub(crate) async fn set_halted(
    options: &ChannelOptions,
    halted: bool,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let layout = Layout::new(&options.repo);
    let keys = OnlineKeys::load(&options.keys)?;
    let anchor = options.keys.join(ANCHOR);
    let _lock = lock(&layout)?;
    let repository = open(&layout, &anchor).await?;
    let name = Channel::target_name(&options.channel);
    let absent = || MaintainError::NoChannel(options.channel.clone());
    let mut channel: Channel = document(&repository, &name)?.ok_or_else(absent)?;
    channel.halted = halted;
    let mut bytes = serde_json::to_vec_pretty(&channel)
        .map_err(|source| MaintainError::Document { name: name.clone(), source })?;
    bytes.push(b'\n');
    let (state, release) = (if halted { "halted" } else { "resumed" }, &channel.release);
    let done = format!("channel {} is {state} at release {release}", channel.name);
    let request = Request::new(layout, anchor, keys, options.lifetimes, now);
    write_all(&request, &repository, vec![NewTarget { name, bytes }], done).await
}

/// Takes a release out of what is signed. Its files stay, unlisted.
pub(crate) async fn revoke(
    options: &RevokeOptions,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let layout = Layout::new(&options.repo);
    let keys = OnlineKeys::load(&options.keys)?;
    let anchor = options.keys.join(ANCHOR);
    let _lock = lock(&layout)?;
    let repository = open(&layout, &anchor).await?;
    let version = &options.version;
    let name = Release::target_name(version);
    let absent = || MaintainError::NoRelease(version.clone());
    let release: Release = document(&repository, &name)?.ok_or_else(absent)?;
    let entries = repository.entries().map_err(|e| repository_error(&layout, e))?;
    for channel in entries.keys().filter(|name| name.starts_with("channels/")) {
        let channel: Channel = document(&repository, channel)?.ok_or_else(absent)?;
        if channel.release == *version {
            let (version, channel) = (version.clone(), channel.name);
            return Err(MaintainError::Named { version, channel });
        }
    }
    let mut request = Request::new(layout, anchor, keys, options.lifetimes, now);
    request.removed = release.targets.values().map(|artifact| artifact.name.clone()).collect();
    request.removed.push(name);
    let done = format!("release {version} is revoked: no node installs it any more");
    write_all(&request, &repository, Vec::new(), done).await
}

/// Publishes a root that enough keys have signed, and signs everything below
/// it with the keys it names.
pub(crate) async fn adopt(
    options: &AdoptOptions,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let layout = Layout::new(&options.repo);
    let keys = OnlineKeys::load(&options.keys)?;
    let anchor = options.keys.join(ANCHOR);
    let _lock = lock(&layout)?;
    let new = rotate::read_root(&options.root)?;
    let bytes = files::read(&options.root, crate::repository::MAX_ROOT_BYTES)?;
    let path = layout.role("root", new.signed.version.get());
    if files::read_if_present(&path, crate::repository::MAX_ROOT_BYTES)?.as_ref() == Some(&bytes) {
        // An adoption that was interrupted: without its root the repository is as it was.
        std::fs::remove_file(&path).map_err(files::doing("remove", &path))?;
    }
    let repository = open(&layout, &anchor).await?;
    let old = repository.loaded().root().signed.clone();
    rotate::follows(&options.root, &old, &new.signed)?;
    let signing = rotate::signing(&options.root, &old, &new);
    if old.verify_role(&new).is_err() || new.signed.verify_role(&new).is_err() {
        let (version, (old, old_needed)) = (signing.version, signing.old);
        let (new, new_needed) = signing.new;
        return Err(MaintainError::Unsigned { version, old, old_needed, new, new_needed });
    }
    let done = format!("root version {} is in force", new.signed.version);
    let mut request = Request::new(layout, anchor, keys, options.lifetimes, now);
    request.next_root = Some((new.signed, bytes));
    write_all(&request, &repository, Vec::new(), done).await
}

async fn write_all(
    request: &Request,
    repository: &Repository,
    new: Vec<NewTarget>,
    done: String,
) -> Result<Maintained, MaintainError> {
    let signed =
        request.sign(Some(repository), &new).await.map_err(|source| sign_error(request, source))?;
    let roles = vec![
        described("targets", &signed.targets.signed().signed),
        described("snapshot", &signed.snapshot.signed().signed),
        described("timestamp", &signed.timestamp.signed().signed),
    ];
    make_directories(&request.layout)?;
    writes(&request.layout, new, &signed).iter().try_for_each(PlannedWrite::execute)?;
    Ok(Maintained { done, roles })
}

async fn open(layout: &Layout, anchor: &Path) -> Result<Repository, MaintainError> {
    let found = existing(layout, anchor).await?;
    found.ok_or_else(|| MaintainError::Empty { repo: layout.directory().to_owned() })
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

fn sign_error(request: &Request, source: super::sign::SignError) -> MaintainError {
    PublishError::Sign { directory: request.layout.directory().to_owned(), source }.into()
}
