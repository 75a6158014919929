// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What came of an artifact before its transfer broke: `tmp/partial-<sha256>`.
//!
//! Nothing here is trusted, and nothing is made durable. The bytes go through
//! the same one pass as those that follow them, and the digest is over all of
//! them; if that fails, the whole artifact is fetched once more. So what a power
//! cut leaves of the file, and what a liar put into it, cost time and no more.

use std::path::PathBuf;

use dockerlogger_manifest::Digest;

use crate::engine::layout::Layout;
use crate::engine::stage::Beginning;
use crate::os::files::{FileError, FileKind, NewFile};

const PREFIX: &str = "partial-";

/// The beginning of one artifact.
pub(crate) struct Partial {
    layout: Layout,
    path: PathBuf,
    /// Bytes that are kept.
    pub(crate) length: u64,
}

impl Partial {
    /// Looks at what is kept of an artifact of `size` bytes; what is kept of
    /// others is removed.
    pub(crate) fn find(layout: &Layout, digest: &Digest, size: u64) -> Result<Self, FileError> {
        let name = format!("{PREFIX}{digest}");
        for other in kept(layout)?.into_iter().filter(|other| *other != name) {
            layout.files.unlink(&layout.tmp().join(other))?;
        }
        let path = layout.tmp().join(name);
        let stat = layout.files.stat(&path)?;
        let length = stat.map_or(0, |stat| stat.length);
        let partial = Self { layout: layout.clone(), path, length };
        match length {
            1.. if length <= size => Ok(partial),
            _ => partial.restarted(),
        }
    }

    /// The same with nothing kept.
    pub(crate) fn restarted(mut self) -> Result<Self, FileError> {
        self.remove()?;
        self.length = 0;
        Ok(self)
    }

    /// The bytes that are kept.
    pub(crate) fn read(&self) -> Result<Option<Beginning>, FileError> {
        let open = || {
            let (path, bytes) = (self.path.clone(), self.layout.files.open(&self.path)?);
            Ok(Beginning { path, bytes })
        };
        (self.length > 0).then(open).transpose()
    }

    /// Where the bytes that follow go.
    pub(crate) fn write(&self) -> Result<Box<dyn NewFile>, FileError> {
        match self.length {
            0 => self.layout.files.create(&self.path),
            _ => self.layout.files.append(&self.path),
        }
    }

    /// The artifact is complete, or what came of it is wrong.
    pub(crate) fn remove(&self) -> Result<(), FileError> {
        self.layout.files.unlink(&self.path)
    }
}

/// Removes what is kept, of whatever artifact.
pub(crate) fn remove_all(layout: &Layout) -> Result<(), FileError> {
    kept(layout)?.into_iter().try_for_each(|name| layout.files.unlink(&layout.tmp().join(name)))
}

/// Whether a name in `tmp/` may stay when the root is opened: one partial
/// artifact may, nothing else.
pub(crate) fn may_stay(layout: &Layout, name: &str) -> Result<bool, FileError> {
    let kept = kept(layout)?;
    if kept.len() != 1 || kept.first().is_none_or(|only| only != name) {
        return Ok(false);
    }
    let stat = layout.files.stat(&layout.tmp().join(name))?;
    Ok(stat.is_some_and(|stat| stat.kind == FileKind::Regular))
}

fn kept(layout: &Layout) -> Result<Vec<String>, FileError> {
    let names = layout.files.list(&layout.tmp())?;
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let is_kept = |name: &String| {
        name.strip_prefix(PREFIX).is_some_and(|digest| digest.parse::<Digest>().is_ok())
    };
    Ok(names.filter(is_kept).collect())
}
