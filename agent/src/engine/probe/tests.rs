// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Hostile loggers: what they may not do, and that nothing of them is left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::{Pid, test_kill_process};

use super::*;
use crate::os::confine::FILE_BYTES_MAX;

const QUICK: Duration = Duration::from_secs(20);

/// A folder that every user reaches and may write to.
pub(super) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// A script that stands for a logger; written by another process, so that it can be run at once.
pub(super) fn script(folder: &Path, body: &str) -> PathBuf {
    let (written, path) = (folder.join("written"), folder.join("logger"));
    fs::write(&written, format!("#!/bin/bash\n{body}\n")).unwrap();
    fs::set_permissions(&written, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(std::process::Command::new("cp").args([&written, &path]).status().unwrap().success());
    path
}

async fn said(body: &str) -> String {
    let folder = folder();
    let said = run(&script(folder.path(), body), &["version"], QUICK).await.unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_has_neither_environment_nor_input_nor_privileges() {
    assert_eq!(said("tr '\\0' '\\n' < /proc/$$/environ; pwd; wc -c").await, "/\n0\n");
    assert_eq!(said("ulimit -c; ulimit -f").await, format!("0\n{}\n", FILE_BYTES_MAX / 1024));
    let status = said("cat /proc/$$/status").await;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    if confine::demotes() {
        let user = &field("Uid:")[0];
        assert!(user.parse::<u32>().unwrap() > 1 << 29, "{user}");
        assert_eq!(field("Uid:"), [user.as_str(); 4]);
        assert_eq!(field("Gid:"), [user.as_str(); 4]);
        assert_eq!(field("Groups:"), [""; 0]);
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
        assert_eq!(field("CapPrm:"), ["0000000000000000"]);
    }
}

#[tokio::test]
async fn it_reads_nothing_that_is_roots_own() {
    let secret = folder();
    let path = secret.path().join("token");
    fs::write(&path, "secret").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let got = said(&format!("cat {} 2>/dev/null; echo $?", path.display())).await;
    // Whoever is not root runs it as themselves, and may read what is theirs.
    assert_eq!(got, if confine::demotes() { "1\n" } else { "secret0\n" });
    let shadow = said("cat /etc/shadow 2>/dev/null; echo $?").await;
    assert_eq!(shadow, "1\n");
}

#[tokio::test]
async fn it_fills_no_disk() {
    let target = folder();
    let file = target.path().join("full");
    let body = format!("cat /dev/zero > {} 2>/dev/null; echo $?", file.display());
    let status: i32 = said(&body).await.trim().parse().unwrap();
    assert!(status > 128, "{status}: it was not killed for that");
    assert_eq!(fs::metadata(file).unwrap().len(), FILE_BYTES_MAX);
}

/// Whether a process with the number that a script wrote down is gone soon.
async fn gone(file: &Path) -> bool {
    let pid: i32 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let deadline = Instant::now() + QUICK;
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if test_kill_process(Pid::from_raw(pid).unwrap()).is_err() || stat.contains(") Z ") {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn it_leaves_nobody_behind_however_it_ends() {
    let ends: [(&str, Duration, &str); 4] = [
        ("exit 0", QUICK, ""),
        ("exit 3", QUICK, "ended with exit status: 3"),
        ("sleep 600", Duration::from_millis(700), "did not end within 0 seconds"),
        ("cat /dev/zero", QUICK, "printed more than 1048576 bytes"),
    ];
    for (end, timeout, expected) in ends {
        let folder = folder();
        let child = folder.path().join("child");
        let body = format!("sleep 600 >/dev/null 2>&1 & echo $! > {}; {end}", child.display());
        let ended = run(&script(folder.path(), &body), &["version"], timeout).await;
        match ended {
            Ok(_) => assert_eq!(expected, ""),
            Err(error) => assert!(error.to_string().contains(expected), "{end}: {error}"),
        }
        assert!(gone(&child).await, "{end}: what it had started lives on");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_does_not_escape_into_a_session_of_its_own() {
    if !confine::demotes() {
        // Not a print macro: the test runner would hide that.
        let why = b"SKIP: only root can give a program a user of its own\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), why);
        return;
    }
    // The second forks without end; the third kills whatever of its user it can, the logger too.
    for escape in
        ["sleep 600", "while true; do setsid true; done", "while true; do kill -9 -1; done"]
    {
        let folder = folder();
        let (user, started) = (folder.path().join("user"), folder.path().join("started"));
        let body = format!(
            r#"id -u > {0}
            setsid bash -c "trap '' HUP TERM; > {1}; {escape}" >/dev/null 2>&1 &
            until [ -e {1} ]; do sleep 0.01; done"#,
            user.display(),
            started.display()
        );
        let _ = run(&script(folder.path(), &body), &["version"], QUICK).await;
        assert!(started.exists());
        let user = fs::read_to_string(user).unwrap();
        let deadline = Instant::now() + QUICK;
        while !processes_of(user.trim()).is_empty() {
            let left = processes_of(user.trim());
            assert!(Instant::now() < deadline, "{escape}: alive is {left:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The status of each process of a user that is not dead.
fn processes_of(user: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let status = |process: fs::DirEntry| fs::read_to_string(process.path().join("status")).ok();
    let is_theirs = |status: &String| status.contains(&format!("\nUid:\t{user}\t"));
    let is_alive = |status: &String| !status.contains("\nState:\tZ");
    processes.filter_map(status).filter(is_theirs).filter(is_alive).collect()
}

#[tokio::test]
async fn it_is_not_held_up_by_what_it_started() {
    let folder = folder();
    // The child keeps the output open; whatever it may still say belongs to the answer.
    let logger = script(folder.path(), "sleep 600 & echo 1.0.0");
    let timeout = Duration::from_millis(700);
    let error = run(&logger, &["version"], timeout).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("did not end within"), "{error}");
}

#[tokio::test]
async fn a_root_that_others_do_not_reach_is_named_as_the_reason() {
    let folder = folder();
    let logger = script(folder.path(), "echo 1.0.0");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let ran = run(&logger, &["version"], QUICK).await;
    if confine::demotes() {
        let error = ran.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("must let others pass (chmod o+x)"), "{error}");
    } else {
        assert_eq!(ran.unwrap().stdout, b"1.0.0\n");
    }
}
