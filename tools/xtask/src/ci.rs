// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What CI runs, in the order in which a failure is cheapest to learn of.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{cargo, run as execute, say};
use crate::{docs, illumos, programs};

/// A step: its name and what it does.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 6] = [
    ("format", format),
    ("lints", lints),
    ("docs", docs),
    ("tests", || programs::test(&[])),
    ("demo", || programs::demo(&[])),
    ("illumos", illumos::check),
];

/// Runs every step, stops at the first that fails, and says how long each took.
pub(crate) fn run() -> Result<()> {
    let mut times = Vec::new();
    for (name, step) in STEPS {
        say(&format!("ci: {name}"));
        let started = Instant::now();
        step().with_context(|| format!("ci step \"{name}\" failed"))?;
        times.push((name, started.elapsed()));
    }
    say("ci: every step passed");
    for (name, time) in times {
        say(&format!("  {name:<10} {:>6.1} s", time.as_secs_f64()));
    }
    Ok(())
}

fn format() -> Result<()> {
    execute(&mut cargo(&["fmt", "--all", "--check"]))
}

fn lints() -> Result<()> {
    execute(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

fn docs() -> Result<()> {
    docs::run(&["--check".to_owned()])?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    execute(doc.env("RUSTDOCFLAGS", "--deny warnings"))
}
