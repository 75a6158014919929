// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The command line: what was asked, and doing it.

use std::io::Read;
use std::process::ExitCode;

use dockerlogger_manifest::catalog;

use crate::driver::{self, ConfigError};
use crate::launch::{self, Launch};
use crate::output;
use crate::reader::{self, EXIT_CONFIG, EXIT_LEFT, Outcome};
use crate::report::report;
use crate::ring::Amount;
use crate::status;

/// What the arguments ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ship a container's output.
    Run {
        /// The log driver.
        driver: String,
    },
    /// Print the version.
    Version,
    /// Print the drivers.
    Drivers(DriversFormat),
    /// Check the options on standard input.
    Validate {
        /// The log driver.
        driver: String,
    },
    /// Print what the environment says about the container.
    Ctxdump,
    /// Print a logger's status page.
    Status {
        /// The page's file.
        path: String,
        /// How to print it.
        format: StatusFormat,
    },
    /// Print how to use this program.
    Help,
}

/// How to print the drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriversFormat {
    /// Those that run in a zone, a name a line.
    Names,
    /// All, with their options.
    Json,
}

/// How to print a status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFormat {
    /// For a person.
    Text,
    /// One line of JSON.
    Json,
}

/// The arguments mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot understand the arguments: {0}")]
pub struct UsageError(String);

/// How this program is used.
pub const USAGE: &str = "\
usage: logger DRIVER            ship a container's output (started by dockerinit)
       logger drivers [--json]  drivers that run in a zone; all, with their options
       logger validate DRIVER   check log options: a JSON object on standard input
       logger ctxdump DRIVER    what the environment says about the container
       logger status FILE [--json]
                                what a logger has counted: its file is
                                /var/run/dockerlogger/ID.status in the zone, or
                                /run/dockerlogger/ID.status
       logger version

Descriptors 3 and 4 are the container's output and errors; the DOCKERLOG_*
variables describe the container. Exit status: 0 drained, 1 lines left
undelivered, 64 usage, 70 the sending process died and on-failure=kill, 71 the
system lacks memory or descriptors at the start, 78 configuration.

example: DOCKERLOG_CONFIG='{\"syslog-address\":\"tcp://localhost:514\"}' \\
         logger syslog 3< <(echo hello) 4</dev/null";

/// Exit status: the arguments (EX_USAGE).
const EXIT_USAGE: u8 = 64;

impl Command {
    /// Reads the arguments, the program's name not among them.
    ///
    /// # Errors
    /// When they are none of the forms of [`USAGE`].
    pub fn parse(args: &[String]) -> Result<Self, UsageError> {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        Ok(match words.as_slice() {
            ["version" | "--version"] => Self::Version,
            ["help" | "--help" | "-h"] => Self::Help,
            ["drivers"] => Self::Drivers(DriversFormat::Names),
            ["drivers", "--json"] => Self::Drivers(DriversFormat::Json),
            ["validate", driver] if is_name(driver) => {
                Self::Validate { driver: (*driver).to_owned() }
            }
            ["status", path] if is_name(path) => {
                Self::Status { path: (*path).to_owned(), format: StatusFormat::Text }
            }
            ["status", path, "--json"] | ["status", "--json", path] if is_name(path) => {
                Self::Status { path: (*path).to_owned(), format: StatusFormat::Json }
            }
            ["ctxdump", driver] if is_name(driver) => Self::Ctxdump,
            [] => return Err(UsageError("there are none".to_owned())),
            [word] if is_name(word) && !matches!(*word, "validate" | "ctxdump" | "status") => {
                Self::Run { driver: (*word).to_owned() }
            }
            words => return Err(UsageError(format!("\"{}\"", words.join(" ")))),
        })
    }
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && !word.starts_with('-')
}

