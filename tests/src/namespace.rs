// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A mount namespace of the test's own: what is mounted in it nobody else sees, and it is gone with the test.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::until::{SOON, first_line};

/// A process that keeps the namespace.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
}

/// One line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The number of this mount; no two have the same at a time.
    pub id: u64,
    /// Which directory or file of its file system is mounted.
    pub source: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// Whether it can be written to.
    pub read_only: bool,
}

impl Namespace {
    /// A copy of this process's, in which changes stay.
    ///
    /// # Errors
    /// Why this machine does not allow it.
    pub fn new() -> Result<Namespace, String> {
        Namespace::hold(&mut unshare("private"))
    }

    /// A copy of this one, which sees what is mounted here later on; what is mounted there stays there. From now
    /// on a mount here may show in more than one place: wherever its directory is mounted, too.
    ///
    /// # Errors
    /// Why this machine does not allow it.
    pub fn nested(&self) -> Result<Namespace, String> {
        self.mount(&["--make-rshared"], &[Path::new("/")]);
        let mut enter = self.command(Path::new("unshare"));
        Namespace::hold(enter.args(["--mount", "--propagation", "slave"]))
    }

    fn hold(unshare: &mut Command) -> Result<Namespace, String> {
        let spawned = unshare
            .args(["--", "/bin/sh", "-c", "echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let holder = spawned.map_err(|e| format!("unshare(1) cannot be run: {e}"))?;
        let mut namespace = Namespace { holder };
        let Child { stdout, stderr, .. } = &mut namespace.holder;
        let stdout = stdout.take().expect("the pipe was asked for");
        match first_line(SOON, stdout) {
            Ok(line) if line == "ready\n" => return Ok(namespace),
            Ok(_) => {}
            Err(line) => panic!("unshare(1) is not ready within {SOON:?}; it said {line:?}"),
        }
        let (mut stderr, mut said) = (stderr.take().expect("so was this one"), String::new());
        stderr.read_to_string(&mut said).map_err(|e| e.to_string())?;
        Err(said.trim().to_owned())
    }

    /// A program that will run in here.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program).stdin(Stdio::null());
        command
    }

    /// Mounts with options as for mount(8).
    ///
    /// # Panics
    /// When mount(8) does not end well.
    #[track_caller]
    pub fn mount(&self, options: &[&str], paths: &[&Path]) {
        self.done(Path::new("mount"), options, paths);
    }

    /// Takes away what is mounted on top.
    ///
    /// # Panics
    /// When umount(8) does not end well.
    #[track_caller]
    pub fn unmount(&self, path: &Path) {
        self.done(Path::new("umount"), &["--recursive"], &[path]);
    }

    #[track_caller]
    fn done(&self, program: &Path, options: &[&str], paths: &[&Path]) {
        let output = self.command(program).args(options).args(paths).output();
        let output = output.expect("nsenter(1) can be run");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program:?} {options:?} {paths:?}: {complaint}");
    }

    /// An absolute path in here, as a path for this process.
    pub fn path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What is mounted below a folder, in the order of the table.
    pub fn mounts(&self, below: &Path) -> Vec<Mount> {
        let path = format!("/proc/{}/mountinfo", self.holder.id());
        let table = fs::read(path).expect("the mount table can be read");
        let lines = table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(parse).filter(|mount| mount.point.starts_with(below)).collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn unshare(propagation: &str) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", propagation]);
    if !is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A line as proc(5) has it.
fn parse(line: &[u8]) -> Mount {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let text = |field: usize| String::from_utf8_lossy(fields[field]).into_owned();
    Mount {
        id: text(0).parse().expect("a mount has a number"),
        source: decode(fields[3]),
        point: decode(fields[4]),
        read_only: text(5).split(',').any(|option| option == "ro"),
    }
}

/// Puts the bytes in the place of their octal digits.
fn decode(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = (*first == b'\\').then(|| after.get(..3)).flatten();
        let byte =
            digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_what_is_written_in_octal() {
        let line =
            br"212 29 254:0 /a\040b\134040c /x\011y\012z ro,relatime shared:1 - ext4 /dev/root rw";
        let expected = Mount {
            id: 212,
            source: PathBuf::from("/a b\\040c"),
            point: PathBuf::from("/x\ty\nz"),
            read_only: true,
        };
        assert_eq!(parse(line), expected);
    }
}
