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
use tough::ExpirationEnforcement;
use tough::FilesystemTransport;
use tough::RepositoryLoader;
use url::Url;

use crate::files;
use crate::files::FileError;
use crate::root::ANCHOR;

/// The largest target file that is published or read, in bytes (256 MiB).
pub(crate) const MAX_TARGET_BYTES: u64 = 256 << 20;
/// The largest root file, in bytes; what a node accepts as well.
pub(crate) const MAX_ROOT_BYTES: u64 = 1 << 20;
/// The largest other metadata file, in bytes (16 MiB).
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
        Ok(Self { layout, loaded })
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

    /// Every signed target by name.
    pub(crate) fn entries(&self) -> Result<BTreeMap<String, TargetEntry>, RepositoryError> {
        let targets = &self.loaded.targets().signed.targets;
        let entry = |(name, target): (&tough::TargetName, &tough::schema::Target)| {
            let name = name.resolved().to_owned();
            let hash: &[u8] = &target.hashes.sha256;
            match <[u8; 32]>::try_from(hash) {
                Ok(hash) => {
                    let digest = Digest::from_bytes(hash);
                    Ok((name, TargetEntry { size: target.length, digest }))
                }
                Err(_) => Err(RepositoryError::DigestLength { name, length: hash.len() }),
            }
        };
        targets.iter().map(entry).collect()
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
