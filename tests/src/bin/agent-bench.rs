// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Measures what an update costs the agent; what exactly: [`dockerlogger_tests::bench::update`].
//!
//! Exit status: 0 measured, 64 wrong arguments.

use std::process::ExitCode;

use dockerlogger_tests::bench::output::{progress, say};
use dockerlogger_tests::bench::update::{Update, alone};

const USAGE: &str = "\
Usage: agent-bench [--runs N] [--json]

  --runs N    rounds that count (default 10); one more is thrown away
  --json      every value as JSON instead of a table
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == alone::STAGE
    {
        alone::run(rest);
        return ExitCode::SUCCESS;
    }
    let (mut runs, mut json) = (10, false);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--help" | "-h" => {
                say(USAGE);
                return ExitCode::SUCCESS;
            }
            "--runs" => match arguments.next().and_then(|runs| runs.parse().ok()) {
                Some(number @ 1..) => runs = number,
                _ => return misused("--runs needs a number of rounds: 1 or more"),
            },
            other => return misused(&format!("there is no option \"{other}\"")),
        }
    }
    let update = Update::measure(runs);
    say(&if json { format!("{:#}", update.json()) } else { update.markdown() });
    ExitCode::SUCCESS
}

fn misused(why: &str) -> ExitCode {
    progress(&format!("error: {why}\n\n{USAGE}"));
    ExitCode::from(64)
}
