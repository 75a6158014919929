// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The bench measures: its smallest cases run through, with figures for every program. What they say is not judged.

use std::process::Command;

use dockerlogger_tests::programs;
use serde_json::Value;

#[test]
fn figures_come_for_every_program() {
    let logger = programs::logger();
    let output = Command::new(logger.with_file_name("bench"))
        .args(["--quick", "--runs", "1", "--json"])
        .args(["--case", "rate-10k", "--case", "start", "--case", "loss-burst-hogs"])
        .arg("--peer")
        .arg(&logger)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results: Value = serde_json::from_str(&text).unwrap();
    let figures = results["figures"].as_array().unwrap();
    for name in ["cost", "exec to first read, p50"] {
        let figure = figures.iter().find(|figure| figure["figure"] == name).unwrap();
        for program in ["logger", "peer", "limit"] {
            let values = figure["programs"][program]["values"].as_array().unwrap();
            assert_eq!(values.len(), 1, "one round counts: {figure}");
            assert!(values[0].as_f64().unwrap() > 0.0, "{figure}");
        }
        assert!(figure["logger_over"]["peer"]["median"].is_f64(), "{figure}");
    }
    // Only what is about reading has a floor.
    let floored = figures.iter().filter(|figure| figure["programs"]["floor"].is_object());
    let floored: Vec<&Value> = floored.map(|figure| &figure["figure"]).collect();
    assert_eq!(floored, ["dropped before the read"]);
    // Nothing is lost on a plain pipe at a rate far below what any machine can do.
    let lost = figures.iter().find(|figure| figure["figure"] == "lost").unwrap();
    assert_eq!(lost["programs"]["logger"]["spread"]["max"], 0.0, "{lost}");
}

#[test]
fn what_is_not_understood_is_refused() {
    for arguments in [["--case", "no-such-case"], ["--runs", "0"], ["--peer-opt", "x"]] {
        let bench = programs::logger().with_file_name("bench");
        let output = Command::new(bench).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}
