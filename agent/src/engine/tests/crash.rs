// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The crash model: the real engine over a disk that promises less than any
//! real one, with the power cut everywhere. See `docs/crash-consistency.md`.
//!
//! `DOCKERLOGGER_CRASH=long` makes it try as much as a release deserves.

use std::time::Instant;

mod cut;
mod disk;
mod effect;
mod errors;
mod explore;
mod files;
mod invariants;
mod mistakes;
#[cfg(target_os = "linux")]
mod os;
#[cfg(target_os = "linux")]
mod power;
mod random;
mod run;
mod scenario;

use explore::{Effort, Report, explore, hunt};
use mistakes::MISTAKES;
use scenario::Scenario;

/// Whether the long versions are asked for.
fn long() -> bool {
    std::env::var_os("DOCKERLOGGER_CRASH").is_some_and(|value| value == "long")
}

#[test]
fn no_cut_breaks_an_invariant() {
    let effort = match long() {
        true => Effort { random: 200, nested: 4, kill_every: 1 },
        false => Effort { random: 2, nested: 1, kill_every: 5 },
    };
    let mut total = Report::default();
    let started = Instant::now();
    for scenario in Scenario::all() {
        let began = Instant::now();
        let report = explore(&scenario, effort);
        println!(
            "{:<30} {:>4} moments {:>8} states ({} in recovery, {} distinct) {:>6.1} s",
            scenario.name,
            report.moments,
            report.states,
            report.nested,
            report.distinct,
            began.elapsed().as_secs_f64()
        );
        total.add(&report);
    }
    println!(
        "{} crash states, {} in recovery, {} distinct disks, {} violations, {:.1} s",
        total.states,
        total.nested,
        total.distinct,
        total.violations.len(),
        started.elapsed().as_secs_f64()
    );
    assert!(total.violations.is_empty(), "{:#?}", total.violations);
    // A release deserves no less.
    assert!(!long() || total.states >= 100_000, "only {} states", total.states);
}

#[test]
fn every_mistake_is_caught() {
    let mut missed = Vec::new();
    for mistake in MISTAKES {
        let scenario = (mistake.scenario)();
        let mut report = Report::default();
        // Most are caught at once; the others by patience.
        for random in [2, 40] {
            let effort = Effort { random, nested: 1, kill_every: usize::MAX };
            report = hunt(&scenario, effort, &|| Some((mistake.rewrite)()));
            if !report.violations.is_empty() {
                break;
            }
        }
        match report.violations.values().next() {
            Some(violation) => {
                println!("{}: caught after {}: {violation}", mistake.name, report.states)
            }
            None => missed.push(mistake.name),
        }
    }
    println!("{} mistakes, {} missed", MISTAKES.len(), missed.len());
    assert!(MISTAKES.len() >= 12);
    assert_eq!(missed, [""; 0]);
}
