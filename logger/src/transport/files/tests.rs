// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Files in a directory of this machine, with changes that fail and writers that
//! die between any two.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;

use super::dir::Faults;
use super::*;
use crate::ring::{Account, Amount};
use crate::scratch::Scratch;
use crate::window::{Batch, Replay};

/// A writer and the directory it writes to.
struct Rig {
    files: Files,
    window: Window,
    shared: Shared,
    now_ns: u64,
}

const NAME: &str = "c-json.log";

fn place(dir: &Path, max_bytes: u64, max_files: u64, compress: bool) -> LogFiles {
    let dir = dir.to_str().unwrap().to_owned();
    LogFiles { dir, name: NAME.to_owned(), max_bytes: Some(max_bytes), max_files, compress }
}

/// The n-th line, as long as every other.
fn line(n: usize) -> String {
    format!("{{\"log\":\"{n:06}\\n\",\"time\":\"2026-03-05T14:07:09.{n:06}1Z\"}}\n")
}

impl Rig {
    fn new(place: LogFiles, faults: Faults) -> Self {
        let mut files = Files::new(place, 1);
        files.faults = faults;
        let window = Window::new(Replay::NOTHING, Account::default());
        Self { files, window, shared: Shared::default(), now_ns: os::mono_ns() }
    }

    fn push(&mut self, lines: &[String]) {
        let mut batch = Batch::default();
        for line in lines {
            batch.bytes.extend_from_slice(line.as_bytes());
            batch.end_frame(Amount { lines: 1, bytes: line.len() as u64 });
        }
        self.window.push(batch);
    }

    /// One call, long after the last: no wait is waited for.
    fn drive(&mut self) {
        self.now_ns += 20_000_000_000;
        let (window, now_ns) = (&mut self.window, self.now_ns);
        self.files.drive(window, &self.shared, Haste::Hurried, now_ns);
    }

