// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Staging: one pass from the source to a complete, verified, durable tree.
//!
//! ```text
//! source → bounded ─┬─▶ zstd → bounded ─▶ tar → files in tmp/, each hashed → store/<sha256>/
//!                   └─▶ SHA-256, tmp/partial-<sha256>
//! ```
//!
//! Two threads: one unpacks, because that takes longest, and does nothing else;
//! the other does all the rest, network included. With a third, they waited for each
//! other where there are two processors. The files are on their way to the disk while
//! the rest still comes, so that little is left to wait for at the end.
//!
//! Every limit comes from the signed release and holds while reading. Nothing
//! is visible in `store/` before everything was compared, so a hostile archive
//! can hurt nothing but `tmp/`. Memory: the zstd window and
//! a few buffers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use dockerlogger_manifest::{Artifact, ArtifactFile, Digest};

use crate::engine::digest::Hasher;
use crate::engine::error::ArtifactError;
use crate::engine::layout::{Layout, Link, RELEASE};
use crate::engine::source::Bounded;
use crate::engine::stage::archive::{Archive, Intake};
use crate::engine::stage::unpack::Unpacker;
use crate::os::files::{self, FileError, FileKind, NewFile, Stat};

mod archive;
mod unpack;

/// Bytes moved at once.
const BUFFER_BYTES: usize = 128 << 10;

/// Bytes of a tar archive besides its files: the end marker and its padding.
const TAR_END_BYTES: u64 = 64 << 10;

/// Bytes of a tar header, and what a file's content is padded to.
const TAR_BLOCK_BYTES: u64 = 512;

/// What came of the artifact before, and where what comes now is kept, so that
/// it need not come again.
#[derive(Default)]
pub(crate) struct Kept {
    /// The first bytes of the artifact.
    pub(crate) before: Option<Beginning>,
    /// Where those that follow go.
    pub(crate) now: Option<Box<dyn NewFile>>,
}

/// Bytes that came before.
pub(crate) struct Beginning {
    /// The file they are in.
    pub(crate) path: PathBuf,
    pub(crate) bytes: Box<dyn Read + Send>,
}

/// One artifact on its way into the store.
pub(crate) struct Staging<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) artifact: &'a Artifact,
    /// The verified manifest, as signed; kept beside the files.
    pub(crate) release_json: &'a [u8],
    pub(crate) window_log_max: u32,
}

impl Staging<'_> {
    /// Reads the artifact and puts it into the store. `progress` is told the
    /// bytes read so far.
    pub(crate) fn run(
        &self,
        packed: Bounded,
        kept: Kept,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), ArtifactError> {
        let files = &*self.layout.files;
        let staged = self.layout.tmp().join(self.artifact.sha256.to_string());
        files::remove_tree(files, &staged)?;
        let intake = Intake { kept, rest: packed, progress };
        let done = self.unpack(intake, &staged).and_then(|()| self.publish(&staged));
        if done.is_err() {
            // What cannot be removed now is removed when the root is opened again.
            let _ = files::remove_tree(files, &staged);
        }
        done
    }

    fn unpack(&self, intake: Intake<'_>, staged: &Path) -> Result<(), ArtifactError> {
        let files = &*self.layout.files;
        files.make_dir(staged, 0o755)?;
        let mut written = thread::scope(|scope| {
            let (unpacker, ends) =
                Unpacker::new(unpacked_limit(self.artifact), self.window_log_max);
            scope.spawn(|| unpacker.run());
            self.write_all(Archive::new(intake, ends), staged)
        })?;
        if written.packed != self.artifact.sha256 {
            let (got, expected) = (written.packed, self.artifact.sha256);
            return Err(ArtifactError::Digest { got, expected });
        }
        if let Some(path) = written.missing {
            return Err(ArtifactError::Missing { path });
        }
        let mut manifest = files.create(&staged.join(RELEASE))?;
        manifest.write(self.release_json)?;
        manifest.set_mode(0o444)?;
        manifest.sync()?;
        written.directories.insert(staged.to_owned());
        // Deepest first: a directory is complete before its name is durable.
        for directory in written.directories.iter().rev() {
            files.sync_dir(directory)?;
        }
        Ok(())
    }

    /// Writes the files of the archive.
    fn write_all(&self, mut archive: Archive<'_>, staged: &Path) -> Result<Written, ArtifactError> {
        let mut missing: BTreeMap<&str, &ArtifactFile> =
            self.artifact.files.iter().map(|file| (file.path.as_str(), file)).collect();
        let mut directories = BTreeSet::new();
        while let Some(header) = header(&mut archive)? {
            // Extensions of the format are entries of their own and refused as such.
            // The header's checksum adds nothing to the signed digest.
            let file = signed_file(&header, &mut missing)?;
            let path = self.prepare(staged, file, &mut directories)?;
            self.write(&mut archive, &path, file)?;
        }
        // To the very end: only the whole has the signed digest.
        loop {
            match archive.bytes()? {
                [] => break,
                bytes if bytes.iter().any(|byte| *byte != 0) => {
                    let problem = "there is data after the end of the archive".to_owned();
                    return Err(ArtifactError::Entry { entry: String::new(), problem });
                }
                zeros => {
                    let count = zeros.len();
                    archive.consume(count);
                }
            }
        }
        let missing = missing.into_keys().next().map(str::to_owned);
        Ok(Written { packed: archive.digest(), directories, missing })
    }

    /// Creates the directories above a file.
    fn prepare(
        &self,
        staged: &Path,
        file: &ArtifactFile,
        directories: &mut BTreeSet<PathBuf>,
    ) -> Result<PathBuf, FileError> {
        let mut path = staged.to_owned();
        let mut parts = file.path.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            if parts.peek().is_some() && directories.insert(path.clone()) {
                self.layout.files.make_dir(&path, 0o755)?;
            }
        }
        Ok(path)
    }

    /// Writes one file, and passes over what its content is padded with.
    fn write(
        &self,
        archive: &mut Archive<'_>,
        path: &Path,
        file: &ArtifactFile,
    ) -> Result<(), ArtifactError> {
        let mut to = self.layout.files.create(path)?;
        let mut hasher = Hasher::new();
        take(archive, file.size, &mut |bytes| {
            hasher.update(bytes);
            to.write(bytes)?;
            to.write_back()
        })?;
        let digest = hasher.finish();
        if digest != file.sha256 {
            let problem = format!(
                "{} bytes with digest {digest}, the release says {}",
                file.size, file.sha256
            );
            return Err(ArtifactError::Entry { entry: file.path.clone(), problem });
        }
        to.set_mode(file.mode)?;
        to.sync()?;
        take(archive, padded(file.size) - file.size, &mut |_| Ok(()))
    }

    /// Makes the staged tree a release of the store.
    fn publish(&self, staged: &Path) -> Result<(), ArtifactError> {
        let files = &*self.layout.files;
        let digest = self.artifact.sha256;
        if self.layout.link()? == Link::To(digest)
            && files.stat(&self.layout.entry(&digest))?.is_some_and(is_directory)
        {
            let listed = self.artifact.files.iter().map(|file| file.path.as_str());
            let paths: Vec<&str> = listed.chain([RELEASE]).collect();
            return Ok(self.layout.mend(staged, &digest, &paths)?);
        }
        // A damaged tree of the same name gives way; nothing that runs uses it.
        self.layout.discard(&digest.to_string())?;
        files.rename(staged, &self.layout.entry(&digest))?;
        files.sync_dir(&self.layout.store())?;
        Ok(files.sync_dir(&self.layout.tmp())?)
    }
}

