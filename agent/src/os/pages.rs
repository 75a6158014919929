// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The status pages of loggers, read from outside their zones.
//!
//! A zone's root owns the way to its pages, so no component of it may be a
//! symbolic link, what is opened must be a regular file, and what is read is
//! bounded. Reading is done by a thread of its own: a zone can mount a file
//! system that never answers, and then that thread waits and nobody else; the zone is
//! left alone until it has let the thread go.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use dockerlogger_manifest::status::{
    DIRECTORIES, DIRECTORY, FORMAT, PAGE_BYTES, StatusError, StatusPage,
};
use rustix::fs::{Dir, Mode, OFlags};

use crate::os::zones::{DIRECTORY_FLAGS, Zone};

mod reader;

pub(crate) use reader::PageReader;

/// Names looked at in one directory of pages, at most.
const NAMES_MAX: usize = 256;

/// What the names of pages end in.
const SUFFIX: &str = ".status";

/// A process that may keep a page in its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Keeper {
    pub(crate) zone: Zone,
    pub(crate) number: u32,
}

/// What was found in a zone that has a place for pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The page of that process, by what it says itself.
    Page(Box<StatusPage>),
    /// None of it; and how long ago the newest of the others was begun.
    Nothing { newest: Option<Duration> },
}

/// What was found, by whom it was looked for. Left out is a zone whose files cannot be
/// reached or that has no place for pages, and whoever may have one of a newer format.
pub(crate) type Pages = BTreeMap<Keeper, Heard>;

