// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Rules of the source tree: which crate may depend on which, how large a file may be, what it begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use dockerlogger_tests::programs::source_tree;
use serde_json::Value;

/// A crate, and the crates of this workspace it may depend on.
const EDGES: [(&str, &[&str]); 6] = [
    ("dockerlogger-manifest", &[]),
    ("dockerlogger", &["dockerlogger-manifest"]),
    ("dockerlogger-agent", &["dockerlogger-manifest"]),
    ("release", &["dockerlogger-manifest"]),
    ("xtask", &["dockerlogger-manifest"]),
    ("dockerlogger-tests", &["dockerlogger-manifest", "dockerlogger", "dockerlogger-agent"]),
];

/// Lines of the largest file; above it, split by noun.
const LINES_MAX: usize = 500;

const LICENCE: &str = "\
// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

";

#[test]
fn crates_depend_only_along_the_allowed_edges() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--manifest-path"])
        .arg(source_tree().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> =
        packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = allowed
            .get(name)
            .unwrap_or_else(|| panic!("crate {name} is new: say in EDGES what it may use"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            assert!(
                !ours.contains(dependency) || allowed.contains(&dependency),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn every_source_file_has_the_licence_and_a_size_one_can_read() {
    let mut files = Vec::new();
    collect(source_tree(), &mut files);
    assert!(files.len() > 20, "the source tree was not found: {} files", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(source_tree()).unwrap_or(&file).display();
        assert!(text.starts_with(LICENCE), "{name} does not begin with the licence header");
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name} has {lines} lines, more than {LINES_MAX}");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
