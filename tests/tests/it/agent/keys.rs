// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Keys that change hands, and mirrors that lie: whom a node believes, from the real `release` to the real agent.

use std::fs;
use std::path::{Path, PathBuf};

use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use dockerlogger_tests::release_server::{Fault, ReleaseServer};
use dockerlogger_tests::repository::{Repository, release, try_release};

use super::fixture::{expect_untouched, publisher};

/// A publisher in a scratch folder, with the first release.
struct Ceremony {
    folder: PathBuf,
    repository: Repository,
}

impl Ceremony {
    fn new(folder: &Path) -> Self {
        let repository = publisher().copy(folder);
        Self { folder: folder.to_owned(), repository }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Runs `release` with `{}` for this folder.
    fn run(&self, arguments: &str) {
        let arguments = arguments.replace("{}", self.folder.to_str().unwrap());
        release(&arguments.split_whitespace().collect::<Vec<_>>());
    }

    /// The root of version `version` and new keys for root and timestamp.
    fn rotate(&self, version: u32) {
        let (old, new) = (version - 1, version);
        let before = if old == 1 { "keys/root-1".to_owned() } else { format!("root-v{old}") };
        self.run(&format!("key --out {{}}/root-v{new}.pem"));
        self.run(&format!("key --out {{}}/timestamp-v{new}.pem"));
        self.run(&format!(
            "rotate --root {{}}/repo/metadata/{old}.root.json --out {{}}/{new}.root.json \
             --root-key {{}}/root-v{new}.pem.pub --timestamp {{}}/timestamp-v{new}.pem.pub"
        ));
        self.run(&format!(
            "sign --root {{}}/repo/metadata/{old}.root.json --file {{}}/{new}.root.json \
             --key {{}}/{before}.pem --key {{}}/root-v{new}.pem"
        ));
        let timestamp = self.path(&format!("timestamp-v{new}.pem"));
        fs::copy(timestamp, self.path("keys/timestamp.pem")).unwrap();
        self.run(&format!("adopt --repo {{}}/repo --keys {{}}/keys --root {{}}/{new}.root.json"));
    }
}

#[test]
fn a_node_follows_three_roots_at_once_online_and_by_bundle() {
    let scratch = tempfile::tempdir().unwrap();
    let ceremony = Ceremony::new(&scratch.path().join("publisher"));
    let tree = ceremony.repository.tree();
    let online = publisher().node(&scratch.path().join("online"), tree.to_str().unwrap());
    let offline = Node::copied(&online, &scratch.path().join("offline"));
    let stopped = Node::copied(&online, &scratch.path().join("stopped"));
    for version in [2, 3, 4] {
        ceremony.rotate(version);
    }
    ceremony.repository.publish_packed(&publisher().next_packed(), &[]);

    online.expect(&["update"]);
    expect_untouched(&online, NEXT_VERSION);
    let status: serde_json::Value =
        serde_json::from_str(&online.expect(&["status", "--json"])).unwrap();
    assert_eq!(status["trust"]["root"], 4, "{status}");

    // Without a network: the bundle has every root there was.
    let bundle = scratch.path().join("bundle.tar");
    ceremony.repository.bundle(&bundle);
    offline.expect(&["install", "--bundle", bundle.to_str().unwrap()]);
    expect_untouched(&offline, NEXT_VERSION);

    // A mirror that keeps one root back keeps the node where it is.
    fs::remove_file(tree.join("metadata/3.root.json")).unwrap();
    let (status, said) = stopped.refused(&["update"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("signature of timestamp metadata: 0 of 1 needed keys"), "{said}");
    expect_untouched(&stopped, VERSION);
}

#[test]
fn a_lying_mirror_is_found_out_at_every_file() {
    let scratch = tempfile::tempdir().unwrap();
    let ceremony = Ceremony::new(&scratch.path().join("publisher"));
    let original = publisher()
        .node(&scratch.path().join("original"), ceremony.repository.tree().to_str().unwrap());
    ceremony.rotate(2);
    ceremony.repository.publish_packed(&publisher().next_packed(), &[]);
    let server = ReleaseServer::start(&ceremony.repository.tree());
    let node = |name: &str| {
        let mut node = Node::copied(&original, &scratch.path().join(name));
        node.set("source", server.url().into());
        node
    };
    node("honest").expect(&["update"]);
    let tree = ceremony.repository.tree();
    let mut files = server.requests();
    files.retain(|path| tree.join(path.trim_start_matches('/')).exists());
    assert!(files.len() >= 7, "root, three roles, channel, release, artifact: {files:?}");
    for (number, path) in files.iter().enumerate() {
        let node = node(&format!("node-{number}"));
        server.set_fault(path, Fault::FlippedByte);
        let (status, said) = node.refused(&["update"]);
        assert_eq!(status, 1, "{path}: {said}");
        expect_untouched(&node, VERSION);
        server.clear_faults();
        node.expect(&["update"]);
        expect_untouched(&node, NEXT_VERSION);
    }
}

#[test]
fn a_delegated_role_brings_its_release_to_the_nodes_of_its_channel() {
    let scratch = tempfile::tempdir().unwrap();
    let ceremony = Ceremony::new(&scratch.path().join("publisher"));
    let tree = ceremony.repository.tree();
    let stable = publisher().node(&scratch.path().join("stable"), tree.to_str().unwrap());
    let mut beta = Node::copied(&stable, &scratch.path().join("beta"));
    beta.set("channel", "beta".into());
    ceremony.run("key --out {}/beta.pem");
    ceremony.run(
        "delegate --repo {}/repo --keys {}/keys --role beta --key {}/beta.pem.pub \
         --paths channels/beta.json releases/0.2.*.json logger-0.2.*",
    );
    let (status, said) = beta.refused(&["update"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("refused beta metadata"), "{said}");

    fs::remove_file(ceremony.path("keys/targets.pem")).unwrap();
    let publish = |channel: &str| {
        let (repo, keys) = (ceremony.path("repo"), ceremony.path("keys"));
        let (key, packed) = (ceremony.path("beta.pem"), publisher().next_packed());
        let packed = packed.to_str().unwrap();
        try_release(&[
            "publish",
            "--repo",
            &repo,
            "--keys",
            &keys,
            "--release",
            packed,
            "--channel",
            channel,
            "--role",
            "beta",
            "--role-key",
            &key,
        ])
    };
    // Not the channel that it is not trusted with.
    let refused = publish("stable");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("role beta is not trusted with channels/stable.json"), "{said}");
    assert!(publish("beta").status.success());
    beta.expect(&["update"]);
    expect_untouched(&beta, NEXT_VERSION);
    stable.expect(&["update"]);
    expect_untouched(&stable, VERSION);
    // By bundle as well.
    let bundle = scratch.path().join("bundle.tar");
    ceremony.repository.bundle(&bundle);
    let mut offline = Node::copied(&stable, &scratch.path().join("offline"));
    offline.set("channel", "beta".into());
    offline.expect(&["install", "--bundle", bundle.to_str().unwrap()]);
    expect_untouched(&offline, NEXT_VERSION);
}
