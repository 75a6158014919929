// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Between releases: renewing, halting, revoking, and new keys for every role. What is left is verified by two
//! libraries: the one that nodes use, and, through `show`, the one that wrote it.

use std::fs;

use serde_json::Value;

use crate::{Scratch, View, files, publish};

/// What a node that knows the first root alone sees; the other library has to agree that it verifies.
fn seen(scratch: &Scratch) -> View {
    scratch.ok("show repo --root keys/1.root.json");
    scratch.view("repo").unwrap()
}

fn json(scratch: &Scratch, name: &str) -> Value {
    serde_json::from_slice(&fs::read(scratch.path(name)).unwrap()).unwrap()
}

fn channel(view: &View) -> Value {
    serde_json::from_slice(&view.targets["channels/stable.json"]).unwrap()
}

#[test]
fn renewing_needs_two_keys_and_changes_no_target() {
    let scratch = Scratch::published(&["1.0.0"]);
    let before = seen(&scratch);
    fs::rename(scratch.path("keys/targets.pem"), scratch.path("targets.pem")).unwrap();
    let said = scratch.ok("renew --repo repo --keys keys --expires-timestamp 3d");
    assert!(said.starts_with("renewed what expires\nsnapshot   version 2, "), "{said}");
    let after = seen(&scratch);
    assert_eq!((after.versions, &after.targets), ([2, 2, 1], &before.targets));
    assert!(scratch.refused("renew --repo repo --keys keys --targets").contains("targets.pem"));
    fs::rename(scratch.path("targets.pem"), scratch.path("keys/targets.pem")).unwrap();
    scratch.ok("renew --repo repo --keys keys --targets");
    let after = seen(&scratch);
    assert_eq!((after.versions, &after.targets), ([3, 3, 2], &before.targets));
    assert!(scratch.refused("renew --repo nowhere --keys keys").contains("nowhere"));
}

#[test]
fn a_channel_stops_and_goes_on() {
    let scratch = Scratch::published(&["1.0.0"]);
    scratch.ok("halt --repo repo --keys keys --channel stable");
    let halted = channel(&seen(&scratch));
    assert_eq!((&halted["halted"], &halted["release"]), (&true.into(), &"1.0.0".into()));
    scratch.ok("resume --repo repo --keys keys --channel stable");
    assert_eq!(channel(&seen(&scratch))["halted"], false);
    let message = scratch.refused("halt --repo repo --keys keys --channel edge");
    assert!(message.contains("the repository has no channel edge"), "{message}");
}

#[test]
fn a_revoked_release_is_listed_no_more_and_a_current_one_cannot_be() {
    let scratch = Scratch::published(&["1.0.0", "1.1.0"]);
    let revoke = |version: &str| format!("revoke --repo repo --keys keys --version {version}");
    let message = scratch.refused(&revoke("1.1.0"));
    assert!(message.contains("release 1.1.0 is what channel stable names"), "{message}");
    let message = scratch.refused(&revoke("7.0.0"));
    assert!(message.contains("the repository has no release 7.0.0"), "{message}");
    scratch.ok(&revoke("1.0.0"));
    let view = seen(&scratch);
    assert!(!view.targets.keys().any(|name| name.contains("1.0.0")), "{:?}", view.targets.keys());
    assert!(view.targets.contains_key("releases/1.1.0.json"));
    scratch.ok(&publish("1.0.0"));
    assert!(seen(&scratch).targets.contains_key("releases/1.0.0.json"));
}

/// A repository with three root keys, of which two sign.
fn guarded() -> Scratch {
    let scratch = Scratch::new();
    scratch.ok("keygen --keys keys --root-keys 3 --root-threshold 2");
    scratch.build("1.0.0");
    scratch.ok(&publish("1.0.0"));
    scratch
}

