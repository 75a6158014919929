// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! How an error is shown: one chain printer for the whole program.
//!
//! An error's own text says what was being done and to what; its sources say why it failed. Both
//! the log and the command line print the chain on one line, so that a line-oriented log stays so.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use crate::cli::CliError;
use crate::config::LoadError;
use crate::log::PROGRAM;

/// Displays `error` and every source of it, separated by `: `.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(&'a (dyn Error + 'a));

/// The printable chain of `error`.
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> Chain<'a> {
    Chain(error)
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// Tells the person at the command line what went wrong: on stderr, except for the help they asked for,
/// and unless the log has it.
pub fn print(error: &CliError) {
    let text = match error {
        CliError::Logged(_) => return,
        CliError::Usage(usage) if !usage.use_stderr() => {
            drop(write!(io::stdout(), "{usage}"));
            return;
        }
        CliError::Usage(usage) => usage.to_string(),
        // Each problem has a line, so that all of them can be mended in one go.
        CliError::Config(config @ LoadError::Invalid { source, .. }) => {
            let mut text = format!("{PROGRAM}: {config}:\n");
            for problem in &source.problems {
                text.push_str(&format!("  {}: {}\n", problem.key, problem.message));
            }
            text
        }
        other => format!("{PROGRAM}: {}\n", chain(other)),
    };
    drop(write!(io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to open {path}")]
    struct OpenFailed {
        path: &'static str,
        #[source]
        cause: io::Error,
    }

    #[test]
    fn prints_every_source_once_and_on_one_line() {
        let error = OpenFailed { path: "/x", cause: io::Error::other("disk on fire") };
        assert_eq!(chain(&error).to_string(), "failed to open /x: disk on fire");
        assert_eq!(chain(&error.cause).to_string(), "disk on fire");
    }
}
