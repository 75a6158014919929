// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A repository on disk: where its files are, and what of it is verified.
//!
//! ```text
//! metadata/{N.root.json, N.targets.json, N.snapshot.json, timestamp.json}
//! targets/releases/SHA256.VERSION.json
//! targets/channels/SHA256.NAME.json
//! targets/SHA256.logger-VERSION-TARGET.tar.zst
//! ```
//!
//! The digest is put before the file *name*, not before the path: that is what
//! the TUF specification says and what nodes ask for.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use dockerlogger_manifest::Digest;
use dockerlogger_manifest::limits;
use tough::ExpirationEnforcement;
use tough::FilesystemTransport;
use tough::RepositoryLoader;
use tough::schema::DelegatedRole;
use tough::schema::Signed;
use tough::schema::Targets;
use url::Url;

use crate::delegate::covers;
use crate::files;
use crate::files::FileError;
use crate::root::ANCHOR;

/// The largest target file that is published or read, in bytes; what a node takes as well.
pub(crate) const MAX_TARGET_BYTES: u64 = limits::ARTIFACT_BYTES_MAX;
/// The largest root file that is published or read, in bytes; what a node takes as well.
pub(crate) const MAX_ROOT_BYTES: u64 = limits::ROOT_BYTES_MAX;
/// The largest other metadata file that is read, in bytes (16 MiB). Less is signed, which is what
/// a node takes; an earlier version signed more, and that can be removed from again.
pub(crate) const MAX_METADATA_BYTES: u64 = 16 << 20;
const TIMESTAMP: &str = "timestamp.json";

/// Where the files of a repository are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    directory: PathBuf,
}

/// A repository whose metadata verifies from a trust anchor to the targets.
/// Expiry is reported, not enforced: what expired has to be renewed with this tool.
#[derive(Debug)]
pub(crate) struct Repository {
    layout: Layout,
    loaded: tough::Repository,
    /// The lists of the roles that the targets delegate to, as far as they are published.
    delegated: BTreeMap<String, Targets>,
}

/// What the signed metadata says of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetEntry {
    /// Its length in bytes.
    pub(crate) size: u64,
    /// The digest of its bytes.
    pub(crate) digest: Digest,
}

/// A repository could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepositoryError {
    /// A file of it could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The path cannot be made absolute.
    #[error("{} is not a usable directory", directory.display())]
    Path {
        /// The repository.
        directory: PathBuf,
    },
    /// There is no repository.
    #[error("{} is not a repository: it has no metadata/{ANCHOR}", directory.display())]
    Absent {
        /// The repository.
        directory: PathBuf,
    },
    /// Signatures, versions or digests of the metadata do not fit together.
    #[error("repository {} does not verify with trust anchor {}", directory.display(), anchor.display())]
    Unverified {
        /// The repository.
        directory: PathBuf,
        /// The root it was verified with.
        anchor: PathBuf,
        /// What did not fit.
        source: Box<tough::error::Error>,
    },
    /// The list of a delegated role is not what the targets and the snapshot say.
    #[error("the list of role {role} is not to be trusted: {}", path.display())]
    List {
        /// The role.
        role: String,
        /// Its file.
        path: PathBuf,
    },
    /// A digest in the metadata is not one.
    #[error("target {name} has a SHA-256 digest of {length} bytes instead of 32")]
    DigestLength {
        /// The target.
        name: String,
        /// What the metadata has.
        length: usize,
    },
    /// A target file is not there.
    #[error("target {name} is missing: {} does not exist", path.display())]
    Missing {
        /// The target.
        name: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A target file is not what was signed.
    #[error("target {name} is damaged: {} has digest {got}, signed was {signed}", path.display())]
    Damaged {
        /// The target.
        name: String,
        /// Where it is.
        path: PathBuf,
        /// The digest of its bytes.
        got: Digest,
        /// What the metadata says.
        signed: Digest,
    },
}

// === impl Layout ===

