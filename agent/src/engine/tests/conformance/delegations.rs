// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Delegated roles: in which order they are asked, for what, on whose word.

use super::simulator::{Client, Simulator};
use super::{each, scenes};

/// Who delegates to whom, whether it ends there, and what for.
type Edge<'a> = (&'a str, &'a str, bool, &'a str);

/// A graph by its name, and the roles that are asked.
type Graph<'a> = (&'a str, Vec<Edge<'a>>, &'a str);

/// A repository with these delegations.
fn delegating(edges: &[Edge<'_>]) -> Simulator {
    let mut simulator = Simulator::new();
    for (delegator, role, terminating, paths) in edges {
        let paths: Vec<&str> = paths.split(' ').collect();
        simulator.delegate(delegator, role, *terminating, &paths);
    }
    simulator
}

fn publish_all(simulator: &mut Simulator) {
    let top = ["root", "timestamp", "snapshot"];
    let lists: Vec<String> =
        simulator.roles.keys().filter(|name| !top.contains(&name.as_str())).cloned().collect();
    let mut names: Vec<&str> = lists.iter().map(String::as_str).collect();
    names.extend(["snapshot", "timestamp"]);
    simulator.publish(&names);
}

/// The delegated roles that were asked for.
fn visited(simulator: &Simulator) -> String {
    let metadata = simulator.asked.iter().filter_map(|path| path.strip_prefix("metadata/1."));
    let roles = metadata.filter_map(|file| file.strip_suffix(".json"));
    let roles: Vec<&str> = roles.filter(|role| !["snapshot", "targets"].contains(role)).collect();
    roles.join(" ")
}

#[test]
fn graph_traversal() {
    const T: &str = "targets";
    let any = |from, to| (from, to, false, "*");
    let cases: Vec<Graph<'_>> = vec![
        ("basic-delegation", vec![any(T, "A")], "A"),
        ("single-level-delegations", vec![any(T, "A"), any(T, "B")], "A B"),
        ("two-level-delegations", vec![any(T, "A"), any(T, "B"), any("B", "C")], "A B C"),
        (
            "two-level-test-DFS-order-of-traversal",
            vec![any(T, "A"), any(T, "B"), any("A", "C"), any("A", "D")],
            "A C D B",
        ),
        (
            "three-level-delegation-test-DFS-order-of-traversal",
            vec![any(T, "A"), any(T, "B"), any("A", "C"), any("C", "D")],
            "A C D B",
        ),
        (
            "two-level-terminating-ignores-all-but-roles-descendants",
            vec![any(T, "A"), any(T, "B"), ("A", "C", true, "*"), any("A", "D")],
            "A C",
        ),
        (
            "three-level-terminating-ignores-all-but-roles-descendants",
            vec![any(T, "A"), any(T, "B"), ("A", "C", true, "*"), any("C", "D")],
            "A C D",
        ),
        (
            "two-level-ignores-all-branches-not-matching-paths",
            vec![(T, "A", false, "*.py"), any(T, "B"), any("A", "C")],
            "B",
        ),
        (
            "three-level-ignores-all-branches-not-matching-paths",
            vec![any(T, "A"), any(T, "B"), ("A", "C", false, "*.py"), any("C", "D")],
            "A B",
        ),
        (
            "cyclic-graph",
            vec![any(T, "A"), any(T, "B"), any("B", "C"), any("C", "D"), any("D", "B")],
            "A B C D",
        ),
        (
            "two-roles-delegating-to-a-third",
            vec![any(T, "A"), any(T, "B"), any("B", "C"), any("A", "C")],
            "A C B",
        ),
        (
            "two-roles-delegating-to-a-third-different-paths",
            vec![any(T, "A"), any(T, "B"), any("B", "C"), ("A", "C", false, "*.py")],
            "A B C",
        ),
    ];
    for (name, edges, expected) in &cases {
        each(|begin| {
            let mut simulator = delegating(edges);
            let client = Client::new(begin, &simulator);
            simulator.role("targets")["version"] = 0.into();
            simulator.role("snapshot")["version"] = 0.into();
            publish_all(&mut simulator);
            client.download(&mut simulator, &["missingpath"]).unwrap_err();
            assert_eq!(visited(&simulator), *expected, "{name}");
        });
    }
}

#[test]
fn targetfile_search() {
    let edges = [
        ("targets", "A", false, "*.doc *.md foo-?.tgz"),
        ("targets", "B", false, "releases/*/*"),
        ("B", "C", false, "releases/x/*"),
        ("B", "D", false, "releases/y/*.zip"),
    ];
    let files = [
        ("targets", "targetfile"),
        ("A", "README.md"),
        ("A", "releases/README.md"),
        ("A", "foo-1.tgz"),
        ("A", "foo-alpha.tgz"),
        ("C", "releases/x/x_v1"),
        ("D", "releases/y/y_v1.zip"),
        ("D", "releases/z/z_v1.zip"),
    ];
    let cases = [
        ("no delegations", "targetfile", true, ""),
        ("targetpath matches wildcard", "README.md", true, "A"),
        ("targetpath with separators x", "releases/x/x_v1", true, "B C"),
        ("targetpath with separators y", "releases/y/y_v1.zip", true, "B D"),
        (
            "targetpath is not delegated by all roles in the chain",
            "releases/z/z_v1.zip",
            false,
            "B",
        ),
        ("wildcard does not match path separator", "releases/README.md", false, ""),
        ("targetpath matches question mark wildcard", "foo-1.tgz", true, "A"),
        ("targetpath does not match question mark wildcard", "foo-alpha.tgz", false, ""),
        ("targetpath matching is case sensitive", "README.MD", false, ""),
    ];
    for (name, path, found, expected) in cases {
        each(|begin| {
            let mut simulator = delegating(&edges);
            let client = Client::new(begin, &simulator);
            for (role, path) in files {
                simulator.add_artifact(role, path, path.as_bytes());
            }
            simulator.role("targets")["version"] = 0.into();
            simulator.role("snapshot")["version"] = 0.into();
            publish_all(&mut simulator);
            let got = client.download(&mut simulator, &[path]);
            assert_eq!(
                got.ok().map(|files| files[0].clone()),
                found.then(|| path.as_bytes().to_vec()),
                "{name}"
            );
            assert_eq!(visited(&simulator), expected, "{name}");
        });
    }
}

