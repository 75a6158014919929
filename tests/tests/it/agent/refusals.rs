// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What must not be installed is not: a clear reason, the running version untouched, nothing left behind.

use std::fs;
use std::time::{Duration, SystemTime};

use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use dockerlogger_tests::release_server::{Fault, ReleaseServer};
use dockerlogger_tests::repository::{Repository, copy_folder};
use dockerlogger_tests::{SOON, until};

use super::super::skip;
use super::fixture::{expect_untouched, publisher};

/// `EX_TEMPFAIL`: trying again later is right.
const TEMPORARY: i32 = 75;
/// Refused for good.
const REFUSED: i32 = 1;

/// Updates a node from a server with a fault; returns exit status and reason after checking that nothing happened.
fn refused_with(path: &str, fault: Fault) -> (i32, String) {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let server = ReleaseServer::start(&publisher.next_tree());
    let node = publisher.node(&scratch.path().join("node"), &server.url());
    server.set_fault(path, fault);
    let (status, said) = node.refused(&["update"]);
    expect_untouched(&node, VERSION);
    assert_eq!(node.stored().len(), 1, "nothing of it is stored");
    let broke_off = fault == Fault::Truncated && path.starts_with("logger-");
    assert_eq!(node.partials().len(), usize::from(broke_off), "only what broke off is kept");
    // The same source, healthy again, is fine: nothing was poisoned.
    server.clear_faults();
    node.expect(&["update"]);
    assert_eq!(node.logger_version().as_deref(), Some(NEXT_VERSION));
    assert_eq!(node.partials(), Vec::<std::path::PathBuf>::new(), "and not for longer");
    (status, said)
}

#[test]
fn a_flipped_byte_is_refused_wherever_it_is() {
    for (path, named) in [
        ("logger-0.2.0", "logger-0.2.0"),
        ("2.targets.json", "targets"),
        ("2.snapshot.json", "snapshot"),
        ("timestamp.json", "timestamp"),
        (".0.2.0.json", "0.2.0"),
        (".stable.json", "stable"),
    ] {
        let (status, said) = refused_with(path, Fault::FlippedByte);
        assert_eq!(status, REFUSED, "{path}: {said}");
        assert!(said.contains(named), "{path}: {said}");
    }
}

#[test]
fn a_body_that_ends_early_can_be_tried_again() {
    for path in ["logger-0.2.0", "2.targets.json", "timestamp.json"] {
        let (status, said) = refused_with(path, Fault::Truncated);
        assert!(status == TEMPORARY || status == REFUSED, "{path}: {status} {said}");
    }
}

#[test]
fn a_body_longer_than_signed_is_refused_while_reading() {
    for (path, fault) in [
        ("logger-0.2.0", Fault::TooLong),
        ("logger-0.2.0", Fault::Endless),
        ("timestamp.json", Fault::Endless),
        ("2.targets.json", Fault::TooLong),
    ] {
        let (status, said) = refused_with(path, fault);
        assert_eq!(status, REFUSED, "{path} {fault:?}: {said}");
    }
}

#[test]
fn a_server_that_is_down_is_no_refusal() {
    let (status, said) = refused_with("timestamp.json", Fault::Unavailable);
    assert_eq!(status, TEMPORARY, "{said}");
    assert!(said.contains("503"), "{said}");
    let scratch = tempfile::tempdir().unwrap();
    let node = publisher().node(&scratch.path().join("node"), "http://127.0.0.1:1");
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, TEMPORARY, "{said}");
    expect_untouched(&node, VERSION);
}

#[test]
fn a_strangers_signature_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let stranger = Repository::create(&scratch.path().join("stranger"));
    stranger.publish_packed(&publisher.next_packed(), &[]);
    let node = publisher.node(&scratch.path().join("node"), stranger.tree().to_str().unwrap());
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, REFUSED, "{said}");
    assert!(said.contains("sign"), "{said}");
    expect_untouched(&node, VERSION);
    // Nor does a node that has nothing yet believe the stranger.
    let fresh = Node::new(
        &scratch.path().join("fresh"),
        &publisher.trust_anchor(),
        stranger.tree().to_str(),
    );
    fresh.refused(&["update"]);
    assert_eq!(fresh.logger_version(), None);
}

#[test]
fn older_metadata_played_again_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let server = ReleaseServer::start(&publisher.next_tree());
    let node = publisher.node(&scratch.path().join("node"), &server.url());
    node.expect(&["update"]);
    server.switch(&publisher.first_tree());
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, REFUSED, "{said}");
    assert!(said.contains("older"), "{said}");
    expect_untouched(&node, NEXT_VERSION);
}

#[test]
fn a_channel_that_goes_back_to_an_older_release_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let repository = publisher.copy(&scratch.path().join("publisher"));
    repository.publish_packed(&publisher.next_packed(), &[]);
    let node = publisher.node(&scratch.path().join("node"), repository.tree().to_str().unwrap());
    node.expect(&["update"]);
    repository.publish_packed(&publisher.first_packed(), &[]);
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, REFUSED, "{said}");
    assert!(said.contains("older") && said.contains("rollback"), "{said}");
    expect_untouched(&node, NEXT_VERSION);
}

