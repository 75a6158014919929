// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Composition root of `dockerlogger-agent`: arguments and environment in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use dockerlogger_agent::cli::{self, Arguments, CliError, exit_code};
use dockerlogger_agent::report;

fn main() -> ExitCode {
    let log_directives = std::env::var("RUST_LOG").ok();
    let result = Arguments::try_parse()
        .map_err(CliError::Usage)
        .and_then(|arguments| cli::run(arguments, log_directives.as_deref()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::print(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}
