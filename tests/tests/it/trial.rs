// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Bad releases: those that a probe can see are never installed, the others revert by themselves, while containers come
//! and go and none of them is without a logger.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dockerlogger_tests::dockerinit::{Container, ContainerSpec, Ending};
use dockerlogger_tests::node::Node;
use dockerlogger_tests::repository::Repository;
use dockerlogger_tests::{SOON, frail, until};
use serde_json::{Value, json};

use super::skip;

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

fn trial(node: &Node) -> Value {
    node.get("/status").json()["trial"].clone()
}

/// Waits until the trial, null once it is over, is as wanted.
#[track_caller]
fn until_trial(node: &Node, what: &str, wanted: impl Fn(&Value) -> bool) {
    until(what, REVERT, || match trial(node) {
        trial if wanted(&trial) => Ok(()),
        trial => Err((trial, node.log())),
    });
}

/// Publishes a release with this flaw, and has the node install it.
fn install(repository: &Repository, node: &Node, folder: &Path, version: &str, flaw: &str) {
    repository.publish(&frail::make(folder, version, flaw), &[]);
    node.expect(&["update"]);
}

/// A place for one container after another.
#[derive(Debug, Clone, Copy)]
struct Place {
    number: u32,
    life: Duration,
    /// How its containers end by themselves.
    ending: Ending,
    /// Each is another container, or the same one started again.
    anew: bool,
}

/// Lives as they are: of moments, of seconds, and of the better part of a trial. `anew` says which places have another
/// container each time, which here is another owner too.
fn places(anew: fn(u32) -> bool) -> Vec<Place> {
    let place = |number: u32| {
        let life = [300, 2_000, 20_000, 40_000][usize::try_from(number % 4).unwrap()];
        let life = Duration::from_millis(life + u64::from(number) * 20);
        let ending = if number % 8 < 4 { Ending::Halt } else { Ending::Close };
        Place { number, life, ending, anew: anew(number) }
    };
    (0..CONTAINERS).map(place).collect()
}

/// Keeps containers coming and going until `done`; returns how many there were, all of which had a logger. Every fifth
/// place's send over TLS.
fn traffic(node: &Node, folder: &Path, places: Vec<Place>, done: &AtomicBool) -> u32 {
    let started = AtomicU32::new(0);
    thread::scope(|scope| {
        for place in places {
            let address = match place.number % 5 {
                3 => "tcp+tls://127.0.0.1:9",
                _ => "tcp://127.0.0.1:9",
            };
            let (started, spec) = (&started, container_to(node, address));
            let scratch = folder.join(format!("container-{}", place.number));
            std::fs::create_dir_all(&scratch).unwrap();
            scope.spawn(move || {
                let mut birth = 0;
                while !done.load(Ordering::Relaxed) {
                    birth += u64::from(place.anew);
                    let id = format!("{birth:064x}").chars().rev().collect::<String>();
                    let spec = spec.clone().with("DOCKERLOG_CONTAINERID", &id);
                    let container = Container::start(&spec, &scratch);
                    // Panics when the logger could not be executed.
                    let _pid = container.logger_pid();
                    started.fetch_add(1, Ordering::Relaxed);
                    live(&container, place, done);
                }
            });
        }
    });
    started.into_inner()
}

/// The container ends with its logger, or when its time has come.
fn live(container: &Container, place: Place, done: &AtomicBool) {
    let born = Instant::now();
    let mut ended = None;
    while !done.load(Ordering::Relaxed) && container.logger_exit().is_none() {
        if ended.is_none() && born.elapsed() >= place.life {
            container.end(place.ending);
            ended = Some(Instant::now());
        }
        if ended.is_some_and(|at| at.elapsed() >= SOON) {
            panic!("the logger of {place:?} does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Flaws that no probe sees, and what the trial says of them.
const FLAWS: [(&str, &str); 6] = [
    ("dies-after-ms-5000", " loggers died"),
    ("dies-after-ms-15000", " loggers died"),
    ("crashes-later", " loggers died"),
    ("dies-with-tls", " loggers died"),
    ("sender-dies-tls", " senders died"),
    ("loses", " loggers lost lines that they account for nowhere"),
];

/// Only root can give a logger a root of its own.
fn has_zones() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("only root can give a logger a root of its own");
    }
    root
}

/// Does something while containers come and go; returns how many there were.
fn amid_traffic(node: &Node, folder: &Path, places: Vec<Place>, work: impl FnOnce()) -> u32 {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(node, folder, places, &done));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        let started = traffic.join().unwrap();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
        started
    })
}