/// The pages of `loggers`, each from its own zone and no other: a zone's root
/// writes what he likes below his, so he speaks for himself alone. `open` opens the
/// root of a zone, each once.
fn pages_of(loggers: &[Keeper], open: &mut dyn FnMut(Zone) -> Option<File>) -> Pages {
    let mut zones: BTreeMap<Zone, Vec<u32>> = BTreeMap::new();
    for logger in loggers {
        zones.entry(logger.zone).or_default().push(logger.number);
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut pages = Pages::new();
    for (zone, numbers) in zones {
        let found = open(zone).and_then(|root| pages_below(&root));
        let Some(Below { pages: found, newer }) = found else { continue };
        let newest = found.iter().map(|page| page.started_ns).max();
        let newest = newest.map(|at| now.saturating_sub(Duration::from_nanos(at)));
        for number in numbers {
            let own = found.iter().filter(|page| page.reader_pid == number);
            let own = own.max_by_key(|page| page.started_ns);
            let heard = match own {
                Some(page) => Heard::Page(Box::new(page.clone())),
                // It may have one that this agent cannot read.
                None if newer => continue,
                None => Heard::Nothing { newest },
            };
            pages.insert(Keeper { zone, number }, heard);
        }
    }
    pages
}

/// What is found in a zone's places.
#[derive(Debug, Default)]
struct Below {
    pages: Vec<StatusPage>,
    /// There are pages of a newer format.
    newer: bool,
}

/// All pages of a zone; none if it has no place for them.
fn pages_below(root: &File) -> Option<Below> {
    let places = DIRECTORIES.iter().filter_map(|place| descend(root, place.as_ref()));
    let places: Vec<OwnedFd> = places.collect();
    let mut below = Below::default();
    for place in &places {
        let Some(directory) = descend(place, DIRECTORY.as_ref()) else { continue };
        let Ok(names) = Dir::read_from(&directory) else { continue };
        for name in names.take(NAMES_MAX).map_while(Result::ok) {
            let name = name.file_name();
            if name.to_bytes().ends_with(SUFFIX.as_bytes()) {
                match page(&directory, name) {
                    Some(Ok(page)) => below.pages.push(page),
                    Some(Err(StatusError::Format { found })) => below.newer |= found > FORMAT,
                    Some(Err(_)) | None => {}
                }
            }
        }
    }
    (!places.is_empty()).then_some(below)
}

/// A directory below another one, no link on the way.
fn descend(root: impl AsFd, path: &Path) -> Option<OwnedFd> {
    let mut directory = rustix::io::dup(root).ok()?;
    for part in path.components() {
        let std::path::Component::Normal(part) = part else { continue };
        let flags = DIRECTORY_FLAGS.union(OFlags::NOFOLLOW);
        directory = rustix::fs::openat(&directory, part, flags, Mode::empty()).ok()?;
    }
    Some(directory)
}

fn page(directory: impl AsFd, name: &CStr) -> Option<Result<StatusPage, StatusError>> {
    let file = open_regular(directory, name)?;
    let mut bytes = [0; PAGE_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(StatusPage::decode(&bytes))
}

/// Opens a regular file, and nothing else, not even to look what it is: root in a
/// container may make devices, and to open one can reset the machine.
#[cfg(target_os = "linux")]
fn open_regular(directory: impl AsFd, name: &CStr) -> Option<File> {
    let flags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let place = File::from(rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?);
    let regular = place.metadata().ok()?.is_file();
    regular.then(|| File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).ok()).flatten()
}

/// The same. A zone can make no devices.
#[cfg(not(target_os = "linux"))]
fn open_regular(directory: impl AsFd, name: &CStr) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = flags | OFlags::NOCTTY;
    let file = File::from(rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?);
    file.metadata().ok()?.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use dockerlogger_manifest::status::{MAGIC, at};

    use super::*;

    fn bytes_of(reader: u32, read: u64, started_ns: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_BYTES];
        bytes[at::MAGIC..][..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[at::FORMAT..][..4].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[at::READER_PID..][..4].copy_from_slice(&reader.to_le_bytes());
        bytes[at::STARTED..][..8].copy_from_slice(&started_ns.to_le_bytes());
        bytes[at::COUNTERS..][..8].copy_from_slice(&read.to_le_bytes());
        bytes
    }

    fn open(root: &Path) -> Option<File> {
        File::open(root).ok()
    }

    const ZONE: Zone = Zone(0, 0);

    fn keepers(numbers: &[u32]) -> Vec<Keeper> {
        numbers.iter().map(|&number| Keeper { zone: ZONE, number }).collect()
    }

    /// The processes whose pages are found below a root.
    fn found(root: &Path) -> Vec<u32> {
        let pages = pages_of(&keepers(&[1, 2, 3]), &mut |_| open(root)).into_iter();
        let pages = pages.filter(|(_, heard)| matches!(heard, Heard::Page(_)));
        pages.map(|(keeper, _)| keeper.number).collect()
    }

    #[test]
    fn pages_are_found_in_both_places_and_strangers_are_not() {
        let zone = tempfile::tempdir().unwrap();
        assert_eq!(found(zone.path()), [0_u32; 0]);
        for (folder, reader) in [("var/run", 1), ("run", 2)] {
            let folder = zone.path().join(folder).join(DIRECTORY);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.status"), bytes_of(reader, 0, 0)).unwrap();
            fs::write(folder.join("b.status"), bytes_of(7, 0, 0)).unwrap();
            fs::write(folder.join("c.status"), "short").unwrap();
            fs::write(folder.join("ring"), bytes_of(3, 0, 0)).unwrap();
        }
        assert_eq!(found(zone.path()), [1, 2]);
    }

    #[test]
    fn a_zone_speaks_for_its_own_loggers_alone() {
        let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let zone = |n: u64| Zone(n, 9);
        for (root, read) in roots.iter().zip([5, 999]) {
            let folder = root.path().join("run").join(DIRECTORY);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.status"), bytes_of(1, read, 0)).unwrap();
        }
        // Reader 1 lives in zone 0, reader 2 in zone 1, whose root forged a page for 1.
        let loggers = [Keeper { zone: zone(0), number: 1 }, Keeper { zone: zone(1), number: 2 }];
        let mut opened = Vec::new();
        let pages = pages_of(&loggers, &mut |one| {
            opened.push(one);
            open(roots[usize::try_from(one.0).unwrap()].path())
        });
        assert_eq!(opened, [zone(0), zone(1)]);
        let Heard::Page(page) = &pages[&loggers[0]] else { panic!("{pages:?}") };
        assert_eq!(page.read.bytes, 5);
        assert!(matches!(pages[&loggers[1]], Heard::Nothing { .. }), "{pages:?}");
        assert_eq!(pages.len(), 2);
    }

    #[test]
    fn a_missing_page_is_told_from_a_missing_place() {
        let root = tempfile::tempdir().unwrap();
        let look = || pages_of(&keepers(&[1]), &mut |_| open(root.path())).into_values().next();
        assert_eq!(look(), None);
        assert_eq!(pages_of(&keepers(&[1]), &mut |_| None), Pages::new());
        fs::create_dir(root.path().join("run")).unwrap();
        assert_eq!(look(), Some(Heard::Nothing { newest: None }));
        let folder = root.path().join("run").join(DIRECTORY);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.status"), bytes_of(7, 0, 0)).unwrap();
        let Some(Heard::Nothing { newest: Some(age) }) = look() else { panic!("{:?}", look()) };
        assert!(age > Duration::from_secs(1_000_000_000), "since 1970: {age:?}");
        // Of two that claim to be the same process's, the later one counts.
        fs::write(folder.join("b.status"), bytes_of(1, 5, 2)).unwrap();
        fs::write(folder.join("c.status"), bytes_of(1, 4, 1)).unwrap();
        let Some(Heard::Page(page)) = look() else { panic!("{:?}", look()) };
        assert_eq!(page.read.bytes, 5);
        // One of a newer format is no page, and no word that there is none.
        let mut newer = bytes_of(1, 6, 3);
        newer[at::FORMAT..][..4].copy_from_slice(&(FORMAT + 1).to_le_bytes());
        fs::write(folder.join("d.status"), newer).unwrap();
        let Some(Heard::Page(page)) = look() else { panic!("{:?}", look()) };
        assert_eq!(page.read.bytes, 5);
        for own in ["b.status", "c.status"] {
            fs::remove_file(folder.join(own)).unwrap();
        }
        assert_eq!(look(), None);
    }

    #[test]
    fn no_link_leads_out_of_a_zone_and_nothing_blocks() {
        let outside = tempfile::tempdir().unwrap();
        let run = outside.path().join("run").join(DIRECTORY);
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("a.status"), bytes_of(1, 0, 0)).unwrap();
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
        fs::write(here.join("c.status"), bytes_of(1, 0, 0)).unwrap();
        assert_eq!(found(zone.path()), [1]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_file_is_not_even_opened() {
        let zone = tempfile::tempdir().unwrap();
        let run = zone.path().join("run").join(DIRECTORY);
        fs::create_dir_all(&run).unwrap();
        let fifo = run.join("a.status");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        // Comes back when somebody has opened the other end.
        let place = fifo.clone();
        let opened = std::thread::spawn(move || drop(File::options().write(true).open(place)));
        for _ in 0..200 {
            assert_eq!(found(zone.path()), [0_u32; 0]);
            std::thread::yield_now();
        }
        assert!(!opened.is_finished());
        drop(File::open(&fifo).unwrap());
        opened.join().unwrap();
    }
}
