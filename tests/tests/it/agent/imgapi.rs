// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Releases that the operator imported into the data centre's image API.

use std::fs;
use std::time::{Duration, SystemTime};

use dockerlogger_tests::imgapi::{FileFault, Imgapi};
use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use dockerlogger_tests::repository::{Repository, release};
use dockerlogger_tests::{SOON, until};

use super::fixture::{expect_untouched, publisher};

/// The bundle of a tree.
fn bundle(tree: &std::path::Path) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("bundle.tar");
    release(&["bundle", "--repo", tree.to_str().unwrap(), "--out", file.to_str().unwrap()]);
    fs::read(file).unwrap()
}

fn downloads(imgapi: &Imgapi) -> usize {
    imgapi.requests().iter().filter(|request| request.ends_with("/file")).count()
}

#[test]
fn the_newest_active_image_is_installed_and_fetched_once() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let imgapi = Imgapi::start();
    let source = imgapi.source();
    let mut node = Node::new(scratch.path(), &publisher.trust_anchor(), Some(&source));
    let (status, stderr) = node.refused(&["update"]);
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains("no active image named dockerlogger"), "{stderr}");

    imgapi.import("dockerlogger", "2026-01-01T00:00:00Z", None, &bundle(&publisher.first_tree()));
    imgapi.import("sdc-docker", "2026-03-01T00:00:00Z", None, b"another product");
    node.start();
    node.expect(&["update"]);
    assert_eq!(node.logger_version().as_deref(), Some(VERSION));
    let asked = imgapi.requests();
    let list = asked.iter().find(|request| request.starts_with("/images?")).unwrap();
    for filter in ["name=dockerlogger", "state=active", "sort=published_at.desc"] {
        assert!(list.contains(filter), "{list}");
    }
    node.expect(&["update"]);
    assert_eq!(
        downloads(&imgapi),
        0,
        "the same image is not fetched again to see that nothing is new"
    );

    imgapi.import("dockerlogger", "2026-02-01T00:00:00Z", None, &bundle(&publisher.next_tree()));
    node.expect(&["update"]);
    assert_eq!(node.logger_version().as_deref(), Some(NEXT_VERSION));
    assert_eq!(downloads(&imgapi), 1);

    // What was published before it is older, whatever the image API says.
    imgapi.disable(2);
    let (_, stderr) = node.refused(&["update"]);
    assert!(stderr.contains("refused"), "{stderr}");
    expect_untouched(&node, NEXT_VERSION);
}

#[test]
fn a_channel_is_asked_for_where_one_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let imgapi = Imgapi::start();
    imgapi.import(
        "dockerlogger",
        "2026-01-01T00:00:00Z",
        Some("release"),
        &bundle(&publisher.first_tree()),
    );
    imgapi.import("dockerlogger", "2026-02-01T00:00:00Z", Some("dev"), b"not even a bundle");
    let source = format!("{}/?channel=release", imgapi.source());
    let node = Node::new(scratch.path(), &publisher.trust_anchor(), Some(&source));
    node.expect(&["update"]);
    expect_untouched(&node, VERSION);
}

#[test]
fn a_file_that_is_not_what_its_manifest_says_is_not_looked_at() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let imgapi = Imgapi::start();
    imgapi.import("dockerlogger", "2026-02-01T00:00:00Z", None, &bundle(&publisher.next_tree()));
    let node = publisher.node(scratch.path(), &imgapi.source());
    let cases = [
        (FileFault::FlippedByte, 1, "has SHA-1"),
        (FileFault::Truncated, 75, "the request failed"),
        (FileFault::StorageIsDown, 75, "the server answered 503"),
    ];
    for (fault, status, words) in cases {
        imgapi.set_fault(Some(fault));
        let (ended, stderr) = node.refused(&["update"]);
        assert_eq!(ended, status, "{fault:?}: {stderr}");
        assert!(stderr.contains(words), "{fault:?}: {stderr}");
        expect_untouched(&node, VERSION);
    }
    imgapi.set_fault(None);
    node.expect(&["update"]);
    expect_untouched(&node, NEXT_VERSION);
}

#[test]
fn the_image_api_is_not_trusted() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let stranger = Repository::create(&scratch.path().join("stranger"));
    stranger.publish_next();
    let imgapi = Imgapi::start();
    imgapi.import("dockerlogger", "2026-02-01T00:00:00Z", None, &bundle(&stranger.tree()));
    let node = publisher.node(&scratch.path().join("node"), &imgapi.source());
    let (status, stderr) = node.refused(&["update"]);
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains("refused"), "{stderr}");
    expect_untouched(&node, VERSION);
}

#[test]
fn an_image_whose_metadata_has_expired_is_taken_on_the_operators_word_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let repository = publisher.copy(&scratch.path().join("publisher"));
    let imgapi = Imgapi::start();
    let node = publisher.node(&scratch.path().join("node"), &imgapi.source());
    repository.publish_packed(&publisher.next_packed(), &["--expires-timestamp", "1s"]);
    let expires = SystemTime::now() + Duration::from_secs(2);
    imgapi.import("dockerlogger", "2026-02-01T00:00:00Z", None, &bundle(&repository.tree()));
    until("the metadata to expire", SOON, || {
        let left = expires.duration_since(SystemTime::now());
        if left.is_err() { Ok(()) } else { Err(left) }
    });
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("timestamp") && said.contains("expired"), "{said}");
    expect_untouched(&node, VERSION);
    let said = node.expect(&["update", "--allow-expired"]);
    assert!(said.contains("expired"), "the operator is warned: {said}");
    expect_untouched(&node, NEXT_VERSION);
    let history = node.expect(&["history"]);
    assert!(history.contains("allow-expired"), "{history}");
}
