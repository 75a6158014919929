// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The ring as a file, with `spool=DIR`: what was read and not delivered is sent
//! after a restart of the logger.
//!
//! ```text
//! DIR/dockerlogger-<12 of the id>.ring           mode 0600, locked by whoever uses it
//! DIR/dockerlogger-<12 of the id>.ring.damaged   the last one that could not be used
//! ```
//!
//! The lock is on the open file, which reader and sender share. It outlives a
//! reader that was killed for as long as its sender drains; a new logger asks
//! that sender, by a word in the file, to let go, which it does even while it
//! waits for a connection. Disk space is taken when the
//! file is made, so that a full disk is an error here and not a signal later.
//! Nothing is ever flushed to the disk: a power cut may cost what the kernel had
//! not written, and the seals of the entries tell.
//!
//! Reading does not wait for the file. What is read until it is open, which is
//! within [`LOCK_WAIT_NS`] and the time that the disk space takes, is in memory,
//! 1 MiB at most, and is appended to the file when it opens: a reader that is
//! killed before has lost that much.
//!
//! Whatever is wrong with the directory or the file, the caller carries on with
//! memory.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

use rustix::fs::{AtFlags, OFlags};

use crate::files::{FLAGS, MODE, container_stem, is_named};
use crate::os;
use crate::ring::{
    Amount, Carried, Consumer, Damage, DropCause, Due, Found, HANDOVER_AT, Mapping, Payload,
    Producer, SLICE_BYTES, recover,
};

/// Why the ring is not in a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// The directory cannot be used.
    #[error("cannot open the spool directory {path}")]
    Directory {
        /// As given.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else could put files into it.
    #[error(
        "the spool directory {path} has owner {owner} and mode {mode:o}, expected owner {us} and \
         no write permission for others"
    )]
    Owner {
        /// As given.
        path: String,
        /// User number.
        owner: u32,
        /// Permission bits.
        mode: u32,
        /// Our user number.
        us: u32,
    },
    /// The container has no id to name the file after.
    #[error("cannot name a spool file: the container's id \"{id}\" has no letters or digits")]
    Name {
        /// As given.
        id: String,
    },
    /// Something other than a file of ours has its name.
    #[error("the spool file {name} is not a plain file of ours with one name")]
    Strange {
        /// Its name.
        name: String,
    },
    /// Another logger uses it.
    #[error("the spool file {name} is in use by another logger")]
    Busy {
        /// Its name.
        name: String,
    },
    /// A step failed.
    #[error("cannot {doing} the spool file {name}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A spool file in use; dropping it changes nothing on disk.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: OwnedFd,
    name: String,
    /// Holds the lock.
    file: File,
}

/// A spool file, and what there was in it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) spool: Spool,
    pub(crate) ring: Mapping,
    /// What the ring had no room to say.
    pub(crate) due: Due,
    /// Something was lost, and this is what.
    pub(crate) problem: Option<String>,
}

/// Opens or makes the file for the container `id` in `dir`, with room for
/// `capacity` bytes. `meanwhile` is called again and again while that takes
/// time, and may wait for as long as it is told to.
///
/// # Errors
/// When the ring has to be in memory instead.
pub(crate) fn open(
    dir: &str,
    id: &str,
    capacity: usize,
    meanwhile: &mut dyn FnMut(Duration),
) -> Result<Opened, SpoolError> {
    let name = file_name(id)?;
    let dir = open_dir(dir)?;
    let failed = |doing| {
        let name = name.clone();
        move |source: io::Error| SpoolError::File { doing, name, source }
    };
    let file = open_locked(&dir, &name, meanwhile)?;
    let mut spool = Spool { dir, name: name.clone(), file };
    let found = match spool.examine(meanwhile) {
        Ok((mut ring, found)) => {
            let (tail, carried) = {
                ring.go_on(&found, &mut || meanwhile(Duration::ZERO));
                let (_, readable) = ring.split();
                Consumer::new(readable).resume()
            };
            if ring.capacity() == Mapping::rounded(capacity) {
                return Ok(spool.gone_on(ring, &found, None));
            }
            match spool.begin(".new", capacity, found.generation, tail, &carried, meanwhile) {
                Ok((file, mut other)) => {
                    let copied = copy(&mut ring, &mut other, Due::default(), meanwhile);
                    // What was copied is counted below, as recovered.
                    other.forget_counts();
                    spool.rename(".new", "").map_err(failed("rename"))?;
                    spool.file = file;
                    return Ok(spool.gone_on(other, &found, Some(copied)));
                }
                // In its old size rather than not at all.
                Err(error) => {
                    let mut opened = spool.gone_on(ring, &found, None);
                    opened.problem = Some(format!("{name} keeps its size: {error}"));
                    return Ok(opened);
                }
            }
        }
        Err(Damage::Empty) => None,
        Err(damage) => Some(damage),
    };
    if found.is_some() {
        spool.rename("", ".damaged").map_err(failed("rename the damaged"))?;
    } else {
        spool.unlink("").map_err(failed("replace the empty"))?;
    }
    let none = [Carried::default(), Carried::default()];
    let (file, ring) = spool
        .begin("", capacity, os::wall_ns(), FIRST_POSITION, &none, meanwhile)
        .map_err(failed("make"))?;
    spool.file = file;
    let problem = found.map(|damage| format!("{name} was set aside, because {damage}"));
    Ok(Opened { spool, ring, due: Due::default(), problem })
}

