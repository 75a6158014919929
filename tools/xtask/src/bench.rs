// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Measuring the logger as customers get it: the release build.

use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, run, target_dir};

/// Builds the logger and the harness for release, then measures with these
/// arguments.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    run(&mut cargo(&["build", "--release", "--package", "dockerlogger", "--bins"]))?;
    run(&mut cargo(&["build", "--release", "--package", "dockerlogger-tests", "--bin", "bench"]))?;
    let bin = target_dir().join("release");
    run(Command::new(bin.join("bench")).args(arguments).env("DOCKERLOGGER_BIN_DIR", &bin))
}
