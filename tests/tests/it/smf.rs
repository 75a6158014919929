// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The services of a compute node: what their manifests say, and what their methods do, tried with fakes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use dockerlogger_tests::programs::source_tree;
use roxmltree::{Document, Node, ParsingOptions};
use tempfile::TempDir;

const MANIFESTS: [&str; 2] = ["dockerlogger.xml", "dockerlogger-agent.xml"];
const METHODS: [&str; 2] = ["dockerlogger-mount", "dockerlogger-agent"];

/// What stands in a service, in the order of `service_bundle.dtd.1`; `svccfg` refuses another.
const ORDER: [&str; 9] = [
    "single_instance",
    "dependency",
    "dependent",
    "method_context",
    "exec_method",
    "property_group",
    "instance",
    "stability",
    "template",
];

/// What a manifest says, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Service {
    name: String,
    enabled: String,
    /// Name to (grouping, restart_on, FMRI).
    dependencies: BTreeMap<String, [String; 3]>,
    dependents: BTreeMap<String, [String; 3]>,
    /// Method to (command, time-out in seconds).
    methods: BTreeMap<String, (String, u32)>,
    /// The `startd` properties.
    startd: BTreeMap<String, String>,
}

impl Service {
    fn read(file: &str) -> Self {
        let text = fs::read_to_string(source_tree().join("smf/manifests").join(file)).unwrap();
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(&text, options).unwrap();
        let bundle = document.root_element();
        assert_eq!(bundle.attribute("type"), Some("manifest"), "{file}");
        let service = only(bundle, "service");
        assert_eq!(service.attribute("type"), Some("service"), "{file}");
        let instance = only(service, "instance");
        assert_eq!(instance.attribute("name"), Some("default"), "{file}");
        only(service, "single_instance");
        let order = |child: Node<'_, '_>| {
            let name = child.tag_name().name();
            ORDER
                .iter()
                .position(|known| *known == name)
                .unwrap_or_else(|| panic!("{file}: {name}"))
        };
        let places: Vec<_> = service.children().filter(Node::is_element).map(order).collect();
        assert!(places.is_sorted(), "{file}: svccfg wants the order {ORDER:?}");
        let startd = children(service, "property_group")
            .find(|group| group.attribute("name") == Some("startd"))
            .unwrap();
        Self {
            name: attribute(service, "name"),
            enabled: attribute(instance, "enabled"),
            dependencies: links(service, "dependency"),
            dependents: links(service, "dependent"),
            methods: children(service, "exec_method")
                .map(|method| {
                    let timeout = attribute(method, "timeout_seconds").parse().unwrap();
                    (attribute(method, "name"), (attribute(method, "exec"), timeout))
                })
                .collect(),
            startd: children(startd, "propval")
                .map(|value| (attribute(value, "name"), attribute(value, "value")))
                .collect(),
        }
    }
}

fn children<'a, 'input: 'a>(
    node: Node<'a, 'input>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

fn only<'a, 'input: 'a>(node: Node<'a, 'input>, name: &'a str) -> Node<'a, 'input> {
    let mut found = children(node, name);
    let first = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "more than one {name}");
    first
}

fn attribute(node: Node<'_, '_>, name: &str) -> String {
    node.attribute(name).unwrap_or_else(|| panic!("no {name} at {node:?}")).to_owned()
}

fn links(service: Node<'_, '_>, kind: &str) -> BTreeMap<String, [String; 3]> {
    children(service, kind)
        .map(|link| {
            let fmri = attribute(only(link, "service_fmri"), "value");
            let link_of = ["grouping", "restart_on"].map(|name| attribute(link, name));
            let [grouping, restart_on] = link_of;
            (attribute(link, "name"), [grouping, restart_on, fmri])
        })
        .collect()
}

fn table<const N: usize>(rows: [(&str, [&str; 3]); N]) -> BTreeMap<String, [String; 3]> {
    rows.map(|(name, link)| (name.to_owned(), link.map(str::to_owned))).into()
}