#[test]
fn every_role_gets_new_keys_and_nodes_follow() {
    let scratch = guarded();
    let before = seen(&scratch);
    fs::create_dir(scratch.path("new")).unwrap();
    for role in ["targets", "snapshot", "timestamp"] {
        let said = scratch.ok(&format!("key --out new/{role}.pem"));
        assert!(said.contains(&format!("new/{role}.pem.pub")), "{said}");
    }
    scratch.ok("key --out root-4.pem");
    let said = scratch.ok(
        "rotate --root repo/metadata/1.root.json --out 2.root.json --root-key keys/root-2.pem \
         --root-key keys/root-3.pem --root-key root-4.pem.pub --targets new/targets.pem.pub \
         --snapshot new/snapshot.pem.pub --timestamp new/timestamp.pem.pub",
    );
    assert!(said.contains("signed by 0 of 2 keys of the root before, 0 of 2 of its own"), "{said}");
    fs::copy(scratch.path("keys/1.root.json"), scratch.path("new/1.root.json")).unwrap();

    // Too few signatures: of both roots, then of the old one.
    let adopt = "adopt --repo repo --keys new --root 2.root.json";
    let untouched = files(&scratch.path("repo"));
    let sign = "sign --root keys/1.root.json --file 2.root.json";
    scratch.ok(&format!("{sign} --key root-4.pem"));
    let said = scratch.ok(&format!("{sign} --key keys/root-2.pem"));
    assert!(said.contains("signed by 1 of 2 keys of the root before, 2 of 2 of its own"), "{said}");
    let message = scratch.refused(adopt);
    assert!(message.contains("root version 2 has 1 of 2 signatures of the keys before it"));
    assert_eq!(files(&scratch.path("repo")), untouched);
    // Signing twice counts once.
    let said = scratch.ok(&format!("{sign} --key keys/root-2.pem"));
    assert!(said.contains("signed by 1 of 2 keys"), "{said}");
    // The key that leaves signs as well.
    let said = scratch.ok(&format!("{sign} --key keys/root-1.pem"));
    assert!(said.ends_with("complete: it can be adopted\n"), "{said}");

    // The old online keys are not those the new root names.
    let message = scratch.refused("adopt --repo repo --keys keys --root 2.root.json");
    assert!(message.contains("the root does not name targets.pem"), "{message}");
    scratch.ok(adopt);
    let after = seen(&scratch);
    assert_eq!((after.versions, &after.targets), ([2, 2, 2], &before.targets));
    assert_eq!(json(&scratch, "repo/metadata/2.root.json")["signed"]["version"], 2);

    // Publishing goes on with the new keys, and not with the old ones.
    scratch.build("1.1.0");
    scratch.refused(&publish("1.1.0"));
    scratch.ok("publish --repo repo --keys new --release out/1.1.0 --channel stable");
    assert_eq!(channel(&seen(&scratch))["release"], "1.1.0");
}

#[test]
fn an_adoption_that_was_interrupted_is_done_again() {
    let scratch = guarded();
    scratch.ok("rotate --root keys/1.root.json --out 2.root.json --renew --root-threshold 1");
    scratch.ok(
        "sign --root keys/1.root.json --file 2.root.json --key keys/root-1.pem --key keys/root-3.pem",
    );
    let before = scratch.path("before");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([scratch.path("repo"), before.clone()])
        .status();
    assert!(copied.unwrap().success());
    // Killed between the new root and the timestamp.
    fs::copy(scratch.path("2.root.json"), scratch.path("repo/metadata/2.root.json")).unwrap();
    scratch.ok("adopt --repo repo --keys keys --root 2.root.json");
    assert_eq!(seen(&scratch).versions, [2, 2, 2]);
    let message = scratch.refused("adopt --repo repo --keys keys --root keys/1.root.json");
    assert!(message.contains("does not follow version"), "{message}");
    assert!(scratch.path("repo/metadata/1.root.json").exists());
}

