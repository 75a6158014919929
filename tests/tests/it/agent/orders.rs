// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Orders that come while the agent is busy.

use dockerlogger_tests::programs::NEXT_VERSION;
use dockerlogger_tests::release_server::{Fault, ReleaseServer};
use dockerlogger_tests::{SOON, until};

use super::fixture::{expect_untouched, publisher};

#[test]
fn an_order_ends_a_download_that_crawls_and_the_next_one_goes_on_from_there() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let server = ReleaseServer::start(&publisher.next_tree());
    server.set_fault(&format!("logger-{NEXT_VERSION}"), Fault::Crawling);
    let mut node = publisher.node(&scratch.path().join("node"), &server.url());
    node.set("trial", "0s".into());
    node.set("poll_interval", "20s".into());
    node.start();
    // The first poll begins within 2 s, and would take hours.
    until("the agent to fetch", SOON, || {
        let doing = node.get("/status").json()["activity"]["doing"].clone();
        let fetching = doing["progress"].as_str().is_some_and(|sign| sign.starts_with("fetched "));
        if fetching { Ok(()) } else { Err(doing) }
    });
    let status = node.expect(&["status"]);
    assert!(status.contains("update for poll since "), "{status}");
    let told = node.expect(&["hold", "--reason", "freeze"]);
    assert!(told.contains("ending the update of poll since "), "{told}");
    assert!(told.contains("this node keeps the release it has"), "{told}");
    let log = node.log();
    assert!(log.contains("it gave way: socket uid 0 asks for: hold"), "{log}");
    assert_eq!(node.get("/status").json()["activity"]["doing"], serde_json::Value::Null);

    server.clear_faults();
    node.expect(&["release-hold"]);
    let told = node.expect(&["update"]);
    assert!(told.contains("bytes are here already"), "{told}");
    assert_eq!(node.logger_version().as_deref(), Some(NEXT_VERSION));
    expect_untouched(&node, NEXT_VERSION);
}
