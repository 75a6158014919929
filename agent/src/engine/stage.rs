// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Staging: one pass from the source to a complete, verified, durable tree.
//!
//! ```text
//! source → bounded → SHA-256 ─ queue ─▶ zstd → bounded ─ queue ─▶ tar → files in tmp/, each hashed → store/<sha256>/
//!              └→ tmp/partial-<sha256>
//! ```
//!
//! Three threads, so that the one that unpacks does nothing else: the pass takes
//! its time and little more. They end with the pass. The files are on their way to
//! the disk while the rest still comes, so that little is left to wait for at the end.
//!
//! Every limit comes from the signed release and holds while reading. Nothing
//! is visible in `store/` before everything was compared, so a hostile archive
//! can hurt nothing but `tmp/`. Memory: the zstd window, a buffer, two queues.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dockerlogger_manifest::{Artifact, ArtifactFile, Digest};

use crate::engine::digest::Hasher;
use crate::engine::error::ArtifactError;
use crate::engine::layout::{Layout, Link, RELEASE};
use crate::engine::source::Bounded;
use crate::engine::stage::intake::Intake;
use crate::engine::stage::queue::{Drain, queue};
use crate::engine::stage::unpack::Unpack;
use crate::os::files::{self, FileError, FileKind, Stat};

mod intake;
mod queue;
mod unpack;

pub(crate) use intake::{Beginning, Kept};

/// Bytes moved at once.
const BUFFER_BYTES: usize = 128 << 10;

/// Bytes of a tar archive besides its files: the end marker and its padding.
const TAR_END_BYTES: u64 = 64 << 10;

/// Bytes of a tar header, and what a file's content is padded to.
const TAR_BLOCK_BYTES: u64 = 512;

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
        let intake = Intake { rest: packed, kept, progress };
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
        let unpack =
            Unpack { limit: unpacked_limit(self.artifact), window_log_max: self.window_log_max };
        let (into_unpack, packed) = queue();
        let (into_write, unpacked) = queue();
        let (taken, unpacked, written) = thread::scope(|scope| {
            let unpacking = scope.spawn(|| unpack.run(packed, into_write));
            let writing = scope.spawn(|| self.write_all(unpacked, staged));
            (intake.run(into_unpack), joined(unpacking), joined(writing))
        });
        // The last in the row first: it stopped those before it. Who only saw what
        // broke before it has nothing to say.
        let written = own_words(written)?;
        let unpacked = own_words(unpacked)?;
        let got = taken?;
        let (Some(()), Some((mut directories, missing))) = (unpacked, written) else {
            return Err(ArtifactError::Decode(io::ErrorKind::UnexpectedEof.into()));
        };
        if got != Some(self.artifact.sha256) {
            let got = got.unwrap_or(crate::engine::digest::of(&[]));
            return Err(ArtifactError::Digest { got, expected: self.artifact.sha256 });
        }
        if let Some(path) = missing {
            return Err(ArtifactError::Missing { path });
        }
        let mut manifest = files.create(&staged.join(RELEASE))?;
        manifest.write(self.release_json)?;
        manifest.set_mode(0o444)?;
        manifest.sync()?;
        directories.insert(staged.to_owned());
        // Deepest first: a directory is complete before its name is durable.
        for directory in directories.iter().rev() {
            files.sync_dir(directory)?;
        }
        Ok(())
    }

    /// Writes the files of the archive. Gives the directories that were made for
    /// them, and the first signed file that is not in the archive.
    fn write_all(
        &self,
        drain: Drain,
        staged: &Path,
    ) -> Result<(BTreeSet<PathBuf>, Option<String>), Stopped> {
        let broken = drain.broken();
        let explain = |error: io::Error| Stopped::reading(&broken, error);
        let mut archive = tar::Archive::new(drain);
        let mut missing: BTreeMap<&str, &ArtifactFile> =
            self.artifact.files.iter().map(|file| (file.path.as_str(), file)).collect();
        let mut directories = BTreeSet::new();
        // Raw: extensions of the format are entries of their own and refused as such.
        for entry in archive.entries().map_err(explain)?.raw(true) {
            let mut entry = entry.map_err(explain)?;
            let file = signed_file(&entry, &mut missing)?;
            let path = self.prepare(staged, file, &mut directories)?;
            let (digest, length) = self.write(&mut entry, &path, file.mode, &explain)?;
            if (digest, length) != (file.sha256, file.size) {
                let problem = format!(
                    "{length} bytes with digest {digest}, the release says {} with {}",
                    file.size, file.sha256
                );
                return Err(ArtifactError::Entry { entry: file.path.clone(), problem }.into());
            }
        }
        // To the very end: only the whole has the signed digest.
        let mut rest = archive.into_inner();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = rest.read(&mut buffer).map_err(explain)?;
            if count == 0 {
                return Ok((directories, missing.keys().next().map(|path| (*path).to_owned())));
            }
            if buffer[..count].iter().any(|byte| *byte != 0) {
                let problem = "there is data after the end of the archive".to_owned();
                return Err(ArtifactError::Entry { entry: String::new(), problem }.into());
            }
        }
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

    fn write(
        &self,
        from: &mut impl Read,
        path: &Path,
        mode: u32,
        explain: &dyn Fn(io::Error) -> Stopped,
    ) -> Result<(Digest, u64), Stopped> {
        let mut file = self.layout.files.create(path)?;
        let mut hasher = Hasher::new();
        let mut length = 0_u64;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = from.read(&mut buffer).map_err(explain)?;
            if count == 0 {
                break;
            }
            let bytes = &buffer[..count];
            hasher.update(bytes);
            file.write(bytes)?;
            file.write_back()?;
            length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        }
        file.set_mode(mode)?;
        file.sync()?;
        Ok((hasher.finish(), length))
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

/// The signed file that an entry is; anything else is refused.
fn signed_file<'a, R: Read>(
    entry: &tar::Entry<'_, R>,
    missing: &mut BTreeMap<&str, &'a ArtifactFile>,
) -> Result<&'a ArtifactFile, ArtifactError> {
    let header = entry.header();
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
    let padded = |file: &ArtifactFile| {
        let blocks = file.size.div_ceil(TAR_BLOCK_BYTES).saturating_add(1);
        blocks.saturating_mul(TAR_BLOCK_BYTES)
    };
    artifact.files.iter().map(padded).fold(TAR_END_BYTES, u64::saturating_add)
}

/// Why a thread of the pass stopped.
enum Stopped {
    /// What comes before it failed.
    Upstream,
    /// The archive, or the disk.
    Refused(ArtifactError),
}

impl Stopped {
    /// Reading from a queue failed; `broken` is that queue's.
    fn reading(broken: &AtomicBool, error: io::Error) -> Self {
        match broken.load(Ordering::Relaxed) {
            true => Self::Upstream,
            false => Self::Refused(ArtifactError::Decode(error)),
        }
    }
}

/// What a thread did, or its own reason for not doing it; none if what comes
/// before it failed.
fn own_words<T>(done: Result<T, Stopped>) -> Result<Option<T>, ArtifactError> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(Stopped::Upstream) => Ok(None),
        Err(Stopped::Refused(error)) => Err(error),
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl From<ArtifactError> for Stopped {
    fn from(error: ArtifactError) -> Self {
        Self::Refused(error)
    }
}

impl From<FileError> for Stopped {
    fn from(error: FileError) -> Self {
        Self::Refused(ArtifactError::File(error))
    }
}