#[test]
fn bad_releases_revert_by_themselves_while_containers_come_and_go() {
    if !has_zones() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (repository, mut node) = scene(scratch.path());
    node.set("trial", json!("60s"));
    node.start();
    let node = &node;
    let places = places(|number| [6, 10, 15].contains(&number));
    let started = amid_traffic(node, scratch.path(), places, || {
        for (number, (flaw, words)) in FLAWS.iter().enumerate() {
            let version = format!("0.0.{}", number + 2);
            install(&repository, node, scratch.path(), &version, flaw);
            let switched = Instant::now();
            until("the bad release to be left", REVERT, || match current(node) {
                version if version == GOOD => Ok(()),
                other => Err(format!("{flaw}: {other}, {}", trial(node))),
            });
            println!("{flaw}: left after {:.1} s", switched.elapsed().as_secs_f64());
            check_reverted(node, &version, words);
        }
    });
    println!("{started} containers, each with a logger");
    assert!(started >= CONTAINERS, "{started}");
    assert_eq!(node.logger_version().as_deref(), Some(GOOD));
}

#[test]
fn a_good_release_stays_while_containers_come_and_go() {
    if !has_zones() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (repository, mut node) = scene(scratch.path());
    node.set("trial", json!("20s"));
    node.start();
    let node = &node;
    let started = amid_traffic(node, scratch.path(), places(|number| number % 2 == 0), || {
        install(&repository, node, scratch.path(), NEXT, "healthy");
        until_trial(node, "the trial to end", |trial| {
            assert_eq!(trial["tally"]["died"], Value::Null, "{trial}");
            trial.is_null()
        });
    });
    println!("{started} containers");
    assert_eq!(current(node), NEXT, "{}", node.get("/history").json());
    assert_eq!(node.get("/status").json()["blocked"], json!([]));
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
    install(&repository, &node, scratch.path(), NEXT, "healthy");
    assert_eq!(trial(&node)["version"], NEXT);
    let explained = node.expect(&["explain"]);
    assert!(explained.contains("it waits for the trial of release 0.0.2"), "{explained}");
    let container = Container::start(&container(&node), scratch.path());
    until_trial(&node, "the logger to be seen", |trial| trial["tally"]["started"] == 1);
    until_trial(&node, "the trial to end", Value::is_null);
    assert_eq!(current(&node), NEXT);
    assert_eq!(container.logger_exit(), None);
}

#[test]
fn restarts_of_the_only_container_do_not_speak_against_a_release() {
    let scratch = tempfile::tempdir().unwrap();
    let (repository, mut node) = scene(scratch.path());
    node.set("trial", json!("5s"));
    node.start();
    install(&repository, &node, scratch.path(), NEXT, "healthy");
    for restarts in 1..=5 {
        let container = Container::start(&container(&node), scratch.path());
        until_trial(&node, "the logger to be seen", |trial| {
            trial.is_null() || trial["tally"]["started"].as_u64() >= Some(restarts)
        });
        container.end(Ending::Halt);
    }
    until_trial(&node, "the trial to end", Value::is_null);
    assert_eq!(current(&node), NEXT);
    assert_eq!(node.get("/status").json()["blocked"], json!([]));
}

#[test]
fn a_trial_goes_on_after_the_agent_was_killed_and_three_times_is_too_often() {
    let scratch = tempfile::tempdir().unwrap();
    let (repository, mut node) = scene(scratch.path());
    node.start();
    install(&repository, &node, scratch.path(), NEXT, "healthy");
    for attempt in 1..=3 {
        until_trial(&node, "the trial to be watched", |trial| trial["attempts"] == attempt);
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
        ("0.0.5", "routeless", "not one of its drivers can be tried"),
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
