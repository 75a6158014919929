// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! SIGKILL at any moment of an update: afterwards there is a logger that works, and no litter.

use std::time::{Duration, Instant};

use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use dockerlogger_tests::{SOON, until};

use super::fixture::publisher;

/// How often the update is killed.
const KILLS: u32 = 20;

#[test]
fn an_update_killed_at_any_moment_leaves_a_logger_that_works() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let next = publisher.next_tree();
    let mut original = publisher.node(&scratch.path().join("original"), next.to_str().unwrap());
    // No release comes by itself while another is on trial.
    original.set("trial", "0s".into());

    let measured = Node::copied(&original, &scratch.path().join("measured"));
    let started = Instant::now();
    measured.expect(&["update"]);
    let whole = started.elapsed();

    let mut killed = 0;
    for number in 0..KILLS {
        let node = Node::copied(&original, &scratch.path().join(format!("node-{number}")));
        let mut update = node.spawn(&["update"]);
        // Spread over the whole update; this waits for nothing, it chooses the moment.
        std::thread::sleep(whole.mul_f64(f64::from(number) / f64::from(KILLS)));
        let _ = update.kill();
        if !update.wait().unwrap().success() {
            killed += 1;
        }
        let version = node.logger_version();
        let moment = whole.mul_f64(f64::from(number) / f64::from(KILLS));
        assert!(
            version.as_deref() == Some(VERSION) || version.as_deref() == Some(NEXT_VERSION),
            "killed after {moment:?} of {whole:?}: the logger says {version:?}"
        );
        recovers(node, moment);
    }
    assert!(killed >= KILLS / 4, "only {killed} of {KILLS} updates were killed before their end");
}

/// The next start of the agent tidies up and finishes the job.
fn recovers(mut node: Node, moment: Duration) {
    node.set("poll_interval", "5s".into());
    node.start();
    until("the update that was killed to be done", SOON, || {
        let status = node.get("/status").json();
        match status["current"]["version"].as_str() {
            Some(NEXT_VERSION) if status["activity"]["doing"].is_null() => Ok(()),
            _ => Err((moment, status, node.log())),
        }
    });
    assert_eq!(node.logger_version().as_deref(), Some(NEXT_VERSION));
    assert!(node.litter().is_empty(), "killed after {moment:?}: litter {:?}", node.litter());
    let stored = node.stored();
    assert!(
        stored.len() <= 2,
        "killed after {moment:?}: current and previous are stored, not {stored:?}"
    );
}
