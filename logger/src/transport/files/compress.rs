// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Compressing what was rotated, as Docker does: gzip (RFC 1952), with the time of
//! the last entry in the header.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use flate2::{Compression, GzBuilder};

use super::dir::Dir;
use super::rotate::{compressed, is_taken, plain};
use super::{FilesError, step};
use crate::driver::LogFiles;

/// Compresses every rotated file that is plain. One that a rotation left when it
/// was interrupted is among them.
pub(super) fn compress_all(place: &LogFiles, dir: &Dir) -> Result<(), FilesError> {
    let all = || -> io::Result<()> {
        let mut n = 1;
        while n < place.max_files && is_taken(place, dir, n)? {
            if dir.exists(&plain(place, n))? {
                compress(dir, &plain(place, n), &compressed(place, n), &partial(place))?;
            }
            n += 1;
        }
        Ok(())
    };
    all().map_err(|source| step("compress the files rotated out of", place, source))
}

/// The compressed file takes the plain one's place when it is complete; where
/// there was one already, it is of the same content.
fn compress(dir: &Dir, plain: &str, compressed: &str, partial: &str) -> io::Result<()> {
    let from = dir.read(plain)?;
    // Locked until it has another name or none.
    let to = dir.create(partial)?;
    let outcome = write(dir, from, &to);
    if outcome.is_err() {
        // Its space may be what is missing.
        let _ = dir.remove(partial);
        return outcome;
    }
    dir.rename(partial, compressed)?;
    dir.sync()?;
    dir.remove(plain)
}

fn write(dir: &Dir, mut from: File, file: &File) -> io::Result<()> {
    let extra = format!("{{\"lastTime\":\"{}\"}}", last_time(&from)?);
    let mut to = GzBuilder::new().extra(extra).write(Writer { dir, file }, Compression::default());
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match from.read(&mut block)? {
            0 => break,
            n => to.write_all(block.get(..n).unwrap_or_default())?,
        }
    }
    to.finish()?;
    file.sync_all()
}

/// The time of the last entry, which is what it ends with; Go's zero time where
/// there is none.
fn last_time(file: &File) -> io::Result<String> {
    let len = file.metadata()?.len();
    let mut tail = [0; 64];
    let start = len.saturating_sub(tail.len() as u64);
    let n = usize::try_from(len - start).unwrap_or(0);
    file.read_exact_at(&mut tail[..n], start)?;
    let time = std::str::from_utf8(&tail[..n])
        .ok()
        .and_then(|tail| tail.strip_suffix("\"}\n"))
        .and_then(|tail| tail.rsplit_once("\"time\":\""))
        .map(|(_, time)| time);
    let is_time =
        |time: &&str| time.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte));
    Ok(time.filter(is_time).unwrap_or("0001-01-01T00:00:00Z").to_owned())
}

/// The name of a compressed file until it is complete.
fn partial(place: &LogFiles) -> String {
    format!("{}.tmp", place.name)
}

/// A file of a directory, so that tests can let it fail.
struct Writer<'a> {
    dir: &'a Dir,
    file: &'a File,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.dir.write(self.file, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const BLOCK_BYTES: usize = 32 << 10;
