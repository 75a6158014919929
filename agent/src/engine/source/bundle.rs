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
use crate::engine::source::directory::open_regular;
use crate::engine::source::{Expect, Pieces, Repository};

/// Entries of a bundle, at most. A bundle holds a few releases, not a history.
const ENTRIES_MAX: usize = 10_000;

/// Bytes of an entry that only describes the next one, at most.
const EXTENSION_BYTES_MAX: u64 = 64 << 10;

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
        let (file, _) = open_regular(path).map_err(failed)?;
        let mut archive = tar::Archive::new(file);
        let mut entries = HashMap::new();
        let mut long_name = None;
        // With seeking, only the headers are read, however large the artifacts
        // are. Raw, because the bounds on what is read into memory are ours.
        let listing = archive.entries_with_seek().map_err(failed)?.raw(true);
        for entry in listing {
            let mut entry = entry.map_err(|e| malformed(e.to_string()))?;
            let length = entry.header().entry_size().map_err(|e| malformed(e.to_string()))?;
            let name = match entry.header().entry_type() {
                tar::EntryType::GNULongName | tar::EntryType::XHeader => {
                    let found = read_name(&mut entry, length).map_err(malformed)?;
                    long_name = found.or(long_name);
                    continue;
                }
                tar::EntryType::XGlobalHeader => continue,
                tar::EntryType::Directory => {
                    long_name = None;
                    continue;
                }
                tar::EntryType::Regular => match long_name.take() {
                    Some(name) => name,
                    None => entry.header().path_bytes().into_owned(),
                },
                other => return Err(malformed(format!("it has an entry of type {other:?}"))),
            };
            let name = String::from_utf8(name)
                .map_err(|_| malformed("it has a name that is not UTF-8".to_owned()))?;
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            let found = Entry { offset: entry.raw_file_position(), length };
            if entries.contains_key(&name) {
                return Err(malformed(format!("it has \"{name}\" twice")));
            }
            entries.insert(name, found);
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

/// The name that an extension entry gives to the entry after it, if it does.
fn read_name(entry: &mut tar::Entry<'_, File>, length: u64) -> Result<Option<Vec<u8>>, String> {
    if length > EXTENSION_BYTES_MAX {
        return Err(format!("it has an extension of {length} bytes"));
    }
    let kind = entry.header().entry_type();
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(|e| e.to_string())?;
    if kind == tar::EntryType::GNULongName {
        content.truncate(content.iter().position(|byte| *byte == 0).unwrap_or(content.len()));
        return Ok(Some(content));
    }
    for record in tar::PaxExtensions::new(&content) {
        let record = record.map_err(|e| e.to_string())?;
        if record.key_bytes() == b"path" {
            return Ok(Some(record.value_bytes().to_vec()));
        }
    }
    Ok(None)
}

impl Repository for BundleRepository {
    fn open(
        &mut self,
        path: &str,
        expect: Expect,
        from: u64,
    ) -> Result<Box<dyn Pieces>, FetchError> {
        let entry = self.entries.get(path).ok_or(FetchError::NotFound)?;
        let limit = expect.bytes_max();
        if entry.length > limit {
            return Err(FetchError::TooLong { limit });
        }
        let seek = || -> io::Result<File> {
            let (mut file, _) = open_regular(&self.path)?;
            file.seek(SeekFrom::Start(entry.offset.saturating_add(from)))?;
            Ok(file)
        };
        let file = seek().map_err(|source| FetchError::File { path: self.path.clone(), source })?;
        Ok(Box::new(file.take(entry.length.saturating_sub(from))))
    }

    fn is_network(&self) -> bool {
        false
    }
}
