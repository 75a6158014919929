// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the kernel says about running programs, read from Linux' `/proc`.
//!
//! On a system without these files every question is answered with `None`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::os::unix::fs::FileExt;
use std::str::FromStr;

/// Memory of one process, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident pages, shared ones included, in bytes.
    pub rss_bytes: u64,
    /// Resident pages, each divided by the number of processes that map it, in bytes.
    pub pss_bytes: u64,
    /// Resident pages that no other process maps, in bytes.
    pub private_bytes: u64,
    /// The part of `pss_bytes` that no file backs, in bytes: heap, stack and ring, each counted once over the processes.
    pub own_bytes: u64,
}

impl Add for Memory {
    type Output = Memory;

    fn add(self, other: Memory) -> Memory {
        Memory {
            rss_bytes: self.rss_bytes + other.rss_bytes,
            pss_bytes: self.pss_bytes + other.pss_bytes,
            private_bytes: self.private_bytes + other.private_bytes,
            own_bytes: self.own_bytes + other.own_bytes,
        }
    }
}

impl Sum for Memory {
    fn sum<I: Iterator<Item = Memory>>(amounts: I) -> Memory {
        amounts.fold(Memory::default(), Memory::add)
    }
}

impl Memory {
    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Memory) -> Memory {
        Memory {
            rss_bytes: self.rss_bytes.max(other.rss_bytes),
            pss_bytes: self.pss_bytes.max(other.pss_bytes),
            private_bytes: self.private_bytes.max(other.private_bytes),
            own_bytes: self.own_bytes.max(other.own_bytes),
        }
    }
}

/// What processes have done since they started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Time on a processor, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// How often it was put on a processor. A process whose count stands still made no system call and woke up never.
    pub runs: u64,
    /// Context switches, voluntary or not.
    pub switches: u64,
}

impl Add for Work {
    type Output = Work;

    fn add(self, other: Work) -> Work {
        Work {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            runs: self.runs + other.runs,
            switches: self.switches + other.switches,
        }
    }
}

impl Sub for Work {
    type Output = Work;

    fn sub(self, earlier: Work) -> Work {
        Work {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            runs: self.runs.saturating_sub(earlier.runs),
            switches: self.switches.saturating_sub(earlier.switches),
        }
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Work>>(amounts: I) -> Work {
        amounts.fold(Work::default(), Work::add)
    }
}

/// The process and its descendants, the process first, then by number.
pub fn family(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, parent_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
        })
        .collect();
    let mut family = vec![root];
    let mut idx = 0;
    while let Some(parent) = family.get(idx).copied() {
        let children = parents.iter().filter(|(pid, of)| *of == parent && !family.contains(pid));
        let mut children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
        children.sort_unstable();
        family.extend(children);
        idx += 1;
    }
    family
}

/// Memory of one process.
pub fn memory(pid: i32) -> Option<Memory> {
    memory_in(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

/// Pages of several processes, each counted once however many of them map it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pages {
    /// All that are resident, in bytes.
    pub resident_bytes: u64,
    /// Those that nobody else on the machine maps, in bytes.
    pub private_bytes: u64,
}

impl Pages {
    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Pages) -> Pages {
        Pages {
            resident_bytes: self.resident_bytes.max(other.resident_bytes),
            private_bytes: self.private_bytes.max(other.private_bytes),
        }
    }
}

/// Pages of several processes. `None` also where that is for root alone.
pub fn pages(pids: &[i32]) -> Option<Pages> {
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    let page_bytes = rustix::param::page_size() as u64;
    let mut mapped: BTreeMap<u64, u64> = BTreeMap::new();
    for pid in pids {
        let mut pagemap = File::open(format!("/proc/{pid}/pagemap")).ok()?;
        for mapping in fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines() {
            // Pages of the kernel's own, which belong to no process.
            if mapping.contains("[vvar") || mapping.ends_with("[vsyscall]") {
                continue;
            }
            let (from, rest) = mapping.split_once('-')?;
            let (to, _) = rest.split_once(' ')?;
            let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16));
            let (first, last) = (from.ok()? / page_bytes, to.ok()? / page_bytes);
            pagemap.seek(SeekFrom::Start(first * 8)).ok()?;
            let mut entries = Vec::new();
            pagemap.by_ref().take((last - first) * 8).read_to_end(&mut entries).ok()?;
            for entry in entries.as_chunks().0 {
                let entry = u64::from_ne_bytes(*entry);
                if entry & PRESENT != 0 {
                    // Whoever may not see the number sees 0.
                    let frame = Some(entry & FRAME).filter(|frame| *frame != 0)?;
                    *mapped.entry(frame).or_default() += 1;
                }
            }
        }
    }
    let counts = File::open("/proc/kpagecount").ok()?;
    let mut private = 0;
    for (frame, ours) in &mapped {
        let mut count = [0; 8];
        counts.read_exact_at(&mut count, frame * 8).ok()?;
        private += u64::from(u64::from_ne_bytes(count) <= *ours);
    }
    Some(Pages {
        resident_bytes: mapped.len() as u64 * page_bytes,
        private_bytes: private * page_bytes,
    })
}

