// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A user that one run of a program has to itself. Sessions, process groups and
//! parents can be left; the user cannot, and so is what all that the program
//! started is found by when it is to end.

use std::ffi::c_int;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, Uid, geteuid, getppid, test_kill_process};

use crate::random;

/// The first of the numbers, of users and of groups, that no platform gives to anybody.
const FIRST: u32 = 0x3000_0000;

/// How many there are to draw from: two runs at one time hardly draw the same.
/// As many after them are for those who kill.
const COUNT: u32 = 1 << 24;

/// How often what is left is killed, at most, and the pause in between.
const ROUNDS_MAX: u32 = 200;
const PAUSE: Duration = Duration::from_millis(1);

unsafe extern "C" {
    fn kill(process: c_int, signal: c_int) -> c_int;
}

/// When it is dropped, its processes are killed. Where the agent is not root, it
/// is the agent's own user, and nothing is.
#[derive(Debug)]
pub(crate) struct DynamicUser(Option<u32>);

impl DynamicUser {
    pub(crate) fn new() -> Self {
        Self(super::demotes().then(|| FIRST + random::below(COUNT)))
    }

    /// The number of user and group, where they are not the agent's.
    pub(super) fn id(&self) -> Option<u32> {
        self.0
    }

    /// Gives it a folder, to write there.
    ///
    /// # Errors
    /// What `chown` says.
    pub(crate) fn give(&self, folder: &Path) -> io::Result<()> {
        self.0.map_or(Ok(()), |id| chown(folder, Some(id), Some(id)))
    }
}

impl Drop for DynamicUser {
    fn drop(&mut self) {
        let Some(id) = self.0 else { return };
        for _ in 0..ROUNDS_MAX {
            if let Err(error) = kill_all(id) {
                tracing::warn!(user = id, error = %error, "cannot kill what a program left running");
                return;
            }
            // Linux lets no fork overtake the signal. On illumos one that is all but done
            // does, so that another round is needed.
            if !runs_something(id) {
                return;
            }
            thread::sleep(PAUSE);
        }
        tracing::warn!(user = id, "what a program left running does not end");
    }
}

/// Whether there are such users: in a container of Linux, root may not be root of all.
pub(super) fn exist() -> bool {
    let Ok(map) = fs::read_to_string("/proc/self/uid_map") else {
        return !cfg!(target_os = "linux");
    };
    map.lines().any(|range| {
        let numbers: Vec<u32> = range.split_whitespace().flat_map(str::parse).collect();
        let [first, _, count] = numbers[..] else { return false };
        first <= FIRST && count.saturating_sub(FIRST - first) >= 2 * COUNT
    })
}

/// Sends SIGKILL to all processes of a user at once, as that user.
///
/// They must not do the same to the sender. On Linux they cannot, as the user is
/// its effective one only, and the real one, by which it could be reached, is
/// nobody's. On illumos they cannot reach other sessions, see [`super::confine`].
fn kill_all(id: u32) -> io::Result<()> {
    let kill_all = move || {
        #[cfg(target_os = "linux")]
        {
            let (own, theirs) = (Uid::from_raw(id + COUNT), Uid::from_raw(id));
            rustix::thread::set_thread_res_uid(own, theirs, own)?;
        }
        // Whoever may signal the agent would end the whole node.
        let may_too_much = getppid().is_none_or(|agent| test_kill_process(agent).is_ok());
        if may_too_much || geteuid() != Uid::from_raw(id) {
            return Err(Errno::PERM.into());
        }
        // SAFETY: a system call on plain numbers.
        unsafe { kill(-1, Signal::KILL.as_raw()) };
        // There is no program to be executed.
        Err(Errno::CANCELED.into())
    };
    let mut command = Command::new("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(not(target_os = "linux"))]
    command.uid(id);
    // SAFETY: the closure makes system calls alone; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(kill_all) };
    match command.spawn() {
        // illumos kills the sender as well.
        Ok(mut sender) => sender.wait().map(|_| ()),
        Err(error) if error.raw_os_error() == Some(Errno::CANCELED.raw_os_error()) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a process of a user is seen; a dead one that was not waited for may be.
fn runs_something(id: u32) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes.flatten().any(|process| process.metadata().is_ok_and(|found| found.uid() == id))
}