impl Spool {
    /// Removes the file: nothing is left in it.
    pub(crate) fn remove(self) {
        // Only what is ours: nobody takes the name from a file that is locked.
        if self.still_named() {
            let _ = self.unlink("");
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What an earlier logger left.
    fn examine(&self, meanwhile: &mut dyn FnMut(Duration)) -> Result<(Mapping, Found), Damage> {
        let len = self.file.metadata().map_or(0, |metadata| metadata.len());
        if len == 0 {
            return Err(Damage::Empty);
        }
        let Ok(mut ring) = Mapping::of_file(&self.file) else {
            let expected = Mapping::file_len(0) as u64;
            return Err(Damage::Length { found: len, expected });
        };
        let found = recover(ring.image(), &mut || meanwhile(Duration::ZERO))?;
        Ok((ring, found))
    }

    /// A new file beside the old one, locked, with a ring that begins at
    /// `position`.
    fn begin(
        &self,
        suffix: &str,
        capacity: usize,
        generation: u64,
        position: u64,
        carried: &[Carried; 2],
        meanwhile: &mut dyn FnMut(Duration),
    ) -> io::Result<(File, Mapping)> {
        let _ = if suffix.is_empty() { Ok(()) } else { self.unlink(suffix) };
        let flags = FLAGS | OFlags::CREATE | OFlags::EXCL;
        let file = rustix::fs::openat(&self.dir, &*self.at(suffix), flags, MODE)?;
        let file = File::from(file);
        let ring = file.try_lock().map_err(io::Error::from).and_then(|()| {
            allocate(&file, Mapping::file_len(capacity) as u64, meanwhile)?;
            Mapping::begin(&file, capacity, generation, position, carried)
        });
        if ring.is_err() {
            let _ = self.unlink(suffix);
        }
        Ok((file, ring?))
    }

    /// Counts what was found, and marks where another run begins. `copied` says
    /// what the copying into another ring has cost.
    fn gone_on(self, mut ring: Mapping, found: &Found, copied: Option<(Amount, Due)>) -> Opened {
        let now_ns = os::wall_ns();
        let (writable, _) = ring.split();
        let (lost, due) = copied.unwrap_or_default();
        let mut producer = Producer::going_on(writable, due);
        producer.count_recovered(found.held.without(lost));
        let mut problem = None;
        if lost.bytes > 0 {
            producer.note_loss(lost, now_ns, DropCause::BufferFull);
            problem = Some(format!("{} bytes did not fit into max-buffer-size", lost.bytes));
        }
        if found.lost_bytes > 0 || found.bad_slots > 0 {
            let lost = Amount { lines: 0, bytes: found.lost_bytes };
            producer.note_loss(lost, now_ns, DropCause::SpoolDamaged);
            problem = Some(format!("{} bytes of {} were damaged", lost.bytes, self.name));
        }
        producer.flush_due();
        // Even with nothing kept, a line may be open of which a part was sent.
        producer.mark_break(now_ns);
        let due = producer.due();
        Opened { spool: self, ring, due, problem }
    }

    fn still_named(&self) -> bool {
        is_named(&self.dir, &self.name, &self.file)
    }

    fn at(&self, suffix: &str) -> Cow<'_, str> {
        // At the end of a run the reader must not allocate.
        if suffix.is_empty() {
            return Cow::Borrowed(&self.name);
        }
        Cow::Owned(format!("{}{suffix}", self.name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.dir, &*self.at(from), &self.dir, &*self.at(to))?)
    }

    fn unlink(&self, suffix: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.dir, &*self.at(suffix), AtFlags::empty())?)
    }
}