/// Work of one process: of the threads it has now.
pub fn work(pid: i32) -> Option<Work> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .ok()?
        .map(|thread| {
            let thread = thread.ok()?.path();
            let schedule = fs::read_to_string(thread.join("schedstat")).ok()?;
            let status = fs::read_to_string(thread.join("status")).ok()?;
            work_in(&schedule, &status)
        })
        .sum()
}

/// The nice value of one process.
pub fn nice(pid: i32) -> Option<i32> {
    nth_after_name(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, 16)
}

/// The processor's name, as `/proc/cpuinfo` has it.
pub fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn parent_in(stat: &str) -> Option<i32> {
    nth_after_name(stat, 1)
}

/// Field `nth` of `/proc/PID/stat`, counted from 0 behind the program's name, which may hold blanks and brackets.
fn nth_after_name<T: FromStr>(stat: &str, nth: usize) -> Option<T> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(nth)?.parse().ok()
}

fn memory_in(smaps_rollup: &str) -> Option<Memory> {
    let kib = |name| number_after::<u64>(smaps_rollup, name);
    Some(Memory {
        rss_bytes: kib("Rss:")? * 1024,
        pss_bytes: kib("Pss:")? * 1024,
        private_bytes: (kib("Private_Clean:")? + kib("Private_Dirty:")?) * 1024,
        own_bytes: (kib("Pss_Anon:")? + kib("Pss_Shmem:")?) * 1024,
    })
}

fn work_in(schedstat: &str, status: &str) -> Option<Work> {
    let mut schedule = schedstat.split_whitespace();
    let cpu_ns = schedule.next()?.parse().ok()?;
    let runs = schedule.nth(1)?.parse().ok()?;
    let voluntary = number_after::<u64>(status, "voluntary_ctxt_switches:")?;
    let forced = number_after::<u64>(status, "nonvoluntary_ctxt_switches:")?;
    Some(Work { cpu_ns, runs, switches: voluntary + forced })
}

/// The number in the line that starts with `name`.
fn number_after<T: FromStr>(text: &str, name: &str) -> Option<T> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_two_map_is_counted_once() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let agreed = crate::try_until(crate::SOON, || {
            let resident = memory(pid).map(|memory| memory.rss_bytes);
            let once = [&[pid][..], &[pid, pid]].map(pages);
            // Where one may not know, there is nothing to compare.
            let agree = once.iter().all(Option::is_none)
                || once.iter().all(|pages| pages.map(|pages| pages.resident_bytes) == resident);
            if agree { Ok(()) } else { Err((resident, once)) }
        });
        child.kill().unwrap();
        child.wait().unwrap();
        agreed.unwrap();
    }

    #[test]
    fn the_kernels_texts_are_understood() {
        let smaps = "00400000-7fff ---p 00000000 00:00 0   [rollup]\nRss:     1832 kB\nPss:      391 kB\n\
                     Pss_Anon: 88 kB\nPss_Shmem: 12 kB\nPrivate_Clean:       60 kB\nPrivate_Dirty:      300 kB\n";
        let memory = Memory {
            rss_bytes: 1832 * 1024,
            pss_bytes: 391 * 1024,
            private_bytes: 360 * 1024,
            own_bytes: 100 * 1024,
        };
        assert_eq!(memory_in(smaps), Some(memory));
        let status =
            "Name:\tlogger\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";
        let work = Work { cpu_ns: 67062, runs: 41, switches: 42 };
        assert_eq!(work_in("67062 500 41\n", status), Some(work));
        let stat = "17 (a) b) S 12 17 17 0 -1 4194560 1 0 0 0 1 2 0 0 9 -11 1 0 5 0 0";
        assert_eq!(parent_in(stat), Some(12));
        assert_eq!(nth_after_name(stat, 16), Some(-11));
        assert_eq!(memory_in("Rss: kB"), None);
    }
}
