// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The install root: where things lie, and the few changes made to it as a
//! whole. Everything that changes `store/` or `bin/` is here or in [`stage`].
//!
//! [`stage`]: crate::engine::stage

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dockerlogger_manifest::{ArtifactFile, Digest, Release};

use crate::engine::{digest, partial};
use crate::os::files::{self, FileError, FileKind, Files};

/// The paths of one install root.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) files: Arc<dyn Files>,
    root: PathBuf,
}

/// What `bin/logger` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// There is nothing.
    Absent,
    /// A link into `store/`.
    To(Digest),
    /// Something that we did not make.
    Foreign,
}

/// The file of a release that `bin/logger` names.
pub(crate) const LOGGER: &str = "logger";
/// The signed manifest beside the files of a release.
pub(crate) const RELEASE: &str = "release.json";

impl Layout {
    pub(crate) fn new(files: Arc<dyn Files>, root: PathBuf) -> Self {
        Self { files, root }
    }

    /// Creates what is missing. Everything below the root is on one file system.
    pub(crate) fn create(&self) -> Result<(), FileError> {
        // lx zones read the tree under /native: the way to the logger is open to all.
        for (directory, mode) in [
            (self.bin(), 0o755),
            (self.store(), 0o755),
            (self.state(), 0o700),
            (self.trust(), 0o755),
            (self.history(), 0o700),
            (self.tmp(), 0o700),
        ] {
            self.files.make_dir(&directory, mode)?;
        }
        self.files.sync_dir(&self.root)?;
        // The root's own name is as good as its parent's last fsync.
        match self.root.parent() {
            Some(parent) => self.files.sync_dir(parent),
            None => Ok(()),
        }
    }

