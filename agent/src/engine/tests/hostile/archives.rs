// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Archives that are not what was signed, each refused with its reason.

use std::fs;

use crate::engine::tests::node::{assert_says, installed};
use crate::engine::tests::publisher::{Recipe, TarEntry, archive, drivers, logger_script, pack};

#[tokio::test]
async fn an_artifact_that_is_not_what_was_signed() {
    let mut node = installed().await;
    let artifact = node.publisher.publish(&Recipe::new("2.0.0"));
    let path = node.publisher.target_path(&artifact.name);
    let honest = node.publisher.read(&path);
    let name = &artifact.name;

    let mut flipped = honest.clone();
    flipped[honest.len() / 2] ^= 1;
    node.publisher.write(&path, &flipped);
    assert_says(&node.refused().await, &[&format!("Refused: refused the artifact {name}: ")]);

    // The last bytes of a zstd frame are its checksum or its last block: the
    // whole is compared even when every file came out right.
    node.publisher.write(&path, &honest[..honest.len() - 1]);
    let size = honest.len();
    assert_says(&node.refused().await, &[&format!("ended after {} of {size} bytes", size - 1)]);

    let mut longer = honest.clone();
    longer.push(0);
    node.publisher.write(&path, &longer);
    assert_says(&node.refused().await, &[&format!("longer than the {size} bytes allowed")]);

    fs::remove_file(node.publisher.directory.join(&path)).unwrap();
    assert_says(&node.refused().await, &["not found"]);
    node.publisher.write(&path, &honest);
    node.update().await.unwrap();
}

#[tokio::test]
async fn archives_that_hold_more_or_other_than_the_signed_files() {
    let logger = logger_script("2.0.0", &drivers());
    let honest = || TarEntry::file("logger", 0o555, &logger);
    let special =
        |path, kind, link| TarEntry { path, kind, mode: 0o555, content: Vec::new(), link };
    let mut corrupt = logger.clone();
    corrupt[0] ^= 1;
    let long_name = TarEntry {
        kind: tar::EntryType::GNULongName,
        ..TarEntry::file("././@LongLink", 0o644, b"logger\0")
    };
    let mut trailing = archive(&[honest()]);
    trailing.extend_from_slice(b"more");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "..",
            pack(&[honest(), TarEntry::file("../logger", 0o555, &logger)]),
            "\"../logger\": the release does not list it",
        ),
        (
            "absolute",
            pack(&[TarEntry::file("/logger", 0o555, &logger)]),
            "\"/logger\": the release does not list it",
        ),
        (
            "extra",
            pack(&[honest(), TarEntry::file("extra", 0o555, b"x")]),
            "\"extra\": the release does not list it",
        ),
        (
            "twice",
            pack(&[honest(), honest()]),
            "\"logger\": the release does not list it, or lists it once only",
        ),
        (
            "manifest",
            pack(&[TarEntry::file("release.json", 0o444, b"{}")]),
            "\"release.json\": the release does not list it",
        ),
        (
            "symlink",
            pack(&[special("logger", tar::EntryType::Symlink, "/etc/passwd")]),
            "type Symlink; only regular files",
        ),
        (
            "hard link",
            pack(&[special("logger", tar::EntryType::Link, "/etc/passwd")]),
            "type Link; only regular files",
        ),
        (
            "device",
            pack(&[special("logger", tar::EntryType::Char, "")]),
            "type Char; only regular files",
        ),
        (
            "fifo",
            pack(&[special("logger", tar::EntryType::Fifo, "")]),
            "type Fifo; only regular files",
        ),
        (
            "directory",
            pack(&[special("logger/", tar::EntryType::Directory, "")]),
            "type Directory; only regular files",
        ),
        ("long name", pack(&[long_name, honest()]), "type GNULongName; only regular files"),
        (
            "mode",
            pack(&[TarEntry::file("logger", 0o4755, &logger)]),
            "its mode is 4755, the release says 555",
        ),
        (
            "size",
            pack(&[TarEntry::file("logger", 0o555, b"short")]),
            "it has 5 bytes, the release says",
        ),
        ("content", pack(&[TarEntry::file("logger", 0o555, &corrupt)]), "bytes with digest "),
        ("empty", pack(&[]), "file \"logger\" of the release is not in the archive"),
        (
            "bomb",
            pack(&[honest(), TarEntry::file("zeros", 0o444, &vec![0; 1 << 20])]),
            "\"zeros\": the release does not list it",
        ),
        (
            "cut in a header",
            zstd::encode_all(&archive(&[honest()])[..500], 1).unwrap(),
            "not a zstd-compressed tar archive",
        ),
        (
            "cut in a file",
            zstd::encode_all(&archive(&[honest()])[..520], 1).unwrap(),
            "not a zstd-compressed tar archive",
        ),
        (
            "trailing",
            zstd::encode_all(&trailing[..], 1).unwrap(),
            "data after the end of the archive",
        ),
        (
            "zeros",
            zstd::encode_all(&[archive(&[honest()]), vec![0; 1 << 20]].concat()[..], 1).unwrap(),
            "unpacks to more than ",
        ),
        ("not zstd", archive(&[honest()]), "not a zstd-compressed tar archive"),
        (
            "window",
            wide_window(&archive(&[honest()])),
            "not a zstd-compressed tar archive within the limits",
        ),
    ];
    let mut node = installed().await;
    for (case, packed, says) in cases {
        let mut recipe = Recipe::new("2.0.0");
        recipe.packed = Some(packed);
        node.publisher.publish(&recipe);
        let refusal = node.refused().await;
        assert!(refusal.starts_with("Refused: refused the artifact "), "{case}: {refusal}");
        assert!(refusal.contains(says), "{case}: no \"{says}\" in \"{refusal}\"");
        assert!(!node.scratch.path().join("root/logger").exists(), "{case} escaped");
        assert!(!node.root.join("store/logger").exists(), "{case} escaped");
    }
    assert_eq!(node.logger_says(), "1.0.0");
}

/// A frame whose header asks for 2 GiB of window.
fn wide_window(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(31).unwrap();
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}