impl Layout {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.directory.join("metadata")
    }

    pub(crate) fn targets(&self) -> PathBuf {
        self.directory.join("targets")
    }

    pub(crate) fn anchor(&self) -> PathBuf {
        self.metadata().join(ANCHOR)
    }

    pub(crate) fn timestamp(&self) -> PathBuf {
        self.metadata().join(TIMESTAMP)
    }

    /// The file of one version of a role other than the timestamp.
    pub(crate) fn role(&self, role: &str, version: u64) -> PathBuf {
        self.metadata().join(format!("{version}.{role}.json"))
    }

    /// The highest version of a role of which there is a file, referenced or not.
    pub(crate) fn highest(&self, role: &str) -> Result<Option<u64>, FileError> {
        let metadata = self.metadata();
        let entries = match std::fs::read_dir(&metadata) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(files::doing("list", &metadata)(error)),
        };
        let suffix = format!(".{role}.json");
        let mut highest = None;
        for entry in entries {
            let name = entry.map_err(files::doing("list", &metadata))?.file_name();
            let version = name.to_str().and_then(|name| name.strip_suffix(&suffix));
            highest = highest.max(version.and_then(|digits| digits.parse::<u64>().ok()));
        }
        Ok(highest)
    }

    /// The file of a target; names in metadata that verified hold no `..`.
    pub(crate) fn target(&self, name: &str, digest: &Digest) -> PathBuf {
        self.targets().join(hashed_name(name, digest))
    }
}

/// `releases/1.0.0.json` → `releases/SHA256.1.0.0.json`.
pub(crate) fn hashed_name(name: &str, digest: &Digest) -> String {
    match name.rsplit_once('/') {
        Some((folder, file)) => format!("{folder}/{digest}.{file}"),
        None => format!("{digest}.{name}"),
    }
}

// === impl Repository ===

impl Repository {
    /// Loads the metadata and verifies it from the trust anchor on.
    pub(crate) async fn open(layout: Layout, anchor: &Path) -> Result<Self, RepositoryError> {
        let bytes = files::read(anchor, MAX_ROOT_BYTES)?;
        let directory = || layout.directory.clone();
        let url = |path: &Path| {
            let absolute = std::path::absolute(path).ok()?;
            Url::from_directory_path(absolute).ok()
        };
        let unusable = || RepositoryError::Path { directory: directory() };
        let metadata = url(&layout.metadata()).ok_or_else(unusable)?;
        let targets = url(&layout.targets()).ok_or_else(unusable)?;
        let loaded = RepositoryLoader::new(&bytes, metadata, targets)
            .transport(FilesystemTransport)
            .expiration_enforcement(ExpirationEnforcement::Unsafe)
            .load()
            .await
            .map_err(|source| RepositoryError::Unverified {
                directory: directory(),
                anchor: anchor.to_owned(),
                source: Box::new(source),
            })?;
        let delegated = delegated(&layout, &loaded)?;
        Ok(Self { layout, loaded, delegated })
    }

