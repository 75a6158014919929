// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Building the programs, and the two verbs that run them: `demo` and `test`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{cargo, run, target_dir};

/// The version that `logger-next` calls itself: any that is newer than the
/// workspace's own, so that there is something to update to.
const NEXT_VERSION: &str = "0.2.0";

/// Tells the harness where the built programs are.
const BIN_DIR: &str = "DOCKERLOGGER_BIN_DIR";

/// Runs the demo with these arguments.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    let bin = build()?;
    let mut demo = std::process::Command::new(bin.join("demo"));
    run(demo.args(arguments).env(BIN_DIR, &bin))
}

/// Runs every test whose name holds one of the filters, or every test and the
/// model of the hand-off.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let bin = build()?;
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
    if !filters.is_empty() {
        tests.arg("--").args(filters);
    }
    run(tests.env(BIN_DIR, bin))?;
    if filters.is_empty() { model() } else { Ok(()) }
}

/// Runs the hand-off between reader and sender through every interleaving: the
/// tests whose names begin with `loom_`, in a build of their own.
fn model() -> Result<()> {
    let mut model = cargo(&["test", "--package", "dockerlogger", "--lib", "--release"]);
    model.arg("--target-dir").arg(target_dir().join("loom")).arg("loom_");
    // Optimized, because there are many interleavings; not more than that.
    model.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    run(model.env("RUSTFLAGS", "--cfg loom"))
}

/// Builds every program, and the logger a second time as the next release.
fn build() -> Result<PathBuf> {
    let bin = target_dir().join("debug");
    run(&mut cargo(&["build", "--workspace", "--bins"]))?;
    // A folder of its own: the version is compiled in, so both builds in one
    // folder would undo each other every time.
    let next = target_dir().join("next");
    let mut build_next = cargo(&["build", "--package", "dockerlogger", "--target-dir"]);
    run(build_next.arg(&next).env("DOCKERLOGGER_VERSION", NEXT_VERSION))?;
    replace(&next.join("debug/logger"), &bin.join("logger-next"))?;
    Ok(bin)
}

/// Copies by rename: the old file may be running.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let staged = to.with_extension("new");
    std::fs::copy(from, &staged)
        .and_then(|_| std::fs::rename(&staged, to))
        .with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))
}