#[test]
fn adopting_once_more_takes_no_root_away() {
    let scratch = guarded();
    scratch.ok("key --out new.pem");
    for (version, last) in [(2, "--timestamp new.pem.pub"), (3, "--renew")] {
        let (old, new) = (format!("{}.root.json", version - 1), format!("{version}.root.json"));
        scratch.ok(&format!("rotate --root repo/metadata/{old} --out {new} {last}"));
        let keys = "--key keys/root-1.pem --key keys/root-2.pem";
        scratch.ok(&format!("sign --root repo/metadata/{old} --file {new} {keys}"));
        fs::copy(scratch.path("new.pem"), scratch.path("keys/timestamp.pem")).unwrap();
        let adopt = format!("adopt --repo repo --keys keys --root {new}");
        // Killed between the new root and the timestamp, under keys of which one is new.
        fs::copy(scratch.path(&new), scratch.path("repo/metadata").join(&new)).unwrap();
        scratch.ok(&adopt);
        assert_eq!(seen(&scratch).versions, [2 * version - 2; 3]);
        // Whoever does not know that it was done.
        scratch.ok(&adopt);
        assert_eq!(seen(&scratch).versions, [2 * version - 1; 3]);
    }
    // By mistake, one that is history.
    let before = files(&scratch.path("repo"));
    let message = scratch.refused("adopt --repo repo --keys keys --root 2.root.json");
    assert!(message.contains("which does not follow version 3"), "{message}");
    assert_eq!(files(&scratch.path("repo")), before);
    // Nor where something else is in the way.
    fs::remove_file(scratch.path("repo/metadata/timestamp.json")).unwrap();
    let before = files(&scratch.path("repo"));
    scratch.refused("adopt --repo repo --keys keys --root 3.root.json");
    assert_eq!(files(&scratch.path("repo")), before);
}

#[test]
fn nonsense_is_refused_before_anything_is_written() {
    let scratch = guarded();
    let rotate = "rotate --root keys/1.root.json --out 2.root.json";
    assert!(scratch.refused(rotate).contains("nothing to rotate"));
    let message = scratch.refused(&format!("{rotate} --root-threshold 4"));
    assert!(
        message.contains("a root threshold of 4 cannot be met with 3 root key(s)"),
        "{message}"
    );
    let message = scratch.refused(&format!("{rotate} --timestamp keys/1.root.json"));
    assert!(message.contains("neither a private key (.pem) nor a public one"), "{message}");
    assert!(!scratch.path("2.root.json").exists());
    scratch.ok(&format!("{rotate} --renew"));
    let message =
        scratch.refused("sign --root keys/1.root.json --file 2.root.json --key keys/timestamp.pem");
    assert!(message.contains("is a root key of neither version 1 nor version 2"), "{message}");
    scratch.ok("key --out k.pem");
    assert!(scratch.refused("key --out k.pem").contains("exists and is never overwritten"));
}

const BETA: &str = "--paths channels/beta.json releases/2.*.json logger-2.*";

/// A repository with release 1.0.0, a role `beta` and its release 2.0.0.
fn delegated() -> Scratch {
    let scratch = Scratch::published(&["1.0.0"]);
    scratch.ok("key --out beta.pem");
    let said = scratch
        .ok(&format!("delegate --repo repo --keys keys --role beta --key beta.pem.pub {BETA}"));
    assert!(said.starts_with("role beta is trusted\ntargets    version 2, "), "{said}");
    scratch.build("2.0.0");
    // Whoever has the role does not have the key of the targets.
    fs::rename(scratch.path("keys/targets.pem"), scratch.path("targets.pem")).unwrap();
    let said = scratch.ok(&under("publish", "--release out/2.0.0 --channel beta"));
    assert!(said.contains("\nbeta       version 1, "), "{said}");
    scratch
}

fn under(verb: &str, rest: &str) -> String {
    format!("{verb} --repo repo --keys keys --role beta --role-key beta.pem {rest}")
}

