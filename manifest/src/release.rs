// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A release of the logger: the signed document that says what it consists of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, DriverSpec, Extra, Target, Version};

/// One release, all platforms: the signed target `releases/VERSION.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The format of this document; this code writes [`Release::FORMAT`].
    pub format: u32,
    /// Its version.
    pub version: Version,
    /// The source commit it was built from.
    pub commit: String,
    /// When it was built, RFC 3339 in UTC.
    pub built_at: String,
    /// What `logger drivers --json` of this release prints.
    pub drivers: Vec<DriverSpec>,
    /// The artifact for each platform.
    pub targets: BTreeMap<Target, Artifact>,
    /// Fields of a newer format.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The packed logger for one platform: a zstd-compressed tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The signed target's name, `logger-VERSION-TARGET.tar.zst`.
    pub name: String,
    /// Its length in bytes, packed.
    pub size: u64,
    /// The digest of the packed bytes.
    pub sha256: Digest,
    /// What it unpacks to: these files and nothing else.
    pub files: Vec<ArtifactFile>,
    /// Fields of a newer format.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One regular file of an [`Artifact`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFile {
    /// Its path in the tar, relative, without `.` or `..`.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Digest,
    /// Its permission bits, e.g. 0o555 (365 in JSON).
    pub mode: u32,
    /// Fields of a newer format.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Release {
    /// The format this code writes and fully understands.
    pub const FORMAT: u32 = 1;

    /// The name under which the release of this version is signed.
    pub fn target_name(version: &Version) -> String {
        format!("releases/{version}.json")
    }
}

impl Artifact {
    /// The name of the artifact of this version for this platform.
    pub fn file_name(version: &Version, target: &Target) -> String {
        format!("logger-{version}-{target}.tar.zst")
    }

    /// Bytes the artifact takes unpacked; `None` when the sum is beyond 2^64.
    pub fn unpacked_size(&self) -> Option<u64> {
        self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.size))
    }
}
