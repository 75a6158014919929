// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a logger says about itself, and whether it adds up: `read = delivered + dropped by cause + held`, in bytes and
//! in lines.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use dockerlogger_manifest::status::{Amount, PAGE_BYTES, StatusPage};

/// The status page of one logger; it can be read even after the logger has removed it.
#[derive(Debug)]
pub struct StatusFile(File);

impl StatusFile {
    /// The page at `path`, if it is that of the process `reader`.
    pub fn open(path: &Path, reader: i32) -> Option<StatusFile> {
        let status = StatusFile(File::open(path).ok()?);
        let is_its = status.read()?.reader_pid == u32::try_from(reader).ok()?;
        is_its.then_some(status)
    }

    /// What it says now.
    pub fn read(&self) -> Option<StatusPage> {
        let mut page = [0; PAGE_BYTES];
        self.0.read_exact_at(&mut page, 0).ok()?;
        StatusPage::decode(&page).ok()
    }
}

/// What was read and is neither delivered nor dropped.
///
/// # Errors
/// The page in words, when more was delivered and dropped than read.
pub fn held(page: &StatusPage) -> Result<Amount, String> {
    let mut done = page.delivered;
    for dropped in page.dropped.values() {
        done.bytes += dropped.bytes;
        done.lines += dropped.lines;
    }
    let bytes = page.read.bytes.checked_sub(done.bytes);
    let lines = page.read.lines.checked_sub(done.lines);
    match (bytes, lines) {
        (Some(bytes), Some(lines)) => Ok(Amount { bytes, lines }),
        _ => Err(format!("more is done with than was read: {page:?}")),
    }
}

/// The amount in the last line of the logger's log that says what was left.
pub fn left_in(log: &str) -> Option<Amount> {
    let line = log.lines().rfind(|line| line.contains(" lines / ") && line.contains(" bytes "))?;
    let (before, after) = line.split_once(" lines / ")?;
    Some(Amount {
        bytes: after.split(' ').next()?.parse().ok()?,
        lines: before.rsplit(' ').next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_found() {
        let log = "logger: something else\nlogger: died; 12 lines / 345 bytes left undelivered\n";
        assert_eq!(left_in(log), Some(Amount { bytes: 345, lines: 12 }));
        assert_eq!(left_in("nothing\n"), None);
    }
}
