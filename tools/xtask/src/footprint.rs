// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! How large the programs are and what they take while idle, as customers get
//! them: the release build.

use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, run, say, target_dir};

/// What customers' and operators' machines run.
const PROGRAMS: [&str; 3] = ["logger", "dockerlogger-agent", "release"];

/// Builds for release, prints sizes, then lets the harness measure memory.
pub(crate) fn measure() -> Result<()> {
    run(&mut cargo(&["build", "--release", "--workspace", "--bins"]))?;
    let bin = target_dir().join("release");
    say("| program | as built | stripped |\n|---|---|---|");
    for program in PROGRAMS {
        let built = bin.join(program);
        let stripped = target_dir().join(format!("{program}.stripped"));
        run(Command::new("strip").arg("-o").arg(&stripped).arg(&built))?;
        let size = |path: &std::path::Path| {
            let metadata = std::fs::metadata(path);
            metadata.map(|m| m.len()).with_context(|| format!("failed to read {}", path.display()))
        };
        say(&format!("| `{program}` | {} B | {} B |", size(&built)?, size(&stripped)?));
    }
    run(Command::new(bin.join("footprint")).env("DOCKERLOGGER_BIN_DIR", &bin))
}
