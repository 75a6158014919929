// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The command line: what can be asked for, and who does it.
//!
//! Every verb but `run` is done by the running agent where there is one, else here: under the same
//! lock that the agent would hold if it changes anything, without a trace if it only tells.

mod error;
mod output;
mod verbs;

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use dockerlogger_manifest::Version;

pub use crate::cli::error::CliError;
pub use crate::cli::error::exit_code;
use crate::cli::output::Output;
use crate::config::{self, Config};
use crate::engine::{Engine, EngineConfig, Limits, OpenError, Which};
use crate::report::chain;
use crate::{log, service};

const EXIT_CODES: &str = "\
Exit codes:
  0   done, or nothing to do
  1   refused or failed; what was installed before still is
  64  the command line is wrong
  75  the source or the agent is not available now; try again later
  78  the configuration is wrong

Without --config the configuration is read from
/opt/smartdc/agents/etc/dockerlogger-agent.config.json, and every setting has a
default where that file does not exist. RUST_LOG (info, debug, hyper=trace, ...)
overrides the configured log level.";

const RUN_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent run
  dockerlogger-agent run --config /etc/agent.json
  dockerlogger-agent run --config /etc/agent.json --check-config

The log goes to stderr, a bunyan JSON line per event. SIGTERM and SIGINT end
the agent once the step in progress is finished.

The configuration is a JSON object; every key may be left out:
";

const STATUS_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent status
  dockerlogger-agent status --json | json health.reasons";

const DRIVERS_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent drivers
  dockerlogger-agent drivers syslog
  dockerlogger-agent drivers --json";

const HISTORY_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent history
  dockerlogger-agent history --json

Every change is written down before it is made: when, what, from what to what,
by whom (poll, agent, a user at the command line or at the socket) and why. The
newest few hundred changes are kept.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent explain
  dockerlogger-agent explain --json | json waits_for";

const HOLD_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent hold --reason 'change freeze until Monday'
  dockerlogger-agent release-hold

A held node keeps the release it has, whoever asks for an update; only rollback
moves it. What it has is still repaired when it is damaged. A download under way
is ended, and goes on from there some day.";

const PIN_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent pin 1.2.0 && dockerlogger-agent update
  dockerlogger-agent unpin

A pinned node goes to that release with the next update, older or newer, halted
or not, and stays there. Blocks and holds still count.";

const BLOCK_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent block 1.3.0 --reason 'loses lines on lx'
  dockerlogger-agent block 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  dockerlogger-agent unblock 1.3.0

unblock lifts the blocks of operators, rollbacks and trials alike.";

const UPDATE_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent update --dry-run
  dockerlogger-agent update
  dockerlogger-agent update --source https://updates.example.com/dockerlogger
  dockerlogger-agent update --allow-expired

--allow-expired is for a publisher who is late, or a clock that is wrong. Nothing
older than what was accepted before is accepted even so.";

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent rollback

The release that is left is blocked on this node. Once that block is lifted, a
second rollback returns to it, on trial as after an update:
  dockerlogger-agent unblock 2.0.0
  dockerlogger-agent rollback";

const INSTALL_EXAMPLES: &str = "\
Examples:
  dockerlogger-agent install --bundle /var/tmp/dockerlogger.tar

A bundle is verified like any other source. It is made with `release bundle`.";

/// The examples of `run`, and every key of the configuration with what it accepts.
fn run_help() -> String {
    let mut help = RUN_EXAMPLES.to_owned();
    for (key, accepted) in config::KEYS {
        help.push_str(&format!("  {key:<14} {accepted}\n"));
    }
    help.push_str("--check-config prints what is in effect, defaults filled in.");
    help
}