/// Does what `args` ask for. `variable` reads the environment.
pub fn run(
    argv0: &str,
    args: &[String],
    variable: impl Fn(&'static str) -> Option<String>,
) -> ExitCode {
    match Command::parse(args) {
        Ok(Command::Run { driver }) => ship(&driver, argv0, variable),
        Ok(Command::Version) => {
            output::print(crate::VERSION);
            ExitCode::SUCCESS
        }
        Ok(Command::Drivers(format)) => list_drivers(format),
        Ok(Command::Validate { driver }) => validate(&driver),
        Ok(Command::Ctxdump) => match Launch::read(argv0, variable) {
            Ok(launch) => {
                launch.complaints.iter().for_each(|complaint| output::complain(complaint));
                output::print(&launch.to_json().to_string());
                ExitCode::SUCCESS
            }
            Err(error) => refuse(&error),
        },
        Ok(Command::Status { path, format }) => match status::read(&path) {
            Ok(page) => {
                output::print(&match format {
                    StatusFormat::Text => status::text(&page),
                    StatusFormat::Json => status::json(&page),
                });
                ExitCode::SUCCESS
            }
            Err(error) => {
                output::complain(&report(&error));
                ExitCode::from(EXIT_LEFT)
            }
        },
        Ok(Command::Help) => {
            output::print(USAGE);
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::complain(&format!("{error}\n{USAGE}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn ship(driver: &str, argv0: &str, variable: impl Fn(&'static str) -> Option<String>) -> ExitCode {
    match reader::run(driver, argv0, variable) {
        Ok(outcome) => {
            if let Some(text) = last_line(&outcome) {
                output::complain_to_starter(&text);
            }
            ExitCode::from(outcome.exit_status())
        }
        Err(error) => {
            output::complain_to_starter(&report(&error));
            ExitCode::from(error.exit_status())
        }
    }
}

/// What the starter is to know of an end.
fn last_line(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Drained => None,
        Outcome::Left(Amount { lines, bytes }) => {
            Some(format!("{lines} lines / {bytes} bytes left undelivered at the end"))
        }
        Outcome::SenderDied(Amount { lines, bytes }) => Some(format!(
            "the sending process died, and on-failure=kill ends the container; \
             {lines} lines / {bytes} bytes left undelivered"
        )),
        Outcome::Kept { amount: Amount { lines, bytes }, file } => {
            Some(format!("{lines} lines / {bytes} bytes stay in {file} until the next start"))
        }
    }
}

fn list_drivers(format: DriversFormat) -> ExitCode {
    match format {
        DriversFormat::Names => {
            for name in driver::zone_drivers() {
                output::print(&name);
            }
        }
        DriversFormat::Json => match serde_json::to_string_pretty(&catalog::drivers()) {
            Ok(json) => output::print(&json),
            Err(error) => return refuse(&error),
        },
    }
    ExitCode::SUCCESS
}

/// The same checks as at the start of a container, on options alone. Problems
/// come one a line.
fn validate(driver: &str) -> ExitCode {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        output::complain(&format!("cannot read the log options from standard input: {error}"));
        return ExitCode::from(EXIT_CONFIG);
    }
    let options = match launch::parse_options("standard input", &text) {
        Ok(options) => options,
        Err(error) => return refuse(&error),
    };
    match check(driver, options) {
        Ok(json) => {
            output::print(&json);
            ExitCode::SUCCESS
        }
        Err(ConfigError::Options { problems }) => {
            for problem in problems {
                output::complain(&problem.message);
            }
            ExitCode::from(EXIT_CONFIG)
        }
        Err(error) => refuse(&error),
    }
}

fn check(
    driver: &str,
    options: std::collections::BTreeMap<String, String>,
) -> Result<String, ConfigError> {
    let normalized = driver::normalize(driver, &options)?;
    let launch = Launch { options, ..Launch::default() };
    driver::Settings::parse(driver, &launch, b"")?;
    let values: serde_json::Map<_, _> =
        normalized.shown().map(|(name, value)| (name.to_owned(), value.into())).collect();
    Ok(serde_json::Value::Object(values).to_string())
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    output::complain(&report(error));
    ExitCode::from(EXIT_CONFIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Command, String> {
        let args: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Command::parse(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn forms() {
        let driver = || "syslog".to_owned();
        for (words, command) in [
            (["syslog"].as_slice(), Command::Run { driver: driver() }),
            (&["version"], Command::Version),
            (&["drivers"], Command::Drivers(DriversFormat::Names)),
            (&["drivers", "--json"], Command::Drivers(DriversFormat::Json)),
            (&["validate", "syslog"], Command::Validate { driver: driver() }),
            (&["ctxdump", "syslog"], Command::Ctxdump),
            (
                &["status", "f", "--json"],
                Command::Status { path: "f".to_owned(), format: StatusFormat::Json },
            ),
            (&["--help"], Command::Help),
        ] {
            assert_eq!(parse(words), Ok(command));
        }
        for words in [
            [].as_slice(),
            &[""],
            &["-x"],
            &["validate"],
            &["ctxdump", "--json"],
            &["status"],
            &["status", "--json"],
            &["drivers", "--yaml"],
            &["syslog", "more"],
        ] {
            assert!(parse(words).unwrap_err().starts_with("cannot understand"), "{words:?}");
        }
    }
}
