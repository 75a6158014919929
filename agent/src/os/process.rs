// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Child processes: run a program with nothing inherited, everything bounded,
//! and no privilege it does not need ([`confine`]).

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use crate::os::confine::{DynamicUser, confine};
use crate::os::place::Placed;

/// A program to run: working directory `/`, no input, nothing inherited.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// Whom it runs as.
    pub(crate) user: DynamicUser,
    /// Absolute path of the program.
    pub(crate) program: PathBuf,
    /// What it is told as its own name, if not the path.
    pub(crate) arg0: Option<&'static str>,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its whole environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Its descriptors 3, 4 and so on.
    pub(crate) streams: Vec<OwnedFd>,
    /// How long it and whatever it starts may run.
    pub(crate) timeout: Duration,
    /// Bytes of standard output, and of standard error, at most.
    pub(crate) output_bytes_max: u64,
}

/// What it said and how it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit status.
    pub(crate) status: ExitStatus,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: Vec<u8>,
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum RunError {
    /// It could not be started or waited for.
    Start(io::Error),
    /// It did not end in time and was killed.
    TimedOut,
    /// It printed more than allowed and was killed.
    Output,
}

/// Between two looks at what tells nobody when it changes.
const RETRY: Duration = Duration::from_millis(5);

/// Runs a program to its end and kills whatever it started, whatever happens: its
/// process group, and, where the agent is root, all processes of its user.
pub(crate) async fn run(invocation: Invocation) -> Result<Finished, RunError> {
    let deadline = Instant::now() + invocation.timeout;
    let mut child = loop {
        match spawn(&invocation) {
            Ok(child) => break child,
            // A child of another thread, forked while the file was open for
            // writing and not yet exec'd, holds that descriptor for a moment.
            Err(e)
                if e.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < deadline =>
            {
                tokio::time::sleep(RETRY).await;
            }
            Err(e) => return Err(RunError::Start(e)),
        }
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let limit = invocation.output_bytes_max;
    let work = async {
        let said = tokio::try_join!(drain(stdout, limit), drain(stderr, limit))?;
        ended(group).await?;
        Ok(said)
    };
    let said = match tokio::time::timeout_at(deadline, work).await {
        Ok(said) => said,
        Err(_elapsed) => Err(RunError::TimedOut),
    };
    // Whatever it started goes with it. Nobody has waited for it yet, so that its
    // number is not another's; already gone is as good as killed.
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().await;
    let (stdout, stderr) = said?;
    Ok(Finished { status: status.map_err(RunError::Start)?, stdout, stderr })
}

/// Comes back when the process has ended, and leaves its status to be read.
async fn ended(process: Option<Pid>) -> Result<(), RunError> {
    let Some(process) = process else { return Ok(()) };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::Pid(process), options) {
            Ok(None) => tokio::time::sleep(RETRY).await,
            Ok(Some(_)) => return Ok(()),
            Err(e) => return Err(RunError::Start(e.into())),
        }
    }
}

fn spawn(invocation: &Invocation) -> io::Result<tokio::process::Child> {
    let mut command = tokio::process::Command::new(&invocation.program);
    if let Some(arg0) = invocation.arg0 {
        command.arg0(arg0);
    }
    command
        .args(&invocation.arguments)
        .env_clear()
        .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    confine(&mut command, &invocation.user);
    if invocation.streams.is_empty() {
        return command.spawn();
    }
    let placed = Placed::new(&invocation.streams)?;
    placed.give(&mut command);
    command.spawn()
}

async fn drain(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<Vec<u8>, RunError> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut bounded = stream.take(limit.saturating_add(1));
        bounded.read_to_end(&mut bytes).await.map_err(RunError::Start)?;
    }
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limit => Ok(bytes),
        _ => Err(RunError::Output),
    }
}
