// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Bad releases: those that a probe can see are never installed, the others revert by themselves, while containers come
//! and go and none of them is without a logger.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dockerlogger_tests::dockerinit::{Container, ContainerSpec};
use dockerlogger_tests::node::Node;
use dockerlogger_tests::repository::Repository;
use dockerlogger_tests::{SOON, frail, until};
use serde_json::{Value, json};

const GOOD: &str = "0.0.1";
const NEXT: &str = "0.0.2";

/// How long the revert of a bad release may take.
const REVERT: Duration = Duration::from_secs(60);

/// Containers that come and go at the same time.
const CONTAINERS: u32 = 20;

/// A node that runs [`GOOD`] and the publisher it follows.
fn scene(folder: &Path) -> (Repository, Node) {
    let repository = Repository::create(&folder.join("publisher"));
    repository.publish(&frail::make(folder, GOOD, "healthy"), &[]);
    let tree = repository.tree();
    let mut node = Node::new(&folder.join("node"), &repository.trust_anchor(), tree.to_str());
    node.set("trial", json!("0s"));
    node.expect(&["update"]);
    assert_eq!(node.logger_version().as_deref(), Some(GOOD));
    node.set("trial", json!("30s"));
    (repository, node)
}

fn container(node: &Node) -> ContainerSpec {
    container_to(node, "tcp://127.0.0.1:9")
}

fn container_to(node: &Node, address: &str) -> ContainerSpec {
    // Nobody listens there: what becomes of lines is not the matter here.
    ContainerSpec::new(&node.logger(), "syslog", &[("syslog-address", address)])
        .running("echo started; exec sleep 600")
}

fn current(node: &Node) -> Value {
    node.get("/status").json()["current"]["version"].clone()
}

/// Keeps containers coming and going until `done`; returns how many there were, all of which had a logger. Some of them
/// send over TLS.
fn traffic(node: &Node, folder: &Path, life: Duration, done: &AtomicBool) -> u32 {
    let started = AtomicU32::new(0);
    thread::scope(|scope| {
        for number in 0..CONTAINERS {
            let address = match number % 3 {
                0 => "tcp+tls://127.0.0.1:9",
                _ => "tcp://127.0.0.1:9",
            };
            let (started, spec) = (&started, container_to(node, address));
            let scratch = folder.join(format!("container-{number}"));
            std::fs::create_dir_all(&scratch).unwrap();
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let container = Container::start(&spec, &scratch);
                    // Panics when the logger could not be executed.
                    let _pid = container.logger_pid();
                    started.fetch_add(1, Ordering::Relaxed);
                    let born = Instant::now();
                    let life = life + Duration::from_millis(u64::from(number) * 50);
                    // The container ends with its logger, or when its time has come.
                    while born.elapsed() < life
                        && container.logger_exit().is_none()
                        && !done.load(Ordering::Relaxed)
                    {
                        thread::sleep(Duration::from_millis(10));
                    }
                }
            });
        }
    });
    started.into_inner()
}

/// Flaws that no probe sees, and what the trial says of them.
const FLAWS: [(&str, &str); 5] = [
    ("dies-after-ms-5000", "ended within 10 seconds"),
    ("crashes-later", "ended within 10 seconds"),
    ("dies-with-tls", "ended within 10 seconds"),
    ("sender-dies-tls", "senders of its loggers died"),
    ("loses", "lost lines in its trial that they account for nowhere"),
];

#[test]
fn bad_releases_revert_by_themselves_while_containers_come_and_go() {
    let scratch = tempfile::tempdir().unwrap();
    let (repository, mut node) = scene(scratch.path());
    node.start();
    let done = AtomicBool::new(false);
    let mut flaws: Vec<(&str, &str)> = FLAWS.to_vec();
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
        println!(
            "skipped: only root can give a logger a root of its own, so \"loses\" is left out"
        );
        flaws.retain(|(flaw, _)| *flaw != "loses");
    }
    let started = thread::scope(|scope| {
        let (watched, done) = (&node, &done);
        let folder = scratch.path();
        let traffic = scope.spawn(move || traffic(watched, folder, Duration::from_secs(12), done));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (number, (flaw, words)) in flaws.iter().enumerate() {
                let version = format!("0.0.{}", number + 2);
                repository.publish(&frail::make(folder, &version, flaw), &[]);
                watched.expect(&["update"]);
                let switched = Instant::now();
                until("the bad release to be left", REVERT, || match current(watched) {
                    version if version == GOOD => Ok(()),
                    other => {
                        Err(format!("{flaw}: {other}, {}", watched.get("/status").json()["trial"]))
                    }
                });
                println!("{flaw}: left after {:.1} s", switched.elapsed().as_secs_f64());
                check_reverted(watched, &version, words);
            }
        }));
        done.store(true, Ordering::Relaxed);
        let started = traffic.join().unwrap();
        ended.unwrap();
        started
    });
    println!("{started} containers, each with a logger");
    assert!(started >= CONTAINERS, "{started}");
    assert_eq!(node.logger_version().as_deref(), Some(GOOD));
}

