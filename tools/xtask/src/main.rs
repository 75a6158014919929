// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Project automation, started as `cargo xtask VERB`.
//!
//! Everything that CI does is a verb here, so that a developer runs the same.
//! Exit status: 0 done, 1 a step failed, 64 no such verb.

mod bench;
mod ci;
mod command;
mod crash;
mod docs;
mod footprint;
mod illumos;
mod programs;

use std::process::ExitCode;

use crate::command::say;

const USAGE: &str = "\
Usage: cargo xtask VERB

  demo [--stay] [-- CMD ARG...]  from keys to a running container and back, on loopback
  test [FILTER...]               every test; builds the programs the tests run first
  ci                             what CI runs: format, lints, docs, tests, demo, illumos
  docs [--check]                 writes docs/drivers.md from the manifest, or only says whether it is so already
  check-illumos                  type-check every crate for x86_64-unknown-illumos
  footprint                      sizes and idle memory of the programs, release build
  bench [OPTION...]              what the logger costs and loses, release build; --help names the options
  bench agent [OPTION...]        what an update costs the agent, and its one pass beside its stages alone
  crash [--long] [--power]       the agent's crash model; with --power real power cuts on ext4
  differential [--long]          the agent's two verifiers on the same mutated metadata

Examples:
  cargo xtask demo -- vmstat 1 10
  cargo xtask test rsyslog
  cargo xtask bench --quick --peer /opt/other/logger
  cargo xtask crash --long
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((verb, rest)) => match verb.as_str() {
            "demo" => programs::demo(rest),
            "test" => programs::test(rest),
            "ci" => ci::run(),
            "docs" => docs::run(rest),
            "check-illumos" => illumos::check(),
            "footprint" => footprint::measure(),
            "bench" => bench::measure(rest),
            "crash" => crash::explore(rest),
            "differential" => crash::differential(rest),
            "help" | "--help" | "-h" => {
                say(USAGE);
                Ok(())
            }
            _ => return misused(&format!("there is no verb \"{verb}\"")),
        },
        None => return misused("a verb is needed"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn misused(why: &str) -> ExitCode {
    say(&format!("error: {why}\n\n{USAGE}"));
    ExitCode::from(64)
}