#[test]
fn path_hash_prefixes() {
    scenes(|simulator, client| {
        simulator.delegate("targets", "bin", false, &[]);
        let digest = crate::engine::digest::of(b"binned").to_string();
        let role = &mut simulator.role("targets")["delegations"]["roles"][0];
        role.as_object_mut().unwrap().remove("paths");
        role["path_hash_prefixes"] = serde_json::json!([digest[..3]]);
        for name in ["binned", "not binned"] {
            simulator.add_artifact("bin", name, b"content");
        }
        publish_all(simulator);
        client.download(simulator, &["binned"]).unwrap();
        client.download(simulator, &["not binned"]).unwrap_err();
    });
}

#[test]
fn cached_role_is_verified_against_current_delegator() {
    scenes(|simulator, client| {
        simulator.delegate("targets", "parent-a", false, &["team-a/*"]);
        simulator.delegate("targets", "parent-b", false, &["team-b/*"]);
        simulator.delegate("parent-a", "release", false, &["team-a/*"]);
        let of_b = simulator.delegate("parent-b", "release", false, &["team-b/*"]);
        // Signed for the one parent, not for the other.
        simulator.signers.get_mut("release").unwrap().retain(|key| key.id() != of_b.id());
        simulator.add_artifact("release", "team-a/file", b"good");
        simulator.add_artifact("release", "team-b/file", b"evil");
        publish_all(simulator);
        assert_eq!(client.download(simulator, &["team-a/file"]).unwrap(), [b"good"]);
        for names in [&["team-a/file", "team-b/file"][..], &["team-b/file"]] {
            let refusal = client.download(simulator, names).unwrap_err();
            assert!(refusal.contains("signature of release metadata: 0 of 1"), "{refusal}");
        }
    });
}

#[test]
fn delegation_not_in_snapshot() {
    scenes(|simulator, client| {
        simulator.delegate("targets", "delegated", false, &["delegatedpath/*"]);
        simulator.publish(&["targets", "snapshot", "timestamp"]);
        client.refresh(simulator).unwrap();
        simulator.asked.clear();
        let refusal = client.download(simulator, &["delegatedpath/foo"]).unwrap_err();
        assert!(refusal.contains("refused delegated metadata"), "{refusal}");
        assert!(refusal.contains("targets delegates to it, the snapshot lacks it"), "{refusal}");
        assert_eq!(visited(simulator), "");
    });
}

#[test]
fn roles_of_the_root_are_not_delegated() {
    for role in ["root", "timestamp", "snapshot"] {
        scenes(|simulator, client| {
            let key = simulator.new_key();
            simulator.delegate("targets", role, false, &["*"]);
            simulator.role("snapshot")["meta"][format!("{role}.json")] =
                serde_json::json!({"version": 7});
            simulator.publish(&["targets", "snapshot", "timestamp"]);
            let list = serde_json::json!({"_type": "targets", "spec_version": "1.0.31",
                "version": 7, "expires": "2099-01-01T00:00:00Z", "targets": {}});
            let file = serde_json::json!({"signed": list, "signatures": [key.signature(&list)]});
            let bytes = serde_json::to_vec(&file).unwrap();
            simulator.files.insert(format!("metadata/7.{role}.json"), bytes);
            let refusal = client.download(simulator, &["nowhere"]).unwrap_err();
            assert!(refusal.contains(&format!("refused {role} metadata")), "{refusal}");
        });
    }
}

#[test]
fn unusual_role_name() {
    for (role, file) in [
        ("?", "%3F"),
        ("#", "%23"),
        ("/delegatedrole", "%2Fdelegatedrole"),
        ("../delegatedrole", "..%2Fdelegatedrole"),
    ] {
        scenes(|simulator, client| {
            simulator.delegate("targets", role, false, &["*"]);
            publish_all(simulator);
            client.download(simulator, &["nonexistent"]).unwrap_err();
            assert_eq!(visited(simulator), file);
            // Nothing of it is stored, least of all under its name.
            let known = ["clock", "timestamp.json", "2.snapshot.json", "2.targets.json"];
            for entry in std::fs::read_dir(client.trust()).unwrap() {
                let name = entry.unwrap().file_name();
                assert!(known.contains(&name.to_str().unwrap()), "{name:?}");
            }
        });
    }
}
