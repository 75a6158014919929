// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `release publish`: signs a release into a repository.
//!
//! ```text
//! lock ─> verify what is there ─> read and check the release ─> sign ─> writes as data ─> do them in order
//! ```
//!
//! The order is law: target files, targets, snapshot, root, then the timestamp,
//! which is the only file that is ever replaced. Whoever stops in between leaves
//! files nobody refers to, and the next publish takes the next version numbers.

use std::collections::BTreeSet;
use std::fs::File;
use std::fs::TryLockError;
use std::num::NonZeroU64;
use std::path::Path;
use std::path::PathBuf;

use dockerlogger_manifest::Channel;
use dockerlogger_manifest::ChannelName;
use dockerlogger_manifest::Digest;
use dockerlogger_manifest::Extra;
use dockerlogger_manifest::Version;
use jiff::Timestamp;
use tough::schema::Role;

use crate::cli::At;
use crate::cli::PublishOptions;
use crate::files;
use crate::files::FileError;
use crate::keys::KeyError;
use crate::publish::built::BuiltRelease;
use crate::publish::built::BuiltReleaseError;
use crate::publish::built::NewTarget;
use crate::publish::sign::Request;
use crate::publish::sign::SignError;
use crate::publish::sign::SignedRoles;
use crate::repository::Layout;
use crate::repository::MAX_ROOT_BYTES;
use crate::repository::Repository;
use crate::repository::RepositoryError;
use crate::root::ANCHOR;
use crate::root::OnlineKeys;

mod built;
pub(crate) mod maintain;
mod sign;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "../tests/verify.rs"]
mod verify;

/// What `publish` did.
#[derive(Debug)]
pub(crate) struct Published {
    /// The release.
    pub(crate) version: Version,
    /// The channel that names it now.
    pub(crate) channel: ChannelName,
    /// The release the channel named before, if another.
    pub(crate) before: Option<Version>,
    /// Version and expiry of targets, snapshot and timestamp, in this order.
    pub(crate) roles: Vec<(String, NonZeroU64, Timestamp)>,
    /// Targets in the repository, the new ones included.
    pub(crate) targets: usize,
    /// Set when nodes will refuse all this: the root has expired.
    pub(crate) root_expired: Option<Timestamp>,
}

/// A release could not be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The release is not what `build` writes.
    #[error(transparent)]
    Release(#[from] BuiltReleaseError),
    /// The existing repository is not to be extended.
    #[error("refusing to extend repository {}", directory.display())]
    Repository {
        /// The repository.
        directory: PathBuf,
        /// What is wrong with it.
        source: Box<RepositoryError>,
    },
    /// The repository began with another root.
    #[error("{} is not the trust anchor of repository {}: these keys belong to another", anchor.display(), directory.display())]
    OtherAnchor {
        /// The trust anchor of the key directory.
        anchor: PathBuf,
        /// The repository.
        directory: PathBuf,
    },
    /// Signed metadata without its entry point.
    #[error(
        "refusing to extend repository {}: it has metadata but no timestamp.json; \
         restore it from a copy, or remove the directory to start a new repository",
        directory.display()
    )]
    NoTimestamp {
        /// The repository.
        directory: PathBuf,
    },
    /// The name is taken.
    #[error(
        "{name} is already published with other bytes (digest {published}, now {new}): \
         raise the version and build again"
    )]
    Taken {
        /// The target.
        name: String,
        /// What nodes may have.
        published: Digest,
        /// What would replace it.
        new: Digest,
    },
    /// Another publish is at work.
    #[error("another publish is at work on repository {}", directory.display())]
    Locked {
        /// The repository.
        directory: PathBuf,
    },
    /// Signing failed.
    #[error("failed to sign repository {}", directory.display())]
    Sign {
        /// The repository.
        directory: PathBuf,
        /// Why it failed.
        source: SignError,
    },
}

/// Adds a release to a repository, which is made when it does not exist.
pub(crate) async fn publish(
    options: &PublishOptions,
    now: Timestamp,
) -> Result<Published, PublishError> {
    let At { repo, keys, lifetimes } = &options.at;
    let layout = Layout::new(repo);
    let built = BuiltRelease::read(&options.release)?;
    let anchor = keys.join(ANCHOR);
    let keys = OnlineKeys::load_under(keys, &options.under)?;
    files::create_dir(layout.directory())?;
    let _lock = lock(&layout)?;
    let existing = existing(&layout, &anchor).await?;
    let mut request = Request::new(layout, anchor, keys, *lifetimes, now);
    request.role = options.under.role.as_ref().map(ToString::to_string);
    let (writes, published) = plan(&request, existing, built, &options.channel).await?;
    make_directories(&request.layout)?;
    writes.iter().try_for_each(PlannedWrite::execute)?;
    Ok(published)
}

