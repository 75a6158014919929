// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The program as it is used: keys, builds, publishes, bundles, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod maintenance;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::verify::View;
use crate::verify::verify;

const DRIVERS: &str = r#"[{"name":"syslog","summary":"To a syslog server","runs":"zone","since":"1.0.0","options":[],"novel":true}]"#;

/// A scratch directory in which the program runs.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With keys, and releases built and published on the channel `stable`.
    fn published(versions: &[&str]) -> Self {
        let scratch = Self::new();
        scratch.ok("keygen --keys keys");
        for version in versions {
            scratch.build(version);
            scratch.ok(&publish(version));
        }
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_release"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    fn ok(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The message of a run that must fail.
    fn refused(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stderr).unwrap()
    }

    /// A logger that says it is this version.
    fn logger(&self, version: &str) -> String {
        let name = format!("logger-{version}");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n  version) echo {version} ;;\n  'drivers --json') echo '{DRIVERS}' ;;\n  *) exit 64 ;;\nesac\n"
        );
        self.script(&name, &script)
    }

    fn script(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        name.to_owned()
    }

    fn build(&self, version: &str) -> String {
        let logger = self.logger(version);
        self.ok(&format!(
            "build --logger {logger} --target {} --commit c0ffee --out out/{version}",
            own_target()
        ))
    }

    fn view(&self, repo: &str) -> Result<View, String> {
        verify(&self.path("keys/1.root.json"), &self.path(repo), jiff::Timestamp::now())
    }
}

fn own_target() -> String {
    format!("{}-unknown-{}-gnu", std::env::consts::ARCH, std::env::consts::OS)
}

fn publish(version: &str) -> String {
    format!("publish --repo repo --keys keys --release out/{version} --channel stable")
}

/// Every file below a directory with its bytes.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

#[test]
fn what_is_published_verifies_and_the_earlier_release_stays() {
    let scratch = Scratch::published(&["1.0.0", "1.1.0"]);
    let view = scratch.view("repo").unwrap();
    assert_eq!(view.versions, [2, 2, 2]);
    let names: Vec<_> = view.targets.keys().map(String::as_str).collect();
    let artifact = |version| format!("logger-{version}-{}.tar.zst", own_target());
    assert_eq!(
        names,
        [
            "channels/stable.json",
            &artifact("1.0.0"),
            &artifact("1.1.0"),
            "releases/1.0.0.json",
            "releases/1.1.0.json"
        ]
    );
    let channel: Value = serde_json::from_slice(&view.targets["channels/stable.json"]).unwrap();
    assert_eq!(
        channel,
        serde_json::json!({"format": 1, "name": "stable", "release": "1.1.0", "halted": false})
    );

    let release: Value = serde_json::from_slice(&view.targets["releases/1.1.0.json"]).unwrap();
    assert_eq!(release["commit"], "c0ffee");
    assert_eq!(release["drivers"], serde_json::from_str::<Value>(DRIVERS).unwrap());
    let file = &release["targets"][own_target()]["files"][0];
    assert_eq!((file["path"].as_str(), file["mode"].as_u64()), (Some("logger"), Some(0o555)));
}

#[test]
fn keys_are_private_and_the_root_is_apart_from_the_online_ones() {
    let scratch = Scratch::new();
    scratch.ok("keygen --keys keys --root-keys 3 --root-threshold 2 --root-expires 52w");
    let mode = |name: &str| fs::metadata(scratch.path(name)).unwrap().permissions().mode() & 0o7777;
    for name in ["root-1", "root-2", "root-3", "targets", "snapshot", "timestamp"] {
        assert_eq!(mode(&format!("keys/{name}.pem")), 0o600, "{name}");
    }
    let root: Value =
        serde_json::from_slice(&fs::read(scratch.path("keys/1.root.json")).unwrap()).unwrap();
    let signed = &root["signed"];
    assert_eq!(signed["consistent_snapshot"], true);
    assert_eq!(signed["roles"]["root"]["threshold"], 2);
    assert_eq!(signed["keys"].as_object().unwrap().len(), 6);
    assert_eq!(root["signatures"].as_array().unwrap().len(), 3);

    let before = files(&scratch.path("keys"));
    assert!(scratch.refused("keygen --keys keys").contains("exists and is never overwritten"));
    assert_eq!(files(&scratch.path("keys")), before);
    let message = scratch.refused("keygen --keys other --root-keys 1 --root-threshold 2");
    assert!(
        message.contains("a root threshold of 2 cannot be met with 1 root key(s)"),
        "{message}"
    );
}

