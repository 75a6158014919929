// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The processes of this machine, zones included: which file each one runs.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::os::pages::{Keeper, PageReader, Pages};
use crate::os::zones::{self, Owner, Zone};

#[cfg(any(target_os = "illumos", test))]
mod psinfo;

/// A file, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

/// A process that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) parent: u32,
    /// Tells a process from a later one with its number.
    pub(crate) birth: u64,
    /// The file it executes.
    pub(crate) file: FileId,
    pub(crate) zone: Zone,
}

/// What can be seen of processes.
pub(crate) trait ProcessTable {
    /// The numbers of all processes.
    fn numbers(&self) -> io::Result<Vec<u32>>;
    /// A process, unless it is gone, dead, or the kernel's own.
    fn look(&self, number: u32) -> Option<Seen>;
    /// What readers say on their status pages, as far as that is known by now.
    fn pages(&self, _readers: &[Keeper]) -> Pages {
        Pages::new()
    }
    /// Whose a zone is, in which that process runs. To be asked when the process is
    /// met: its page can be read from then on, even if it is gone by then.
    fn owner(&self, zone: Zone, process: u32) -> Owner;
    /// What is no zone.
    fn host(&self) -> Option<Zone> {
        zones::host()
    }
    /// The identity of a file that processes may run.
    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        file_id(path)
    }
}

/// The identity of a file; links are followed.
pub(crate) fn file_id(path: &Path) -> io::Result<FileId> {
    let metadata = fs::metadata(path)?;
    Ok(FileId { device: metadata.dev(), inode: metadata.ino() })
}

/// `/proc`, and the pages below the roots of processes.
#[derive(Debug, Default)]
pub(crate) struct Proc {
    pages: PageReader,
}

impl ProcessTable for Proc {
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir("/proc")? {
            numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(numbers)
    }

    fn owner(&self, zone: Zone, process: u32) -> Owner {
        self.pages.roots().learn(zone, process);
        zones::owner(zone)
    }

    fn pages(&self, readers: &[Keeper]) -> Pages {
        self.pages.look(readers)
    }

    #[cfg(not(target_os = "illumos"))]
    fn look(&self, number: u32) -> Option<Seen> {
        let mut stat = [0; STAT_BYTES_MAX];
        let (parent, birth) = parse_stat(read_at_once(number, "stat", &mut stat)?)?;
        let file = file_id(Path::new(&format!("/proc/{number}/exe"))).ok()?;
        Some(Seen { parent, birth, file, zone: zones::zone_of(number)? })
    }

    #[cfg(target_os = "illumos")]
    fn look(&self, number: u32) -> Option<Seen> {
        // Room for one byte more than there should be, which would tell another structure.
        let mut bytes = [0; psinfo::LENGTH + 1];
        let info = psinfo::Psinfo::parse(read_at_once(number, "psinfo", &mut bytes)?)?;
        if info.is_dead() {
            return None;
        }
        let file = file_id(Path::new(&format!("/proc/{number}/object/a.out"))).ok()?;
        let zone = Zone(info.zone.into(), 0);
        Some(Seen { parent: info.parent, birth: info.birth(), file, zone })
    }
}

/// What `/proc` says of a process in one of its small files. The system writes those
/// in one piece, so that there is no need to ask for their length or their end: on a
/// node with many containers this is what a trial spends its time with.
fn read_at_once<'a>(number: u32, name: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = fs::File::open(format!("/proc/{number}/{name}")).ok()?;
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *buffer)).ok()?;
    buffer.get(..length)
}

/// Bytes of a line of Linux's `/proc/PID/stat`, at most: 52 numbers and a name.
#[cfg(not(target_os = "illumos"))]
const STAT_BYTES_MAX: usize = 2048;

/// Parent and start time of a line of Linux's `/proc/PID/stat`; none for a dead process.
#[cfg(not(target_os = "illumos"))]
fn parse_stat(stat: &[u8]) -> Option<(u32, u64)> {
    // The name, in parentheses, may hold anything.
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = str::from_utf8(stat.get(name_ends + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the whole line; the parent was field 4.
    let birth = fields.nth(17)?.parse().ok()?;
    Some((parent, birth))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_is_seen_with_its_file_until_it_is_dead() {
        let mut child = Command::new("/bin/sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let seen = Proc::default().look(child.id()).unwrap();
        assert_eq!(seen.parent, std::process::id());
        assert_eq!(seen.file, file_id(Path::new("/bin/sleep")).unwrap());
        assert_eq!(Some(seen.zone), Proc::default().host());
        assert!(Proc::default().numbers().unwrap().contains(&child.id()));
        child.kill().unwrap();
        // Dead and not yet collected counts as gone.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while Proc::default().look(child.id()).is_some() {
            assert!(std::time::Instant::now() < deadline, "it still looks alive");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(Proc::default().look(child.id()), None);
    }

    #[test]
    fn names_in_parentheses_do_not_confuse() {
        let rest = b"S 42 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        assert_eq!(parse_stat(&[&b"7 (a) Z \xff (b) "[..], rest].concat()), Some((42, 987_654)));
        assert_eq!(parse_stat(b"7 (x) Z 42 1 1 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 9 1"), None);
        assert_eq!(parse_stat(b"7 (x) S"), None);
        assert_eq!(parse_stat(b""), None);
    }
}
