// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! All that a verb prints on stdout: short lines for people, JSON for programs.

use std::io::{self, Write};

use serde_json::Value;

use crate::config::Config;
use crate::work::Event;

/// Where and how results are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    pub(super) fn configuration(self, config: &Config) {
        print(&pretty(&config.to_json()));
    }

    pub(super) fn status(self, status: &Value) {
        print(&if self.json { pretty(status) } else { status_text(status) });
    }

    pub(super) fn history(self, history: &Value) {
        print(&if self.json { pretty(history) } else { history_text(history) });
    }

    pub(super) fn explanation(self, explanation: &Value) {
        print(&if self.json { pretty(explanation) } else { word(&explanation["sentence"]) });
    }

    pub(super) fn drivers(self, list: &Value) {
        print(&if self.json { pretty(list) } else { drivers_text(list) });
    }

    pub(super) fn driver(self, driver: &Value) {
        print(&if self.json { pretty(driver) } else { driver_text(driver) });
    }

    pub(super) fn events(self) -> EventPrinter {
        EventPrinter { json: self.json, tenths: None }
    }
}

/// Prints the events of one piece of work as they come.
#[derive(Debug)]
pub(super) struct EventPrinter {
    json: bool,
    /// Tenths of the download that were told of.
    tenths: Option<u64>,
}

impl EventPrinter {
    pub(super) fn print(&mut self, event: &Event) {
        if self.json {
            return print(&serde_json::to_string(event).unwrap_or_default());
        }
        match event {
            Event::Progress { text, detail } => {
                if self.is_news(detail) {
                    print(text);
                }
            }
            Event::Planned { lines, .. } | Event::Done { lines, .. } => print(&lines.join("\n")),
            // The error goes to stderr, with the exit code.
            Event::Failed { .. } => {}
        }
    }

    /// A download tells of itself often; a person wants to hear of each tenth.
    fn is_news(&mut self, detail: &Value) -> bool {
        let (Some(bytes), Some(total)) = (detail["bytes"].as_u64(), detail["total"].as_u64())
        else {
            return true;
        };
        let tenths = bytes.saturating_mul(10) / total.max(1);
        self.tenths.replace(tenths) != Some(tenths)
    }
}

/// Writes `text` and a line end. Nobody is left to be told when stdout is gone.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    drop(stdout.write_all(text.as_bytes()));
    if !text.ends_with('\n') {
        drop(stdout.write_all(b"\n"));
    }
    drop(stdout.flush());
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}