#[test]
fn expired_metadata_is_refused_online_and_a_warning_in_a_bundle() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let repository = publisher.copy(&scratch.path().join("publisher"));
    let server = ReleaseServer::start(&repository.tree());
    let node = publisher.node(&scratch.path().join("node"), &server.url());
    repository.publish_packed(&publisher.next_packed(), &["--expires-timestamp", "1s"]);
    let expires = SystemTime::now() + Duration::from_secs(2);
    let bundle = scratch.path().join("expired.tar");
    repository.bundle(&bundle);
    until("the metadata to expire", SOON, || {
        let left = expires.duration_since(SystemTime::now());
        if left.is_err() { Ok(()) } else { Err(left) }
    });
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, REFUSED, "{said}");
    assert!(said.contains("timestamp") && said.contains("expired"), "{said}");
    expect_untouched(&node, VERSION);
    let said = node.expect(&["install", "--bundle", bundle.to_str().unwrap()]);
    assert!(said.contains("expired"), "the operator is warned: {said}");
    expect_untouched(&node, NEXT_VERSION);
}

#[test]
fn a_release_for_another_platform_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let mut node =
        publisher.node(&scratch.path().join("node"), publisher.next_tree().to_str().unwrap());
    node.set("target", "sparc64-unknown-illumos".into());
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, REFUSED, "{said}");
    for word in ["sparc64-unknown-illumos", &dockerlogger_tests::programs::target()] {
        assert!(said.contains(word), "{word} should be in {said}");
    }
    expect_untouched(&node, VERSION);
}

#[test]
fn a_disk_without_room_is_noticed_before_anything_is_fetched() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let server = ReleaseServer::start(&publisher.next_tree());
    let mut node = publisher.node(&scratch.path().join("node"), &server.url());
    node.set("reserve_bytes", (1u64 << 60).into());
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, REFUSED, "{said}");
    assert!(said.contains("available") && said.contains(&(1u64 << 60).to_string()), "{said}");
    assert!(
        !server.requests().iter().any(|path| path.contains("logger-")),
        "{:?}",
        server.requests()
    );
    expect_untouched(&node, VERSION);
}

#[test]
fn a_bundle_that_is_cut_or_is_none_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let whole = scratch.path().join("whole.tar");
    Repository::open(publisher.next_tree().parent().unwrap()).bundle(&whole);
    let bytes = fs::read(&whole).unwrap();
    let node =
        publisher.node(&scratch.path().join("node"), publisher.next_tree().to_str().unwrap());
    for (name, content) in [
        ("cut.tar", &bytes[..bytes.len() / 2]),
        ("empty.tar", b""),
        ("text.tar", b"not a tar at all"),
    ] {
        let file = scratch.path().join(name);
        fs::write(&file, content).unwrap();
        let (status, said) = node.refused(&["install", "--bundle", file.to_str().unwrap()]);
        assert_eq!(status, REFUSED, "{name}: {said}");
        assert!(said.contains(name) || said.contains("ended after"), "{name}: {said}");
        expect_untouched(&node, VERSION);
    }
}

#[test]
fn unknown_fields_in_a_release_are_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let repository = publisher.copy(&scratch.path().join("publisher"));
    let packed = scratch.path().join("packed");
    copy_folder(&publisher.next_packed(), &packed);
    let text = fs::read_to_string(packed.join("release.json")).unwrap();
    let mut release: serde_json::Value = serde_json::from_str(&text).unwrap();
    release["a-field-of-tomorrow"] = serde_json::json!({"x": [1, 2]});
    fs::write(packed.join("release.json"), release.to_string()).unwrap();
    repository.publish_packed(&packed, &[]);
    let node = publisher.node(&scratch.path().join("node"), repository.tree().to_str().unwrap());
    node.expect(&["update"]);
    expect_untouched(&node, NEXT_VERSION);
    let stored =
        fs::read_to_string(node.logger_file().unwrap().with_file_name("release.json")).unwrap();
    assert!(stored.contains("a-field-of-tomorrow"), "{stored}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_root_is_reported() {
    use std::process::Command;
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let node =
        publisher.node(&scratch.path().join("node"), publisher.next_tree().to_str().unwrap());
    let root = node.root();
    // A mount of our own, so that this works for root too, for whom file modes mean nothing.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" || exit 250; shift; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(&root)
        .arg(dockerlogger_tests::programs::agent())
        .args(["update", "--config"])
        .arg(node.config_file())
        .output();
    let Some(output) = output.ok().filter(|output| {
        let refused = String::from_utf8_lossy(&output.stderr).contains("unshare");
        output.status.code() != Some(250) && !refused
    }) else {
        return skip("this system lets nobody mount: a read-only root was not tried");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(REFUSED), "{said}");
    assert!(said.contains("ead-only") && said.contains(root.to_str().unwrap()), "{said}");
    expect_untouched(&node, VERSION);
}
