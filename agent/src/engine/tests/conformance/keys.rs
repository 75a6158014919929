// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Thresholds, kinds of keys, and keys that are replaced.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::simulator::{Client, Simulator};
use super::{each, refuses, scenes};
use crate::engine::digest;
use crate::engine::tests::publisher::Key;

#[test]
fn snapshot_does_not_meet_threshold() {
    scenes(|simulator, client| {
        client.refresh(simulator).unwrap();
        let key = simulator.new_key();
        simulator.add_key("snapshot", &key);
        simulator.role("root")["roles"]["snapshot"]["threshold"] = 2.into();
        simulator.publish(&["root", "snapshot", "timestamp"]);
        client.refresh(simulator).unwrap();
        simulator.signers.get_mut("snapshot").unwrap().pop();
        simulator.publish(&["snapshot", "timestamp"]);
        refuses(client, simulator, &["signature of snapshot metadata: 1 of 2 needed keys"]);
        assert_eq!(client.trusted(), [2, 3, 2, 1]);
    });
}

#[test]
fn snapshot_has_too_few_keys() {
    scenes(|simulator, client| {
        for _ in 0..4 {
            let key = simulator.new_key();
            simulator.add_key("snapshot", &key);
        }
        simulator.role("root")["roles"]["snapshot"]["threshold"] = 6.into();
        simulator.publish(&["root", "snapshot", "timestamp"]);
        refuses(client, simulator, &["signature of snapshot metadata: 5 of 6 needed keys"]);
        assert_eq!(client.trusted(), [2, 2, 0, 0]);
    });
}

#[test]
fn duplicate_keys() {
    scenes(|simulator, client| {
        let key = simulator.new_key();
        for _ in 0..9 {
            simulator.name_key("snapshot", &key);
        }
        simulator.signers.insert("snapshot".to_owned(), vec![key.clone()]);
        simulator.role("root")["roles"]["snapshot"]["threshold"] = 6.into();
        simulator.publish(&["root", "snapshot", "timestamp"]);
        refuses(client, simulator, &["snapshot metadata"]);
        simulator.edit("snapshot", |file| {
            file["signatures"] = vec![file["signatures"][0].clone(); 9].into();
        });
        refuses(client, simulator, &["snapshot metadata"]);
        assert_eq!(client.trusted()[2], 0);
    });
}

#[test]
fn duplicate_sig_keyids() {
    scenes(|simulator, client| {
        simulator.edit("snapshot", |file| {
            file["signatures"] = vec![file["signatures"][0].clone(); 2].into();
        });
        refuses(client, simulator, &["refused snapshot metadata"]);
        assert_eq!(client.trusted(), [1, 1, 0, 0]);
    });
}

#[test]
fn invalid_sig_in_valid_metadata() {
    for wrong in ["ab".repeat(64), String::new()] {
        scenes(|simulator, client| {
            let key = simulator.new_key();
            simulator.add_key("timestamp", &key);
            simulator.publish(&["root", "timestamp"]);
            simulator.edit("timestamp", |file| {
                file["signatures"][0]["sig"] = wrong.clone().into();
            });
            client.refresh(simulator).unwrap();
            assert_eq!(client.trusted()[1], 2);
        });
    }
}

#[test]
fn deprecated_keyid_hash_algorithms() {
    scenes(|simulator, client| {
        let key = simulator.new_key();
        simulator.clear_keys("snapshot");
        let mut description = key.description();
        description["keyid_hash_algorithms"] = "md5".into();
        let id = id_of(&description);
        simulator.role("root")["keys"][&id] = description;
        simulator.role("root")["roles"]["snapshot"]["keyids"] = json!([id]);
        simulator.signers.insert("snapshot".to_owned(), vec![key]);
        simulator.publish(&["root", "snapshot", "timestamp"]);
        simulator.edit("snapshot", |file| file["signatures"][0]["keyid"] = id.clone().into());
        client.refresh(simulator).unwrap();
        assert_eq!(client.trusted(), [2, 2, 2, 1]);
    });
}

fn id_of(description: &Value) -> String {
    let bytes = sigstore_tuf::canonical_json::to_canonical_bytes(description).unwrap();
    digest::of(&bytes).to_string()
}

