// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Zones: which one a process is in, where its files are, and whose it is.
//!
//! On Linux, where there are none, processes with the same root are taken for a
//! zone of an owner of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};

#[cfg(any(target_os = "illumos", test))]
mod config;
#[cfg(target_os = "illumos")]
mod illumos;

#[cfg(target_os = "illumos")]
pub(crate) use illumos::{host, owner};

/// A zone, from its boot to its halt. On illumos its number; on Linux device and
/// inode of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Zone(pub(crate) u64, pub(crate) u64);

/// Whose a zone is, as far as the node can tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner(pub(crate) String);

/// What is no zone.
#[cfg(not(target_os = "illumos"))]
pub(crate) fn host() -> Option<Zone> {
    zone_of_root("/".as_ref())
}

#[cfg(not(target_os = "illumos"))]
pub(crate) fn owner(zone: Zone) -> Owner {
    Owner(format!("root {}:{}", zone.0, zone.1))
}

/// The zone of a process.
#[cfg(not(target_os = "illumos"))]
pub(crate) fn zone_of(process: u32) -> Option<Zone> {
    zone_of_root(format!("/proc/{process}/root").as_ref())
}

#[cfg(not(target_os = "illumos"))]
fn zone_of_root(root: &std::path::Path) -> Option<Zone> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(root).ok()?;
    Some(Zone(metadata.dev(), metadata.ino()))
}

/// The roots of zones: found while a process runs there, and remembered for what
/// it leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Roots(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// With the number of the meeting: those of zones are given out again.
    roots: BTreeMap<Zone, (u64, PathBuf)>,
    meetings: u64,
}

impl Roots {
    /// Remembers the root of `zone`, in which `process` runs.
    pub(crate) fn learn(&self, zone: Zone, process: u32) {
        let Some(root) = root_of(zone, process) else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { roots, meetings } = &mut *known;
        *meetings += 1;
        roots.insert(zone, (*meetings, root));
        if roots.len() > KNOWN_MAX {
            let first = roots.iter().min_by_key(|(_, (meeting, _))| *meeting);
            let first = first.map(|(zone, _)| *zone);
            first.and_then(|zone| roots.remove(&zone));
        }
    }

    /// Opens the root of a zone that is known.
    pub(crate) fn open(&self, zone: Zone) -> Option<File> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = known.roots.get(&zone)?.1.clone();
        drop(known);
        let root = File::from(rustix::fs::open(path, DIRECTORY_FLAGS, Mode::empty()).ok()?);
        is_root(&root, zone).then_some(root)
    }
}

/// Zones whose roots are remembered.
const KNOWN_MAX: usize = 4096;

#[cfg(target_os = "illumos")]
fn root_of(zone: Zone, _process: u32) -> Option<PathBuf> {
    illumos::root(zone)
}

/// A path that leads there for good; of a process with a name space of its own, one
/// that leads there while it runs.
#[cfg(not(target_os = "illumos"))]
fn root_of(zone: Zone, process: u32) -> Option<PathBuf> {
    let link = PathBuf::from(format!("/proc/{process}/root"));
    let path = std::fs::read_link(&link).ok()?;
    Some(if zone_of_root(&path) == Some(zone) { path } else { link })
}

/// Whether what was opened is what was meant.
#[cfg(not(target_os = "illumos"))]
fn is_root(root: &File, zone: Zone) -> bool {
    use std::os::unix::fs::MetadataExt;
    root.metadata().is_ok_and(|found| Zone(found.dev(), found.ino()) == zone)
}

/// The way to a zone's root belongs to the platform.
#[cfg(target_os = "illumos")]
fn is_root(_root: &File, _zone: Zone) -> bool {
    true
}

/// How a directory of a zone is opened.
pub(super) const DIRECTORY_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_found_through_its_processes_and_stays_known() {
        let here = std::process::id();
        let zone = zone_of(here).unwrap();
        assert_eq!(Some(zone), host());
        let roots = Roots::default();
        assert!(roots.open(zone).is_none(), "nobody showed the way");
        roots.learn(zone, here);
        assert!(roots.open(zone).is_some());
        let stranger = Zone(zone.0, zone.1 + 1);
        roots.learn(stranger, here);
        assert!(roots.open(stranger).is_none(), "a process of another zone");
        // One that is gone shows no way, and takes none away.
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        roots.learn(zone, child.id());
        assert!(roots.open(zone).is_some());
        // Zones that are met later have smaller numbers once the numbers begin anew.
        for next in 1..=u64::try_from(KNOWN_MAX).unwrap() {
            roots.learn(Zone(zone.0, zone.1 + next), here);
        }
        assert!(roots.open(zone).is_none(), "the one that was met first");
        for earlier in [zone, Zone(zone.0, 1)] {
            roots.learn(earlier, here);
        }
        assert!(roots.open(zone).is_some());
    }
}