/// The release was left for what the words say, is blocked, and all of that is told.
fn check_reverted(node: &Node, version: &str, words: &str) {
    let status = node.get("/status").json();
    assert_eq!(status["trial"], Value::Null);
    let blocked = status["blocked"].as_array().unwrap();
    let blocked = blocked.iter().find(|blocked| blocked["version"] == version).unwrap();
    let reason = blocked["reason"].as_str().unwrap();
    assert!(reason.contains(words), "{reason}");
    assert!(reason.ends_with("this node went back to release 0.0.1 by itself"), "{reason}");
    let history = node.get("/history").json();
    let last = history["records"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["what"], &last["who"]), (&json!("trial-revert"), &json!("agent")));
    assert_eq!((&last["from"], &last["to"]), (&json!(version), &json!(GOOD)));
    let said = node.expect(&["update"]);
    assert!(said.contains("blocked"), "it does not come again: {said}");
    let explained = node.expect(&["explain"]);
    assert!(explained.contains("(trial-revert by agent)"), "{explained}");
}

#[test]
fn a_good_release_passes_its_trial_and_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let (repository, mut node) = scene(scratch.path());
    node.set("trial", json!("2s"));
    node.start();
    repository.publish(&frail::make(scratch.path(), NEXT, "healthy"), &[]);
    node.expect(&["update"]);
    assert_eq!(node.get("/status").json()["trial"]["version"], NEXT);
    let explained = node.expect(&["explain"]);
    assert!(explained.contains("it waits for the trial of release 0.0.2"), "{explained}");
    let container = Container::start(&container(&node), scratch.path());
    until("the logger to be seen", SOON, || {
        let trial = node.get("/status").json()["trial"].clone();
        if trial["tally"]["started"] == 1 { Ok(()) } else { Err((trial, node.log())) }
    });
    until("the trial to end", SOON, || {
        let trial = node.get("/status").json()["trial"].clone();
        if trial.is_null() { Ok(()) } else { Err(trial) }
    });
    assert_eq!(current(&node), NEXT);
    assert_eq!(container.logger_exit(), None);
}

#[test]
fn a_trial_goes_on_after_the_agent_was_killed_and_three_times_is_too_often() {
    let scratch = tempfile::tempdir().unwrap();
    let (repository, mut node) = scene(scratch.path());
    repository.publish(&frail::make(scratch.path(), NEXT, "healthy"), &[]);
    node.start();
    node.expect(&["update"]);
    for attempt in 1..=3 {
        until("the trial to be watched", SOON, || {
            let trial = node.get("/status").json()["trial"].clone();
            if trial["attempts"] == attempt { Ok(()) } else { Err((trial, node.log())) }
        });
        assert_eq!(current(&node), NEXT);
        node.kill();
        node.start();
    }
    until("the release to be left", SOON, || match current(&node) {
        version if version == GOOD => Ok(()),
        other => Err((other, node.log())),
    });
    let reason = node.get("/status").json()["blocked"][0]["reason"].clone();
    assert!(reason.as_str().unwrap().starts_with("its trial was interrupted 3 times"), "{reason}");
}

#[test]
fn what_a_probe_can_see_is_never_installed() {
    let scratch = tempfile::tempdir().unwrap();
    let (repository, mut node) = scene(scratch.path());
    node.start();
    let cases = [
        ("0.0.2", "crashes", "signal: 6"),
        ("0.0.3", "deaf", "its record did not arrive"),
        ("0.0.4", "wrong-drivers", "its drivers are gelf, the release says syslog"),
    ];
    for (version, flaw, words) in cases {
        repository.publish(&frail::make(scratch.path(), version, flaw), &[]);
        let (status, stderr) = node.refused(&["update"]);
        assert_eq!(status, 1, "{flaw}: {stderr}");
        assert!(stderr.contains("failed its probe") && stderr.contains(words), "{flaw}: {stderr}");
        assert_eq!(node.logger_version().as_deref(), Some(GOOD), "{flaw}");
        let container = Container::start(&container(&node), scratch.path());
        let _pid = container.logger_pid();
    }
}