/// Copies every entry of one ring into another that has this to say first, in
/// order, as far as they fit; says how much did not, and what is to be said still.
pub(crate) fn copy(
    from: &mut Mapping,
    to: &mut Mapping,
    due: Due,
    meanwhile: &mut dyn FnMut(Duration),
) -> (Amount, Due) {
    let (_, readable) = from.split();
    let mut consumer = Consumer::new(readable);
    let (writable, _) = to.split();
    let mut producer = Producer::going_on(writable, due);
    let mut dropped = Amount::default();
    let (mut position, _) = consumer.resume();
    let mut slice_end = position + SLICE_BYTES;
    while let Some(entry) = consumer.entry(position) {
        match entry.payload {
            Payload::Bytes(bytes) => {
                let mut time_ns = entry.time_ns;
                for part in bytes.chunks(COPY_BYTES) {
                    // What does not fit once is not overtaken by what would.
                    if dropped.bytes > 0 || !producer.copy_in(part, entry.stream, time_ns) {
                        dropped.add(Amount::of(part));
                    }
                    time_ns = time_ns.saturating_add(part.len() as u64);
                }
            }
            Payload::Gap(gap) => producer.mark_gap(entry.stream, gap),
            Payload::Break => producer.mark_break(entry.time_ns),
        }
        position = entry.next;
        if position >= slice_end {
            slice_end = position + SLICE_BYTES;
            meanwhile(Duration::ZERO);
        }
    }
    producer.flush_due();
    (dropped, producer.due())
}

fn file_name(id: &str) -> Result<String, SpoolError> {
    let plain = container_stem(id)
        .ok_or_else(|| SpoolError::Name { id: id.chars().take(100).collect() })?;
    Ok(format!("dockerlogger-{plain}.ring"))
}

fn open_dir(path: &str) -> Result<OwnedFd, SpoolError> {
    let directory = |source| SpoolError::Directory { path: path.to_owned(), source };
    if !path.starts_with('/') {
        return Err(directory(io::ErrorKind::NotFound.into()));
    }
    let dir = File::from(crate::files::open_dir(path).map_err(directory)?);
    let metadata = dir.metadata().map_err(directory)?;
    let (owner, mode, us) =
        (metadata.uid(), metadata.mode() & 0o7777, rustix::process::geteuid().as_raw());
    if owner != us || mode & 0o022 != 0 {
        return Err(SpoolError::Owner { path: path.to_owned(), owner, mode, us });
    }
    Ok(dir.into())
}

/// Opens or creates the file and locks it, if need be after its last sender has
/// let go.
fn open_locked(
    dir: &OwnedFd,
    name: &str,
    meanwhile: &mut dyn FnMut(Duration),
) -> Result<File, SpoolError> {
    let failed = |doing, source| SpoolError::File { doing, name: name.to_owned(), source };
    // Counted in time: the pause ends early when the container writes.
    let until_ns = os::mono_ns() + LOCK_WAIT_NS;
    loop {
        let file = rustix::fs::openat(dir, name, FLAGS | OFlags::CREATE, MODE)
            .map_err(|error| failed("open", error.into()))?;
        let file = File::from(file);
        let metadata = file.metadata().map_err(|error| failed("look at", error))?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !(metadata.is_file() && ours && metadata.nlink() <= 1) {
            return Err(SpoolError::Strange { name: name.to_owned() });
        }
        match file.try_lock() {
            // The last owner may have put another file in its place.
            Ok(()) if is_named(dir, name, &file) => return Ok(file),
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                if metadata.len() > HANDOVER_AT as u64 {
                    let _ = file.write_at(&[1, 0, 0, 0], HANDOVER_AT as u64);
                }
                meanwhile(LOCK_PAUSE);
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(failed("lock", error)),
        }
        if os::mono_ns() >= until_ns {
            return Err(SpoolError::Busy { name: name.to_owned() });
        }
    }
}

/// Takes disk space for `len` bytes of zeros.
fn allocate(file: &File, len: u64, meanwhile: &mut dyn FnMut(Duration)) -> io::Result<()> {
    let mut at = 0;
    #[cfg(target_os = "linux")]
    while at < len {
        let n = (len - at).min(FALLOCATE_BYTES);
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), at, n) {
            Ok(()) => at += n,
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break,
            Err(error) => return Err(error.into()),
        }
        meanwhile(Duration::ZERO);
    }
    let zeros = vec![0; if at < len { ZEROS_BYTES } else { 0 }];
    while at < len {
        let n = usize::try_from(len - at).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
        file.write_all_at(&zeros[..n], at)?;
        at += n as u64;
        meanwhile(Duration::ZERO);
    }
    Ok(())
}

/// Not 0, which stands for no position in a carry slot.
const FIRST_POSITION: u64 = 4096;

/// How long, and after which pause, to try for the lock: long enough for a
/// sender that looks at its word every 20 ms, on a node that is busy.
const LOCK_WAIT_NS: u64 = 1_000_000_000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The largest part of an entry that is copied in one piece.
const COPY_BYTES: usize = 4096;

/// What is asked for at once: some file systems write zeros.
#[cfg(target_os = "linux")]
const FALLOCATE_BYTES: u64 = 4 << 20;

/// What is written at once where space cannot be asked for.
const ZEROS_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests;
