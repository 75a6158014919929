// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The status page's file: made at the start, and left at the end, for the last
//! thing it says is why the logger ended; printed by `logger status`. What is on
//! it, [`dockerlogger_manifest::status`] says.
//!
//! Without a place for it, the page stays in memory and nobody misses it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use dockerlogger_manifest::status::{
    Amount, DIRECTORIES, DIRECTORY, PAGE_BYTES, SinkStatus, StatusError, StatusPage,
};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::files::{FLAGS, MODE, container_stem};

/// A page in use.
#[derive(Debug)]
pub(crate) struct StatusFile(File);

/// A page that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShowError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// As given.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no page.
    #[error("cannot understand {path}")]
    Decode {
        /// As given.
        path: String,
        /// Why.
        #[source]
        source: StatusError,
    },
}

/// Makes an empty page: at `path` if given, else in the zone's place for such
/// files. A page of the same name is replaced.
///
/// # Errors
/// When there is no such place, or no space in it.
pub(crate) fn create(path: Option<&str>, id: &str) -> io::Result<StatusFile> {
    if let Some(path) = path {
        let path = Path::new(path);
        let (dir, name) = path.parent().zip(path.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
        let dir = rustix::fs::open(dir, DIR_FLAGS, Mode::empty())?;
        return create_in(&dir, &name.to_string_lossy());
    }
    let plain = container_stem(id).ok_or(io::ErrorKind::InvalidInput)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for base in DIRECTORIES {
        match create_below(base, &format!("{plain}.status")) {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn create_below(base: &str, name: &str) -> io::Result<StatusFile> {
    let base = rustix::fs::open(base, DIR_FLAGS, Mode::empty())?;
    match rustix::fs::mkdirat(&base, DIRECTORY, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let dir = File::from(rustix::fs::openat(&base, DIRECTORY, DIR_FLAGS, Mode::empty())?);
    let metadata = dir.metadata()?;
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us || metadata.mode() & 0o022 != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    create_in(&dir.into(), name)
}

/// Replaces whatever has the name: another page may be mapped by somebody.
fn create_in(dir: &OwnedFd, name: &str) -> io::Result<StatusFile> {
    let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
    let file = rustix::fs::openat(dir, name, FLAGS | OFlags::CREATE | OFlags::EXCL, MODE)?;
    let file = File::from(file);
    // Written, so that its space is taken and a full disk is an error here.
    if let Err(error) = file.write_all_at(&[0; PAGE_BYTES], 0) {
        let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
        return Err(error);
    }
    Ok(StatusFile(file))
}

impl StatusFile {
    pub(crate) const fn file(&self) -> &File {
        &self.0
    }
}

/// Reads the page in a file.
///
/// # Errors
/// When it cannot be read, or is no page.
pub(crate) fn read(path: &str) -> Result<StatusPage, ShowError> {
    let failed = |source| ShowError::Read { path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let mut page = Vec::new();
    File::from(file).take(PAGE_BYTES as u64).read_to_end(&mut page).map_err(failed)?;
    StatusPage::decode(&page).map_err(|source| ShowError::Decode { path: path.to_owned(), source })
}

/// One line of JSON.
pub(crate) fn json(page: &StatusPage) -> String {
    serde_json::to_string(page).unwrap_or_default()
}

/// For a person.
pub(crate) fn text(page: &StatusPage) -> String {
    let StatusPage { container, driver, version, reader_pid, ring, .. } = page;
    let sender = page.sender_pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string());
    let sink = match page.sink {
        SinkStatus::NotTried => "not tried".to_owned(),
        SinkStatus::Up => "up".to_owned(),
        SinkStatus::Down => "down".to_owned(),
        SinkStatus::Unknown(n) => format!("unknown ({n})"),
    };
    let place = if ring.is_file { "a file" } else { "memory" };
    let restarts = page.sender_restarts;
    let mut lines = vec![
        format!("container  {container}, driver {driver}, logger {version}"),
        format!("processes  reader {reader_pid}, sender {sender}, {restarts} restarts"),
        format!("state      {}", page.life),
        format!("server     {sink}"),
        format!("buffer     {} of {} bytes, in {place}", ring.held, ring.capacity),
        amount("read", page.read),
        amount("delivered", page.delivered),
    ];
    if page.recovered.bytes > 0 {
        lines.push(amount("recovered", page.recovered));
    }
    for (cause, dropped) in &page.dropped {
        let (dropped, bytes) = (dropped.lines, dropped.bytes);
        lines.push(format!("dropped    {dropped} lines / {bytes} bytes: {cause}"));
    }
    for (name, note) in [("error", &page.last_error), ("spool", &page.spool_problem)] {
        lines.extend(note.as_ref().map(|note| format!("{name:<10} {}", note.text)));
    }
    lines.join("\n")
}

fn amount(name: &str, Amount { lines, bytes }: Amount) -> String {
    format!("{name:<10} {lines} lines / {bytes} bytes")
}

const DIR_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests;
