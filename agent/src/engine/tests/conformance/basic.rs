// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The workflow as such, and what has expired.

use jiff::SignedDuration;
use serde_json::json;

use super::{Client, Simulator, each, refuses, scenes};
use crate::engine::tests::node::now;

const ALL: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

fn in_days(days: i64) -> serde_json::Value {
    (now() + SignedDuration::from_hours(24 * days)).to_string().into()
}

#[test]
fn basic_refresh_requests_and_trusted_data() {
    scenes(|simulator, client| {
        simulator.publish(&["root"]);
        client.refresh(simulator).unwrap();
        let expected = [
            "metadata/2.root.json",
            "metadata/3.root.json",
            "metadata/timestamp.json",
            "metadata/1.snapshot.json",
            "metadata/1.targets.json",
        ];
        assert_eq!(simulator.asked, expected);
        assert_eq!(client.trusted(), [2, 1, 1, 1]);
        // What has not changed is not asked for again.
        simulator.asked.clear();
        client.refresh(simulator).unwrap();
        assert_eq!(simulator.asked, expected[1..3]);
    });
}

#[test]
fn implicit_refresh() {
    scenes(|simulator, client| {
        let refusal = client.download(simulator, &["nowhere"]).unwrap_err();
        assert!(refusal.contains("the repository does not list it"), "{refusal}");
        assert_eq!(client.trusted(), [1; 4]);
    });
}

#[test]
fn invalid_and_unsigned_initial_root() {
    each(|begin| {
        let mut simulator = Simulator::new();
        let client = Client::trusting(begin, b"{}");
        refuses(&client, &mut simulator, &["cannot use the trust anchor"]);
        let stranger = simulator.new_key();
        let signature = stranger.signature(&simulator.roles["root"]);
        simulator.edit("root", |file| {
            file["signatures"][0]["sig"] = signature["sig"].clone();
        });
        let client = Client::new(begin, &simulator);
        let says = "signature of root metadata: 0 of 1 needed keys";
        refuses(&client, &mut simulator, &["cannot use the trust anchor", says]);
        assert_eq!(simulator.asked, [""; 0]);
    });
}

#[test]
fn unsigned_metadata() {
    for (role, trusted) in
        ALL.into_iter().zip([[1, 0, 0, 0], [2, 2, 2, 2], [2, 2, 0, 0], [2, 0, 0, 0]])
    {
        scenes(|simulator, client| {
            simulator.signers.remove(role);
            simulator.publish(&ALL);
            let says = format!("signature of {role} metadata: 0 of 1 needed keys");
            refuses(client, simulator, &[&says]);
            assert_eq!(client.trusted(), trusted, "{role}");
        });
    }
}

#[test]
fn url_and_metadata_version_mismatch() {
    for (role, says) in [
        ("root", "expected root version 2, got 3"),
        ("snapshot", "snapshot version 3 does not match timestamp pin 2"),
        ("targets", "targets.json version 3 does not match snapshot pin 2"),
    ] {
        scenes(|simulator, client| {
            simulator.publish(&ALL);
            let path = simulator.path(role);
            simulator.role(role)["version"] = 3.into();
            let bytes = simulator.signed(role);
            simulator.files.insert(path, bytes);
            refuses(client, simulator, &[says]);
        });
    }
}

#[test]
fn timestamp_content_changes() {
    scenes(|simulator, client| {
        client.refresh(simulator).unwrap();
        simulator.role("timestamp")["version"] = 0.into();
        simulator.role("timestamp")["meta"]["snapshot.json"]["version"] = 100.into();
        simulator.publish(&["timestamp"]);
        client.refresh(simulator).unwrap();
        assert_eq!(simulator.asked.last().unwrap(), "metadata/timestamp.json");
        let stored = std::fs::read_to_string(client.trust().join("timestamp.json")).unwrap();
        assert!(!stored.contains("100"), "{stored}");
    });
}

#[test]
fn basic_metadata_hash_support_and_mismatches() {
    scenes(|simulator, client| {
        simulator.hashes = true;
        simulator.publish(&ALL[1..]);
        client.refresh(simulator).unwrap();
        for (role, trusted) in [("targets", [1, 3, 3, 3]), ("snapshot", [1, 4, 3, 3])] {
            simulator.publish(&ALL[1..]);
            let honest = simulator.files[&simulator.path(role)].clone();
            // As long as before, and signed as well: only the order of the file differs.
            simulator.edit(role, |file| {
                let fields = file.as_object_mut().unwrap();
                let signed = fields.shift_remove("signed").unwrap();
                fields.insert("signed".to_owned(), signed);
            });
            refuses(client, simulator, &[&format!("{role}.json: sha256 mismatch")]);
            assert_eq!(client.trusted(), trusted);
            let path = simulator.path(role);
            simulator.files.insert(path, honest);
            client.refresh(simulator).unwrap();
        }
    });
}

