// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The mount service with real mounts, in a mount namespace of each test's own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dockerlogger_tests::namespace::{Mount, Namespace};
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION, source_tree};
use tempfile::TempDir;

use crate::it::agent::publisher;
use crate::it::skip;

/// Where the zones look.
const LIB: &str = "lib/sdc/docker";
/// Where they look on a platform that has it.
const USR: &str = "usr/docker";

/// The global zone of a node: its directories, and its mounts.
struct Gz {
    mounts: Namespace,
    folder: PathBuf,
    _scratch: TempDir,
}

impl Gz {
    /// A node without /usr/docker, in a folder of this name; none where namespaces are not to be had.
    fn named(name: &str) -> Option<Self> {
        let mounts = match Namespace::new() {
            Ok(mounts) => mounts,
            Err(why) => {
                skip(&format!("mounts cannot be tried without a mount namespace: {why}"));
                return None;
            }
        };
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().canonicalize().unwrap().join(name);
        for directory in ["lib", "usr"] {
            fs::create_dir_all(folder.join(directory)).unwrap();
        }
        Some(Self { mounts, folder, _scratch: scratch })
    }

    fn new() -> Option<Self> {
        Self::named("node")
    }

    /// The same on a platform that has /usr/docker.
    fn with_usr() -> Option<Self> {
        let gz = Self::new()?;
        fs::create_dir_all(gz.at(USR)).unwrap();
        Some(gz)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// The same path, as it looks in there.
    fn seen(&self, path: &str) -> PathBuf {
        self.mounts.path(&self.at(path))
    }

    fn method(&self) -> Command {
        let mut method = self.mounts.command(Path::new("/bin/sh"));
        method
            .arg(source_tree().join("smf/method/dockerlogger-mount"))
            .arg("start")
            .env("DOCKERLOGGER_ROOT", self.at("root"))
            .env("LIB_DIR", self.at(LIB))
            .env("USR_DIR", self.at(USR));
        method
    }

    #[track_caller]
    fn start(&self) {
        let output = self.method().output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    }

    /// The method must end with 95, say all of this, and change nothing.
    #[track_caller]
    fn expect_refused(&self, words: &[&str]) {
        let (table, tree) = (self.table(), self.tree());
        let output = self.method().output().unwrap();
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(95), "{said}");
        for word in words {
            assert!(said.contains(word), "\"{word}\" is not in: {said}");
        }
        assert_eq!(self.table(), table, "nothing is mounted");
        assert_eq!(self.tree(), tree, "nothing is made");
    }

    fn table(&self) -> Vec<Mount> {
        self.mounts.mounts(&self.folder)
    }

