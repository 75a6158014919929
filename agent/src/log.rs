// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The agent's log: one bunyan JSON object a line, on stderr.
//!
//! Triton's tools (`bunyan`, log archiving, `svcs -L`) expect the node-bunyan core fields `name`,
//! `hostname`, `pid`, `level`, `msg`, `time`, `v`; every field of an event is added to them. Three
//! rules make events fit that form:
//!
//! - a dot in a field's name makes an object (`req.method` becomes `"req":{"method":…}`), which is how
//!   bunyan's audit records are nested;
//! - a field `error` or `err` becomes `"err":{"message":…}` with the whole chain of causes;
//! - a field that would replace a core field gets an underscore behind its name.

mod fields;
mod layer;

use std::io;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use crate::log::layer::BunyanLayer;

/// The name every line carries.
pub const PROGRAM: &str = "dockerlogger-agent";

/// How much is logged. Default: info.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A human is needed, or something was lost.
    Error,
    /// Something failed that is tried again.
    Warn,
    /// One line per change of state and per request.
    Info,
    /// The steps in between.
    Debug,
    /// Everything, libraries included.
    Trace,
}

/// The levels as they are written in the configuration.
pub const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

/// A word that is not one of [`LEVELS`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a log level; accepted: error, warn, info, debug, trace")]
pub struct UnknownLevel(String);

impl FromStr for LogLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<LogLevel, UnknownLevel> {
        match LEVELS.iter().find(|(name, _)| *name == text) {
            Some((_, level)) => Ok(*level),
            None => Err(UnknownLevel(text.to_owned())),
        }
    }
}

/// Which events are written: this crate's from `level` up, the libraries' from warn up (from `level`
/// when that is trace). `directives`, the value of `RUST_LOG`, comes on top and may name single
/// modules; one that cannot be parsed is returned as text to be logged, and changes nothing.
pub fn filter(level: LogLevel, directives: Option<&str>) -> (Targets, Option<String>) {
    let libraries = if level == LogLevel::Trace { LevelFilter::TRACE } else { LevelFilter::WARN };
    let base = Targets::new()
        .with_default(libraries.min(level.filter()))
        .with_target("dockerlogger_agent", level.filter());
    let Some(text) = directives.filter(|text| !text.is_empty()) else { return (base, None) };
    match text.parse::<Targets>() {
        Ok(asked) => {
            let mut merged = base;
            if let Some(default) = asked.default_level() {
                merged = merged.with_default(default).with_target("dockerlogger_agent", default);
            }
            (merged.with_targets(asked.iter().map(|(t, l)| (t.to_owned(), l))), None)
        }
        Err(error) => (base, Some(format!("RUST_LOG={text:?} is ignored: {error}"))),
    }
}

/// Sends the process's events to stderr from here on. Only the first call has an effect.
pub fn init(level: LogLevel, directives: Option<&str>) {
    let (filter, complaint) = filter(level, directives);
    let subscriber =
        tracing_subscriber::registry().with(filter).with(BunyanLayer::for_process(io::stderr));
    let installed = subscriber.try_init().is_ok();
    if let (true, Some(reason)) = (installed, complaint) {
        tracing::warn!(reason, "log directives not understood");
    }
}

#[cfg(test)]
mod tests;
