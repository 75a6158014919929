// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A repository as one plain tar file: what an operator carries to a site
//! that no server reaches.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::engine::error::FetchError;
use crate::engine::source::{Expect, Repository};

/// Entries of a bundle, at most. A bundle holds a few releases, not a history.
const ENTRIES_MAX: usize = 10_000;

/// Where each file of the bundle lies. Read once, when it is opened.
#[derive(Debug)]
pub(super) struct BundleRepository {
    path: PathBuf,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    length: u64,
}

impl BundleRepository {
    pub(super) fn open(path: &Path) -> Result<Self, FetchError> {
        let failed = |source| FetchError::File { path: path.to_owned(), source };
        let malformed = |problem: String| FetchError::Bundle { problem };
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(malformed("it is not a regular file".to_owned()));
        }
        let mut archive = tar::Archive::new(file);
        let mut entries = HashMap::new();
        // With seeking, only the headers are read, however large the artifacts are.
        let listing = archive.entries_with_seek().map_err(failed)?.raw(true);
        for entry in listing {
            let entry = entry.map_err(|e| malformed(e.to_string()))?;
            let header = entry.header();
            match header.entry_type() {
                tar::EntryType::Directory => continue,
                tar::EntryType::Regular => {}
                other => return Err(malformed(format!("it has an entry of type {other:?}"))),
            }
            let name = String::from_utf8(header.path_bytes().into_owned())
                .map_err(|_| malformed("it has a name that is not UTF-8".to_owned()))?;
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            let length = header.entry_size().map_err(|e| malformed(e.to_string()))?;
            let found = Entry { offset: entry.raw_file_position(), length };
            if entries.insert(name.clone(), found).is_some() {
                return Err(malformed(format!("it has \"{name}\" twice")));
            }
            if entries.len() > ENTRIES_MAX {
                return Err(malformed(format!("it has more than {ENTRIES_MAX} entries")));
            }
        }
        if entries.is_empty() {
            return Err(malformed("it has no entries".to_owned()));
        }
        Ok(Self { path: path.to_owned(), entries })
    }
}

impl Repository for BundleRepository {
    fn open(&mut self, path: &str, expect: Expect) -> Result<Box<dyn Read + Send>, FetchError> {
        let entry = self.entries.get(path).ok_or(FetchError::NotFound)?;
        let limit = expect.bytes_max();
        if entry.length > limit {
            return Err(FetchError::TooLong { limit });
        }
        let seek = || -> io::Result<File> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(entry.offset))?;
            Ok(file)
        };
        let file = seek().map_err(|source| FetchError::File { path: self.path.clone(), source })?;
        Ok(Box::new(file.take(entry.length)))
    }

    fn is_network(&self) -> bool {
        false
    }
}