/// Installs, verifies and advertises the docker logger on this node
#[derive(Debug, Parser)]
#[command(name = log::PROGRAM, version = crate::VERSION, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Read the configuration from FILE
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,

    /// Print the configuration in effect, or everything that is wrong with it, and exit
    #[arg(long, global = true)]
    pub check_config: bool,

    /// What to do
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Run the agent in the foreground
    #[command(after_help = run_help())]
    Run,

    /// Show the releases on this node, the last check and the health
    #[command(after_help = STATUS_EXAMPLES)]
    Status,

    /// Show who changed what on this node, and why
    #[command(after_help = HISTORY_EXAMPLES)]
    History,

    /// Say why this node is on its release, and what it waits for
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain,

    /// Keep this node on the release it has
    #[command(after_help = HOLD_EXAMPLES)]
    Hold {
        /// Why, for whoever comes next
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },

    /// Let a held node follow its channel again
    #[command(after_help = HOLD_EXAMPLES)]
    ReleaseHold,

    /// Bring this node to one release and keep it there
    #[command(after_help = PIN_EXAMPLES)]
    Pin {
        /// The release
        version: Version,
    },

    /// Let a pinned node follow its channel again
    #[command(after_help = PIN_EXAMPLES)]
    Unpin,

    /// Never install a release on this node
    #[command(after_help = BLOCK_EXAMPLES)]
    Block {
        /// A version, or the SHA-256 of one artifact
        what: Which,

        /// Why, for whoever comes next
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },

    /// Lift a block
    #[command(after_help = BLOCK_EXAMPLES)]
    Unblock {
        /// A version, or the SHA-256 of one artifact
        what: Which,
    },

    /// List the log drivers this node supports, or show one with its options
    #[command(after_help = DRIVERS_EXAMPLES)]
    Drivers {
        /// The driver to show
        name: Option<String>,
    },

    /// Install what the channel offers, now
    #[command(after_help = UPDATE_EXAMPLES)]
    Update {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,

        /// Ask SOURCE instead of the configured one: a URL, a folder or a .tar bundle
        #[arg(long, value_name = "SOURCE")]
        source: Option<String>,

        /// Take metadata although it has expired; for this once, and on record
        #[arg(long, conflicts_with = "dry_run")]
        allow_expired: bool,
    },

    /// Go back to the previous release
    #[command(after_help = ROLLBACK_EXAMPLES)]
    Rollback,

    /// Install the release in a bundle file
    #[command(after_help = INSTALL_EXAMPLES)]
    Install {
        /// The bundle
        #[arg(long, value_name = "FILE")]
        bundle: PathBuf,
    },
}

/// Does what `arguments` say. `log_directives` is the value of `RUST_LOG`.
///
/// # Errors
/// Whatever went wrong; [`exit_code`] says what the process should end with.
pub fn run(arguments: Arguments, log_directives: Option<&str>) -> Result<(), CliError> {
    let output = Output { json: arguments.json };
    let config = config::load(arguments.config.as_deref())?;
    if arguments.check_config {
        output.configuration(&config);
        return Ok(());
    }
    match arguments.verb {
        None => {
            let text = "a verb is needed: run, status, explain, history, drivers, update, rollback, install, hold, \
                        release-hold, pin, unpin, block or unblock";
            Err(CliError::Usage(Arguments::command().error(ErrorKind::MissingSubcommand, text)))
        }
        Some(Verb::Run) => {
            log::init(config.log_level, log_directives);
            run_agent(config).map_err(|error| {
                tracing::error!(error = %chain(&error), "agent cannot run");
                CliError::Logged(Box::new(error))
            })
        }
        Some(verb) => {
            // A person reads what is printed; the log is shown to those who ask for it.
            if log_directives.is_some_and(|directives| !directives.is_empty()) {
                log::init(config.log_level, log_directives);
            }
            verbs::run(verb, &config, output)
        }
    }
}

fn run_agent(config: Config) -> Result<(), CliError> {
    let root = engine_config(&config);
    let engine = when_free(LOCK_PAUSE, || Engine::open(root.clone()))?;
    Ok(service::run(engine, config)?)
}

/// Between two tries at a root that somebody else has.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// Waits for whoever has the root, a verb at work mostly: a service that ended each time
/// would soon be started no more.
fn when_free<T>(
    pause: Duration,
    mut open: impl FnMut() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let mut told = false;
    loop {
        match open() {
            Err(error @ OpenError::Locked { .. }) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(error = %chain(&error), "waiting for the install root");
                }
                std::thread::sleep(pause);
            }
            opened => return opened,
        }
    }
}

fn engine_config(config: &Config) -> EngineConfig {
    EngineConfig {
        root: config.root.clone(),
        trust_anchor: config.trust_anchor.clone(),
        channel: config.channel.clone(),
        target: config.target.clone(),
        reserve_bytes: config.reserve_bytes,
        retain: config.retain,
        trial: config.trial,
        source: config.sources(),
        proxy: config.proxy.clone(),
        limits: Limits::default(),
    }
}

#[cfg(test)]
mod tests;
