// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The configuration: a JSON file whose keys are all optional, and what becomes of it.
//!
//! Three stages: [`RawConfig`] is the file as written; [`Config::parse`] is pure and reports every
//! problem at once; nothing behind it parses text again. The file is read by [`load`] only.

mod file;
mod reader;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use dockerlogger_manifest::{ChannelName, Target};
use serde_json::{Value, json};

pub use crate::config::file::LoadError;
pub use crate::config::file::load;
use crate::config::reader::Reader;
use crate::engine::{EngineConfig, Proxy, Source};
use crate::log::LogLevel;

/// Where the configuration is looked for when no `--config` is given; where config-agent writes it.
pub const DEFAULT_PATH: &str = "/opt/smartdc/agents/etc/dockerlogger-agent.config.json";

/// The install root where the platform's `/usr` cannot be written.
pub const DEFAULT_ROOT: &str = "/opt/smartdc/docker";

/// The first root of trust, delivered with the agent.
pub const DEFAULT_TRUST_ANCHOR: &str = "/opt/smartdc/agents/etc/dockerlogger-agent.root.json";

/// The channel followed unless the site says otherwise.
pub const DEFAULT_CHANNEL: &str = "stable";

/// Beside cn-agent's 5309 and 5310. Loopback, until the admin address is known from sysinfo: a node
/// must not offer anything on an address nobody asked for.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5320);

/// How often the source is asked: a poll is one small file, and a roll-out should not have to wait.
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(300);

/// Bounds of `poll_interval`.
pub const POLL_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Bounds of `poll_interval`. Beyond a day the metadata of a source would expire between polls.
pub const POLL_INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);

/// What an installation leaves free on the file system, so that the node's other services keep room.
pub const DEFAULT_RESERVE_BYTES: u64 = EngineConfig::RESERVE_BYTES;

/// Upper bound of `trial`.
pub const TRIAL_MAX: Duration = Duration::from_secs(3600);

/// Upper bound of `retain`; the lower one is [`EngineConfig::RETAIN`].
pub const RETAIN_MAX: usize = 16;

/// More mirrors than this are refused.
pub const MIRRORS_MAX: usize = 8;

/// Every key with what it accepts. The order is that of the documentation and of `--check-config`.
pub const KEYS: [(&str, &str); 13] = [
    ("root", "an absolute path: the folder releases are installed in"),
    ("trust_anchor", "an absolute path: the root metadata that came with the agent"),
    (
        "source",
        "http(s)://HOST/…, imgapi://HOST, an absolute folder, an absolute path of a .tar bundle, or null",
    ),
    ("mirrors", "a list of up to 8 more sources of the same repository; needs a source"),
    ("proxy", "http://[USER:PASSWORD@]HOST[:PORT], or null"),
    ("channel", "a channel name: 1-32 characters of a-z, 0-9 and -"),
    ("target", "a target triple such as x86_64-unknown-illumos"),
    ("listen", "ADDRESS:PORT, the address numeric: 10.0.0.5:5320 or [fd00::5]:5320"),
    ("poll_interval", "a duration from 1s to 24h, such as 90s, 5m or 1h30m"),
    ("reserve_bytes", "a number of bytes, or a size such as 64m (powers of 1024)"),
    ("retain", "a number from 2 to 16: releases kept on disk, current and previous included"),
    ("trial", "a duration from 0s (none) to 1h: how long the loggers of a new release are watched"),
    ("log_level", "one of error, warn, info, debug, trace"),
];

/// The file as it is written: any JSON value under any key.
#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(transparent)]
pub struct RawConfig {
    keys: serde_json::Map<String, Value>,
}

/// The configuration in effect: complete, checked, immutable.
#[derive(Debug, Clone)]
pub struct Config {
    /// The install root. Absolute. Default [`DEFAULT_ROOT`].
    pub root: PathBuf,
    /// The trust anchor. Absolute. Default [`DEFAULT_TRUST_ANCHOR`].
    pub trust_anchor: PathBuf,
    /// Where releases come from. Default: nowhere, and only bundles are installed.
    pub source: Option<Source>,
    /// Where else they come from, tried in this order when the source fails. Default: nowhere.
    pub mirrors: Vec<Source>,
    /// What http(s) sources are reached through. Default: nothing, whatever the environment says.
    pub proxy: Option<Proxy>,
    /// The channel followed. Default [`DEFAULT_CHANNEL`].
    pub channel: ChannelName,
    /// The platform to install for. Default: the one this program was built for.
    pub target: Target,
    /// Where the HTTP API listens. Port 0: any free one. Default [`DEFAULT_LISTEN`].
    pub listen: SocketAddr,
    /// The mean time between polls of the source. Default [`DEFAULT_POLL_INTERVAL`].
    pub poll_interval: Duration,
    /// Bytes an installation leaves free. Default [`DEFAULT_RESERVE_BYTES`].
    pub reserve_bytes: u64,
    /// Releases kept on disk, current and previous included. Default [`EngineConfig::RETAIN`].
    pub retain: usize,
    /// How long the loggers of a new release are watched. Default [`EngineConfig::TRIAL`].
    pub trial: Duration,
    /// What is logged. Default: info.
    pub log_level: LogLevel,
}