/// Ed25519 is what every other case is signed with.
#[test]
fn keytype_and_scheme() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    // SubjectPublicKeyInfo of a point on P-256, as PEM.
    let mut der = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00".to_vec();
    der.extend_from_slice(pair.public_key().as_ref());
    let pem = pem(&der);
    let ecdsa = json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256",
        "keyval": {"public": pem}});
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    scenes(|simulator, client| {
        let id = id_of(&ecdsa);
        simulator.role("root")["keys"][&id] = ecdsa.clone();
        let role = &mut simulator.role("root")["roles"]["root"];
        role["keyids"].as_array_mut().unwrap().push(id.clone().into());
        role["threshold"] = 2.into();
        for good in [true, false] {
            simulator.publish(&["root"]);
            let sign = |signed: &Value| {
                let bytes = sigstore_tuf::canonical_json::to_canonical_bytes(signed).unwrap();
                let mut signature = pair.sign(&random, &bytes).unwrap().as_ref().to_vec();
                *signature.last_mut().unwrap() ^= u8::from(!good);
                json!({"keyid": id, "sig": hex(&signature)})
            };
            simulator.edit("root", |file| {
                let signature = sign(&file["signed"]);
                file["signatures"].as_array_mut().unwrap().push(signature);
            });
            if good {
                client.refresh(simulator).unwrap();
            } else {
                refuses(client, simulator, &["signature of root metadata: 1 of 2 needed keys"]);
            }
            assert_eq!(client.trusted()[0], 2);
        }
    });
}

fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in der.chunks(3) {
        let bytes = [part[0], *part.get(1).unwrap_or(&0), *part.get(2).unwrap_or(&0), 0];
        let bits = u32::from_be_bytes(bytes) >> 8;
        for number in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * number) & 63).unwrap();
            text.push(if number <= part.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

/// Keys, threshold and signatures of one version.
type Version = (&'static [u8], u64, &'static [u8]);

#[test]
fn root_rotation() {
    const FIVE: &[u8] = &[0, 1, 2, 3, 4];
    const NEXT: &[u8] = &[0, 1, 3, 4, 5];
    const NEW: &[u8] = &[5, 6, 7, 8, 9];
    let cases: Vec<(&str, Vec<Version>, bool)> = vec![
        ("1-of-1-key-rotation", vec![(&[1], 1, &[1]), (&[2], 1, &[2, 1]), (&[2], 1, &[2])], true),
        (
            "1-of-1-key-rotation-unused-signatures",
            vec![(&[1], 1, &[3, 1, 4]), (&[2], 1, &[3, 2, 1, 4]), (&[2], 1, &[3, 2, 4])],
            true,
        ),
        (
            "3-of-5-sign-with-different-keycombos",
            vec![(FIVE, 3, &[0, 2, 4]), (FIVE, 3, &[0, 4, 1]), (FIVE, 3, &[0, 1, 3])],
            true,
        ),
        ("3-of-5-one-key-rotated", vec![(FIVE, 3, &[0, 2, 4]), (NEXT, 3, &[0, 4, 1])], true),
        (
            "3-of-5-one-key-rotated-with-intermediate-step",
            vec![(FIVE, 3, &[0, 2, 4]), (NEXT, 3, &[0, 2, 4, 5]), (NEXT, 3, &[0, 4, 5])],
            true,
        ),
        (
            "3-of-5-all-keys-rotated-with-intermediate-step",
            vec![(FIVE, 3, &[0, 2, 4]), (NEW, 3, &[0, 2, 4, 5, 6, 7]), (NEW, 3, &[5, 6, 7])],
            true,
        ),
        (
            "1-of-3-threshold-increase-to-2-of-3",
            vec![(&[1, 2, 3], 1, &[1]), (&[1, 2, 3], 2, &[1, 2])],
            true,
        ),
        (
            "2-of-3-threshold-decrease-to-1-of-3",
            vec![(&[1, 2, 3], 2, &[1, 2]), (&[1, 2, 3], 1, &[1, 2]), (&[1, 2, 3], 1, &[1])],
            true,
        ),
        ("1-of-2-threshold-increase-to-2-of-2", vec![(&[1], 1, &[1]), (&[1, 2], 2, &[1, 2])], true),
        (
            "1-of-1-key-rotation-fail-not-signed-with-old-key",
            vec![(&[1], 1, &[1]), (&[2], 1, &[2, 3, 4])],
            false,
        ),
        (
            "1-of-1-key-rotation-fail-not-signed-with-new-key",
            vec![(&[1], 1, &[1]), (&[2], 1, &[1, 3, 4])],
            false,
        ),
        (
            "3-of-5-one-key-rotate-fails-not-signed-with-3-new-keys",
            vec![(FIVE, 3, &[0, 2, 4]), (NEXT, 3, &[0, 2, 4])],
            false,
        ),
        (
            "3-of-5-one-key-rotate-fails-not-signed-with-3-old-keys",
            vec![(FIVE, 3, &[0, 2, 4]), (NEXT, 3, &[0, 4, 5])],
            false,
        ),
        (
            "1-of-3-threshold-bump-to-2-of-3-fails-new-threshold-not-reached",
            vec![(&[1, 2, 3], 1, &[1]), (&[1, 2, 3], 2, &[2])],
            false,
        ),
        (
            "2-of-3-threshold-decr-to-1-of-3-fails-old-threshold-not-reached",
            vec![(&[1, 2, 3], 2, &[1, 2]), (&[1, 2, 3], 1, &[1])],
            false,
        ),
    ];
    for (name, versions, good) in &cases {
        each(|begin| {
            let mut simulator = Simulator::new();
            simulator.role("root")["version"] = 0.into();
            for version in versions {
                set(&mut simulator, "root", *version);
                simulator.publish(&["root"]);
            }
            let client = Client::new(begin, &simulator);
            let refreshed = client.refresh(&mut simulator);
            assert_eq!(refreshed.is_ok(), *good, "{name}: {:?}", refreshed.err());
            let last = u64::try_from(versions.len()).unwrap() - u64::from(!*good);
            assert_eq!(client.trusted()[0], last, "{name}");
        });
    }
}

fn set(simulator: &mut Simulator, role: &str, (keys, threshold, signatures): Version) {
    simulator.clear_keys(role);
    simulator.role("root")["roles"][role]["threshold"] = threshold.into();
    // Away from the keys that the simulator deals out.
    let key = |number: &u8| Key::new(100 + number);
    keys.iter().for_each(|number| simulator.name_key(role, &key(number)));
    simulator.signers.insert(role.to_owned(), signatures.iter().map(key).collect());
}

#[test]
fn non_root_rotations() {
    const FIVE: &[u8] = &[0, 1, 2, 3, 4];
    let cases: [(&str, Version, bool); 10] = [
        ("1-of-1-key-rotation", (&[2], 1, &[2]), true),
        ("1-of-1-key-rotation-unused-signatures", (&[1], 1, &[3, 1, 4]), true),
        ("1-of-1-key-rotation-fail-not-signed-with-new-key", (&[2], 1, &[1, 3, 4]), false),
        (
            "3-of-5-one-key-signature-wrong-not-signed-with-3-expected-keys",
            (&[0, 1, 3, 4, 5], 3, &[0, 2, 4]),
            false,
        ),
        (
            "2-of-5-one-key-signature-mising-threshold-not-reached",
            (&[0, 1, 3, 4, 5], 3, &[0, 4]),
            false,
        ),
        ("3-of-5-sign-first-combo", (FIVE, 3, &[0, 2, 4]), true),
        ("3-of-5-sign-second-combo", (FIVE, 3, &[0, 4, 1]), true),
        ("3-of-5-sign-third-combo", (FIVE, 3, &[0, 1, 3]), true),
        ("3-of-5-sign-fourth-combo", (FIVE, 3, &[1, 2, 3]), true),
        ("3-of-5-sign-fifth-combo", (FIVE, 3, &[2, 3, 4]), true),
    ];
    for (name, version, good) in cases {
        for role in ["timestamp", "snapshot", "targets"] {
            scenes(|simulator, client| {
                client.refresh(simulator).unwrap();
                set(simulator, role, version);
                simulator.publish(&["root", "targets", "snapshot", "timestamp"]);
                let refreshed = client.refresh(simulator);
                assert_eq!(refreshed.is_ok(), good, "{name} {role}: {:?}", refreshed.err());
            });
        }
    }
}
