// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Files of ours in directories that others may have their hands in.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// To write: never a symbolic link, and never a wait for whoever reads a pipe.
pub(crate) const FLAGS: OFlags =
    OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// For nobody but us.
pub(crate) const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Opens a directory, which is no symbolic link, whatever is written behind its
/// name: with a slash or a dot there, that of a link would lead on.
pub(crate) fn open_dir(path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = Path::new(path).components().as_path();
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_directory_is_no_link_however_it_is_written() {
        let scratch = Scratch::new();
        let dir = scratch.dir().to_str().unwrap();
        std::fs::create_dir(scratch.path("real")).unwrap();
        symlink("real", scratch.path("link")).unwrap();
        for behind in ["", "/", "//", "/.", "/./", "/.//"] {
            assert!(open_dir(&format!("{dir}/real{behind}")).is_ok(), "{behind:?}");
            assert!(open_dir(&format!("{dir}/link{behind}")).is_err(), "{behind:?}");
        }
        assert!(open_dir("/").is_ok() && open_dir("").is_err());
    }
}
