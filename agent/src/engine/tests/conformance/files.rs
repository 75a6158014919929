// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Files that the targets list.

use serde_json::json;

use super::scenes;

const LOWER: [&str; 3] = ["targets", "snapshot", "timestamp"];

#[test]
fn client_downloads_expected_file_also_in_sub_dir() {
    for name in ["target.txt", "path/to/a/target.txt"] {
        scenes(|simulator, client| {
            simulator.add_artifact("targets", name, b"what is wanted");
            simulator.publish(&LOWER);
            assert_eq!(client.download(simulator, &[name]).unwrap(), [b"what is wanted"]);
        });
    }
}

#[test]
fn repository_substitutes_target_file() {
    scenes(|simulator, client| {
        for name in ["a", "b"] {
            simulator.add_artifact("targets", name, b"honest");
        }
        simulator.publish(&LOWER);
        client.download(simulator, &["a"]).unwrap();
        for (path, bytes) in &mut simulator.files {
            if path.starts_with("targets/") {
                *bytes = b"poison".to_vec();
            }
        }
        for name in ["a", "b"] {
            let refusal = client.download(simulator, &[name]).unwrap_err();
            assert!(refusal.contains(", the repository says "), "{refusal}");
        }
    });
}

#[test]
fn multiple_changes_to_target() {
    scenes(|simulator, client| {
        for number in 0..10 {
            let content = format!("content {number}");
            simulator.add_artifact("targets", "file", content.as_bytes());
            simulator.publish(&LOWER);
            assert_eq!(client.download(simulator, &["file"]).unwrap(), [content.as_bytes()]);
            // A change that is not in the metadata.
            let path = simulator.asked.last().unwrap().clone();
            simulator.files.insert(path, format!("c0ntent {number}").into_bytes());
            client.download(simulator, &["file"]).unwrap_err();
        }
    });
}

#[test]
fn download_with_hash_algorithms_known_and_unknown() {
    // More than SHA-256 is good; something else instead is not.
    for (hashes, taken) in [
        (json!(["sha256"]), true),
        (json!(["sha256", "sha512"]), true),
        (json!(["sha512"]), false),
        (json!(["unknown"]), false),
    ] {
        scenes(|simulator, client| {
            simulator.add_artifact("targets", "file", b"content");
            let sha256 = simulator.role("targets")["targets"]["file"]["hashes"]["sha256"].clone();
            let of = |name: &serde_json::Value| {
                let sum = if name == "sha256" { sha256.clone() } else { "ab".repeat(64).into() };
                (name.as_str().unwrap().to_owned(), sum)
            };
            let hashes: serde_json::Map<_, _> = hashes.as_array().unwrap().iter().map(of).collect();
            simulator.role("targets")["targets"]["file"]["hashes"] = hashes.into();
            simulator.publish(&LOWER);
            assert_eq!(client.download(simulator, &["file"]).is_ok(), taken);
        });
    }
}
