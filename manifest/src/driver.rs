// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The declaration of a driver and of one option: data, readable by other programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Extra;

/// A log driver as `--log-driver NAME` knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverSpec {
    /// What stands after `--log-driver`.
    pub name: String,
    /// One sentence for a person.
    pub summary: String,
    /// Who does the work.
    pub runs: Runs,
    /// The logger version that had it first.
    pub since: String,
    /// Options for a first try, each `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub example: Vec<String>,
    /// Ways to a receiver, one of each kind: what a release is tried on before a
    /// node switches to it, and what is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Every option it accepts, generic ones included, in the order of the docs.
    #[serde(default)]
    pub options: Vec<OptionSpec>,
    /// Fields of a newer format.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where a driver runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// In the container's zone: dockerinit starts the logger for it.
    Zone,
    /// In the platform itself: no logger is started (`none`).
    Platform,
    /// In the platform where that does it itself, as Triton's does, and in the zone
    /// elsewhere (`json-file`).
    Both,
    /// Somewhere a newer release knows of.
    #[serde(untagged)]
    Unknown(String),
}

impl Runs {
    /// Whether the logger can be started for it.
    pub fn in_zone(&self) -> bool {
        matches!(self, Self::Zone | Self::Both)
    }

    /// Whether it can do without a logger.
    pub fn on_platform(&self) -> bool {
        matches!(self, Self::Platform | Self::Both)
    }
}

/// A way for a driver's records to a receiver that only takes what comes: it need
/// not answer, and finds the text of a record, if that is letters, digits and
/// blanks, as it is among the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What the receiver is.
    pub over: Carrier,
    /// The options that lead there, each `NAME=VALUE`, with [`Route::ADDRESS`],
    /// [`Route::AUTHORITY`] and [`Route::FOLDER`] for what only the receiver knows.
    pub options: Vec<String>,
    /// Fields of a newer format.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What carries records to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// A TCP connection.
    Tcp,
    /// A TLS connection, to a server that shows a certificate of the authority.
    Tls,
    /// Datagrams to a UDP port.
    Udp,
    /// A stream socket in the file system.
    Unix,
    /// A datagram socket in the file system.
    Unixgram,
    /// Files in a folder.
    File,
    /// Something a newer release knows of.
    #[serde(untagged)]
    Unknown(String),
}

impl Route {
    /// Stands for `IP:PORT`, or for the path of a socket.
    pub const ADDRESS: &str = "{ADDRESS}";
    /// Stands for the path of the authority's certificate, in PEM form.
    pub const AUTHORITY: &str = "{AUTHORITY}";
    /// Stands for the path of the folder.
    pub const FOLDER: &str = "{FOLDER}";

    /// The options for one receiver; `places` says what stands for what.
    pub fn options_to(&self, places: &[(&str, &str)]) -> BTreeMap<String, String> {
        let fill = |value: &str| {
            places.iter().fold(value.to_owned(), |value, (place, with)| value.replace(place, with))
        };
        let options = self.options.iter().filter_map(|option| option.split_once('='));
        options.map(|(name, value)| (name.to_owned(), fill(value))).collect()
    }
}

impl DriverSpec {
    /// The driver without a logger: the options that the platform honours. `None`:
    /// it cannot do without.
    pub fn on_platform(mut self) -> Option<Self> {
        self.options.retain(|option| option.runs.as_ref().is_none_or(Runs::on_platform));
        self.runs.on_platform().then_some(self)
    }
}

/// One `--log-opt NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionSpec {
    /// What stands before the `=`.
    pub name: String,
    /// Older names for the same option.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What the value must be.
    #[serde(rename = "type")]
    pub kind: OptionKind,
    /// The value used when the option is not given; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether a container without it is refused.
    #[serde(default)]
    pub required: bool,
    /// The values accepted, in words or as the closed list of an `enum`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// Options that must be given with this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// The smallest value: bytes of a size, milliseconds of a duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u64>,
    /// The largest value, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<u64>,
    /// Who honours it, where that is not everyone who runs the driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Runs>,
    /// One sentence for a person.
    pub help: String,
    /// The logger version that had it first.
    pub since: String,
    /// Whether it is ours and not Docker's or Triton's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extension: bool,
    /// Whether its value is shown to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Schemes of the driver's address, `NAME-address`, with which it may be
    /// given, and has its default; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<String>,
    /// Fields of a newer format.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the value of an option must be. Every value is text in Docker's API;
/// this says which text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptionKind {
    /// Any text.
    Text,
    /// Text with `{{.Field}}` in it.
    Template,
    /// One of the values that the option lists as accepted.
    Enum,
    /// That it is there is what counts: any text, the empty one too.
    Flag,
    /// `true` or `false`, as [`crate::value::parse_bool`] reads it.
    Boolean,
    /// A size with k, m, g meaning powers of 1024.
    SizeBinary,
    /// A size with k, m, g meaning powers of 1000.
    SizeDecimal,
    /// A whole number of at least one.
    PositiveInteger,
    /// A duration such as `5s` or `1m30s`.
    Duration,
    /// A syslog facility: a name or 0–23.
    SyslogFacility,
    /// A transport and where it leads, as [`crate::value::SyslogAddress`] reads it.
    SyslogAddress,
    /// `[tcp://|tls://][HOST][:PORT]` or `unix:///PATH`.
    FluentdAddress,
    /// `udp://HOST:PORT`, `tcp://HOST:PORT` or `tcp+tls://HOST:PORT`, of which the
    /// option accepts those whose scheme it lists.
    ServerAddress,
    /// A whole number of at least zero.
    UnsignedInteger,
    /// An absolute path, in the container's zone.
    Path,
    /// A kind of a newer release: any text passes, the logger itself decides.
    #[serde(untagged)]
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_release_adds_passes_through() {
        let newer = serde_json::json!({
            "name": "loki", "summary": "s", "runs": "sidecar", "since": "9.0.0", "batching": true,
            "routes": [{"over": "http", "options": [], "answers": "204"}],
            "options": [{
                "name": "loki-url", "type": "url", "help": "h", "since": "9.0.0",
                "required": true, "guarded": {"level": 3}
            }]
        });
        let spec: DriverSpec = serde_json::from_value(newer.clone()).unwrap();
        assert_eq!(spec.runs, Runs::Unknown("sidecar".to_owned()));
        assert_eq!(spec.routes[0].over, Carrier::Unknown("http".to_owned()));
        assert_eq!(spec.options[0].kind, OptionKind::Unknown("url".to_owned()));
        assert_eq!(serde_json::to_value(&spec).unwrap(), newer);
    }
}
