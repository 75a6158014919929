// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A started program: its exit is collected by a thread of its own and can be waited for with a deadline.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::os::{self, Launch};

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit status {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A running or ended program, leader of its own process group.
#[derive(Debug, Clone)]
pub struct Process {
    pid: Pid,
    exit: Arc<(Mutex<Option<Exit>>, Condvar)>,
}

impl Process {
    /// Starts a program; `on_exit` runs once, on the collecting thread, when it has ended.
    ///
    /// # Errors
    /// The reason why it could not be executed.
    pub fn start(
        launch: &Launch<'_>,
        on_exit: impl FnOnce(Exit) + Send + 'static,
    ) -> std::io::Result<Process> {
        let pid = os::launch(launch)?;
        let process = Process { pid, exit: Arc::default() };
        let exit = Arc::clone(&process.exit);
        thread::spawn(move || {
            let ended = collect(pid, &exit);
            on_exit(ended);
        });
        Ok(process)
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How it ended, or `None` while it runs.
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.0.lock().unwrap()
    }

    /// Waits until it has ended; `None` when the time is over.
    pub fn wait(&self, limit: Duration) -> Option<Exit> {
        let until = Instant::now() + limit;
        let mut exit = self.exit.0.lock().unwrap();
        while exit.is_none() {
            let left = until.checked_duration_since(Instant::now())?;
            exit = self.exit.1.wait_timeout(exit, left).unwrap().0;
        }
        *exit
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        let exit = self.exit.0.lock().unwrap();
        if exit.is_none() {
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    /// Kills everything in its process group, also what outlived the leader.
    pub fn kill_group(&self) {
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
    }
}

/// Waits for the end without collecting it, so that the number cannot be reused while somebody signals it.
fn collect(pid: Pid, exit: &(Mutex<Option<Exit>>, Condvar)) -> Exit {
    let seen = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    let mut slot = exit.0.lock().unwrap();
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    let ended = match seen.ok().flatten() {
        Some(status) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Code(-1),
        },
        None => Exit::Code(-1),
    };
    *slot = Some(ended);
    exit.1.notify_all();
    ended
}
