// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the engine does to a disk, as data.

use std::path::{Path, PathBuf};

/// One change, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    MakeDir(PathBuf, u32),
    Create(PathBuf),
    /// Opens for writing from the start, whether it exists or not: no engine does that.
    Truncate(PathBuf),
    Write(PathBuf, Vec<u8>),
    SetMode(PathBuf, u32),
    SyncFile(PathBuf),
    Rename(PathBuf, PathBuf),
    Symlink(PathBuf, PathBuf),
    Unlink(PathBuf),
    RemoveDir(PathBuf),
    SyncDir(PathBuf),
}

impl Effect {
    /// What is done, as the real files say it in their errors.
    pub(super) fn doing(&self) -> &'static str {
        match self {
            Self::MakeDir(..) => "create directory",
            Self::Create(_) => "create",
            Self::Truncate(_) => "truncate",
            Self::Write(..) => "write",
            Self::SetMode(..) => "set the mode of",
            Self::SyncFile(_) | Self::SyncDir(_) => "fsync",
            Self::Rename(..) => "rename a new version to",
            Self::Symlink(..) => "link",
            Self::Unlink(_) => "remove",
            Self::RemoveDir(_) => "remove directory",
        }
    }

    /// What it is done to.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::MakeDir(path, _)
            | Self::Create(path)
            | Self::Truncate(path)
            | Self::Write(path, _)
            | Self::SetMode(path, _)
            | Self::SyncFile(path)
            | Self::Rename(_, path)
            | Self::Symlink(_, path)
            | Self::Unlink(path)
            | Self::RemoveDir(path)
            | Self::SyncDir(path) => path,
        }
    }
}