    /// Every path outside of the mounts.
    fn tree(&self) -> BTreeSet<PathBuf> {
        fn walk(folder: &Path, found: &mut BTreeSet<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), found);
                }
                found.insert(entry.path());
            }
        }
        let mut found = BTreeSet::new();
        walk(&self.folder, &mut found);
        found
    }

    /// Where something is mounted, in the order of the table, and whether it can be written to.
    fn points(&self) -> Vec<(String, bool)> {
        let place = |mount: Mount| {
            let place = mount.point.strip_prefix(&self.folder).unwrap();
            (place.to_str().unwrap().to_owned(), !mount.read_only)
        };
        let mut points: Vec<_> = self.table().into_iter().map(place).collect();
        points.sort();
        points
    }

    /// A release, as the agent installs it.
    fn install(&self, release: &str, content: &str) {
        let entry = self.at("root/store").join(release);
        fs::create_dir_all(&entry).unwrap();
        executable(&entry.join("logger"), content);
        fs::create_dir_all(self.at("root/bin")).unwrap();
        let temporary = self.at("root/bin/.logger.tmp");
        symlink(format!("../store/{release}/logger"), &temporary).unwrap();
        fs::rename(temporary, self.at("root/bin/logger")).unwrap();
    }

    /// What a logger says that is started from there.
    fn run(&self, mounts: &Namespace, path: &str) -> String {
        let output = mounts.command(&self.at(path)).arg("version").output().unwrap();
        assert!(output.status.success(), "{path}: {}", complaint(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn executable(path: &Path, says: &str) {
    fs::write(path, format!("#!/bin/sh\necho {says}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read_only(places: &[&str]) -> Vec<(String, bool)> {
    let mut points: Vec<_> = places.iter().map(|place| ((*place).to_owned(), false)).collect();
    points.sort();
    points
}

/// What there is on a platform without /usr/docker.
const MOUNTED: [&str; 5] = [
    "root/zone/bin",
    "root/zone/store",
    "lib/sdc/docker",
    "lib/sdc/docker/bin",
    "lib/sdc/docker/store",
];

fn mounted_with_usr() -> Vec<(String, bool)> {
    let usr = ["usr/docker", "usr/docker/bin", "usr/docker/store"];
    read_only(&[&MOUNTED[..], &usr[..]].concat())
}

#[test]
fn the_first_run_mounts_and_the_second_does_nothing() {
    let Some(gz) = Gz::with_usr() else { return };
    gz.start();
    assert_eq!(gz.points(), mounted_with_usr());
    let names = |path: &str| -> BTreeSet<_> {
        fs::read_dir(gz.seen(path)).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(LIB), ["bin", "logger", "store"].map(Into::into).into());
    assert_eq!(names(USR), names(LIB));

    // By their numbers: nothing is mounted anew either.
    let table = gz.table();
    for _ in 0..2 {
        gz.start();
        assert_eq!(gz.table(), table);
    }
    // What was there all the time is reached, and not another one of the same name.
    gz.install("1", "first");
    assert_eq!(gz.run(&gz.mounts, "lib/sdc/docker/logger"), "first");
    assert_eq!(gz.run(&gz.mounts, "usr/docker/bin/logger"), "first");
}

#[test]
fn a_platform_that_gets_usr_docker_later_has_it_mounted_then() {
    let Some(gz) = Gz::new() else { return };
    gz.start();
    assert_eq!(gz.points(), read_only(&MOUNTED));
    fs::create_dir(gz.at(USR)).unwrap();
    gz.start();
    assert_eq!(gz.points(), mounted_with_usr());
}

#[test]
fn paths_with_what_the_mount_table_writes_in_octal_are_mounted_once() {
    let Some(gz) = Gz::named(r"a 7b\040c#\1") else { return };
    gz.start();
    assert_eq!(gz.points(), read_only(&MOUNTED));
    let table = gz.table();
    gz.start();
    assert_eq!(gz.table(), table);
}

#[test]
fn a_link_above_a_place_is_followed_and_nothing_is_mounted_twice() {
    let Some(gz) = Gz::new() else { return };
    // As where /lib is a link to /usr/lib.
    fs::rename(gz.at("lib"), gz.at("usr/lib")).unwrap();
    symlink("usr/lib", gz.at("lib")).unwrap();
    gz.start();
    let table = gz.table();
    assert_eq!(table.len(), MOUNTED.len(), "{table:#?}");
    gz.start();
    assert_eq!(gz.table(), table);
}

/// Programs in the place of those that change something: they count, and at one moment kill the method.
fn killers(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for program in ["ln", "mkdir", "mount", "mv", "rm"] {
        let script = format!(
            "#!/bin/sh\n\
             # Moment 2n is before what is done n-th, 2n + 1 after it.\n\
             count=$(cat \"$COUNT\")\n\
             echo $((count + 2)) >\"$COUNT\"\n\
             [ \"$count\" -ne \"$KILL_AT\" ] || {{ kill -KILL \"$PPID\"; exit 1; }}\n\
             PATH=$REAL_PATH {program} \"$@\" || exit\n\
             [ $((count + 1)) -ne \"$KILL_AT\" ] || {{ kill -KILL \"$PPID\"; exit 1; }}\n"
        );
        fs::write(folder.join(program), script).unwrap();
        fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_completed_by_the_next() {
    let mut mounts_left = BTreeSet::new();
    for kill_at in 0.. {
        let Some(gz) = Gz::with_usr() else { return };
        // A link of another kind is in the way, and a logger of before is there.
        fs::create_dir_all(gz.at("root/bin")).unwrap();
        fs::create_dir_all(gz.at("root/zone")).unwrap();
        symlink("elsewhere", gz.at("root/zone/logger")).unwrap();
        executable(&gz.at("root/bin/dockerlogger"), "earlier");
        let (killers_at, count) = (gz.at("killers"), gz.at("count"));
        killers(&killers_at);
        fs::write(&count, "0\n").unwrap();
        let real_path = std::env::var("PATH").unwrap();
        let output = gz
            .method()
            .env("PATH", format!("{}:{real_path}", killers_at.display()))
            .env("REAL_PATH", real_path)
            .env("COUNT", &count)
            .env("KILL_AT", kill_at.to_string())
            .output()
            .unwrap();
        let killed = output.status.code() != Some(0);
        let place = format!("killed at {kill_at}: {:?}, {}", output.status, complaint(&output));
        assert!(
            gz.seen("root/zone/logger").symlink_metadata().is_ok(),
            "the link is gone, {place}"
        );
        mounts_left.insert(gz.points().len());

        gz.start();
        assert_eq!(gz.points(), mounted_with_usr(), "{place}");
        assert_eq!(gz.run(&gz.mounts, "lib/sdc/docker/logger"), "earlier", "{place}");
        let names = |path: &str| -> BTreeSet<_> {
            fs::read_dir(gz.at(path)).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        assert_eq!(
            names("root/zone"),
            ["bin", "logger", "store"].map(Into::into).into(),
            "{place}"
        );
        assert_eq!(names("root/bin"), ["dockerlogger", "logger"].map(Into::into).into(), "{place}");
        if !killed {
            assert!(kill_at >= 20, "there is more to kill than {kill_at} moments");
            break;
        }
    }
    // None, one, both, with one place, with two.
    assert_eq!(mounts_left, [0, 1, 2, 5, 8].into(), "the kills came between the mounts");
}

#[test]
fn a_file_that_was_mounted_before_is_covered_and_stays() {
    let Some(gz) = Gz::with_usr() else { return };
    fs::create_dir_all(gz.at("root/bin")).unwrap();
    executable(&gz.at("root/bin/dockerlogger"), "earlier");
    // As `dockerlogger-setup.sh` does at each boot: the file over an empty one, once more each time.
    let files = [LIB, "usr/docker/bin"].map(|place| {
        let file = gz.at(place).join("logger");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        for _ in 0..2 {
            gz.mounts.mount(&["--bind"], &[&gz.at("root/bin/dockerlogger"), &file]);
        }
        file
    });
    let before = gz.table();
    assert_eq!(before.len(), 4);
    gz.install("1", "new");
    gz.start();
    gz.start();
    assert_eq!(gz.table().len(), before.len() + mounted_with_usr().len());
    assert_eq!(gz.table()[..4], before, "the earlier mounts stay");
    assert_eq!(gz.run(&gz.mounts, "lib/sdc/docker/logger"), "new");
    assert_eq!(gz.run(&gz.mounts, "usr/docker/bin/logger"), "new");

    for place in [LIB, USR] {
        gz.mounts.unmount(&gz.at(place));
    }
    for file in files {
        let path = file.strip_prefix(&gz.folder).unwrap().to_str().unwrap();
        assert_eq!(gz.run(&gz.mounts, path), "earlier", "{path} was covered, not removed");
    }
}

#[test]
fn where_something_else_is_mounted_nothing_is_changed() {
    for place in [LIB, USR, "root/zone/bin", "root/zone/store"] {
        let Some(gz) = Gz::with_usr() else { return };
        let other = gz.at("other directory");
        for directory in [&other, &gz.at(place)] {
            fs::create_dir_all(directory).unwrap();
        }
        gz.mounts.mount(&["--bind"], &[&other, &gz.at(place)]);
        let what = format!("something else is mounted at {}", gz.at(place).display());
        gz.expect_refused(&[&what, "other directory", "rw", "unmount it"]);

        // Once that is done, everything is.
        gz.mounts.unmount(&gz.at(place));
        gz.start();
        assert_eq!(gz.points(), mounted_with_usr());

        // On top of ours it hides it from the zones all the same.
        gz.mounts.mount(&["--bind"], &[&other, &gz.at(place)]);
        gz.expect_refused(&[&what]);
    }
}

#[test]
fn a_link_or_a_file_at_a_place_is_refused() {
    for place in [LIB, USR, "root", "root/bin", "root/store", "root/zone", "root/zone/bin"] {
        let Some(gz) = Gz::new() else { return };
        let (path, other) = (gz.at(place), gz.at("other"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::create_dir(&other).unwrap();
        symlink(&other, &path).unwrap();
        gz.expect_refused(&[&format!("{} is a link", path.display())]);
        assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    }
    for place in [LIB, USR, "root/zone/store"] {
        let Some(gz) = Gz::new() else { return };
        let path = gz.at(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        gz.expect_refused(&[&format!("{} is not a directory", path.display())]);
    }
}

#[test]
fn a_usr_that_cannot_be_written_to_is_mounted_on_or_left_out() {
    for has_directory in [false, true] {
        let Some(gz) = Gz::new() else { return };
        if has_directory {
            fs::create_dir(gz.at(USR)).unwrap();
        }
        gz.mounts.mount(&["--bind"], &[&gz.at("usr"), &gz.at("usr")]);
        gz.mounts.mount(&["-o", "remount,bind,ro"], &[&gz.at("usr")]);
        gz.start();
        let mut expected = if has_directory { mounted_with_usr() } else { read_only(&MOUNTED) };
        expected.extend(read_only(&["usr"]));
        expected.sort();
        assert_eq!(gz.points(), expected);
    }
}

#[test]
fn a_place_that_cannot_be_made_is_said_and_done_once_it_can() {
    let Some(gz) = Gz::new() else { return };
    gz.mounts.mount(&["--bind"], &[&gz.at("lib"), &gz.at("lib")]);
    gz.mounts.mount(&["-o", "remount,bind,ro"], &[&gz.at("lib")]);
    let output = gz.method().output().unwrap();
    assert_eq!(output.status.code(), Some(95));
    let expected = format!("failed to make directory {}", gz.at(LIB).display());
    assert!(complaint(&output).contains(&expected), "{}", complaint(&output));
    gz.mounts.unmount(&gz.at("lib"));
    gz.start();
    assert_eq!(gz.points(), read_only(&MOUNTED));
}

#[test]
fn a_mount_that_fails_is_said_and_made_by_the_next_run() {
    let Some(gz) = Gz::new() else { return };
    let output = gz.method().env("MOUNT", "false").output().unwrap();
    assert_eq!(output.status.code(), Some(95));
    let place = gz.at("root/zone/bin");
    let expected =
        format!("failed to mount {} at {}", gz.at("root/bin").display(), place.display());
    assert!(complaint(&output).contains(&expected), "{}", complaint(&output));
    gz.start();
    assert_eq!(gz.points(), read_only(&MOUNTED));
}

#[test]
fn zones_see_each_release_that_the_agent_installs_and_cannot_touch_it() {
    let Some(gz) = Gz::with_usr() else { return };
    // One zone runs when the mounts are made, one is booted later; /lib is shown to it read-only.
    let zone = |name: &str| {
        let zone = gz.mounts.nested().unwrap();
        fs::create_dir_all(gz.at(name)).unwrap();
        zone.mount(&["--rbind"], &[&gz.at("lib"), &gz.at(name)]);
        zone.mount(&["-o", "remount,bind,ro"], &[&gz.at(name)]);
        zone
    };
    let early = zone("early/native/lib");
    gz.start();
    let late = zone("late/native/lib");
    let publisher = publisher();
    let tree = publisher.first_tree();
    let mut node =
        dockerlogger_tests::node::Node::new(&gz.folder, &publisher.trust_anchor(), tree.to_str());
    let expect = |version: &str| {
        for (zone, path) in [
            (&early, "lib/sdc/docker/logger"),
            (&early, "early/native/lib/sdc/docker/bin/logger"),
            (&late, "late/native/lib/sdc/docker/logger"),
            (&late, "usr/docker/bin/logger"),
        ] {
            let said = gz.run(zone, path);
            assert!(said.contains(version), "{path} is {said}, not {version}");
        }
    };
    node.expect(&["update"]);
    expect(VERSION);
    node.set("source", publisher.next_tree().to_str().into());
    node.expect(&["update"]);
    expect(NEXT_VERSION);
    // The service again, when there is a release and the agent's files are about.
    let table = gz.table();
    gz.start();
    assert_eq!(gz.table(), table);

    let listed = ["bin", "logger", "store"].map(Into::into);
    for zone in [&early, &late] {
        let names = fs::read_dir(zone.path(&gz.at(LIB))).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<BTreeSet<_>>(), listed.clone().into());
    }
    // Linux tells the early one of the mount, not that it is made read-only after; lofs mounts at once.
    for file in ["new", "bin/new", "store/new"] {
        let path = late.path(&gz.at("late/native").join(LIB)).join(file);
        let error = fs::write(path, "").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{file}");
    }
}
