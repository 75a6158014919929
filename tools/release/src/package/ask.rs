// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Asks a logger binary what it is, by running it: bounded in time and output.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use dockerlogger_manifest::DriverSpec;
use dockerlogger_manifest::ParseNameError;
use dockerlogger_manifest::Version;
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::process::Command;
use tokio::time::Instant;

use super::MAX_DESCRIPTION_BYTES;

/// How long one answer may take; a logger that works needs milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a complaint is quoted, in characters.
const MAX_QUOTE_CHARS: usize = 200;

/// A logger did not say what it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It cannot be started.
    #[error("failed to run {command}")]
    Start {
        /// The command line.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// It failed.
    #[error("{command} ended with {status}; stderr: {stderr:?}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The beginning of what it said.
        stderr: String,
    },
    /// It did not end.
    #[error("{command} did not end within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// The command line.
        command: String,
    },
    /// It prints without end.
    #[error("{command} printed more than {MAX_DESCRIPTION_BYTES} bytes")]
    Endless {
        /// The command line.
        command: String,
    },
    /// It printed something other than a version.
    #[error("{command} did not print a version")]
    Version {
        /// The command line.
        command: String,
        /// What is wrong.
        source: ParseNameError,
    },
    /// It printed something other than a list of drivers.
    #[error("{command} did not print a list of drivers")]
    Drivers {
        /// The command line.
        command: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// What `logger version` prints.
pub(super) async fn version(logger: &Path) -> Result<Version, AskError> {
    let question = Question::new(logger, &["version"]);
    let answer = question.ask().await?;
    let text = String::from_utf8_lossy(&answer);
    text.trim_end().parse().map_err(|source| AskError::Version { command: question.text(), source })
}

/// What `logger drivers --json` prints.
pub(super) async fn drivers(logger: &Path) -> Result<Vec<DriverSpec>, AskError> {
    let question = Question::new(logger, &["drivers", "--json"]);
    let answer = question.ask().await?;
    serde_json::from_slice(&answer)
        .map_err(|source| AskError::Drivers { command: question.text(), source })
}

struct Question {
    program: PathBuf,
    arguments: &'static [&'static str],
}

impl Question {
    fn new(logger: &Path, arguments: &'static [&'static str]) -> Self {
        // A bare file name would be searched in $PATH instead of here.
        let program = std::path::absolute(logger).unwrap_or_else(|_| logger.to_owned());
        Self { program, arguments }
    }

    fn text(&self) -> String {
        format!("{} {}", self.program.display(), self.arguments.join(" "))
    }

    async fn ask(&self) -> Result<Vec<u8>, AskError> {
        let deadline = Instant::now() + TIMEOUT;
        let mut child = self.start(deadline).await?;
        tokio::time::timeout_at(deadline, self.answer(&mut child))
            .await
            .map_err(|_| AskError::Timeout { command: self.text() })?
    }

    /// A binary that was written a moment ago may still count as busy, because
    /// another thread's child holds it open until it execs.
    async fn start(&self, deadline: Instant) -> Result<Child, AskError> {
        loop {
            let started = Command::new(&self.program)
                .args(self.arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn();
            match started {
                Ok(child) => return Ok(child),
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy
                        && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(source) => return Err(AskError::Start { command: self.text(), source }),
            }
        }
    }

    async fn answer(&self, child: &mut Child) -> Result<Vec<u8>, AskError> {
        let failed = |source| AskError::Start { command: self.text(), source };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut answer, mut complaint) = (Vec::new(), Vec::new());
        let read_answer = async {
            match stdout {
                Some(pipe) => pipe.take(MAX_DESCRIPTION_BYTES + 1).read_to_end(&mut answer).await,
                None => Ok(0),
            }
        };
        let read_complaint = async {
            match stderr {
                Some(pipe) => pipe.take(MAX_DESCRIPTION_BYTES).read_to_end(&mut complaint).await,
                None => Ok(0),
            }
        };
        tokio::try_join!(read_answer, read_complaint).map_err(failed)?;
        if u64::try_from(answer.len()).is_ok_and(|length| length > MAX_DESCRIPTION_BYTES) {
            return Err(AskError::Endless { command: self.text() });
        }
        let status = child.wait().await.map_err(failed)?;
        if !status.success() {
            let stderr = String::from_utf8_lossy(&complaint)
                .trim_end()
                .chars()
                .take(MAX_QUOTE_CHARS)
                .collect();
            return Err(AskError::Failed { command: self.text(), status, stderr });
        }
        Ok(answer)
    }
}