#[test]
fn publishing_needs_no_root_key() {
    let scratch = Scratch::published(&[]);
    fs::remove_file(scratch.path("keys/root-1.pem")).unwrap();
    scratch.build("1.0.0");
    scratch.ok(&publish("1.0.0"));
    scratch.view("repo").unwrap();
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let scratch = Scratch::published(&["1.0.0"]);
    scratch.build("1.1.0");
    let before = files(&scratch.path("repo"));
    fs::set_permissions(scratch.path("keys/snapshot.pem"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let message = scratch.refused(&publish("1.1.0"));
    assert!(message.contains("chmod 600 keys/snapshot.pem"), "{message}");
    assert_eq!(files(&scratch.path("repo")), before);
}

#[test]
fn a_version_is_not_published_twice_with_other_bytes() {
    let scratch = Scratch::published(&["1.0.0"]);
    let before = files(&scratch.path("repo"));
    let changed = fs::read_to_string(scratch.path("logger-1.0.0")).unwrap() + "# another build\n";
    let logger = scratch.script("changed", &changed);
    scratch.ok(&format!(
        "build --logger {logger} --target {} --commit c0ffee --out out/again",
        own_target()
    ));
    let message =
        scratch.refused("publish --repo repo --keys keys --release out/again --channel stable");
    assert!(message.contains("is already published with other bytes"), "{message}");
    assert!(message.contains("raise the version"), "{message}");
    assert_eq!(files(&scratch.path("repo")), before);

    // The same bytes again only renew the signatures.
    scratch.ok(&publish("1.0.0"));
    assert_eq!(scratch.view("repo").unwrap().versions, [2, 2, 2]);
}

#[test]
fn a_repository_that_does_not_verify_is_not_extended() {
    let scratch = Scratch::published(&["1.0.0"]);
    scratch.build("1.1.0");
    let intact = files(&scratch.path("repo"));
    for path in intact
        .keys()
        .filter(|path| path.extension().is_some_and(|end| end == "json" || end == "zst"))
    {
        let mut bytes = intact[path].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, &bytes).unwrap();
        let message = scratch.refused(&publish("1.1.0"));
        let refusal =
            ["refusing to extend repository repo", "is not the trust anchor of repository repo"];
        assert!(refusal.iter().any(|text| message.contains(text)), "{}: {message}", path.display());
        fs::write(path, &intact[path]).unwrap();
    }
    fs::remove_file(scratch.path("repo/metadata/timestamp.json")).unwrap();
    let message = scratch.refused(&publish("1.1.0"));
    assert!(message.contains("has metadata but no timestamp.json"), "{message}");
    fs::write(
        scratch.path("repo/metadata/timestamp.json"),
        &intact[&scratch.path("repo/metadata/timestamp.json")],
    )
    .unwrap();
    scratch.ok(&publish("1.1.0"));
}

#[test]
fn keys_of_a_stranger_are_refused() {
    let scratch = Scratch::published(&["1.0.0"]);
    let before = files(&scratch.path("repo"));
    scratch.ok("keygen --keys strange");
    let message =
        scratch.refused("publish --repo repo --keys strange --release out/1.0.0 --channel stable");
    assert!(message.contains("these keys belong to another"), "{message}");

    fs::copy(scratch.path("keys/1.root.json"), scratch.path("strange/1.root.json")).unwrap();
    let message =
        scratch.refused("publish --repo repo --keys strange --release out/1.0.0 --channel stable");
    assert!(
        message.contains("does not name targets.pem as a key of the role targets"),
        "{message}"
    );
    assert_eq!(files(&scratch.path("repo")), before);
}

#[test]
fn a_release_that_changed_after_it_was_built_is_not_signed() {
    let scratch = Scratch::published(&[]);
    scratch.build("1.0.0");
    let artifact = scratch.path(&format!("out/1.0.0/logger-1.0.0-{}.tar.zst", own_target()));
    let mut bytes = fs::read(&artifact).unwrap();
    bytes[20] ^= 1;
    fs::write(&artifact, bytes).unwrap();
    let message = scratch.refused(&publish("1.0.0"));
    assert!(
        message.contains("release.json says") && message.contains("build it again"),
        "{message}"
    );
    assert!(!scratch.path("repo").exists());
}

#[test]
fn expired_metadata_is_refused_by_a_node_and_renewed_by_us() {
    let scratch = Scratch::published(&[]);
    scratch.build("1.0.0");
    scratch.ok(&format!("{} --expires-timestamp 0s", publish("1.0.0")));
    let message = scratch.view("repo").unwrap_err();
    assert!(message.contains("timestamp metadata expired"), "{message}");
    assert!(scratch.ok("show repo").contains("EXPIRED"));
    scratch.ok(&publish("1.0.0"));
    scratch.view("repo").unwrap();
}

#[test]
fn a_bundle_holds_what_a_node_needs_and_no_more() {
    let scratch = Scratch::published(&["1.0.0", "1.1.0"]);
    scratch.ok("publish --repo repo --keys keys --release out/1.0.0 --channel old");
    scratch.ok("publish --repo repo --keys keys --release out/1.1.0 --channel old");
    scratch.ok("bundle --repo repo --out one.tar");
    scratch.ok("bundle --repo repo --out two.tar");
    assert_eq!(
        fs::read(scratch.path("one.tar")).unwrap(),
        fs::read(scratch.path("two.tar")).unwrap()
    );

    let unpacked = scratch.path("unpacked");
    tar::Archive::new(fs::File::open(scratch.path("one.tar")).unwrap()).unpack(&unpacked).unwrap();
    let missing = scratch.view("unpacked").unwrap_err();
    assert!(missing.contains("logger-1.0.0"), "the older release stays behind: {missing}");
    let names: Vec<_> = files(&unpacked)
        .into_keys()
        .map(|path| path.strip_prefix(&unpacked).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 4 + 2 + 1 + 1, "{names:#?}");
    for part in [
        "1.root.json",
        "4.targets.json",
        "4.snapshot.json",
        "timestamp.json",
        ".old.json",
        ".stable.json",
        ".1.1.0.json",
    ] {
        assert_eq!(
            names.iter().filter(|name| name.ends_with(part)).count(),
            1,
            "{part} in {names:#?}"
        );
    }
    // What it has verifies: the tree with the rest of the repository laid under it is the repository.
    for (path, bytes) in files(&unpacked) {
        let original = scratch.path("repo").join(path.strip_prefix(&unpacked).unwrap());
        assert_eq!(fs::read(original).unwrap(), bytes);
    }
    let shown = scratch.ok("show one.tar --root keys/1.root.json");
    assert!(shown.contains("verified with trust anchor keys/1.root.json"), "{shown}");
    assert!(shown.contains("release 1.1.0") && !shown.contains("release 1.0.0"), "{shown}");
}

#[test]
fn show_tells_what_is_there_and_what_is_damaged() {
    let scratch = Scratch::published(&["1.0.0", "1.1.0"]);
    let shown: Value = serde_json::from_str(&scratch.ok("show repo --json")).unwrap();
    assert_eq!(shown["roles"][0]["role"], "root");
    assert_eq!(shown["roles"][3]["version"], 2);
    assert_eq!(shown["channels"][0]["release"], "1.1.0");
    assert_eq!(shown["releases"][1]["drivers"], serde_json::json!(["syslog"]));
    assert_eq!(shown["releases"][1]["targets"][own_target()]["present"], true);

    let artifact = files(&scratch.path("repo/targets"))
        .into_keys()
        .find(|path| path.to_str().unwrap().contains("logger-1.1.0"))
        .unwrap();
    fs::write(artifact, "short").unwrap();
    let output = scratch.run("show repo");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("DAMAGED target logger-1."));
    let message = scratch.refused("bundle --repo repo --out b.tar");
    assert!(
        message.contains("refusing to bundle repository repo: target logger-1.1.0"),
        "{message}"
    );
    assert!(!scratch.path("b.tar").exists());

    scratch.ok("keygen --keys strange");
    let message = scratch.refused("show repo --root strange/1.root.json");
    assert!(message.contains("does not verify with trust anchor strange/1.root.json"), "{message}");
    assert!(scratch.refused("show keys").contains("is not a repository"));
    assert!(scratch.refused("show logger-1.0.0").contains("logger-1.0.0"));
}

