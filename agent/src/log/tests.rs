// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::*;

/// What was written, shared with the layer.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(filter: Targets, act: impl FnOnce()) -> Vec<Value> {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = BunyanLayer::new(move || writer.clone(), "node-7".to_owned(), 42);
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    tracing::subscriber::with_default(subscriber, act);
    let bytes = lines.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn everything() -> Targets {
    Targets::new().with_default(LevelFilter::TRACE)
}

#[test]
fn every_line_has_the_core_fields() {
    let lines = logged(everything(), || {
        tracing::info!(release = "1.2.3", bytes = 7_u64, ok = true, "installed");
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(line["name"], "dockerlogger-agent");
    assert_eq!(line["hostname"], "node-7");
    assert_eq!(line["pid"], 42);
    assert_eq!(line["level"], 30);
    assert_eq!(line["msg"], "installed");
    assert_eq!(line["v"], 0);
    assert_eq!(line["release"], "1.2.3");
    assert_eq!(line["bytes"], 7);
    assert_eq!(line["ok"], true);
    let time = line["time"].as_str().unwrap();
    assert_eq!(time.len(), "2026-01-02T03:04:05.678Z".len(), "{time}");
    assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[test]
fn levels_are_bunyans() {
    let lines = logged(everything(), || {
        tracing::trace!("a");
        tracing::debug!("b");
        tracing::info!("c");
        tracing::warn!("d");
        tracing::error!("e");
    });
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_u64().unwrap()).collect();
    assert_eq!(levels, [10, 20, 30, 40, 50]);
}

#[test]
fn errors_are_chains_under_err() {
    #[derive(Debug, thiserror::Error)]
    #[error("failed to read {path}")]
    struct ReadFailed {
        path: &'static str,
        #[source]
        cause: io::Error,
    }
    let error = ReadFailed { path: "/a", cause: io::Error::other("no medium") };
    let lines = logged(everything(), || {
        tracing::error!(error = &error as &dyn std::error::Error, "typed");
        tracing::error!(error = %crate::report::chain(&error), "printed");
    });
    for line in &lines {
        assert_eq!(line["err"]["message"], "failed to read /a: no medium", "{line}");
        assert!(line.get("error").is_none());
    }
    assert_eq!(lines.len(), 2);
}

#[test]
fn dots_nest_core_names_are_kept_and_control_characters_escaped() {
    let lines = logged(everything(), || {
        tracing::info!(req.method = "GET", req.url = "/x\n{\"forged\":1}", name = "evil", "m");
    });
    let [line] = lines.as_slice() else { panic!("one event is one line: {lines:?}") };
    assert_eq!(line["req"]["method"], "GET");
    assert_eq!(line["req"]["url"], "/x\n{\"forged\":1}");
    assert_eq!(line["name"], "dockerlogger-agent");
    assert_eq!(line["name_"], "evil");
}

#[test]
fn span_fields_are_on_every_event_within() {
    let lines = logged(everything(), || {
        let span = tracing::info_span!("update", release = "2.0.0", phase = tracing::field::Empty);
        let _inside = span.enter();
        span.record("phase", "fetch");
        tracing::info!(phase = "verify", "own field wins");
        tracing::info!("inherited");
    });
    assert_eq!(lines[0]["release"], "2.0.0");
    assert_eq!(lines[0]["phase"], "verify");
    assert_eq!(lines[1]["phase"], "fetch");
}

#[test]
fn level_and_directives_decide_what_is_written() {
    let emit = || {
        tracing::debug!(target: "dockerlogger_agent::engine", "ours debug");
        tracing::info!(target: "dockerlogger_agent::engine", "ours info");
        tracing::info!(target: "hyper", "theirs info");
        tracing::warn!(target: "hyper", "theirs warn");
    };
    let messages = |level, directives| {
        let (filter, complaint) = filter(level, directives);
        let lines = logged(filter, emit);
        let messages: Vec<_> =
            lines.iter().map(|line| line["msg"].as_str().unwrap().to_owned()).collect();
        (messages.join(","), complaint.is_some())
    };
    let cases: [(LogLevel, Option<&str>, &str, bool); 6] = [
        (LogLevel::Info, None, "ours info,theirs warn", false),
        (LogLevel::Error, None, "", false),
        (LogLevel::Debug, Some(""), "ours debug,ours info,theirs warn", false),
        (LogLevel::Info, Some("debug"), "ours debug,ours info,theirs info,theirs warn", false),
        (LogLevel::Info, Some("hyper=info"), "ours info,theirs info,theirs warn", false),
        (LogLevel::Info, Some("=="), "ours info,theirs warn", true),
    ];
    for (level, directives, expected, complains) in cases {
        assert_eq!(
            messages(level, directives),
            (expected.to_owned(), complains),
            "{level:?} {directives:?}"
        );
    }
}

#[test]
fn every_level_parses_and_others_name_the_accepted() {
    for (name, level) in LEVELS {
        assert_eq!(name.parse::<LogLevel>().unwrap(), level);
    }
    let error = "INFO".parse::<LogLevel>().unwrap_err().to_string();
    assert_eq!(error, "\"INFO\" is not a log level; accepted: error, warn, info, debug, trace");
}
