// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Installing from nothing, from every kind of source; moving on while a container runs; going back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use dockerlogger_tests::dockerinit::{Container, Output};
use dockerlogger_tests::node::Node;
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use dockerlogger_tests::receiver::TcpReceiver;
use dockerlogger_tests::release_server::{Fault, ReleaseServer};
use dockerlogger_tests::{SOON, try_until, until};
use serde_json::json;

use super::fixture::{expect_untouched, publisher};
use crate::it::{syslog_container, texts};

#[test]
fn a_fresh_agent_installs_over_http_by_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let server = ReleaseServer::start(&publisher.first_tree());
    server.set_fault("targets/", Fault::Slow);
    let mut node = Node::new(scratch.path(), &publisher.trust_anchor(), Some(&server.url()));
    node.start();
    until("the first release", SOON, || {
        match node.get("/status").json()["current"]["version"].as_str() {
            Some(VERSION) => Ok(()),
            other => Err((other.map(str::to_owned), node.log())),
        }
    });
    assert_eq!(node.logger_version().as_deref(), Some(VERSION));
    let link = fs::read_link(node.logger()).unwrap();
    assert!(
        link.starts_with("../store/"),
        "zones see the tree elsewhere, so the link is relative: {}",
        link.display()
    );
    assert_eq!(fs::metadata(node.logger()).unwrap().mode() & 0o7777, 0o555);
    assert!(node.stop().success(), "SIGTERM is an orderly end: {}", node.log());
    expect_untouched(&node, VERSION);
}

#[test]
fn a_directory_and_a_bundle_are_sources_too() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let bundle = scratch.path().join("dockerlogger.tar");
    publisher.copy(&scratch.path().join("publisher")).bundle(&bundle);
    for source in [publisher.first_tree().to_str(), bundle.to_str()] {
        let folder = scratch.path().join(format!("node-{}", source.unwrap().len()));
        let node = Node::new(&folder, &publisher.trust_anchor(), source);
        let said = node.expect(&["update"]);
        assert!(said.contains(VERSION), "{said}");
        expect_untouched(&node, VERSION);
    }
    // A node without network: the operator brings the file.
    let node = Node::new(&scratch.path().join("node-alone"), &publisher.trust_anchor(), None);
    node.expect(&["install", "--bundle", bundle.to_str().unwrap()]);
    expect_untouched(&node, VERSION);
    let again = node.expect(&["install", "--bundle", bundle.to_str().unwrap()]);
    assert!(again.contains("nothing changed"), "installing twice is installing once: {again}");
}

#[test]
fn a_mirror_that_stands_still_does_not_hide_what_the_next_one_has() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let mut node = publisher.node(scratch.path(), publisher.first_tree().to_str().unwrap());
    node.set("mirrors", json!([publisher.next_tree()]));
    node.set("poll_interval", json!("1s"));
    node.set("trial", json!("0s"));
    node.start();
    until("the release that only the mirror has", Duration::from_secs(60), || {
        match node.get("/status").json()["current"]["version"].as_str() {
            Some(NEXT_VERSION) => Ok(()),
            other => Err((other.map(str::to_owned), node.log())),
        }
    });
    // And is found out.
    until("the first source to be named", SOON, || {
        let status = node.get("/status").json();
        let passed = status["last_check"]["passed_over"][0]["why"].as_str().unwrap_or_default();
        if passed.contains("older than version") { Ok(()) } else { Err(status) }
    });
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let next = publisher.next_tree();
    let node = publisher.node(&scratch.path().join("node"), next.to_str().unwrap());
    let said = node.expect(&["update", "--dry-run"]);
    assert!(said.contains(NEXT_VERSION), "{said}");
    expect_untouched(&node, VERSION);
    assert_eq!(node.stored().len(), 1);
}

#[test]
fn a_running_container_keeps_its_logger_and_loses_nothing_when_the_node_moves_on() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let mut node =
        publisher.node(&scratch.path().join("node"), publisher.next_tree().to_str().unwrap());
    node.set("source", publisher.first_tree().to_str().into());
    node.start();
    let receiver = TcpReceiver::start();
    let mut spec = syslog_container(&receiver.syslog_address(), &[]);
    spec.logger = node.logger();
    let container = Container::start(&spec, scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 100).as_bytes());

    node.expect(&["update", "--source", publisher.next_tree().to_str().unwrap()]);
    assert_eq!(node.logger_version().as_deref(), Some(NEXT_VERSION));
    assert_eq!(container.logger_exit(), None);
    if cfg!(target_os = "linux") {
        let exe = format!("/proc/{}/exe", container.logger_pid());
        assert_eq!(dockerlogger_tests::node::version_of(exe.as_ref()).as_deref(), Some(VERSION));
        assert_ne!(fs::metadata(exe).unwrap().ino(), fs::metadata(node.logger()).unwrap().ino());
    }
    container.write(Output::Stdout, oracle::lines(100, 200).as_bytes());

    let second_scratch = tempfile::tempdir().unwrap();
    let second_receiver = TcpReceiver::start();
    spec = syslog_container(&second_receiver.syslog_address(), &[]);
    spec.logger = node.logger();
    let second = Container::start(&spec, second_scratch.path());
    second.write(Output::Stdout, oracle::lines(0, 50).as_bytes());

    for (container, receiver, written) in
        [(&container, &receiver, 200), (&second, &second_receiver, 50)]
    {
        container.end_well();
        let judged = try_until(SOON, || {
            let verdict = Verdict::of(written, texts(&receiver.messages()));
            if verdict.exact() { Ok(()) } else { Err(verdict) }
        });
        assert!(judged.is_ok(), "{judged:?}");
    }
    expect_untouched(&node, NEXT_VERSION);
}

#[test]
fn rollback_goes_back_and_stays_there() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let node =
        publisher.node(&scratch.path().join("node"), publisher.next_tree().to_str().unwrap());
    let (status, stderr) = node.refused(&["rollback"]);
    assert!(status == 1 && stderr.contains("previous"), "{status}: {stderr}");
    node.expect(&["update"]);
    assert_eq!(node.logger_version().as_deref(), Some(NEXT_VERSION));
    node.expect(&["rollback"]);
    expect_untouched(&node, VERSION);
    // What was rolled back does not come again by itself.
    let said = node.expect(&["update"]);
    assert!(said.contains("blocked") && said.contains(NEXT_VERSION), "{said}");
    expect_untouched(&node, VERSION);
}

#[test]
fn an_agent_without_a_source_answers_and_takes_bundles() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let bundle = scratch.path().join("dockerlogger.tar");
    publisher.copy(&scratch.path().join("publisher")).bundle(&bundle);
    let mut node = Node::new(&scratch.path().join("node"), &publisher.trust_anchor(), None);
    node.start();
    assert!(node.get("/drivers").json()["drivers"].is_array());
    let (status, stderr) = node.refused(&["update"]);
    assert!(stderr.contains("source"), "{status}: {stderr}");
    node.expect(&["install", "--bundle", bundle.to_str().unwrap()]);
    until("the API to know the release", SOON, || {
        match node.get("/status").json()["current"]["version"].as_str() {
            Some(VERSION) => Ok(()),
            other => Err(other.map(str::to_owned)),
        }
    });
    expect_untouched(&node, VERSION);
}