#[test]
fn a_release_has_one_description_for_all_platforms() {
    let scratch = Scratch::published(&[]);
    scratch.build("1.0.0");
    fs::write(scratch.path("drivers.json"), DRIVERS).unwrap();
    fs::write(scratch.path("foreign"), "not for this machine").unwrap();
    let foreign =
        "build --logger foreign --target sparcv9-sun-solaris --commit c0ffee --out out/1.0.0";
    let message = scratch.refused(foreign);
    assert!(message.contains("--drivers and --version are needed"), "{message}");
    scratch.ok(&format!("{foreign} --drivers drivers.json --version 1.0.0"));
    let message = scratch.refused(&format!("{foreign} --drivers drivers.json --version 1.0.1"));
    assert!(message.contains("describes version 1.0.0, not 1.0.1"), "{message}");
    fs::write(scratch.path("drivers.json"), "[]").unwrap();
    let message = scratch.refused(&format!("{foreign} --drivers drivers.json --version 1.0.0"));
    assert!(message.contains("the drivers of this logger are not those"), "{message}");

    scratch.ok(&publish("1.0.0"));
    let view = scratch.view("repo").unwrap();
    let release: Value = serde_json::from_slice(&view.targets["releases/1.0.0.json"]).unwrap();
    let platforms: Vec<_> = release["targets"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(platforms, ["sparcv9-sun-solaris".to_owned(), own_target()]);
}

#[test]
fn a_logger_that_does_not_say_what_it_is_is_not_packed() {
    let scratch = Scratch::new();
    let target = own_target();
    for (script, expected) in [
        ("#!/bin/sh\necho nonsense\n", "did not print a version"),
        ("#!/bin/sh\necho 'bad thing' >&2; exit 3\n", "stderr: \"bad thing\""),
        (
            "#!/bin/sh\ncase $1 in version) echo 1.0.0 ;; *) echo 1.0.0 ;; esac\n",
            "did not print a list of drivers",
        ),
        ("#!/bin/sh\nexec yes\n", "printed more than"),
        ("#!/no/such/interpreter\n", "failed to run"),
    ] {
        let logger = scratch.script("bad", script);
        let message = scratch
            .refused(&format!("build --logger {logger} --target {target} --commit c --out out"));
        assert!(message.contains(expected), "{message}");
        assert!(!scratch.path("out").exists());
    }
    let logger = scratch.logger("1.0.0");
    let message = scratch.refused(&format!(
        "build --logger {logger} --target {target} --version 2.0.0 --commit c --out out"
    ));
    assert!(message.contains("--version says 2.0.0, the logger says 1.0.0"), "{message}");
}

#[test]
fn the_same_binary_gives_the_same_digest() {
    let scratch = Scratch::published(&[]);
    scratch.build("1.0.0");
    let first = files(&scratch.path("out/1.0.0"));
    fs::remove_dir_all(scratch.path("out")).unwrap();
    scratch.build("1.0.0");
    let artifact = scratch.path(&format!("out/1.0.0/logger-1.0.0-{}.tar.zst", own_target()));
    assert_eq!(fs::read(&artifact).unwrap(), first[&artifact]);
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    let scratch = Scratch::new();
    for arguments in [
        "",
        "frobnicate",
        "publish --repo repo",
        "keygen --keys keys --root-expires 1y",
        "build --logger l --target ../x --commit c --out o",
        "publish --repo r --keys k --release o --channel A",
    ] {
        assert_eq!(scratch.run(arguments).status.code(), Some(64), "{arguments}");
    }
    for verb in ["keygen", "build", "publish", "bundle", "show"] {
        assert!(scratch.ok(&format!("{verb} --help")).contains("Examples:"), "{verb}");
    }
    assert!(fs::read_dir(scratch.0.path()).unwrap().next().is_none());
}

#[test]
fn what_an_lx_zone_would_take_for_a_program_of_linux_is_not_packed() {
    let scratch = Scratch::new();
    fs::write(scratch.path("drivers.json"), DRIVERS).unwrap();
    let build = "build --logger logger --target x86_64-unknown-illumos --commit c --out out \
                 --drivers drivers.json --version 1.0.0";
    for start in
        [&b"\x7fELF\x02\x01\x01\x00"[..], b"\x7fELF\x02\x01\x01\x03", b"\x7fELF", b"#!/bin/sh"]
    {
        fs::write(scratch.path("logger"), start).unwrap();
        let message = scratch.refused(build);
        assert!(message.contains("logger is not an ELF file for OSABI 6"), "{message}");
        assert!(!scratch.path("out").exists());
    }
    fs::write(scratch.path("logger"), b"\x7fELF\x02\x01\x01\x06").unwrap();
    scratch.ok(build);
}