    /// Opens with the given trust anchor, else with the repository's own first
    /// root, which proves only that the repository is consistent.
    pub(crate) async fn open_with(
        layout: Layout,
        anchor: Option<&Path>,
    ) -> Result<Self, RepositoryError> {
        let own = layout.anchor();
        if !own.exists() {
            return Err(RepositoryError::Absent { directory: layout.directory });
        }
        Self::open(layout, anchor.unwrap_or(&own)).await
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn loaded(&self) -> &tough::Repository {
        &self.loaded
    }

    /// The roles that the targets delegate to, in the order in which they are asked.
    pub(crate) fn roles(&self) -> &[DelegatedRole] {
        let delegations = self.loaded.targets().signed.delegations.as_ref();
        delegations.map_or(&[], |delegations| &delegations.roles)
    }

    /// The list of a delegated role, if it has published one.
    pub(crate) fn list(&self, role: &str) -> Option<&Targets> {
        self.delegated.get(role)
    }

    /// The role that speaks for a target: `None` for the targets themselves.
    pub(crate) fn speaker(&self, name: &str) -> Option<Option<&str>> {
        let lists = |list: &Targets| list.targets.keys().any(|known| known.resolved() == name);
        if lists(&self.loaded.targets().signed) {
            return Some(None);
        }
        for role in self.roles().iter().filter(|role| covers(role, name)) {
            if self.list(&role.name).is_some_and(lists) {
                return Some(Some(&role.name));
            }
            if role.terminating {
                break;
            }
        }
        None
    }

    /// Every signed target by name, as whoever speaks for it says.
    pub(crate) fn entries(&self) -> Result<BTreeMap<String, TargetEntry>, RepositoryError> {
        let mut entries = BTreeMap::new();
        let top = std::iter::once((None, &self.loaded.targets().signed));
        let delegated = self.delegated.iter().map(|(role, list)| (Some(role.as_str()), list));
        for (role, list) in top.chain(delegated) {
            for (name, target) in &list.targets {
                let name = name.resolved().to_owned();
                if self.speaker(&name) != Some(role) {
                    continue;
                }
                let hash: &[u8] = &target.hashes.sha256;
                let Ok(hash) = <[u8; 32]>::try_from(hash) else {
                    return Err(RepositoryError::DigestLength { name, length: hash.len() });
                };
                let digest = Digest::from_bytes(hash);
                entries.insert(name, TargetEntry { size: target.length, digest });
            }
        }
        Ok(entries)
    }

    /// The bytes of a target, compared with what was signed.
    pub(crate) fn read(&self, name: &str, signed: TargetEntry) -> Result<Vec<u8>, RepositoryError> {
        let path = self.layout.target(name, &signed.digest);
        let bytes = match files::read_if_present(&path, MAX_TARGET_BYTES)? {
            Some(bytes) => bytes,
            None => return Err(RepositoryError::Missing { name: name.to_owned(), path }),
        };
        let got = files::digest(&bytes);
        if got == signed.digest && u64::try_from(bytes.len()).is_ok_and(|size| size == signed.size)
        {
            return Ok(bytes);
        }
        Err(RepositoryError::Damaged { name: name.to_owned(), path, got, signed: signed.digest })
    }
}

/// What the roles that the targets delegate to have published. The library loads
/// them too, but none after the first that is not there yet.
fn delegated(
    layout: &Layout,
    loaded: &tough::Repository,
) -> Result<BTreeMap<String, Targets>, RepositoryError> {
    let mut lists = BTreeMap::new();
    let Some(delegations) = &loaded.targets().signed.delegations else { return Ok(lists) };
    for role in &delegations.roles {
        let pin = loaded.snapshot().signed.meta.get(&format!("{}.json", role.name));
        let Some(pin) = pin else { continue };
        let path = layout.role(&role.name, pin.version.get());
        let bytes = files::read(&path, MAX_METADATA_BYTES)?;
        let untrusted = || RepositoryError::List { role: role.name.clone(), path: path.clone() };
        let list: Signed<Targets> = serde_json::from_slice(&bytes).map_err(|_| untrusted())?;
        let hash: Option<&[u8]> = pin.hashes.as_ref().map(|hashes| hashes.sha256.as_ref());
        let pinned = hash.is_none_or(|hash| hash == files::digest(&bytes).as_bytes());
        let vouched = delegations.verify_role(&list, &role.name).is_ok();
        if !pinned || !vouched || list.signed.version != pin.version {
            return Err(untrusted());
        }
        lists.insert(role.name.clone(), list.signed);
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_goes_before_the_file_name() {
        let digest = Digest::from_bytes([0xab; 32]);
        let hex = "ab".repeat(32);
        assert_eq!(
            hashed_name("releases/1.0.0.json", &digest),
            format!("releases/{hex}.1.0.0.json")
        );
        assert_eq!(hashed_name("x.tar.zst", &digest), format!("{hex}.x.tar.zst"));
    }

    #[test]
    fn the_highest_version_counts_unreferenced_files() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        assert_eq!(layout.highest("targets").unwrap(), None);
        std::fs::create_dir(layout.metadata()).unwrap();
        assert_eq!(layout.highest("targets").unwrap(), None);
        for name in ["2.targets.json", "10.targets.json", "99.snapshot.json", "x.targets.json"] {
            std::fs::write(layout.metadata().join(name), "").unwrap();
        }
        assert_eq!(layout.highest("targets").unwrap(), Some(10));
    }
}