#[test]
fn metadata_bytes_match() {
    scenes(|simulator, client| {
        client.refresh(simulator).unwrap();
        for name in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
            let stored = std::fs::read(client.trust().join(name)).unwrap();
            assert_eq!(stored, simulator.files[&format!("metadata/{name}")]);
        }
    });
}

#[test]
fn custom_fields() {
    scenes(|simulator, client| {
        simulator.role("root")["custom-field"] = "value".into();
        simulator.role("root")["roles"]["root"]["another-field"] = json!({"a": 1, "b": [2]});
        simulator.publish(&["root"]);
        client.refresh(simulator).unwrap();
        assert_eq!(client.trusted()[0], 2);
        // They are signed: without them the signature does not fit.
        simulator.publish(&["root"]);
        simulator.edit("root", |file| file["signed"]["custom-field"] = "another".into());
        refuses(client, simulator, &["signature of root metadata"]);
    });
}

#[test]
fn absent_404() {
    for (role, path, trusted) in [
        ("timestamp", "metadata/timestamp.json", [1; 4]),
        ("snapshot", "metadata/2.snapshot.json", [1, 2, 1, 1]),
        ("targets", "metadata/2.targets.json", [1, 2, 2, 2]),
    ] {
        scenes(|simulator, client| {
            client.refresh(simulator).unwrap();
            simulator.publish(&ALL[1..]);
            simulator.files.remove(path);
            simulator.asked.clear();
            refuses(client, simulator, &[&format!("cannot fetch {path}"), "not found"]);
            assert_eq!(simulator.asked.last().unwrap(), path, "{role}");
            assert_eq!(client.trusted(), trusted);
        });
    }
}

#[test]
fn incorrect_metadata_type() {
    scenes(|simulator, client| {
        // A snapshot that is as good as a timestamp, signed by the key of the timestamp.
        let key = simulator.signers["timestamp"][0].clone();
        simulator.add_key("snapshot", &key);
        simulator.role("snapshot")["meta"] = json!({"snapshot.json": {"version": 1}});
        simulator.publish(&["root", "snapshot"]);
        let snapshot = simulator.files[&simulator.path("snapshot")].clone();
        simulator.files.insert("metadata/timestamp.json".to_owned(), snapshot);
        refuses(client, simulator, &["refused timestamp metadata"]);
        assert_eq!(client.trusted(), [2, 0, 0, 0]);
    });
}

#[test]
fn expired() {
    // A new root is believed before its expiry is looked at (5.3.10); nothing else is.
    for (role, trusted) in [
        ("root", [2, 1, 1, 1]),
        ("timestamp", [1, 1, 1, 1]),
        ("snapshot", [1, 2, 1, 1]),
        ("targets", [1, 2, 2, 2]),
    ] {
        scenes(|simulator, client| {
            client.refresh(simulator).unwrap();
            simulator.role(role)["expires"] = in_days(-5);
            simulator.publish(&ALL[usize::from(role != "root")..]);
            refuses(client, simulator, &[&format!("{role} metadata from the simulator expired")]);
            assert_eq!(client.trusted(), trusted);
        });
    }
}

#[test]
fn expired_in_this_very_instant() {
    for role in ALL {
        scenes(|simulator, client| {
            simulator.role(role)["expires"] = in_days(0);
            simulator.publish(&ALL);
            refuses(client, simulator, &[&format!("{role} metadata from the simulator expired")]);
        });
    }
}

#[test]
fn expired_local_root_and_timestamp() {
    for role in ["root", "timestamp"] {
        scenes(|simulator, client| {
            simulator.role(role)["expires"] = in_days(7);
            simulator.publish(&ALL);
            client.refresh(simulator).unwrap();
            simulator.role(role)["expires"] = in_days(21);
            simulator.publish(&ALL);
            client.now = now() + SignedDuration::from_hours(24 * 18);
            client.refresh(simulator).unwrap();
            assert_eq!(client.trusted(), [3; 4]);
        });
    }
}
