// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Correctly signed archives with hostile content: the publisher's build machine was broken into.

use std::fs;
use std::path::{Path, PathBuf};

use dockerlogger_tests::programs::{NEXT_VERSION, VERSION, target};
use dockerlogger_tests::repository::copy_folder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fixture::{expect_untouched, publisher};

/// One entry of a tar archive, written without any of the checks that tar tools make.
struct Entry<'a> {
    name: &'a str,
    /// `0` file, `1` hard link, `2` symbolic link, `3` device, `5` folder.
    kind: u8,
    link: &'a str,
    content: &'a [u8],
}

const BLOCK: usize = 512;

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let mut header = [0u8; BLOCK];
        header[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
        header[100..108].copy_from_slice(b"0000555\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", entry.content.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = entry.kind;
        header[157..157 + entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(entry.content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Publishes the next release with `artifact` in place of its archive, all digests right; returns the tree.
fn publish(folder: &Path, artifact: &[u8], edit: impl Fn(&mut Value)) -> PathBuf {
    let publisher = publisher();
    let repository = publisher.copy(&folder.join("publisher"));
    let packed = folder.join("packed");
    copy_folder(&publisher.next_packed(), &packed);
    let text = fs::read_to_string(packed.join("release.json")).unwrap();
    let mut release: Value = serde_json::from_str(&text).unwrap();
    let described = &mut release["targets"][target().as_str()];
    described["size"] = artifact.len().into();
    described["sha256"] = hex(artifact).into();
    edit(described);
    let name = described["name"].as_str().unwrap().to_owned();
    fs::write(packed.join(name), artifact).unwrap();
    fs::write(packed.join("release.json"), release.to_string()).unwrap();
    repository.publish_packed(&packed, &[]);
    repository.tree()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[track_caller]
fn expect_refused(what: &str, artifact: &[u8], edit: impl Fn(&mut Value)) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let tree = publish(scratch.path(), artifact, edit);
    let node = publisher().node(&scratch.path().join("node"), tree.to_str().unwrap());
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, 1, "{what}: {said}");
    // A release that unpacks well is run from where it would stay; whoever takes the lock next throws it away.
    node.expect(&["hold"]);
    expect_untouched(&node, VERSION);
    assert_eq!(node.stored().len(), 1, "{what}: nothing of it is stored");
    let outside: Vec<_> =
        fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside.len(), 3, "{what}: nothing was written outside of the node: {outside:?}");
    said
}

#[test]
fn entries_that_are_not_the_signed_file_are_refused() {
    let file = |name| Entry { name, kind: b'0', link: "", content: b"#!/bin/sh\n" };
    let link = |kind, link| Entry { name: "logger", kind, link, content: b"" };
    for (what, entries) in [
        ("a path out of the folder", vec![file("../evil")]),
        ("a path out of the root", vec![file("../../../evil")]),
        ("an absolute path", vec![file("/tmp/evil-of-a-test")]),
        ("a symbolic link", vec![link(b'2', "/bin/sh")]),
        ("a symbolic link and a file through it", vec![link(b'2', "../.."), file("logger/evil")]),
        ("a hard link", vec![link(b'1', "/etc/passwd")]),
        ("a device", vec![link(b'3', "")]),
        ("a fifo", vec![link(b'6', "")]),
        ("a folder", vec![Entry { name: "logger", kind: b'5', link: "", content: b"" }]),
        ("another file", vec![file("other")]),
        ("a file of another content", vec![file("logger")]),
        ("a file twice", vec![file("logger"), file("logger")]),
        ("no file", vec![]),
    ] {
        let said = expect_refused(what, &zstd(&tar(&entries)), |_| {});
        assert!(
            said.contains(&format!("logger-{NEXT_VERSION}")),
            "{what}: the artifact is named: {said}"
        );
    }
    assert!(!Path::new("/tmp/evil-of-a-test").exists());
}

#[test]
fn what_is_no_archive_is_refused() {
    expect_refused("plain text", b"not compressed", |_| {});
    expect_refused("compressed text", &zstd(b"not a tar archive"), |_| {});
    expect_refused("an empty file", b"", |_| {});
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_disk() {
    // 256 MiB of zeros in a few KiB, where the release promises a file of a few MiB.
    let zeros = vec![0u8; 256 << 20];
    let bomb = zstd(&tar(&[Entry { name: "logger", kind: b'0', link: "", content: &zeros }]));
    let said = expect_refused("a bomb", &bomb, |_| {});
    assert!(said.contains("logger"), "{said}");
}

#[test]
fn a_logger_that_is_not_what_the_release_says_fails_its_probe() {
    let script = b"#!/bin/sh\necho 9.9.9\n";
    let artifact = zstd(&tar(&[Entry { name: "logger", kind: b'0', link: "", content: script }]));
    let said = expect_refused("a script", &artifact, |described| {
        described["files"][0]["size"] = script.len().into();
        described["files"][0]["sha256"] = hex(script).into();
    });
    assert!(
        said.contains("9.9.9") && said.contains(NEXT_VERSION),
        "both versions are named: {said}"
    );
}
