// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Older versions, and the way back from versions that are too high.

use super::{refuses, scenes};

const LOWER: [&str; 3] = ["targets", "snapshot", "timestamp"];

#[test]
fn new_timestamp_version_rollback() {
    scenes(|simulator, client| {
        simulator.publish(&["timestamp"]);
        client.refresh(simulator).unwrap();
        simulator.role("timestamp")["version"] = 0.into();
        simulator.publish(&["timestamp"]);
        refuses(client, simulator, &["timestamp version 1 is older than version 2"]);
        assert_eq!(client.trusted()[1], 2);
        assert_eq!(simulator.asked.last().unwrap(), "metadata/timestamp.json");
    });
}

#[test]
fn snapshot_rollback() {
    for hashes in [false, true] {
        scenes(|simulator, client| {
            simulator.hashes = hashes;
            simulator.publish(&["snapshot", "timestamp"]);
            client.refresh(simulator).unwrap();
            simulator.role("snapshot")["version"] = 0.into();
            simulator.publish(&["snapshot", "timestamp"]);
            refuses(client, simulator, &["snapshot (via timestamp) version 1 is older than"]);
            assert_eq!(client.trusted(), [1, 2, 2, 1]);
            assert_eq!(simulator.asked.last().unwrap(), "metadata/timestamp.json");
        });
    }
}

#[test]
fn targets_rollback() {
    for hashes in [false, true] {
        scenes(|simulator, client| {
            simulator.hashes = hashes;
            simulator.publish(&LOWER);
            client.refresh(simulator).unwrap();
            simulator.role("targets")["version"] = 0.into();
            simulator.publish(&LOWER);
            for _ in 0..2 {
                refuses(client, simulator, &["targets.json (via snapshot) version 1 is older"]);
                assert_eq!(client.trusted(), [1, 3, 2, 2]);
            }
        });
    }
}

#[test]
fn targets_role_removal() {
    scenes(|simulator, client| {
        simulator.delegate("targets", "delegated", false, &["delegatedpath/*"]);
        simulator.publish(&["delegated", "targets", "snapshot", "timestamp"]);
        client.refresh(simulator).unwrap();
        simulator.role("snapshot")["meta"].as_object_mut().unwrap().remove("delegated.json");
        simulator.publish(&["snapshot", "timestamp"]);
        refuses(client, simulator, &["snapshot removes delegated.json"]);
        assert_eq!(client.trusted()[2], 2);
    });
}

#[test]
fn targets_fast_forward_recovery() {
    scenes(|simulator, client| {
        simulator.delegate("targets", "delegated", false, &["delegatedpath/*"]);
        simulator.publish(&["delegated"]);
        simulator.role("targets")["version"] = 99.into();
        simulator.publish(&LOWER);
        client.refresh(simulator).unwrap();
        assert_eq!(client.trusted()[3], 100);
        simulator.rotate_keys("snapshot");
        simulator.role("targets")["version"] = 0.into();
        simulator.role("snapshot")["meta"].as_object_mut().unwrap().remove("delegated.json");
        simulator.publish(&["root", "targets", "snapshot", "timestamp"]);
        client.refresh(simulator).unwrap();
        assert_eq!(client.trusted()[3], 1);
    });
}

#[test]
fn new_snapshot_fast_forward_recovery() {
    // The suite replaces both keys; the specification (5.3.11) is content with either.
    for rotated in [&["snapshot", "timestamp"][..], &["snapshot"], &["timestamp"]] {
        scenes(|simulator, client| {
            simulator.role("snapshot")["version"] = 99.into();
            simulator.publish(&["snapshot", "timestamp"]);
            client.refresh(simulator).unwrap();
            assert_eq!(client.trusted()[2], 100);
            rotated.iter().for_each(|role| simulator.rotate_keys(role));
            simulator.role("snapshot")["version"] = 0.into();
            simulator.publish(&["root", "targets", "snapshot", "timestamp"]);
            client.refresh(simulator).unwrap();
            assert_eq!(client.trusted()[2], 1, "{rotated:?}");
        });
    }
}

#[test]
fn new_timestamp_fast_forward_recovery() {
    scenes(|simulator, client| {
        simulator.role("timestamp")["version"] = 99.into();
        simulator.publish(&["timestamp"]);
        client.refresh(simulator).unwrap();
        assert_eq!(client.trusted()[1], 100);
        simulator.rotate_keys("timestamp");
        simulator.role("timestamp")["version"] = 0.into();
        simulator.publish(&["root", "timestamp"]);
        client.refresh(simulator).unwrap();
        assert_eq!(client.trusted()[1], 1);
    });
}

/// The suite has no such case: what is withheld sets floors as well, and new keys lift them.
#[test]
fn fast_forward_recovery_of_what_was_withheld() {
    for rotated in ["snapshot", "timestamp"] {
        scenes(|simulator, client| {
            client.refresh(simulator).unwrap();
            simulator.role("timestamp")["version"] = 99.into();
            simulator.publish(&["snapshot", "timestamp"]);
            simulator.files.remove("metadata/2.snapshot.json");
            refuses(client, simulator, &["2.snapshot.json", "not found"]);
            assert_eq!(client.trusted(), [1, 100, 1, 1]);
            simulator.rotate_keys(rotated);
            simulator.role("timestamp")["version"] = 1.into();
            simulator.publish(&["root", "targets", "snapshot", "timestamp"]);
            client.refresh(simulator).unwrap();
            assert_eq!(client.trusted(), [2, 2, 3, 2], "{rotated}");
        });
    }
}
