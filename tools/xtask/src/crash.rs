// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The agent's long checks, with their figures: its crash model, real power
//! cuts, and its two verifiers on the same mutated inputs.

use anyhow::{Result, bail};

use crate::command::{cargo, run};

/// The tests of the model.
const MODEL: &[&str] = &["crash::no_cut", "crash::every_mistake", "crash::errors"];

/// The test of the power cuts.
const POWER: &[&str] = &["crash::power"];

/// Runs the model, or with `--power` the power cuts; a minute's worth, or with
/// `--long` what a release deserves.
pub(crate) fn explore(arguments: &[String]) -> Result<()> {
    let (mut long, mut tests) = (false, MODEL);
    for argument in arguments {
        match argument.as_str() {
            "--long" => long = true,
            "--power" => tests = POWER,
            other => bail!("unknown option \"{other}\"; accepted are --long and --power"),
        }
    }
    // One thread, so that the figures come in order.
    let mut test = cargo(&["test", "--package", "dockerlogger-agent", "--lib", "--"]);
    test.args(tests).args(["--nocapture", "--test-threads", "1"]);
    if long {
        test.env("DOCKERLOGGER_CRASH", "long");
    }
    run(&mut test)
}

/// Inputs of a long comparison of the verifiers.
const MUTATIONS: &str = "100000";

/// Compares the two verifiers on mutated metadata; with `--long` on 100,000 files.
pub(crate) fn differential(arguments: &[String]) -> Result<()> {
    let filter = "engine::tests::differential";
    let mut test = cargo(&["test", "--package", "dockerlogger-agent", "--lib", "--", filter]);
    test.arg("--nocapture");
    match arguments {
        [] => {}
        [long] if long == "--long" => drop(test.env("DOCKERLOGGER_MUTATIONS", MUTATIONS)),
        [other, ..] => bail!("unknown option \"{other}\"; accepted is --long"),
    }
    run(&mut test)
}