fn is_directory(stat: Stat) -> bool {
    stat.kind == FileKind::Directory
}

/// The next header; none at the end of the archive.
fn header(archive: &mut Archive<'_>) -> Result<Option<tar::Header>, ArtifactError> {
    if archive.bytes()?.is_empty() {
        return Ok(None);
    }
    let mut header = tar::Header::new_old();
    let mut rest = &mut header.as_mut_bytes()[..];
    take(archive, TAR_BLOCK_BYTES, &mut |bytes| {
        // There is room for all that is taken.
        let _ = rest.write_all(bytes);
        Ok(())
    })?;
    Ok(Some(header).filter(|header| header.as_bytes().iter().any(|byte| *byte != 0)))
}

/// Takes exactly so many bytes of the archive.
fn take(
    archive: &mut Archive<'_>,
    mut count: u64,
    with: &mut dyn FnMut(&[u8]) -> Result<(), FileError>,
) -> Result<(), ArtifactError> {
    while count > 0 {
        let bytes = archive.bytes()?;
        if bytes.is_empty() {
            return Err(truncated());
        }
        let length = usize::try_from(count).map_or(bytes.len(), |count| count.min(bytes.len()));
        with(&bytes[..length])?;
        archive.consume(length);
        count = count.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
    }
    Ok(())
}

fn truncated() -> ArtifactError {
    ArtifactError::Decode(io::ErrorKind::UnexpectedEof.into())
}

/// The signed file that an entry is; anything else is refused.
fn signed_file<'a>(
    header: &tar::Header,
    missing: &mut BTreeMap<&str, &'a ArtifactFile>,
) -> Result<&'a ArtifactFile, ArtifactError> {
    let name = header.path_bytes();
    let name = String::from_utf8_lossy(&name);
    let refused = |problem: String| ArtifactError::Entry {
        entry: name.chars().take(200).flat_map(char::escape_default).collect(),
        problem,
    };
    if header.entry_type() != tar::EntryType::Regular {
        let kind = header.entry_type();
        return Err(refused(format!("it is of type {kind:?}; only regular files are allowed")));
    }
    let file = missing
        .remove(&*name)
        .ok_or_else(|| refused("the release does not list it, or lists it once only".to_owned()))?;
    let mode = header.mode().map_err(|e| refused(e.to_string()))? & 0o7777;
    if mode != file.mode {
        return Err(refused(format!("its mode is {mode:o}, the release says {:o}", file.mode)));
    }
    let size = header.entry_size().map_err(|e| refused(e.to_string()))?;
    if size != file.size {
        return Err(refused(format!("it has {size} bytes, the release says {}", file.size)));
    }
    Ok(file)
}

/// What a tar archive of exactly the signed files can have at most.
fn unpacked_limit(artifact: &Artifact) -> u64 {
    let sizes = artifact.files.iter().map(|file| padded(file.size).saturating_add(TAR_BLOCK_BYTES));
    sizes.fold(TAR_END_BYTES, u64::saturating_add)
}

/// Bytes that a file's content takes in an archive.
fn padded(size: u64) -> u64 {
    size.checked_next_multiple_of(TAR_BLOCK_BYTES).unwrap_or(u64::MAX)
}

/// What came of writing the files.
struct Written {
    /// The digest of the artifact.
    packed: Digest,
    /// Those that were made for the files.
    directories: BTreeSet<PathBuf>,
    /// The first signed file that is not in the archive.
    missing: Option<String>,
}
