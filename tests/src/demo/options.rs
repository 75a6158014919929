// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The command line of the demo.

const HELP: &str = "\
Usage: cargo xtask demo [--stay] [-- CMD ARG...]

From keys to a signed release, to an agent that installs it, to two containers
whose output is counted at a syslog receiver, across an update, three attacks
and a rollback. Everything is on loopback and in a scratch folder; no root.

  --stay       leave agent and release server up afterwards, until Ctrl-C
  -- CMD ...   the containers run this command instead of a loop over /proc

Examples:
  cargo xtask demo
  cargo xtask demo --stay
  cargo xtask demo -- vmstat 1 10

Exit status: 0 every line arrived and every attack was refused, 1 not so,
64 wrong usage, 130 interrupted.
";

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DemoOptions {
    /// Leave agent and server up.
    pub(super) stay: bool,
    /// The containers' command, when it is not the usual one.
    pub(super) command: Option<Vec<String>>,
}

/// A command line that makes sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Run(DemoOptions),
    Help(String),
}

/// Reads the arguments.
///
/// # Errors
/// What is wrong, for the user.
pub(super) fn parse(arguments: Vec<String>) -> Result<Parsed, String> {
    let mut options = DemoOptions { stay: false, command: None };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--stay" => options.stay = true,
            "--help" | "-h" => return Ok(Parsed::Help(HELP.to_owned())),
            "--" => {
                let command: Vec<String> = arguments.collect();
                if command.is_empty() {
                    return Err("a command is needed after --".to_owned());
                }
                options.command = Some(command);
                break;
            }
            other => {
                return Err(format!(
                    "unknown argument \"{other}\"; accepted: --stay, --help, -- CMD ARG..."
                ));
            }
        }
    }
    Ok(Parsed::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str]) -> Result<Parsed, String> {
        parse(arguments.iter().map(|argument| (*argument).to_owned()).collect())
    }

    #[test]
    fn arguments_mean_what_the_help_says() {
        let run = |stay, command: &[&str]| {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            Parsed::Run(DemoOptions { stay, command: (!command.is_empty()).then_some(command) })
        };
        assert_eq!(check(&[]).unwrap(), run(false, &[]));
        assert_eq!(check(&["--stay"]).unwrap(), run(true, &[]));
        assert_eq!(check(&["--stay", "--", "ls", "--stay"]).unwrap(), run(true, &["ls", "--stay"]));
        assert!(
            matches!(check(&["--help"]).unwrap(), Parsed::Help(text) if text.contains("--stay"))
        );
        assert!(check(&["--"]).is_err());
        assert!(check(&["--sty"]).unwrap_err().contains("--sty"));
    }
}
