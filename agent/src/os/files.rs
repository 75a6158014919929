// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Files and directories: one narrow trait, the real implementation, and what
//! is composed from it.
//!
//! What is durable when: the bytes of a file after [`NewFile::sync`], the
//! entries of a directory (creation, rename, link, removal) after
//! [`Files::sync_dir`] of that directory. Nothing else is promised.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::os::lock::{Held, LockError, RootLock};
use crate::os::write_back;

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct FileError {
    /// The operation, as a verb: `create`, `write`, `fsync`.
    pub doing: &'static str,
    /// The file or directory it was done to.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// An error of doing something to a path.
    pub(crate) fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self { doing, path: path.to_owned(), source }
    }

    /// Whether what is there is not what it should be: too long, of another kind.
    /// Anything else may be gone the next time, and says nothing of what is there.
    pub(crate) fn is_of_content(&self) -> bool {
        let kinds = [Errno::LOOP, Errno::NOTDIR, Errno::ISDIR, Errno::NXIO];
        let code = self.source.raw_os_error();
        code.is_none_or(|code| kinds.iter().any(|kind| kind.raw_os_error() == code))
    }
}

/// What a directory entry is; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else.
    Other,
}

/// Facts about a directory entry; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// What it is.
    pub(crate) kind: FileKind,
    /// Length in bytes.
    pub(crate) length: u64,
    /// Permission bits.
    pub(crate) mode: u32,
}

/// A file that is being written.
pub(crate) trait NewFile: Send {
    /// Appends.
    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError>;
    /// Starts to bring what was written to the disk, without waiting, so that
    /// [`Self::sync`] has less to wait for. Makes nothing durable. Cheap after each write.
    fn write_back(&mut self) -> Result<(), FileError>;
    /// Sets the permission bits, whatever the umask.
    fn set_mode(&mut self, mode: u32) -> Result<(), FileError>;
    /// Makes content and mode durable. A failure is final: write the file anew.
    fn sync(&mut self) -> Result<(), FileError>;
}

