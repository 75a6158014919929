// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The output of `release build`, read back and checked before it is signed.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use dockerlogger_manifest::Artifact;
use dockerlogger_manifest::Digest;
use dockerlogger_manifest::Release;
use dockerlogger_manifest::Target;
use tough::schema::Hashes;

use crate::files;
use crate::files::FileError;
use crate::package::DESCRIPTION;
use crate::package::MAX_DESCRIPTION_BYTES;
use crate::repository::MAX_TARGET_BYTES;

/// A release as `build` wrote it, with the bytes of all its targets.
#[derive(Debug)]
pub(super) struct BuiltRelease {
    pub(super) release: Release,
    /// The artifacts, then the description, which names them.
    pub(super) targets: Vec<NewTarget>,
}

/// A target that is to be signed.
#[derive(Debug, Clone)]
pub(super) struct NewTarget {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// A directory does not hold a release that can be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuiltReleaseError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The description is not one.
    #[error("failed to parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// The description is of another format.
    #[error("{} has format {format}, this tool publishes format {}", path.display(), Release::FORMAT)]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// There is nothing to install.
    #[error("{} describes no artifact", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// An artifact has a name nodes do not ask for.
    #[error("{} names the artifact for {target} {name:?}, expected {expected:?}", path.display())]
    Name {
        /// The description.
        path: PathBuf,
        /// The platform.
        target: Target,
        /// What it says.
        name: String,
        /// What it has to say.
        expected: String,
    },
    /// An artifact is not the one described.
    #[error("{} has digest {got}, release.json says {described}: build it again", path.display())]
    Artifact {
        /// The artifact.
        path: PathBuf,
        /// The digest of the file.
        got: Digest,
        /// The digest in the description.
        described: Digest,
    },
}

impl BuiltRelease {
    /// Reads the description and every artifact it names, and compares the two.
    pub(super) fn read(directory: &Path) -> Result<Self, BuiltReleaseError> {
        let path = directory.join(DESCRIPTION);
        let description = files::read(&path, MAX_DESCRIPTION_BYTES)?;
        let release: Release = serde_json::from_slice(&description)
            .map_err(|source| BuiltReleaseError::Parse { path: path.clone(), source })?;
        if release.format != Release::FORMAT {
            return Err(BuiltReleaseError::Format { path, format: release.format });
        }
        if release.targets.is_empty() {
            return Err(BuiltReleaseError::Empty { path });
        }
        let mut targets = Vec::new();
        for (target, artifact) in &release.targets {
            let expected = Artifact::file_name(&release.version, target);
            if artifact.name != expected {
                let (target, name) = (target.clone(), artifact.name.clone());
                return Err(BuiltReleaseError::Name { path, target, name, expected });
            }
            let file = directory.join(&artifact.name);
            let bytes = files::read(&file, MAX_TARGET_BYTES)?;
            let got = files::digest(&bytes);
            if got != artifact.sha256
                || !u64::try_from(bytes.len()).is_ok_and(|size| size == artifact.size)
            {
                let described = artifact.sha256;
                return Err(BuiltReleaseError::Artifact { path: file, got, described });
            }
            targets.push(NewTarget { name: artifact.name.clone(), bytes });
        }
        targets
            .push(NewTarget { name: Release::target_name(&release.version), bytes: description });
        Ok(Self { release, targets })
    }
}

impl NewTarget {
    pub(super) fn digest(&self) -> Digest {
        files::digest(&self.bytes)
    }

    /// What the signed metadata will say of it.
    pub(super) fn signed(&self) -> tough::schema::Target {
        tough::schema::Target {
            length: u64::try_from(self.bytes.len()).unwrap_or(u64::MAX),
            hashes: Hashes {
                sha256: self.digest().as_bytes().to_vec().into(),
                _extra: HashMap::new(),
            },
            custom: HashMap::new(),
            _extra: HashMap::new(),
        }
    }
}