fn status_text(status: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<9} {value}\n"));
    let agent = &status["agent"];
    line(
        "agent",
        match agent["pid"].as_u64() {
            Some(pid) => format!(
                "{}, running as process {pid} since {}",
                word(&agent["version"]),
                word(&agent["started_at"])
            ),
            None => format!("{}, not running", word(&agent["version"])),
        },
    );
    line("root", word(&status["root"]));
    line("source", format!("{}, channel {}", word(&status["source"]), word(&status["channel"])));
    for mirror in status["mirrors"].as_array().into_iter().flatten() {
        line("mirror", word(mirror));
    }
    line("logger", release_text(&status["current"]));
    line("previous", release_text(&status["previous"]));
    if !status["pending"].is_null() {
        line("pending", release_text(&status["pending"]));
    }
    for blocked in status["blocked"].as_array().into_iter().flatten() {
        line("blocked", format!("{}: {}", word(&blocked["version"]), word(&blocked["reason"])));
    }
    for barred in status["barred"].as_array().into_iter().flatten() {
        let (what, by) = (word(&barred["what"]), word(&barred["by"]));
        line("blocked", format!("{what}: {}, by {by}", word(&barred["reason"])));
    }
    let (held, pinned) = (&status["held"], &status["pinned"]);
    if !held.is_null() {
        let (by, since) = (word(&held["by"]), word(&held["since"]));
        line("held", format!("by {by} since {since}: {}", word(&held["reason"])));
    }
    if !pinned.is_null() {
        let (by, since) = (word(&pinned["by"]), word(&pinned["since"]));
        line("pinned", format!("to {} by {by} since {since}", word(&pinned["version"])));
    }
    let trial = &status["trial"];
    if !trial.is_null() {
        let tally = &trial["tally"];
        let (started, died) = (word(&tally["started"]), tally["died"].as_u64().unwrap_or(0));
        let since = word(&trial["since"]);
        line("trial", format!("since {since}: {started} loggers started, {died} died"));
    }
    let check = &status["last_check"];
    line(
        "checked",
        match (check.is_null(), check["error"].as_str()) {
            (true, _) => "never".to_owned(),
            (false, Some(error)) => format!("{}: failed: {error}", word(&check["at"])),
            (false, None) => format!("{}: {}", word(&check["at"]), word(&check["outcome"])),
        },
    );
    for passed in check["passed_over"].as_array().into_iter().flatten() {
        line("", format!("{} was passed over: {}", word(&passed["source"]), word(&passed["why"])));
    }
    let doing = &status["activity"]["doing"];
    if !doing.is_null() {
        let (work, by, since) = (word(&doing["work"]), word(&doing["by"]), word(&doing["since"]));
        line("doing", format!("{work} for {by} since {since}"));
        if let Some(progress) = doing["progress"].as_str() {
            line("", progress.to_owned());
        }
    }
    for note in status["notes"].as_array().into_iter().flatten() {
        line("note", word(note));
    }
    line("health", word(&status["health"]["state"]));
    for reason in status["health"]["reasons"].as_array().into_iter().flatten() {
        line("", word(reason));
    }
    text
}

fn release_text(release: &Value) -> String {
    if release.is_null() {
        return "none".to_owned();
    }
    let digest: String = word(&release["digest"]).chars().take(12).collect();
    let damage = &release["damage"];
    let damage = match damage.is_null() {
        true => String::new(),
        false => format!(", {} since {}", word(&damage["kind"]), word(&damage["since"])),
    };
    let (version, installed_at) = (word(&release["version"]), word(&release["installed_at"]));
    format!("{version} ({digest}), installed {installed_at}{damage}")
}

fn history_text(history: &Value) -> String {
    let mut text = String::new();
    for record in history["records"].as_array().into_iter().flatten() {
        let change = match (record["from"].as_str(), record["to"].as_str()) {
            (None, None) => String::new(),
            (from, to) => format!(" {} -> {}", from.unwrap_or("none"), to.unwrap_or("none")),
        };
        let (at, who) = (word(&record["at"]), word(&record["who"]));
        let (what, why) = (word(&record["what"]), word(&record["why"]));
        text.push_str(&format!("{at}  {what}{change}, by {who}: {why}\n"));
    }
    if text.is_empty() { "nothing was ever changed on this node".to_owned() } else { text }
}

fn drivers_text(list: &Value) -> String {
    let mut text = String::new();
    for driver in list["drivers"].as_array().into_iter().flatten() {
        let name = word(&driver["name"]);
        let runs = word(&driver["runs"]);
        text.push_str(&format!("{name:<12} {runs:<9} {}\n", word(&driver["summary"])));
    }
    text
}

fn driver_text(driver: &Value) -> String {
    let mut text = String::new();
    text.push_str(&format!("{}: {}\n", word(&driver["name"]), word(&driver["summary"])));
    for option in driver["options"].as_array().into_iter().flatten() {
        let mut facts = vec![word(&option["type"])];
        if option["required"] == true {
            facts.push("required".to_owned());
        }
        if let Some(default) = option["default"].as_str().filter(|default| !default.is_empty()) {
            facts.push(format!("default {default}"));
        }
        text.push_str(&format!("  {} ({})\n", word(&option["name"]), facts.join(", ")));
        text.push_str(&format!("      {}\n", word(&option["help"])));
    }
    text
}

/// A JSON value as a word in a sentence.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