    fn drive_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline_ns = os::mono_ns() + 120_000_000_000;
        while !done(self) {
            assert!(os::mono_ns() < deadline_ns, "never: {what}");
            self.drive();
            if !self.files.is_settled() {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    fn finish(&mut self) {
        self.drive_until("all taken", |rig| !rig.window.has_unreleased() && rig.files.is_settled());
    }
}

/// Every line of the directory's files, from the oldest to the newest file.
fn stored(dir: &Path) -> Vec<String> {
    let mut files: Vec<(u64, bool, String)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".tmp"))
        .map(|name| {
            let rest = name.strip_prefix(NAME).unwrap().trim_start_matches('.').to_owned();
            let (number, compressed) =
                rest.strip_suffix(".gz").map_or((rest.as_str(), false), |n| (n, true));
            (number.parse().unwrap_or(0), compressed, name)
        })
        .collect();
    files.sort_unstable();
    let mut lines = Vec::new();
    for (_, compressed, name) in files.into_iter().rev() {
        let mut text = String::new();
        let mut file = fs::File::open(dir.join(&name)).unwrap();
        if compressed {
            GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
        assert!(text.is_empty() || text.ends_with('\n'), "{name} is torn: {text:?}");
        lines.extend(text.lines().map(|line| format!("{line}\n")));
    }
    lines
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn all_lines(n: usize) -> Vec<String> {
    (0..n).map(line).collect()
}

#[test]
fn a_file_is_rotated_when_it_has_reached_its_size() {
    let scratch = Scratch::new();
    let len = line(0).len() as u64;
    let lines = all_lines(40);
    let mut rig = Rig::new(place(scratch.dir(), 10 * len - 1, 3, false), Faults::default());
    rig.push(&lines);
    rig.finish();
    let counts: Vec<_> = ["", ".1", ".2"]
        .map(|end| fs::read_to_string(scratch.path(&format!("{NAME}{end}"))).unwrap())
        .iter()
        .map(|text| text.lines().count())
        .collect();
    assert_eq!(counts, [10, 10, 10]);
    assert_eq!(names(scratch.dir()).len(), 3);
    assert_eq!(stored(scratch.dir()), lines[10..]);
    let mode = fs::metadata(scratch.path(NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    // Another writer goes on with what is there.
    drop(rig);
    let mut rig = Rig::new(place(scratch.dir(), 10 * len - 1, 3, false), Faults::default());
    rig.push(&[line(40)]);
    rig.finish();
    assert_eq!(fs::read_to_string(scratch.path(NAME)).unwrap(), line(40));
    assert_eq!(stored(scratch.dir()).len(), 21);
}

#[test]
fn with_one_file_the_current_one_starts_over() {
    let scratch = Scratch::new();
    let len = line(0).len() as u64;
    let mut rig = Rig::new(place(scratch.dir(), 10 * len, 1, false), Faults::default());
    rig.push(&all_lines(25));
    rig.finish();
    assert_eq!(names(scratch.dir()), [NAME]);
    assert_eq!(stored(scratch.dir()), all_lines(25)[20..]);
}

#[test]
fn compressed_files_say_when_they_end() {
    let scratch = Scratch::new();
    let len = line(0).len() as u64;
    let lines = all_lines(35);
    let mut rig = Rig::new(place(scratch.dir(), 10 * len, 4, true), Faults::default());
    rig.push(&lines);
    rig.finish();
    let expected = ["", ".1.gz", ".2.gz", ".3.gz"].map(|end| format!("{NAME}{end}"));
    assert_eq!(names(scratch.dir()), expected);
    assert_eq!(stored(scratch.dir()), lines);
    let bytes = fs::read(scratch.path(&expected[1])).unwrap();
    let extra = GzDecoder::new(bytes.as_slice()).header().unwrap().extra().unwrap().to_owned();
    assert_eq!(
        String::from_utf8(extra).unwrap(),
        "{\"lastTime\":\"2026-03-05T14:07:09.0000291Z\"}"
    );
}

#[test]
fn nobody_compresses_into_the_file_of_another() {
    let scratch = Scratch::new();
    let len = line(0).len() as u64;
    let partial = scratch.path(&format!("{NAME}.tmp"));
    fs::write(&partial, "what another has of it").unwrap();
    let other = fs::File::open(&partial).unwrap();
    other.lock().unwrap();
    let mut rig = Rig::new(place(scratch.dir(), 10 * len, 4, true), Faults::default());
    rig.push(&all_lines(15));
    rig.finish();
    assert_eq!(fs::read_to_string(&partial).unwrap(), "what another has of it");
    drop(other);
    rig.push(&all_lines(30)[15..]);
    rig.finish();
    let expected = ["", ".1.gz", ".2.gz"].map(|end| format!("{NAME}{end}"));
    assert_eq!(names(scratch.dir()), expected);
    assert_eq!(stored(scratch.dir()), all_lines(30));
}

/// One writer dies at any of its changes, another takes its place.
#[test]
fn no_death_between_two_changes_loses_or_tears_a_line() {
    const LINES: usize = 24;
    const PER_BATCH: usize = 3;
    for compress in [false, true] {
        let mut cuts = 0;
        loop {
            let scratch = Scratch::new();
            let place = place(scratch.dir(), 4 * line(0).len() as u64, 9, compress);
            let faults = Faults::new(cuts + 1, u64::MAX);
            let lines = all_lines(LINES);
            let mut first = Rig::new(place.clone(), faults.clone());
            let mut batches = lines.chunks(PER_BATCH);
            while !faults.were_met()
                && let Some(batch) = batches.next()
            {
                first.push(batch);
                first.drive_until("taken or dead", |rig| {
                    faults.were_met() || !rig.window.has_unreleased() && rig.files.is_settled()
                });
            }
            first.drive_until("still", |rig| rig.files.is_settled());
            let taken = usize::try_from(first.window.account().records).unwrap();
            drop(first);
            let mut second = Rig::new(place, Faults::default());
            for batch in lines[taken..].chunks(PER_BATCH) {
                second.push(batch);
                second.finish();
            }
            let stored = stored(scratch.dir());
            let mut distinct = stored.clone();
            distinct.dedup();
            let mut once = distinct.clone();
            once.sort();
            once.dedup();
            assert_eq!(once, lines, "cut at change {}", cuts + 1);
            // Besides what was on its way, a file at most is there twice: its
            // plain form beside the compressed one.
            assert!(stored.len() <= LINES + PER_BATCH + 4, "{} lines", stored.len());
            if !faults.were_met() {
                assert!(stored == lines && taken == LINES);
                break;
            }
            cuts += 1;
        }
        assert!(cuts > if compress { 60 } else { 20 }, "{cuts} changes are too few to be all");
    }
}

/// A change fails, as on a disk that is full, and the writer goes on.
#[test]
fn no_change_that_fails_loses_or_tears_a_line() {
    const LINES: usize = 24;
    for (compress, count) in [(false, 1), (true, 1), (false, 3), (true, 3)] {
        for from in 1.. {
            let scratch = Scratch::new();
            let faults = Faults::new(from, count);
            let place = place(scratch.dir(), 4 * line(0).len() as u64, 12, compress);
            let mut rig = Rig::new(place, faults.clone());
            let lines = all_lines(LINES);
            for batch in lines.chunks(3) {
                rig.push(batch);
                rig.finish();
            }
            let stored = stored(scratch.dir());
            let mut once = stored.clone();
            once.sort();
            once.dedup();
            assert_eq!(once, lines, "{count} failed from change {from} on");
            assert!(
                stored.is_sorted() || compress,
                "{count} failed from change {from} on: {stored:?}"
            );
            if count == 1 && !compress {
                assert_eq!(stored, lines, "failed at change {from}");
            }
            if !faults.were_met() {
                break;
            }
        }
    }
}

#[test]
fn the_beginning_of_a_line_is_cut_off() {
    let len = line(0).len();
    for (before, after) in [
        (String::new(), String::new()),
        (line(1), line(1)),
        (line(1) + &line(2)[..len - 1], line(1)),
        (line(1)[..3].to_owned(), String::new()),
        (line(1) + &"x".repeat(BLOCK_AND_MORE), line(1)),
        ("x".repeat(TOO_LONG), "x".repeat(TOO_LONG) + "\n"),
    ] {
        let scratch = Scratch::new();
        fs::write(scratch.path(NAME), before).unwrap();
        let mut rig = Rig::new(place(scratch.dir(), u64::MAX, 1, false), Faults::default());
        rig.push(&[line(3)]);
        rig.finish();
        assert!(fs::read_to_string(scratch.path(NAME)).unwrap() == after + &line(3));
    }
}

const BLOCK_AND_MORE: usize = 40_000;
const TOO_LONG: usize = (1 << 20) + 40_000;

#[test]
fn a_directory_or_file_that_goes_away_is_waited_for() {
    let scratch = Scratch::new();
    let dir = scratch.path("logs");
    let mut rig = Rig::new(place(&dir, u64::MAX, 1, false), Faults::default());
    rig.push(&[line(0)]);
    rig.drive();
    assert!(rig.window.has_unreleased());
    assert_eq!(rig.shared.sink(), SinkState::Down);
    fs::create_dir(&dir).unwrap();
    rig.finish();
    assert_eq!(rig.shared.sink(), SinkState::Up);
    fs::rename(&dir, scratch.path("away")).unwrap();
    rig.push(&[line(1)]);
    rig.drive();
    assert!(rig.window.has_unreleased());
    fs::rename(scratch.path("away"), &dir).unwrap();
    rig.finish();
    // Somebody else rotates the file.
    fs::rename(dir.join(NAME), dir.join("moved")).unwrap();
    rig.push(&[line(2)]);
    rig.finish();
    assert_eq!(fs::read_to_string(dir.join("moved")).unwrap(), line(0) + &line(1));
    assert_eq!(fs::read_to_string(dir.join(NAME)).unwrap(), line(2));
}

#[test]
fn what_is_no_file_of_ours_is_refused() {
    let scratch = Scratch::new();
    let mut rig = Rig::new(place(scratch.dir(), u64::MAX, 1, false), Faults::default());
    rig.push(&[line(0)]);
    let path = scratch.path(NAME);
    let refused = |rig: &mut Rig| {
        rig.drive();
        assert!(rig.window.has_unreleased());
        assert_eq!(rig.shared.sink(), SinkState::Down);
    };
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    refused(&mut rig);
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    refused(&mut rig);
    fs::remove_file(&path).unwrap();
    let other = fs::File::create(&path).unwrap();
    other.try_lock().unwrap();
    refused(&mut rig);
    drop(other);
    rig.finish();
    assert_eq!(fs::read_to_string(&path).unwrap(), line(0));
}
