// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Measuring logger and agent as users get them: the release build.

use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, run, target_dir};

/// Builds the agent, all that a release of it takes, and the harness, then measures an update.
fn measure_agent(arguments: &[String]) -> Result<()> {
    let packages = ["dockerlogger", "dockerlogger-agent", "dockerlogger-tests", "release"];
    for package in packages {
        run(&mut cargo(&["build", "--release", "--package", package, "--bins"]))?;
    }
    let bin = target_dir().join("release");
    run(Command::new(bin.join("agent-bench")).args(arguments).env("DOCKERLOGGER_BIN_DIR", &bin))
}

/// Builds the logger and the harness for release, then measures with these
/// arguments; `agent` as the first of them measures an update instead.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    if let Some(("agent", rest)) =
        arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return measure_agent(rest);
    }
    run(&mut cargo(&["build", "--release", "--package", "dockerlogger", "--bins"]))?;
    run(&mut cargo(&["build", "--release", "--package", "dockerlogger-tests", "--bin", "bench"]))?;
    let bin = target_dir().join("release");
    run(Command::new(bin.join("bench")).args(arguments).env("DOCKERLOGGER_BIN_DIR", &bin))
}