/// Effects on a file system. Paths are absolute. Every effect is idempotent
/// where its doc says so; none follows a link at the last component.
pub(crate) trait Files: Send + Sync + fmt::Debug {
    /// Creates a directory; one that exists is fine.
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), FileError>;
    /// Creates a file that must not exist, mode 0600 until it is set.
    fn create(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError>;
    /// Opens a regular file to go on at its end.
    fn append(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError>;
    /// Replaces `to` by `from`, atomically.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError>;
    /// Creates a link that must not exist.
    fn symlink(&self, target: &Path, path: &Path) -> Result<(), FileError>;
    /// Removes a file or link; an absent one is fine.
    fn unlink(&self, path: &Path) -> Result<(), FileError>;
    /// Removes an empty directory; an absent one is fine.
    fn remove_dir(&self, path: &Path) -> Result<(), FileError>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> Result<(), FileError>;
    /// Takes the lock at `path` for as long as the answer lives.
    fn lock(&self, path: &Path) -> Result<Box<dyn Held>, LockError> {
        Ok(Box::new(RootLock::take(path)?))
    }

    /// Opens a regular file.
    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FileError>;
    /// Facts about an entry, or none if it is absent.
    fn stat(&self, path: &Path) -> Result<Option<Stat>, FileError>;
    /// The target of a link, or none if there is no link.
    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>, FileError>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> Result<Vec<OsString>, FileError>;
    /// Bytes that this process may still write to the file system of `path`.
    fn available(&self, path: &Path) -> Result<u64, FileError>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RealFiles;

impl Files for RealFiles {
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        match fs::DirBuilder::new().mode(mode).create(path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(e) => Err(FileError::new("create directory", path, e)),
        }
    }

    fn create(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        // create_new is O_CREAT|O_EXCL, which never follows a link.
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match file {
            Ok(file) => Ok(Box::new(RealNewFile { file, path: path.to_owned(), waiting: 0 })),
            Err(e) => Err(FileError::new("create", path, e)),
        }
    }

    fn append(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        let file = open_regular(path, fs::OpenOptions::new().append(true));
        match file {
            Ok(file) => Ok(Box::new(RealNewFile { file, path: path.to_owned(), waiting: 0 })),
            Err(e) => Err(FileError::new("open", path, e)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        fs::rename(from, to).map_err(|e| FileError::new("rename a new version to", to, e))
    }

    fn symlink(&self, target: &Path, path: &Path) -> Result<(), FileError> {
        std::os::unix::fs::symlink(target, path).map_err(|e| FileError::new("link", path, e))
    }

    fn unlink(&self, path: &Path) -> Result<(), FileError> {
        absent_is_fine(fs::remove_file(path)).map_err(|e| FileError::new("remove", path, e))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        let removed = absent_is_fine(fs::remove_dir(path));
        removed.map_err(|e| FileError::new("remove directory", path, e))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FileError> {
        let synced = fs::File::open(path).and_then(|directory| directory.sync_all());
        synced.map_err(|e| FileError::new("fsync", path, e))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FileError> {
        match open_regular(path, fs::OpenOptions::new().read(true)) {
            Ok(file) => Ok(Box::new(file)),
            Err(e) => Err(FileError::new("open", path, e)),
        }
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, FileError> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(e) if is_absent(&e) => return Ok(None),
            Err(e) => return Err(FileError::new("stat", path, e)),
        };
        let kind = match metadata.file_type() {
            kind if kind.is_file() => FileKind::Regular,
            kind if kind.is_dir() => FileKind::Directory,
            kind if kind.is_symlink() => FileKind::Symlink,
            _ => FileKind::Other,
        };
        Ok(Some(Stat { kind, length: metadata.len(), mode: metadata.mode() & 0o7777 }))
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>, FileError> {
        match fs::read_link(path) {
            Ok(target) => Ok(Some(target)),
            // EINVAL: there is something, but not a link.
            Err(e) if is_absent(&e) || e.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(e) => Err(FileError::new("read link", path, e)),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, FileError> {
        let list = || -> io::Result<Vec<OsString>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(path)? {
                names.push(entry?.file_name());
            }
            names.sort();
            Ok(names)
        };
        list().map_err(|e| FileError::new("list", path, e))
    }

    fn available(&self, path: &Path) -> Result<u64, FileError> {
        let facts = rustix::fs::statvfs(path)
            .map_err(|e| FileError::new("ask for free space at", path, e.into()))?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}

fn open_regular(path: &Path, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
    // O_NONBLOCK so that a fifo in a file's place does not stop us.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = options.custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Bytes that wait before they are sent on their way to the disk.
const WRITE_BACK_BYTES: usize = 1 << 20;

struct RealNewFile {
    file: fs::File,
    path: PathBuf,
    /// Bytes written since the last write-back.
    waiting: usize,
}

impl NewFile for RealNewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.waiting = self.waiting.saturating_add(bytes.len());
        self.file.write_all(bytes).map_err(|e| FileError::new("write", &self.path, e))
    }

    fn write_back(&mut self) -> Result<(), FileError> {
        if self.waiting < WRITE_BACK_BYTES {
            return Ok(());
        }
        self.waiting = 0;
        write_back::start(&self.file).map_err(|e| FileError::new("write back", &self.path, e))
    }

    fn set_mode(&mut self, mode: u32) -> Result<(), FileError> {
        let set = self.file.set_permissions(fs::Permissions::from_mode(mode));
        set.map_err(|e| FileError::new("set the mode of", &self.path, e))
    }

    fn sync(&mut self) -> Result<(), FileError> {
        self.file.sync_all().map_err(|e| FileError::new("fsync", &self.path, e))
    }
}

/// Reads a whole file of at most `bytes_max`; none if it is absent.
pub(crate) fn read(
    files: &dyn Files,
    path: &Path,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, FileError> {
    if files.stat(path)?.is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let limit = bytes_max.saturating_add(1);
    files
        .open(path)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| FileError::new("read", path, e))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > bytes_max) {
        let problem =
            io::Error::new(io::ErrorKind::FileTooLarge, format!("over {bytes_max} bytes"));
        return Err(FileError::new("read", path, problem));
    }
    Ok(Some(bytes))
}

/// Replaces a file so that after any interruption the old or the new content
/// is there, whole. Durable when it returns.
pub(crate) fn write_atomic(
    files: &dyn Files,
    path: &Path,
    bytes: &[u8],
    mode: u32,
) -> Result<(), FileError> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        let problem = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(FileError::new("write", path, problem));
    };
    let mut temporary = OsString::from(TEMPORARY_PREFIX);
    temporary.push(name);
    let temporary = directory.join(temporary);
    files.unlink(&temporary)?;
    let placed =
        write_synced(files, &temporary, bytes, mode).and_then(|()| files.rename(&temporary, path));
    if placed.is_err() {
        // What cannot be removed now is in nobody's way, and goes with the next write.
        let _ = files.unlink(&temporary);
    }
    placed?;
    files.sync_dir(directory)
}

fn write_synced(files: &dyn Files, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let mut file = files.create(path)?;
    file.write(bytes)?;
    file.set_mode(mode)?;
    file.sync()
}

/// What the names of files begin with that are not in place yet.
const TEMPORARY_PREFIX: &str = ".new-";

/// Removes what [`write_atomic`] may have left in a directory.
pub(crate) fn remove_temporaries(files: &dyn Files, directory: &Path) -> Result<(), FileError> {
    for name in files.list(directory)? {
        if name.to_string_lossy().starts_with(TEMPORARY_PREFIX) {
            files.unlink(&directory.join(name))?;
        }
    }
    Ok(())
}

/// Removes whatever is at `path`; absent is fine. Links are not followed.
pub(crate) fn remove_tree(files: &dyn Files, path: &Path) -> Result<(), FileError> {
    match files.stat(path)? {
        None => Ok(()),
        Some(Stat { kind: FileKind::Directory, .. }) => {
            for name in files.list(path)? {
                remove_tree(files, &path.join(name))?;
            }
            files.remove_dir(path)
        }
        Some(_) => files.unlink(path),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if is_absent(&e) => Ok(()),
        other => other,
    }
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
