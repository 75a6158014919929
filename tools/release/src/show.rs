// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `release show`: what is in a repository or bundle, verified.

use std::collections::BTreeMap;
use std::path::Path;

use dockerlogger_manifest::Channel;
use dockerlogger_manifest::ChannelName;
use dockerlogger_manifest::Digest;
use dockerlogger_manifest::Release;
use dockerlogger_manifest::Target;
use dockerlogger_manifest::Version;
use jiff::Timestamp;
use serde::Serialize;
use tough::schema::RoleType;
use tough::schema::decoded::{Decoded, Hex};

use crate::bundle;
use crate::bundle::UnpackError;
use crate::cli::ShowOptions;
use crate::repository::Layout;
use crate::repository::Repository;
use crate::repository::RepositoryError;
use crate::repository::TargetEntry;

/// Everything `show` prints; also the form of its JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    /// The trust anchor; null: the repository's own first root, which proves
    /// that it is consistent but not whose it is.
    pub(crate) trust_anchor: Option<String>,
    pub(crate) roles: Vec<ShownRole>,
    pub(crate) channels: Vec<ShownChannel>,
    pub(crate) releases: Vec<ShownRelease>,
    /// Targets whose files are not what was signed, and why.
    pub(crate) damaged: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ShownRole {
    pub(crate) role: String,
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
    pub(crate) expired: bool,
    /// How many of the keys have to sign.
    pub(crate) threshold: u64,
    /// The identifiers of its keys, in hex.
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ShownChannel {
    pub(crate) name: ChannelName,
    pub(crate) release: Version,
    pub(crate) halted: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct ShownRelease {
    pub(crate) version: Version,
    pub(crate) commit: String,
    pub(crate) built_at: String,
    pub(crate) drivers: Vec<String>,
    pub(crate) targets: BTreeMap<Target, ShownArtifact>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ShownArtifact {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) sha256: Digest,
    /// False when a bundle leaves it out.
    pub(crate) present: bool,
}

/// A source cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShowError {
    /// It is not a bundle.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// It does not verify.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A signed document is not one.
    #[error("failed to parse target {name}")]
    Parse {
        /// The target.
        name: String,
        /// Where it is wrong.
        source: serde_json::Error,
    },
}

/// Verifies the source and reads what is in it.
pub(crate) async fn show(options: &ShowOptions, now: Timestamp) -> Result<Shown, ShowError> {
    let unpacked =
        if options.source.is_dir() { None } else { Some(bundle::unpack(&options.source)?) };
    let directory = unpacked.as_ref().map_or(options.source.as_path(), |unpacked| unpacked.path());
    let anchor = options.root.as_deref();
    let repository = Repository::open_with(Layout::new(directory), anchor).await?;
    let mut shown = Shown {
        trust_anchor: anchor.map(|path| path.display().to_string()),
        roles: roles(&repository, now),
        channels: Vec::new(),
        releases: Vec::new(),
        damaged: Vec::new(),
    };
    let entries = repository.entries()?;
    for (name, entry) in &entries {
        if name.starts_with("channels/") {
            if let Some(channel) =
                document::<Channel>(&repository, name, *entry, &mut shown.damaged)?
            {
                let Channel { name, release, halted, .. } = channel;
                shown.channels.push(ShownChannel { name, release, halted });
            }
        } else if name.starts_with("releases/")
            && let Some(release) =
                document::<Release>(&repository, name, *entry, &mut shown.damaged)?
        {
            let release = shown_release(release, &repository, &entries, &mut shown.damaged);
            shown.releases.push(release);
        }
    }
    shown.releases.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(shown)
}

fn roles(repository: &Repository, now: Timestamp) -> Vec<ShownRole> {
    let loaded = repository.loaded();
    let root = &loaded.root().signed;
    let (targets, snapshot) = (&loaded.targets().signed, &loaded.snapshot().signed);
    let timestamp = &loaded.timestamp().signed;
    let top = [
        ("root", RoleType::Root, root.version, root.expires),
        ("targets", RoleType::Targets, targets.version, targets.expires),
        ("snapshot", RoleType::Snapshot, snapshot.version, snapshot.expires),
        ("timestamp", RoleType::Timestamp, timestamp.version, timestamp.expires),
    ];
    let mut roles: Vec<ShownRole> = Vec::new();
    let mut show = |role: &str, version: u64, expires, keys: Option<(u64, &[Decoded<Hex>])>| {
        let (threshold, keys) = keys.unwrap_or_default();
        let (role, expired) = (role.to_owned(), expires <= now);
        let keys = keys.iter().map(|id| hex(id)).collect();
        roles.push(ShownRole { role, version, expires, expired, threshold, keys });
    };
    for (role, kind, version, expires) in top {
        let keys = root.roles.get(&kind).map(|keys| (keys.threshold.get(), &keys.keyids[..]));
        show(role, version.get(), expires, keys);
    }
    for role in repository.roles() {
        if let Some(list) = repository.list(&role.name) {
            let keys = Some((role.threshold.get(), &role.keyids[..]));
            show(&role.name, list.version.get(), list.expires, keys);
        }
    }
    roles
}

/// Parses a signed document; `None` when its file is absent or damaged.
fn document<T: serde::de::DeserializeOwned>(
    repository: &Repository,
    name: &str,
    entry: TargetEntry,
    damaged: &mut Vec<String>,
) -> Result<Option<T>, ShowError> {
    match state(repository, name, entry, damaged) {
        None => Ok(None),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| ShowError::Parse { name: name.to_owned(), source }),
    }
}

/// The bytes of a target. A bundle leaves targets out, so that absence is no damage.
fn state(
    repository: &Repository,
    name: &str,
    entry: TargetEntry,
    damaged: &mut Vec<String>,
) -> Option<Vec<u8>> {
    match repository.read(name, entry) {
        Ok(bytes) => Some(bytes),
        Err(RepositoryError::Missing { .. }) => None,
        Err(error) => {
            damaged.push(error.to_string());
            None
        }
    }
}

fn shown_release(
    release: Release,
    repository: &Repository,
    entries: &BTreeMap<String, TargetEntry>,
    damaged: &mut Vec<String>,
) -> ShownRelease {
    let targets = release.targets.into_iter().map(|(target, artifact)| {
        let entry = entries.get(&artifact.name);
        let present =
            entry.is_some_and(|entry| state(repository, &artifact.name, *entry, damaged).is_some());
        let shown = ShownArtifact {
            name: artifact.name,
            size: artifact.size,
            sha256: artifact.sha256,
            present,
        };
        (target, shown)
    });
    ShownRelease {
        version: release.version,
        commit: release.commit,
        built_at: release.built_at,
        drivers: release.drivers.into_iter().map(|driver| driver.name).collect(),
        targets: targets.collect(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A repository in which something is damaged was shown.
#[derive(Debug, thiserror::Error)]
#[error("{count} target(s) of {} are damaged", path.display())]
pub(crate) struct DamagedError {
    count: usize,
    path: std::path::PathBuf,
}

impl Shown {
    /// An error when anything is damaged, for the exit status.
    pub(crate) fn intact(&self, source: &Path) -> Result<(), DamagedError> {
        match self.damaged.len() {
            0 => Ok(()),
            count => Err(DamagedError { count, path: source.to_owned() }),
        }
    }
}
