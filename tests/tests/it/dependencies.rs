// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `docs/dependencies.md` names every package that we name, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::{env, fs};

use dockerlogger_tests::programs::source_tree;
use serde_json::Value;

/// A package: its licence and the crates of ours that name it.
type Rows = BTreeMap<String, (String, BTreeSet<String>)>;

#[test]
fn the_list_of_dependencies_is_true() {
    let (listed, named) = (listed(), named());
    for (package, row) in &named {
        assert_eq!(listed.get(package), Some(row), "the row of {package} in docs/dependencies.md");
    }
    for package in listed.keys() {
        assert!(
            named.contains_key(package),
            "docs/dependencies.md has {package}, which nobody uses"
        );
    }
    assert!(named.len() > 20, "{named:?}");
}

/// What the document says.
fn listed() -> Rows {
    let text = fs::read_to_string(source_tree().join("docs/dependencies.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let users = cells[4].split(", ").map(str::to_owned).collect();
        (cells[1].to_owned(), (cells[2].to_owned(), users))
    })
    .collect()
}

/// What cargo says.
fn named() -> Rows {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Only what this build downloaded: packages for other systems may not be here.
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline"])
        .args(["--filter-platform=x86_64-unknown-linux-gnu", "--manifest-path"])
        .arg(source_tree().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours: BTreeSet<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let mut rows = Rows::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let user = node["id"].as_str().unwrap();
        if !ours.contains(user) {
            continue;
        }
        let user = match packages[user]["name"].as_str().unwrap() {
            "dockerlogger" => "logger",
            name => name.strip_prefix("dockerlogger-").unwrap_or(name),
        };
        for dependency in node["deps"].as_array().unwrap() {
            let id = dependency["pkg"].as_str().unwrap();
            if ours.contains(id) {
                continue;
            }
            let text = |field: &str| packages[id][field].as_str().unwrap_or("none").to_owned();
            let row = rows.entry(text("name")).or_insert((text("license"), BTreeSet::new()));
            row.1.insert(user.to_owned());
        }
    }
    rows
}