fn startd<const N: usize>(rows: [(&str, &str); N]) -> BTreeMap<String, String> {
    rows.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn methods<const N: usize>(rows: [(&str, &str, u32); N]) -> BTreeMap<String, (String, u32)> {
    rows.map(|(name, exec, timeout)| (name.to_owned(), (exec.to_owned(), timeout))).into()
}

#[test]
fn the_mounts_are_there_before_the_zones_and_need_no_network() {
    let service = Service::read("dockerlogger.xml");
    let expected = Service {
        name: "smartdc/dockerlogger".to_owned(),
        enabled: "true".to_owned(),
        dependencies: table([(
            "filesystem",
            ["require_all", "none", "svc:/system/filesystem/local"],
        )]),
        dependents: table([(
            "dockerlogger_zones",
            ["optional_all", "none", "svc:/system/zones:default"],
        )]),
        methods: methods([
            ("start", "/opt/smartdc/docker/lib/svc/method/dockerlogger-mount start", 60),
            ("stop", ":true", 60),
        ]),
        startd: startd([("duration", "transient")]),
    };
    assert_eq!(service, expected);
}

#[test]
fn the_agent_waits_for_the_network_and_zones_do_not_wait_for_it() {
    let service = Service::read("dockerlogger-agent.xml");
    let expected = Service {
        name: "smartdc/agent/dockerlogger-agent".to_owned(),
        enabled: "true".to_owned(),
        dependencies: table([
            ("network", ["require_all", "error", "svc:/milestone/network:default"]),
            ("filesystem", ["require_all", "error", "svc:/system/filesystem/local"]),
            ("mounts", ["optional_all", "none", "svc:/smartdc/dockerlogger:default"]),
        ]),
        dependents: BTreeMap::new(),
        methods: methods([
            ("start", "/opt/smartdc/docker/lib/svc/method/dockerlogger-agent start", 60),
            ("stop", ":kill", 60),
        ]),
        startd: startd([("duration", "contract"), ("ignore_error", "core,signal")]),
    };
    assert_eq!(service, expected);
}

/// The package: installed path to (source, mode).
fn package() -> BTreeMap<String, (String, u32)> {
    let text = fs::read_to_string(source_tree().join("smf/package.list")).unwrap();
    let mut package = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [source, installed, mode] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("not SOURCE PATH MODE: {line}");
        };
        let mode = u32::from_str_radix(mode, 8).unwrap();
        assert!(installed.starts_with('/'), "{line}");
        let before = package.insert(installed.to_owned(), (source.to_owned(), mode));
        assert_eq!(before, None, "{installed} is listed twice");
    }
    package
}

#[test]
fn every_path_the_services_name_is_in_the_package() {
    let package = package();
    for (installed, (source, mode)) in &package {
        if source.starts_with("build:") {
            continue;
        }
        let metadata = fs::metadata(source_tree().join(source))
            .unwrap_or_else(|error| panic!("{source} of {installed}: {error}"));
        let executable = metadata.permissions().mode() & 0o111 != 0;
        assert_eq!(executable, mode & 0o111 != 0, "{source}");
    }
    let sources: BTreeSet<_> = package.values().map(|(source, _)| source.as_str()).collect();
    for file in MANIFESTS {
        assert!(sources.contains(format!("smf/manifests/{file}").as_str()), "{file}");
        for (command, _) in Service::read(file).methods.into_values() {
            let program = command.split_whitespace().next().unwrap();
            if program.starts_with('/') {
                let (_, mode) =
                    package.get(program).unwrap_or_else(|| panic!("{file} runs {program}"));
                assert_eq!(mode & 0o111, 0o111, "{program}");
            }
        }
    }
    for file in METHODS {
        assert!(sources.contains(format!("smf/method/{file}").as_str()), "{file}");
        let text = fs::read_to_string(source_tree().join("smf/method").join(file)).unwrap();
        for (start, _) in text.match_indices("/opt/smartdc/docker/lib/") {
            let path = text[start..].split(|c: char| c.is_whitespace() || c == '}').next().unwrap();
            assert!(package.contains_key(path), "{file} names {path}");
        }
    }
}

/// A node's file system as far as the mount method touches it.
struct Scene {
    scratch: TempDir,
}

