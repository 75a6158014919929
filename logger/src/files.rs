// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Files of ours in directories that others may have their hands in.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Mode, OFlags};

/// To write: never a symbolic link, and never a wait for whoever reads a pipe.
pub(crate) const FLAGS: OFlags =
    OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// For nobody but us.
pub(crate) const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Whether `file` still has this name.
pub(crate) fn is_named(dir: &OwnedFd, name: &str, file: &File) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let named = rustix::fs::openat(dir, name, flags, Mode::empty()).map(File::from);
    let identity = |file: &File| file.metadata().ok().map(|file| (file.dev(), file.ino()));
    named.is_ok_and(|named| identity(&named).is_some() && identity(&named) == identity(file))
}

/// What the files of a container are named by: the first 12 letters and digits of
/// its id, so that no id leads out of a directory. `None`: it has none.
pub(crate) fn container_stem(id: &str) -> Option<String> {
    let stem = id.chars().filter(char::is_ascii_alphanumeric).take(12).collect::<String>();
    (!stem.is_empty()).then_some(stem)
}
