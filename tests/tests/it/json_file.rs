// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The json-file driver when its directory goes away, its disk is full, or its sender dies: no line is lost or torn.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

use dockerlogger_manifest::status::SinkStatus;
use dockerlogger_tests::dockerinit::{CONTAINER_ID, Container, ContainerSpec, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::{SOON, programs, until};
use serde_json::Value;

use super::sender_killed::kill_sender;
use super::skip;

fn container(dir: &Path, options: &[(&str, &str)]) -> ContainerSpec {
    let mut config = vec![("json-file-dir", dir.to_str().unwrap())];
    config.extend_from_slice(options);
    ContainerSpec::new(&programs::logger(), "json-file", &config)
}

/// What the container wrote, from the oldest file to the newest; gzip itself unpacks.
fn texts(dir: &Path) -> Vec<String> {
    let current = dir.join(format!("{CONTAINER_ID}-json.log"));
    let rotated = |n: u32| {
        let names = ["", ".gz"].map(|end| format!("{}.{n}{end}", current.display()));
        names.into_iter().filter(|name| Path::new(name).exists()).collect::<Vec<_>>()
    };
    let mut files: Vec<String> =
        (1..).map(rotated).take_while(|names| !names.is_empty()).flatten().collect();
    files.reverse();
    files.push(current.to_str().unwrap().to_owned());
    let mut texts = Vec::new();
    for file in files {
        // Without -f the file would have to be compressed.
        let unpacked = Command::new("gzip").args(["-dcf", &file]).output().unwrap();
        let text = String::from_utf8(unpacked.stdout).unwrap();
        for line in text.lines() {
            let line: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{file}: {e}: {line}"));
            texts.push(line["log"].as_str().unwrap().trim_end_matches('\n').to_owned());
        }
    }
    texts
}

fn write(container: &Container, from: u64, to: u64) {
    for from in (from..to).step_by(50) {
        container.write(Output::Stdout, oracle::lines(from, to.min(from + 50)).as_bytes());
    }
}

#[track_caller]
fn wait_until_down(container: &Container) -> String {
    until("the file to be seen as out of reach", SOON, || match container.status() {
        Some(page) if page.sink == SinkStatus::Down => Ok(page.last_error.unwrap().text),
        other => Err(Box::new(other)),
    })
}

/// Ends the container, and judges its files.
#[track_caller]
fn finish(container: &Container, dir: &Path, written: u64) -> Verdict {
    let page = container.wait_until_settled(SOON);
    assert_eq!((page.delivered, page.dropped.len()), (page.read, 0), "{page:?}");
    container.end_well();
    let verdict = Verdict::of(written, texts(dir));
    assert!(verdict.complete(), "{verdict}");
    verdict
}

#[test]
fn a_directory_that_comes_late_goes_and_comes_back() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, away) = (scratch.path().join("logs"), scratch.path().join("away"));
    let container = Container::start(&container(&dir, &[]), scratch.path());
    write(&container, 0, 300);
    let error = wait_until_down(&container);
    assert!(
        error.contains("cannot open the directory") && error.contains("No such file"),
        "{error}"
    );
    fs::create_dir(&dir).unwrap();
    container.wait_until_settled(SOON);
    fs::rename(&dir, &away).unwrap();
    write(&container, 300, 900);
    wait_until_down(&container);
    assert_eq!(container.logger_exit(), None);
    fs::rename(&away, &dir).unwrap();
    write(&container, 900, 1000);
    assert!(finish(&container, &dir, 1000).exact());
}

#[test]
fn a_disk_that_is_full_and_then_is_not() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("small");
    fs::create_dir(&dir).unwrap();
    let Some(_mount) = Mount::of(&dir) else {
        return skip("no tmpfs can be mounted here: a full disk was not tried");
    };
    let container = Container::start(
        &container(&dir, &[("max-size", "40k"), ("max-file", "20")]),
        scratch.path(),
    );
    fs::write(dir.join("filler"), vec![1; 900 << 10]).unwrap();
    // More than 100 bytes each.
    write(&container, 0, 2000);
    let error = wait_until_down(&container);
    assert!(error.contains("No space left"), "{error}");
    write(&container, 2000, 3000);
    assert_eq!(container.logger_exit(), None);
    fs::remove_file(dir.join("filler")).unwrap();
    assert!(finish(&container, &dir, 3000).exact());
}

/// A file system of 1 MiB, until it is dropped.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn of(dir: &'a Path) -> Option<Self> {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(dir).output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Self(dir))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn senders_that_die_between_rotations_lose_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("logs");
    fs::create_dir(&dir).unwrap();
    let options = [("max-size", "8k"), ("max-file", "1000"), ("compress", "true")];
    let container = Container::start(&container(&dir, &options), scratch.path());
    let mut written = 0;
    for _ in 0..6 {
        write(&container, written, written + 1500);
        written += 1500;
        kill_sender(&container);
    }
    let verdict = finish(&container, &dir, written);
    // What was on its way, and files that were compressed and not yet removed.
    assert!(verdict.duplicated.len() < 3000, "{verdict}");
}