/// Makes what is missing and removes what an interrupted run left.
fn make_directories(layout: &Layout) -> Result<(), FileError> {
    for directory in ["", "releases", "channels"] {
        let directory = layout.targets().join(directory);
        files::create_dir(&directory)?;
        files::remove_unfinished(&directory)?;
    }
    files::create_dir(&layout.metadata())?;
    files::remove_unfinished(&layout.metadata())
}

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PlannedWrite {
    path: PathBuf,
    bytes: Vec<u8>,
    kind: WriteKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteKind {
    /// Must not exist with other bytes.
    New,
    /// Takes the place of what is there.
    Replace,
}

impl PlannedWrite {
    fn execute(&self) -> Result<(), FileError> {
        match self.kind {
            WriteKind::New => files::write_new(&self.path, &self.bytes),
            WriteKind::Replace => files::replace(&self.path, &self.bytes),
        }
    }
}

/// Held while one publish is at work; the file itself stays and means nothing.
fn lock(layout: &Layout) -> Result<File, PublishError> {
    let path = layout.directory().join(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(files::doing("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(PublishError::Locked { directory: layout.directory().to_owned() })
        }
        Err(TryLockError::Error(source)) => Err(files::doing("lock", &path)(source).into()),
    }
}

/// What is there, verified down to every byte of every target; `None` for a
/// repository that has not begun.
async fn existing(layout: &Layout, anchor: &Path) -> Result<Option<Repository>, PublishError> {
    let directory = || layout.directory().to_owned();
    let refuse =
        |source| PublishError::Repository { directory: directory(), source: Box::new(source) };
    let own_anchor = layout.anchor();
    if own_anchor.exists()
        && files::read(&own_anchor, MAX_ROOT_BYTES)? != files::read(anchor, MAX_ROOT_BYTES)?
    {
        return Err(PublishError::OtherAnchor {
            anchor: anchor.to_owned(),
            directory: directory(),
        });
    }
    if !layout.timestamp().exists() {
        let begun = layout.highest("targets")?.is_some() || layout.highest("snapshot")?.is_some();
        return if begun {
            Err(PublishError::NoTimestamp { directory: directory() })
        } else {
            Ok(None)
        };
    }
    let repository = Repository::open(layout.clone(), anchor).await.map_err(refuse)?;
    for (name, entry) in repository.entries().map_err(refuse)? {
        repository.read(&name, entry).map_err(refuse)?;
    }
    Ok(Some(repository))
}

/// Everything that will be written, in order, and what to say about it.
async fn plan(
    request: &Request,
    existing: Option<Repository>,
    built: BuiltRelease,
    channel: &ChannelName,
) -> Result<(Vec<PlannedWrite>, Published), PublishError> {
    let layout = &request.layout;
    let repository_error = |source| PublishError::Repository {
        directory: layout.directory().to_owned(),
        source: Box::new(source),
    };
    let version = built.release.version.clone();
    let mut before = None;
    let mut known = BTreeSet::new();
    if let Some(repository) = &existing {
        let entries = repository.entries().map_err(repository_error)?;
        known.extend(entries.keys().cloned());
        for target in &built.targets {
            if let Some(entry) =
                entries.get(&target.name).filter(|entry| entry.digest != target.digest())
            {
                let (name, published, new) = (target.name.clone(), entry.digest, target.digest());
                return Err(PublishError::Taken { name, published, new });
            }
        }
        let name = Channel::target_name(channel);
        if let Some(entry) = entries.get(&name) {
            let bytes = repository.read(&name, *entry).map_err(repository_error)?;
            let channel = serde_json::from_slice::<Channel>(&bytes).ok();
            before = channel.map(|channel| channel.release).filter(|release| *release != version);
        }
    }
    let mut targets = built.targets;
    targets.push(channel_target(channel, &version));
    let signed = request.sign(existing.as_ref(), &targets).await.map_err(|source| {
        PublishError::Sign { directory: layout.directory().to_owned(), source }
    })?;

    let published = Published {
        version,
        channel: channel.clone(),
        before,
        roles: described(&signed),
        targets: known.union(&targets.iter().map(|target| target.name.clone()).collect()).count(),
        root_expired: Some(signed.root.expires).filter(|expires| *expires <= request.now),
    };
    Ok((writes(layout, targets, &signed), published))
}

/// Version and expiry of everything that was signed.
fn described(signed: &SignedRoles) -> Vec<(String, NonZeroU64, Timestamp)> {
    let lists = signed.lists.iter().map(|list| (list.role.clone(), list.version, list.expires));
    let (snapshot, timestamp) = (signed.snapshot.signed(), signed.timestamp.signed());
    let upper = [role("snapshot", &snapshot.signed), role("timestamp", &timestamp.signed)];
    lists.chain(upper).collect()
}

fn role<R: Role>(name: &str, role: &R) -> (String, NonZeroU64, Timestamp) {
    (name.to_owned(), role.version(), role.expires())
}

fn channel_target(name: &ChannelName, release: &Version) -> NewTarget {
    let channel = Channel {
        format: Channel::FORMAT,
        name: name.clone(),
        release: release.clone(),
        halted: false,
        extra: Extra::new(),
    };
    #[expect(clippy::expect_used, reason = "a channel has text keys")]
    let mut bytes = serde_json::to_vec_pretty(&channel).expect("a channel can be written as JSON");
    bytes.push(b'\n');
    NewTarget { name: Channel::target_name(name), bytes }
}

fn writes(layout: &Layout, targets: Vec<NewTarget>, signed: &SignedRoles) -> Vec<PlannedWrite> {
    let new =
        |path, bytes: &[u8]| PlannedWrite { path, bytes: bytes.to_vec(), kind: WriteKind::New };
    let mut writes: Vec<_> = targets
        .iter()
        .map(|target| new(layout.target(&target.name, &target.digest()), &target.bytes))
        .collect();
    let lists = signed.lists.iter();
    writes.extend(lists.map(|list| new(layout.role(&list.role, list.version.get()), &list.bytes)));
    let snapshot = &signed.snapshot;
    writes.extend([
        new(layout.role("snapshot", snapshot.signed().signed.version.get()), snapshot.buffer()),
        // Late, so that nodes meet a new root together with what its keys signed.
        new(layout.role("root", signed.root.version.get()), &signed.root_bytes),
    ]);
    let bytes = signed.timestamp.buffer().clone();
    writes.push(PlannedWrite { path: layout.timestamp(), bytes, kind: WriteKind::Replace });
    writes
}