/// One key that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, as written.
    pub key: String,
    /// What is wrong with it and what is accepted.
    pub message: String,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one problem, known keys first, in the order of [`KEYS`].
    pub problems: Vec<ConfigProblem>,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (idx, problem) in self.problems.iter().enumerate() {
            let separator = if idx == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", problem.key, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The configuration that `raw` means, defaults filled in.
    ///
    /// # Errors
    /// All problems at once: values that are not accepted, and keys that do not exist.
    pub fn parse(raw: RawConfig) -> Result<Config, ConfigError> {
        let mut reader = Reader::new(raw.keys);
        let root = reader.absolute_path("root", DEFAULT_ROOT);
        let trust_anchor = reader.absolute_path("trust_anchor", DEFAULT_TRUST_ANCHOR);
        let source = reader.optional_text("source", str::parse::<Source>);
        let mirrors = reader.list("mirrors", MIRRORS_MAX, str::parse::<Source>);
        if source.is_none() && !mirrors.is_empty() {
            reader.refuse("mirrors", "there is no source that they are mirrors of");
        }
        let proxy = reader.optional_text("proxy", str::parse::<Proxy>);
        let channel = reader.parsed_or("channel", DEFAULT_CHANNEL);
        let target = reader.text("target", str::parse).unwrap_or_else(Target::of_this_build);
        let listen = reader.text("listen", str::parse).unwrap_or(DEFAULT_LISTEN);
        let bounds = POLL_INTERVAL_MIN..=POLL_INTERVAL_MAX;
        let poll_interval = reader.duration("poll_interval", &bounds);
        let poll_interval = poll_interval.unwrap_or(DEFAULT_POLL_INTERVAL);
        let reserve_bytes = reader.bytes("reserve_bytes").unwrap_or(DEFAULT_RESERVE_BYTES);
        let retain = reader.count("retain", RETAIN_MAX).unwrap_or(EngineConfig::RETAIN);
        let trial = reader.duration("trial", &(Duration::ZERO..=TRIAL_MAX));
        let trial = trial.unwrap_or(EngineConfig::TRIAL);
        let log_level = reader.text("log_level", str::parse).unwrap_or(LogLevel::Info);
        let problems = reader.finish();
        // A value is missing only where there is a problem.
        match (problems.is_empty(), root, trust_anchor, channel) {
            (true, Some(root), Some(trust_anchor), Some(channel)) => Ok(Config {
                root,
                trust_anchor,
                source,
                mirrors,
                proxy,
                channel,
                target,
                listen,
                poll_interval,
                reserve_bytes,
                retain,
                trial,
                log_level,
            }),
            _ => Err(ConfigError { problems }),
        }
    }

    /// The source and its mirrors as one.
    pub fn sources(&self) -> Option<Source> {
        let source = self.source.clone()?;
        if self.mirrors.is_empty() {
            return Some(source);
        }
        Some(Source::Mirrors([vec![source], self.mirrors.clone()].concat()))
    }

    /// The mirrors, without what gives access.
    pub fn shown_mirrors(&self) -> Vec<String> {
        self.mirrors.iter().map(Source::shown).collect()
    }

    /// What is in effect, as the file would say it; credentials in the source are hidden.
    pub fn to_json(&self) -> Value {
        json!({
            "root": self.root.display().to_string(),
            "trust_anchor": self.trust_anchor.display().to_string(),
            "source": self.source.as_ref().map(Source::shown),
            "mirrors": self.shown_mirrors(),
            "proxy": self.proxy.as_ref().map(ToString::to_string),
            "channel": self.channel.as_str(),
            "target": self.target.as_str(),
            "listen": self.listen.to_string(),
            "poll_interval": format!("{}s", self.poll_interval.as_secs_f64()),
            "reserve_bytes": self.reserve_bytes,
            "retain": self.retain,
            "trial": format!("{}s", self.trial.as_secs_f64()),
            "log_level": self.log_level,
        })
    }
}

/// `source` without what gives access: user and password of a URL, and its query.
pub fn redacted(source: &str) -> String {
    let Some((scheme, rest)) = source.split_once("://") else { return source.to_owned() };
    let (address, query) = match rest.split_once('?') {
        Some((address, _)) => (address, "?…"),
        None => (rest, ""),
    };
    let (authority, path) = match address.find('/') {
        Some(at) => address.split_at(at),
        None => (address, ""),
    };
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}{query}"),
        None => format!("{scheme}://{authority}{path}{query}"),
    }
}

#[cfg(test)]
mod tests;