#[test]
fn a_delegated_role_publishes_with_keys_of_its_own() {
    let scratch = delegated();
    let view = seen(&scratch);
    assert_eq!(view.versions, [3, 3, 2]);
    for name in ["releases/1.0.0.json", "releases/2.0.0.json", "channels/beta.json"] {
        assert!(view.targets.contains_key(name), "{name}");
    }
    let shown: Value = serde_json::from_str(&scratch.ok("show repo --json")).unwrap();
    assert_eq!(shown["roles"][4]["role"], "beta");
    assert_eq!(shown["channels"][0]["name"], "beta");
    // It is in a bundle, too.
    scratch.ok("bundle --repo repo --out b.tar");
    let shown: Value = serde_json::from_str(&scratch.ok("show b.tar --json")).unwrap();
    assert_eq!(shown["releases"].as_array().unwrap().len(), 2);

    // It can do with its channel and its release what the targets can with theirs.
    let halted = |scratch: &Scratch| {
        let channel = seen(scratch).targets["channels/beta.json"].clone();
        serde_json::from_slice::<Value>(&channel).unwrap()["halted"].clone()
    };
    scratch.ok(&under("halt", "--channel beta"));
    assert_eq!(halted(&scratch), true);
    scratch.ok(&under("resume", "--channel beta"));
    assert_eq!(halted(&scratch), false);
    scratch.ok(&under("renew", ""));
    scratch.build("2.1.0");
    scratch.ok(&under("publish", "--release out/2.1.0 --channel beta"));
    scratch.ok(&under("revoke", "--version 2.0.0"));
    let view = seen(&scratch);
    assert!(!view.targets.contains_key("releases/2.0.0.json"));
    assert!(view.targets.contains_key("releases/2.1.0.json"));
}

#[test]
fn a_delegated_role_publishes_nothing_that_it_is_not_trusted_with() {
    let scratch = delegated();
    let untouched = files(&scratch.path("repo"));
    let message = scratch.refused(&under("publish", "--release out/2.0.0 --channel stable"));
    assert!(message.contains("role beta is not trusted with channels/stable.json"), "{message}");
    let message = scratch.refused(&under("revoke", "--version 1.0.0"));
    assert!(message.contains("release 1.0.0 is listed by role targets"), "{message}");
    let message = scratch.refused("publish --repo repo --keys keys --role gamma --role-key beta.pem --release out/2.0.0 --channel beta");
    assert!(message.contains("the targets do not delegate to role gamma"), "{message}");
    scratch.ok("key --out other.pem");
    let message = scratch.refused("publish --repo repo --keys keys --role beta --role-key other.pem --release out/2.0.0 --channel beta");
    assert!(message.contains("failed to sign the beta"), "{message}");
    assert_eq!(files(&scratch.path("repo")), untouched);
}

#[test]
fn the_keys_of_a_delegated_role_are_replaced_and_its_trust_ends() {
    let scratch = delegated();
    fs::rename(scratch.path("targets.pem"), scratch.path("keys/targets.pem")).unwrap();
    scratch.ok("key --out new.pem");
    let delegate = format!("delegate --repo repo --keys keys --role beta --key new.pem.pub {BETA}");
    let message = scratch.refused(&delegate);
    assert!(message.contains("sign it in the same step, with --role-key"), "{message}");
    let said = scratch.ok(&format!("{delegate} --role-key new.pem"));
    assert!(said.starts_with("role beta is trusted, and its list is signed"), "{said}");
    assert!(seen(&scratch).targets.contains_key("releases/2.0.0.json"));
    assert!(scratch.refused(&under("renew", "")).contains("failed to sign the beta"));

    let message = scratch.refused(&format!("{delegate} --threshold 2"));
    assert!(message.contains("a threshold of 2 cannot be met with 1 key(s)"), "{message}");
    let message = scratch.refused("delegate --repo repo --keys keys --role gamma --remove");
    assert!(message.contains("do not delegate to role gamma"), "{message}");
    scratch.ok("delegate --repo repo --keys keys --role beta --remove");
    let view = seen(&scratch);
    assert!(!view.targets.contains_key("releases/2.0.0.json"));
    assert!(view.targets.contains_key("releases/1.0.0.json"));
}