impl Scene {
    fn new() -> Self {
        let node = Self { scratch: tempfile::tempdir().unwrap() };
        fs::create_dir_all(node.path("root")).unwrap();
        fs::write(node.path("mnttab"), "/devices/ramdisk:a\t/\tufs\trw\t1700000000\n").unwrap();
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The method with this node's paths and the fake mount.
    fn method(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .arg(source_tree().join("smf/method/dockerlogger-mount"))
            .env("DOCKERLOGGER_ROOT", self.path("root"))
            .env("LIB_DIR", self.path("lib/sdc/docker"))
            .env("USR_DIR", self.path("usr/docker"))
            .env("PLATFORM", "SunOS")
            .env("MNTTAB", self.path("mnttab"))
            .env("MOUNT", data("mount"))
            .stdin(Stdio::null());
        command
    }

    fn start(&self) {
        let output = self.method().arg("start").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    }

    /// What was mounted where, in order, without the first line of the table.
    fn mounts(&self) -> Vec<(String, String)> {
        let table = fs::read_to_string(self.path("mnttab")).unwrap();
        let relative = |path: &str| {
            let path = Path::new(path);
            path.strip_prefix(self.scratch.path()).unwrap_or(path).display().to_string()
        };
        let mount = |line: &str| {
            let mut fields = line.split('\t');
            (relative(fields.next().unwrap()), relative(fields.next().unwrap()))
        };
        table.lines().skip(1).map(mount).collect()
    }
}

fn data(name: &str) -> PathBuf {
    source_tree().join("tests/tests/data/smf").join(name)
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn pairs<const N: usize>(rows: [(&str, &str); N]) -> Vec<(String, String)> {
    rows.map(|(source, place)| (source.to_owned(), place.to_owned())).into()
}

#[test]
fn mounting_twice_mounts_once() {
    let node = Scene::new();
    let once = pairs([
        ("root/bin", "root/zone/bin"),
        ("root/store", "root/zone/store"),
        ("root/zone", "lib/sdc/docker"),
    ]);
    node.start();
    assert_eq!(node.mounts(), once);
    node.start();
    assert_eq!(node.mounts(), once);

    // A platform that has /usr/docker gets the same view there, once.
    fs::create_dir_all(node.path("usr/docker")).unwrap();
    let mut both = once;
    both.extend(pairs([("root/zone", "usr/docker")]));
    for _ in 0..2 {
        node.start();
        assert_eq!(node.mounts(), both);
    }
}

#[test]
fn an_earlier_mount_of_the_file_is_covered_and_another_directory_is_in_the_way() {
    let node = Scene::new();
    let add = |source: &str, place: &str| {
        let mut table = fs::read_to_string(node.path("mnttab")).unwrap();
        table += &format!("{source}\t{}\tlofs\tro\t1700000000\n", node.path(place).display());
        fs::write(node.path("mnttab"), table).unwrap();
    };
    add("/opt/smartdc/docker/bin/dockerlogger", "lib/sdc/docker/logger");
    // Of another place, whose name a shell would take apart.
    add("/else where", "lib/sdc/docker with a blank");
    node.start();
    assert_eq!(node.mounts().len(), 2 + 3);
    add("/else where", "lib/sdc/docker");
    let output = node.method().arg("start").output().unwrap();
    assert_eq!(output.status.code(), Some(95));
    let said = complaint(&output);
    assert!(said.contains("lib/sdc/docker: lofs /else where (ro); unmount it"), "{said}");
    assert_eq!(node.mounts().len(), 2 + 3 + 1);
}

#[test]
fn what_zones_see_is_the_logger_and_nothing_private() {
    let node = Scene::new();
    let release = "ab".repeat(32);
    let store = node.path("root/store").join(&release);
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("logger"), "the logger").unwrap();
    fs::create_dir_all(node.path("root/bin")).unwrap();
    symlink(format!("../store/{release}/logger"), node.path("root/bin/logger")).unwrap();
    for private in ["state", "trust", "tmp"] {
        fs::create_dir(node.path("root").join(private)).unwrap();
    }
    fs::write(node.path("root/agent.sock"), "").unwrap();
    node.start();
    let names = |folder: PathBuf| -> BTreeSet<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        fs::read_dir(folder).unwrap().map(name).collect()
    };
    assert_eq!(names(node.path("root/zone")), ["bin", "logger", "store"].map(str::to_owned).into());

