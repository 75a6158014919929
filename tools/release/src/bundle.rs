// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `release bundle`: one tar with what a node without network needs.
//!
//! Every root (a node may know only the first), the current metadata, and the
//! targets the channels lead to: channel, release, artifacts. Older releases
//! stay behind. Plain tar, metadata first, a function of the repository alone.

use std::io;
use std::path::PathBuf;

use dockerlogger_manifest::Channel;
use dockerlogger_manifest::Release;

use crate::cli::BundleOptions;
use crate::files;
use crate::files::FileError;
use crate::repository::Layout;
use crate::repository::MAX_METADATA_BYTES;
use crate::repository::MAX_ROOT_BYTES;
use crate::repository::Repository;
use crate::repository::RepositoryError;
use crate::repository::TargetEntry;
use crate::repository::hashed_name;

mod unpack;

pub(crate) use unpack::UnpackError;
pub(crate) use unpack::unpack;

/// What `bundle` wrote.
#[derive(Debug)]
pub(crate) struct Bundled {
    /// The bundle.
    pub(crate) path: PathBuf,
    /// Its length in bytes.
    pub(crate) size: usize,
    /// Its channels and the release each of them names.
    pub(crate) channels: Vec<Channel>,
    /// Files in it.
    pub(crate) files: usize,
}

/// A bundle could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// The repository is not to be passed on.
    #[error("refusing to bundle repository {}", directory.display())]
    Repository {
        /// The repository.
        directory: PathBuf,
        /// What is wrong with it.
        source: Box<RepositoryError>,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A signed document is not one.
    #[error("failed to parse target {name}")]
    Parse {
        /// The target.
        name: String,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// A signed document names a target that is not signed.
    #[error("{by} names {name}, which is not in the repository")]
    Unsigned {
        /// The document.
        by: String,
        /// The target.
        name: String,
    },
    /// There is nothing to install.
    #[error("repository {} has no channel", directory.display())]
    NoChannel {
        /// The repository.
        directory: PathBuf,
    },
    /// The tar could not be put together.
    #[error("failed to put {name} into the bundle")]
    Append {
        /// The file.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

/// Verifies the repository and writes the bundle.
pub(crate) async fn bundle(options: &BundleOptions) -> Result<Bundled, BundleError> {
    let layout = Layout::new(&options.repo);
    let repository =
        Repository::open_with(layout, options.root.as_deref()).await.map_err(|source| {
            BundleError::Repository { directory: options.repo.clone(), source: Box::new(source) }
        })?;
    let Contents { channels, files } = contents(&repository)?;
    if channels.is_empty() {
        return Err(BundleError::NoChannel { directory: options.repo.clone() });
    }
    let count = files.len();
    let bytes = archive(files)?;
    files::replace(&options.out, &bytes)?;
    Ok(Bundled { path: options.out.clone(), size: bytes.len(), channels, files: count })
}

/// What goes into a bundle, in this order.
struct Contents {
    channels: Vec<Channel>,
    files: Vec<(String, Vec<u8>)>,
}

fn contents(repository: &Repository) -> Result<Contents, BundleError> {
    let mut collected = Collected {
        repository,
        entries: repository_entries(repository)?,
        files: metadata(repository)?,
    };
    let names: Vec<_> =
        collected.entries.keys().filter(|name| name.starts_with("channels/")).cloned().collect();
    let mut channels = Vec::new();
    for name in names {
        let bytes = collected.add(&name, "the metadata")?;
        let channel: Channel = serde_json::from_slice(&bytes)
            .map_err(|source| BundleError::Parse { name: name.clone(), source })?;
        let release_name = Release::target_name(&channel.release);
        let bytes = collected.add(&release_name, &name)?;
        let release: Release = serde_json::from_slice(&bytes)
            .map_err(|source| BundleError::Parse { name: release_name.clone(), source })?;
        for artifact in release.targets.values() {
            collected.add(&artifact.name, &release_name)?;
        }
        channels.push(channel);
    }
    Ok(Contents { channels, files: collected.files })
}

type Entries = std::collections::BTreeMap<String, TargetEntry>;

fn repository_entries(repository: &Repository) -> Result<Entries, BundleError> {
    let directory = || repository.layout().directory().to_owned();
    repository.entries().map_err(|source| BundleError::Repository {
        directory: directory(),
        source: Box::new(source),
    })
}

/// All roots, then the metadata in force, under their names in the bundle.
fn metadata(repository: &Repository) -> Result<Vec<(String, Vec<u8>)>, BundleError> {
    let (layout, loaded) = (repository.layout(), repository.loaded());
    let mut files = Vec::new();
    for version in 1..=loaded.root().signed.version.get() {
        let bytes = files::read(&layout.role("root", version), MAX_ROOT_BYTES)?;
        files.push((format!("metadata/{version}.root.json"), bytes));
    }
    files.push((
        "metadata/timestamp.json".to_owned(),
        files::read(&layout.timestamp(), MAX_METADATA_BYTES)?,
    ));
    let top = [
        ("snapshot", loaded.snapshot().signed.version),
        ("targets", loaded.targets().signed.version),
    ];
    let delegated = repository.roles().iter().map(|role| role.name.as_str());
    let delegated = delegated.filter_map(|role| Some((role, repository.list(role)?.version)));
    for (role, version) in top.into_iter().chain(delegated) {
        let bytes = files::read(&layout.role(role, version.get()), MAX_METADATA_BYTES)?;
        files.push((format!("metadata/{version}.{role}.json"), bytes));
    }
    Ok(files)
}

struct Collected<'a> {
    repository: &'a Repository,
    entries: Entries,
    files: Vec<(String, Vec<u8>)>,
}

impl Collected<'_> {
    /// Adds a target once, verified, and returns its bytes.
    fn add(&mut self, name: &str, by: &str) -> Result<Vec<u8>, BundleError> {
        let entry = *self
            .entries
            .get(name)
            .ok_or_else(|| BundleError::Unsigned { by: by.to_owned(), name: name.to_owned() })?;
        let bytes =
            self.repository.read(name, entry).map_err(|source| BundleError::Repository {
                directory: self.repository.layout().directory().to_owned(),
                source: Box::new(source),
            })?;
        let path = format!("targets/{}", hashed_name(name, &entry.digest));
        if !self.files.iter().any(|(existing, _)| *existing == path) {
            self.files.push((path, bytes.clone()));
        }
        Ok(bytes)
    }
}

fn archive(files: Vec<(String, Vec<u8>)>) -> Result<Vec<u8>, BundleError> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        // GNU, because a target's name may be longer than ustar can hold.
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        header.set_mode(0o444);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder
            .append_data(&mut header, &name, &bytes[..])
            .map_err(|source| BundleError::Append { name, source })?;
    }
    builder
        .into_inner()
        .map_err(|source| BundleError::Append { name: "the end".to_owned(), source })
}