    /// Makes durable what can be seen, so that it may be believed: a process
    /// that died, or an fsync that failed, may have left names that a power
    /// cut takes away again.
    pub(crate) fn settle(&self) -> Result<(), FileError> {
        for directory in
            [self.bin(), self.store(), self.tmp(), self.state(), self.trust(), self.history()]
        {
            self.files.sync_dir(&directory)?;
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(crate) fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.root.join("history")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn entry(&self, digest: &Digest) -> PathBuf {
        self.store().join(digest.to_string())
    }

    /// The logger of a release in the store.
    pub(crate) fn logger(&self, digest: &Digest) -> PathBuf {
        self.entry(digest).join(LOGGER)
    }

    fn logger_link(&self) -> PathBuf {
        self.bin().join(LOGGER)
    }

    fn logger_link_temporary(&self) -> PathBuf {
        self.bin().join(".logger.tmp")
    }

    /// Where `bin/logger` points.
    pub(crate) fn link(&self) -> Result<Link, FileError> {
        let path = self.logger_link();
        let Some(target) = self.files.read_link(&path)? else {
            let absent = self.files.stat(&path)?.is_none();
            return Ok(if absent { Link::Absent } else { Link::Foreign });
        };
        let digest = target
            .to_str()
            .and_then(|text| text.strip_prefix("../store/"))
            .and_then(|text| text.strip_suffix("/logger"))
            .and_then(|text| text.parse().ok());
        Ok(digest.map_or(Link::Foreign, Link::To))
    }

    /// Makes `bin/logger` another release: the commit point. Durable when it
    /// returns. The link is relative because zones see the tree elsewhere.
    pub(crate) fn switch(&self, digest: &Digest) -> Result<(), FileError> {
        let temporary = self.logger_link_temporary();
        self.files.unlink(&temporary)?;
        let target = PathBuf::from(format!("../store/{digest}/{LOGGER}"));
        self.files.symlink(&target, &temporary)?;
        self.files.rename(&temporary, &self.logger_link())?;
        self.files.sync_dir(&self.bin())
    }

    /// Makes the link, as it is, durable.
    pub(crate) fn sync_link(&self) -> Result<(), FileError> {
        self.files.sync_dir(&self.bin())
    }

    /// Removes a link that names nothing.
    pub(crate) fn remove_link(&self) -> Result<(), FileError> {
        self.files.unlink(&self.logger_link())?;
        self.files.sync_dir(&self.bin())
    }

    /// Empties `tmp/` but for what an artifact can be resumed from, and removes
    /// half-made links and files.
    pub(crate) fn remove_litter(&self) -> Result<(), FileError> {
        for name in self.files.list(&self.tmp())? {
            if partial::may_stay(self, &name.to_string_lossy())? {
                continue;
            }
            files::remove_tree(&*self.files, &self.tmp().join(name))?;
        }
        self.files.unlink(&self.logger_link_temporary())?;
        files::remove_temporaries(&*self.files, &self.state())?;
        files::remove_temporaries(&*self.files, &self.trust())?;
        files::remove_temporaries(&*self.files, &self.history())
    }

    /// Sets bytes aside in `tmp/`, if there are so many: whatever recovers from a
    /// full disk empties that first. To be done without.
    pub(crate) fn lay_reserve(&self, bytes: usize) {
        let path = self.reserve();
        // A file system must not compress it away.
        let mut noise = 0x2545_f491_4f6c_dd1d_u64;
        let mut byte = |_| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise.to_le_bytes()[7]
        };
        let content: Vec<u8> = (0..bytes).map(&mut byte).collect();
        let written = self
            .files
            .create(&path)
            .and_then(|mut file| file.write(&content).inspect_err(|_| self.lift_reserve()));
        if let Err(e) = written {
            tracing::debug!(error = %e, cause = %e.source, "no reserve for a full disk");
        }
    }

    /// Gives the reserve back.
    pub(crate) fn lift_reserve(&self) {
        if let Err(e) = self.files.unlink(&self.reserve()) {
            tracing::debug!(error = %e, cause = %e.source, "the reserve stays until the next start");
        }
    }

    fn reserve(&self) -> PathBuf {
        self.tmp().join("reserve")
    }

    /// Takes something out of `store/`: first out of sight, durably, then away,
    /// so that an interruption leaves litter and no half release.
    pub(crate) fn discard(&self, name: &str) -> Result<(), FileError> {
        let (from, to) = (self.store().join(name), self.tmp().join(format!("discarded-{name}")));
        files::remove_tree(&*self.files, &to)?;
        if self.files.stat(&from)?.is_some() {
            self.files.rename(&from, &to)?;
            self.files.sync_dir(&self.tmp())?;
            self.files.sync_dir(&self.store())?;
        }
        files::remove_tree(&*self.files, &to)
    }

    /// Replaces a damaged release that `bin/logger` names, file by file: the
    /// link must not dangle, not even for a moment.
    pub(crate) fn mend(
        &self,
        staged: &Path,
        digest: &Digest,
        paths: &[&str],
    ) -> Result<(), FileError> {
        let files = &*self.files;
        let entry = self.entry(digest);
        let mut directories = BTreeSet::from([entry.clone()]);
        for path in paths {
            let mut to = entry.clone();
            let mut parts = path.split('/').peekable();
            while let Some(part) = parts.next() {
                to.push(part);
                let kind = files.stat(&to)?.map(|stat| stat.kind);
                let last = parts.peek().is_none();
                if kind.is_some_and(|kind| (kind == FileKind::Directory) == last) {
                    files::remove_tree(files, &to)?;
                }
                if !last {
                    files.make_dir(&to, 0o755)?;
                    directories.insert(to.clone());
                }
            }
            files.rename(&staged.join(path), &to)?;
        }
        // Deepest first, as when it was staged.
        for directory in directories.iter().rev() {
            files.sync_dir(directory)?;
        }
        files::remove_tree(files, staged)?;
        files.sync_dir(&self.tmp())
    }

    /// Reads a release in `store/` whole and compares it with its manifest. The
    /// inner error says what is wrong with it; one that cannot be read is not
    /// known to be wrong, and is the outer error.
    pub(crate) fn verify(
        &self,
        digest: &Digest,
        document_bytes_max: u64,
    ) -> Result<Result<Release, String>, FileError> {
        match self.compare(digest, document_bytes_max) {
            Err(e) if e.is_of_content() => Ok(Err(format!("{e}: {}", e.source))),
            compared => compared,
        }
    }

    fn compare(
        &self,
        digest: &Digest,
        document_bytes_max: u64,
    ) -> Result<Result<Release, String>, FileError> {
        let (release, files) = match self.manifest(digest, document_bytes_max)? {
            Ok(manifest) => manifest,
            Err(problem) => return Ok(Err(problem)),
        };
        for file in &files {
            if let Err(problem) = self.compare_file(digest, file)? {
                return Ok(Err(problem));
            }
        }
        Ok(Ok(release))
    }

    /// The manifest of a release whose logger is the one that was signed, whatever else
    /// of it is damaged; none if it is not, or is not known to be.
    pub(crate) fn startable(
        &self,
        digest: &Digest,
        document_bytes_max: u64,
    ) -> Result<Option<Release>, FileError> {
        let Ok((release, files)) = self.manifest(digest, document_bytes_max)? else {
            return Ok(None);
        };
        let Some(logger) = files.iter().find(|file| file.path == LOGGER) else { return Ok(None) };
        Ok(self.compare_file(digest, logger)?.is_ok().then_some(release))
    }

    /// The manifest of a release in `store/`, and the files that belong to it.
    fn manifest(
        &self,
        digest: &Digest,
        document_bytes_max: u64,
    ) -> Result<Result<(Release, Vec<ArtifactFile>), String>, FileError> {
        let entry = self.entry(digest);
        if self.files.stat(&entry)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            return Ok(Err("it is not there".to_owned()));
        }
        let json = files::read(&*self.files, &entry.join(RELEASE), document_bytes_max)?;
        let Some(json) = json else { return Ok(Err(format!("{RELEASE} is missing"))) };
        let release: Release = match serde_json::from_slice(&json) {
            Ok(release) => release,
            Err(e) => return Ok(Err(format!("{RELEASE} is not a release manifest: {e}"))),
        };
        match release.targets.values().find(|found| found.sha256 == *digest) {
            Some(artifact) => {
                let files = artifact.files.clone();
                Ok(Ok((release, files)))
            }
            None => Ok(Err(format!("{RELEASE} does not list artifact {digest}"))),
        }
    }

    /// Compares a file of a release with what was signed.
    fn compare_file(
        &self,
        digest: &Digest,
        file: &ArtifactFile,
    ) -> Result<Result<(), String>, FileError> {
        let path = self.entry(digest).join(&file.path);
        let stat = self.files.stat(&path)?;
        let as_signed = stat.is_some_and(|stat| {
            stat.kind == FileKind::Regular && stat.length == file.size && stat.mode == file.mode
        });
        if !as_signed {
            return Ok(Err(format!("{} is missing or has another length or mode", file.path)));
        }
        let reader = self.files.open(&path)?;
        let (got, _) = digest::of_reader(reader).map_err(|e| FileError::new("read", &path, e))?;
        let expected = file.sha256;
        if got != expected {
            let problem = format!("digest of {} is {got}, the release says {expected}", file.path);
            return Ok(Err(problem));
        }
        Ok(Ok(()))
    }
}
