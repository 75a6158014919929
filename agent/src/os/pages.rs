// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The status pages of loggers, read from outside their zones.
//!
//! A zone's root owns the way to its pages, so no component of it may be a
//! symbolic link, what is opened must be a regular file, and what is read is
//! bounded. Reading is done by a thread of its own: a zone can mount a file
//! system that never answers, and then that thread waits and nobody else.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use dockerlogger_manifest::status::{DIRECTORIES, DIRECTORY, PAGE_BYTES, StatusPage};
use rustix::fs::{Dir, Mode, OFlags};

/// Names looked at in one directory of pages, at most.
const NAMES_MAX: usize = 256;

/// Loggers whose pages are read at once, at most.
const LOGGERS_MAX: usize = 1024;

/// What the names of pages end in.
const SUFFIX: &str = ".status";

/// Pages by the process that keeps them.
pub(crate) type Pages = BTreeMap<u32, StatusPage>;

/// Reads pages beside whoever wants them.
#[derive(Debug, Default)]
pub(crate) struct PageReader(Mutex<Option<Ends>>);

#[derive(Debug)]
struct Ends {
    questions: SyncSender<Vec<u32>>,
    answers: Receiver<Pages>,
}

impl PageReader {
    /// What was found since the last call, and a question for the next one.
    /// Never blocks. Nothing while an earlier question has no answer.
    pub(crate) fn look(&self, loggers: &[u32]) -> Pages {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ends) = ends.as_mut() else {
            *ends = start();
            return Pages::new();
        };
        let pages = ends.answers.try_recv().unwrap_or_default();
        let loggers = loggers.iter().take(LOGGERS_MAX).copied().collect();
        match ends.questions.try_send(loggers) {
            // It is still busy, perhaps for ever; or it is gone.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => pages,
        }
    }
}

/// None if there is no thread to be had: then there are no pages.
fn start() -> Option<Ends> {
    let (questions, asked) = sync_channel::<Vec<u32>>(1);
    let (answer, answers) = sync_channel(1);
    let read = move || {
        while let Ok(loggers) = asked.recv() {
            if answer.send(pages_of(&loggers, &root_of)).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("status-pages".to_owned());
    thread.spawn(read).ok().map(|_| Ends { questions, answers })
}

/// A process's root, seen from here.
fn root_of(logger: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{logger}/root"))
}

/// The pages that `loggers` keep below their roots. Each root is read once.
fn pages_of(loggers: &[u32], root_of: &dyn Fn(u32) -> PathBuf) -> Pages {
    let mut pages = Pages::new();
    let mut seen = Vec::new();
    for logger in loggers {
        let Ok(root) = rustix::fs::open(root_of(*logger), DIRECTORY_FLAGS, Mode::empty()) else {
            continue;
        };
        let root = File::from(root);
        let Ok(metadata) = root.metadata() else { continue };
        let identity = (metadata.dev(), metadata.ino());
        if !seen.contains(&identity) {
            seen.push(identity);
            pages_below(&root, loggers, &mut pages);
        }
    }
    pages
}

fn pages_below(root: &File, loggers: &[u32], pages: &mut Pages) {
    for directory in DIRECTORIES {
        let Some(directory) = descend(root, &Path::new(directory).join(DIRECTORY)) else {
            continue;
        };
        let Ok(names) = Dir::read_from(&directory) else { continue };
        for name in names.take(NAMES_MAX).map_while(Result::ok) {
            let name = name.file_name();
            if !name.to_bytes().ends_with(SUFFIX.as_bytes()) {
                continue;
            }
            let Some(page) = page(&directory, name) else { continue };
            if loggers.contains(&page.reader_pid) {
                pages.insert(page.reader_pid, page);
            }
        }
    }
}

/// A directory below another one, no link on the way.
fn descend(root: &File, path: &Path) -> Option<OwnedFd> {
    let mut directory = rustix::io::dup(root).ok()?;
    for part in path.components() {
        let std::path::Component::Normal(part) = part else { continue };
        let flags = DIRECTORY_FLAGS.union(OFlags::NOFOLLOW);
        directory = rustix::fs::openat(&directory, part, flags, Mode::empty()).ok()?;
    }
    Some(directory)
}

fn page(directory: impl AsFd, name: &std::ffi::CStr) -> Option<StatusPage> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = flags | OFlags::NOCTTY;
    let file = File::from(rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = [0; PAGE_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    StatusPage::decode(&bytes).ok()
}

const DIRECTORY_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, Instant};

    use dockerlogger_manifest::status::{FORMAT, MAGIC, at};

    use super::*;

    fn bytes_of(reader: u32) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_BYTES];
        bytes[at::MAGIC..][..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[at::FORMAT..][..4].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[at::READER_PID..][..4].copy_from_slice(&reader.to_le_bytes());
        bytes
    }

    /// The processes whose pages are found below a root.
    fn found(root: &Path) -> Vec<u32> {
        let pages = pages_of(&[1, 2, 3], &|_| root.to_owned());
        pages.into_keys().collect()
    }

    #[test]
    fn pages_are_found_in_both_places_and_strangers_are_not() {
        let zone = tempfile::tempdir().unwrap();
        assert_eq!(found(zone.path()), [0_u32; 0]);
        for (folder, reader) in [("var/run", 1), ("run", 2)] {
            let folder = zone.path().join(folder).join(DIRECTORY);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.status"), bytes_of(reader)).unwrap();
            fs::write(folder.join("b.status"), bytes_of(7)).unwrap();
            fs::write(folder.join("c.status"), "short").unwrap();
            fs::write(folder.join("ring"), bytes_of(3)).unwrap();
        }
        assert_eq!(found(zone.path()), [1, 2]);
    }

    #[test]
    fn no_link_leads_out_of_a_zone_and_nothing_blocks() {
        let outside = tempfile::tempdir().unwrap();
        let run = outside.path().join("run").join(DIRECTORY);
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("a.status"), bytes_of(1)).unwrap();
        let zone = tempfile::tempdir().unwrap();
        let here = zone.path().join("run").join(DIRECTORY);
        // Each component in turn is a link to what would be a page.
        symlink(outside.path().join("run"), zone.path().join("run")).unwrap();
        assert_eq!(found(zone.path()), [0_u32; 0]);
        fs::remove_file(zone.path().join("run")).unwrap();
        fs::create_dir(zone.path().join("run")).unwrap();
        symlink(&run, &here).unwrap();
        assert_eq!(found(zone.path()), [0_u32; 0]);
        fs::remove_file(&here).unwrap();
        fs::create_dir(&here).unwrap();
        symlink(run.join("a.status"), here.join("a.status")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            here.join("b.status"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(found(zone.path()), [0_u32; 0]);
        fs::write(here.join("c.status"), bytes_of(1)).unwrap();
        assert_eq!(found(zone.path()), [1]);
    }

    #[test]
    fn who_asks_does_not_wait() {
        let reader = PageReader::default();
        let deadline = Instant::now() + Duration::from_secs(20);
        // Nobody of that number keeps a page here; that there are answers is seen by
        // the queue being free again and again.
        for _ in 0..100 {
            assert_eq!(reader.look(&[std::process::id()]), Pages::new());
            assert!(Instant::now() < deadline);
        }
    }
}
