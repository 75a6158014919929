// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The proof before the switch: run the staged logger, compare what it says of
//! itself with the signed release, and have it deliver a record by every driver.
//! It is bounded in every respect and runs as a user of its own ([`crate::os::confine`]).

mod deliver;
mod tls;

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use dockerlogger_manifest::{DriverSpec, Release};

use crate::engine::error::ProbeError;
use crate::engine::reactor::Reactor;
use crate::os::confine::{self, DynamicUser};
use crate::os::process::{self, Finished, Invocation, RunError};

/// Bytes of output, at most.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// Characters of a program's words that go into a message.
const QUOTE_CHARS_MAX: usize = 200;

/// Proves that a staged logger is the release. Blocks.
pub(crate) trait Prober: Send + Sync + fmt::Debug {
    /// Each run of the logger may take `timeout`.
    fn prove(&self, logger: &Path, release: &Release, timeout: Duration) -> Result<(), ProbeError>;
}

/// Runs the logger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RealProber;

impl Prober for RealProber {
    fn prove(&self, logger: &Path, release: &Release, timeout: Duration) -> Result<(), ProbeError> {
        let reactor = Reactor::new().map_err(|source| {
            let command = logger.display().to_string();
            ProbeError::Start { command, source }
        })?;
        reactor.wait(probe(logger, release, timeout))
    }
}

/// Runs `logger version`, `logger drivers --json`, and `logger DRIVER` for every
/// driver that runs in the zone and that this agent has a receiver for.
async fn probe(logger: &Path, release: &Release, timeout: Duration) -> Result<(), ProbeError> {
    let version = run(logger, &["version"], timeout).await?;
    compare_version(&version.command, &version.stdout, release)?;
    let drivers = run(logger, &["drivers", "--json"], timeout).await?;
    compare_drivers(&drivers.command, &drivers.stdout, release)?;
    let mut in_zone = release.drivers.iter().filter(|driver| driver.runs.in_zone()).peekable();
    let mut tried = in_zone.peek().is_none();
    for driver in in_zone {
        if deliver::deliver(logger, driver, timeout).await? {
            tried = true;
        } else {
            tracing::debug!(driver = driver.name, "there is no receiver to try this driver on");
        }
    }
    if !tried {
        let problem = "not one of its drivers can be tried: they declare no route, or none that \
                       this agent has a receiver for";
        return Err(ProbeError::Drivers { command: drivers.command, problem: problem.to_owned() });
    }
    Ok(())
}

struct Said {
    command: String,
    stdout: Vec<u8>,
}

async fn run(logger: &Path, arguments: &[&str], timeout: Duration) -> Result<Said, ProbeError> {
    let command = format!("{} {}", logger.display(), arguments.join(" "));
    let invocation = Invocation {
        user: DynamicUser::new(),
        program: logger.to_owned(),
        arg0: None,
        environment: Vec::new(),
        streams: Vec::new(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        timeout,
        output_bytes_max: OUTPUT_BYTES_MAX,
    };
    match process::run(invocation).await {
        Ok(Finished { status, stdout, .. }) if status.success() => Ok(Said { command, stdout }),
        Ok(Finished { status, stderr, .. }) => {
            let (status, stderr) = (status.to_string(), first_line(&stderr));
            Err(ProbeError::Failed { command, status, stderr })
        }
        Err(error) => Err(run_error(error, &command, timeout)),
    }
}

fn run_error(error: RunError, command: &str, timeout: Duration) -> ProbeError {
    let command = command.to_owned();
    match error {
        RunError::Start(e) if e.kind() == io::ErrorKind::PermissionDenied && confine::demotes() => {
            ProbeError::Unreachable { command }
        }
        RunError::Start(source) => ProbeError::Start { command, source },
        RunError::TimedOut => ProbeError::TimedOut { command, secs: timeout.as_secs() },
        RunError::Output => ProbeError::Output { command, limit: OUTPUT_BYTES_MAX },
    }
}

fn compare_version(command: &str, stdout: &[u8], release: &Release) -> Result<(), ProbeError> {
    let got = String::from_utf8_lossy(stdout);
    if got.trim_end() == release.version.to_string() {
        return Ok(());
    }
    let (command, expected) = (command.to_owned(), release.version.clone());
    Err(ProbeError::Version { command, got: first_line(stdout), expected })
}

fn compare_drivers(command: &str, stdout: &[u8], release: &Release) -> Result<(), ProbeError> {
    let differs = |problem: String| ProbeError::Drivers { command: command.to_owned(), problem };
    let drivers: Vec<DriverSpec> = serde_json::from_slice(stdout)
        .map_err(|e| differs(format!("its answer is not a list of drivers: {e}")))?;
    if drivers == release.drivers {
        return Ok(());
    }
    let names = |drivers: &[DriverSpec]| -> Vec<String> {
        drivers.iter().map(|driver| driver.name.clone()).collect()
    };
    let (got, expected) = (names(&drivers), names(&release.drivers));
    if got != expected {
        return Err(differs(format!(
            "its drivers are {}, the release says {}",
            got.join(" "),
            expected.join(" ")
        )));
    }
    let differing = drivers
        .iter()
        .zip(&release.drivers)
        .filter(|(got, expected)| got != expected)
        .map(|(got, _)| got.name.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    Err(differs(format!("it describes other options than the release for {differing}")))
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(QUOTE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