    // The same tree somewhere else, as in an lx zone: the links lead to the file all the same.
    let native = node.path("native/lib/sdc/docker");
    fs::create_dir_all(&native).unwrap();
    let copied = Command::new("cp")
        .arg("-RP")
        .args(["root/zone/logger", "root/bin", "root/store"].map(|name| node.path(name)))
        .arg(&native)
        .status()
        .unwrap();
    assert!(copied.success());
    let native = native.canonicalize().unwrap();
    for entry in ["logger", "bin/logger"] {
        let resolved = native.join(entry).canonicalize().unwrap();
        assert_eq!(resolved, native.join("store").join(&release).join("logger"));
    }
}

#[test]
fn until_a_release_is_installed_containers_keep_the_logger_they_had() {
    let node = Scene::new();
    fs::create_dir_all(node.path("root/bin")).unwrap();
    let earlier = node.path("root/bin/dockerlogger");
    fs::write(&earlier, "the logger of before").unwrap();
    fs::set_permissions(&earlier, fs::Permissions::from_mode(0o555)).unwrap();
    node.start();
    let link = node.path("root/bin/logger");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("dockerlogger"));

    fs::remove_file(&link).unwrap();
    symlink("../store/x/logger", &link).unwrap();
    node.start();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("../store/x/logger"));
}

#[test]
fn what_cannot_be_mounted_puts_the_service_into_maintenance() {
    let node = Scene::new();
    let place = node.path("lib/sdc/docker");
    let output = node.method().arg("start").env("REFUSED", &place).output().unwrap();
    assert_eq!(output.status.code(), Some(95));
    let expected =
        format!("failed to mount {} at {}", node.path("root/zone").display(), place.display());
    assert!(complaint(&output).contains(&expected), "{}", complaint(&output));
    // Once the reason is gone, the rest is done.
    node.start();
    assert_eq!(node.mounts().len(), 3);

    let code = |command: &mut Command| command.output().unwrap().status.code();
    assert_eq!(code(&mut node.method()), Some(96));
    assert_eq!(code(node.method().arg("stop")), Some(96));
    assert_eq!(code(node.method().arg("start").env("DOCKERLOGGER_ROOT", "relative")), Some(96));
    for path in ["/a\tb", "/a/", "/a//b", "/a/../b", "/a/."] {
        assert_eq!(code(node.method().arg("start").env("LIB_DIR", path)), Some(96), "{path}");
    }
    assert_eq!(code(node.method().arg("start").env("PLATFORM", "Plan9")), Some(96));
    let absent = node.path("no-mnttab");
    assert_eq!(code(node.method().arg("start").env("MNTTAB", absent)), Some(95));
    fs::write(node.path("mnttab"), "").unwrap();
    assert_eq!(code(node.method().arg("start")), Some(95));
    assert_eq!(fs::read(node.path("mnttab")).unwrap(), b"", "nothing is mounted");
}

#[test]
fn the_agent_is_started_only_with_a_configuration_it_accepts() {
    let scratch = tempfile::tempdir().unwrap();
    let started = scratch.path().join("started");
    let method = |check: &str| {
        let mut command = Command::new("/bin/sh");
        command
            .arg(source_tree().join("smf/method/dockerlogger-agent"))
            .arg("start")
            .env("DOCKERLOGGER_AGENT", data("agent"))
            .env("CHECK", check)
            .env("STARTED", &started)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    for (check, status) in [("78", 96), ("64", 96), ("1", 1), ("75", 1)] {
        assert_eq!(method(check).status().unwrap().code(), Some(status), "{check}");
        assert!(!started.exists());
    }
    let absent = scratch.path().join("absent");
    let status = method("0").env("DOCKERLOGGER_AGENT", absent).status().unwrap();
    assert_eq!(status.code(), Some(95));

    assert_eq!(method("0").status().unwrap().code(), Some(0));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !started.exists() {
        assert!(Instant::now() < deadline, "the agent was not started");
        std::thread::sleep(Duration::from_millis(5));
    }
}
