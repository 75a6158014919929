// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The drivers of this source tree. This file is the only place where a driver
//! or an option is declared; parsing, validation, `logger drivers --json`, the
//! agent's API and the documentation all read it.

use crate::{DriverSpec, Extra, OptionKind, OptionSpec, Runs};

/// Bounds of `max-buffer-size` in bytes: below, a single burst of one read per
/// stream does not fit; above, one container could take a node's memory.
pub const BUFFER_SIZE_BYTES: (u64, u64) = (64 << 10, 1 << 30);

/// The default of `max-buffer-size` in bytes.
pub const BUFFER_SIZE_DEFAULT_BYTES: u64 = 1 << 20;

/// The longest `drain-timeout`: the platform halts a zone that stops for longer
/// than its own grace period anyway.
pub const DRAIN_TIMEOUT_MAX_MS: u64 = 60_000;

/// Bounds of `flush-interval` in milliseconds: below, a line that is written in
/// two steps would be cut for nothing; above, nobody waits.
pub const FLUSH_INTERVAL_MS: (u64, u64) = (100, 60_000);

/// Every driver, those of the platform included, in the order of their names.
pub fn drivers() -> Vec<DriverSpec> {
    vec![json_file(), none(), syslog()]
}

/// The driver of this name.
pub fn driver(name: &str) -> Option<DriverSpec> {
    drivers().into_iter().find(|driver| driver.name == name)
}

fn json_file() -> DriverSpec {
    DriverSpec {
        name: "json-file".to_owned(),
        summary: "The platform writes the container's output to a file that `docker logs` reads."
            .to_owned(),
        runs: Runs::Platform,
        since: FIRST.to_owned(),
        options: vec![
            option(
                "max-size",
                OptionKind::SizeDecimal,
                "Size in bytes at which the platform rotates the file.",
            )
            .bounds(1, u64::MAX)
            .accepted(&["a size such as 10m; k, m and g are powers of 1000"]),
            option(
                "max-file",
                OptionKind::PositiveInteger,
                "Accepted as in Docker; the platform keeps rotated files by its own rule.",
            )
            .bounds(1, u64::MAX),
        ],
        extra: Extra::new(),
    }
}

fn none() -> DriverSpec {
    DriverSpec {
        name: "none".to_owned(),
        summary: "The container's output is kept nowhere.".to_owned(),
        runs: Runs::Platform,
        since: FIRST.to_owned(),
        options: Vec::new(),
        extra: Extra::new(),
    }
}

fn syslog() -> DriverSpec {
    let mut options = vec![
        option("syslog-address", OptionKind::SyslogAddress, "The syslog server. The port is 514 when none is given.")
            .required()
            .accepted(&["udp://HOST[:PORT]", "tcp://HOST[:PORT]"]),
        option("syslog-facility", OptionKind::SyslogFacility, "The facility of every record. Standard output has severity info, standard error has err.")
            .default("daemon")
            .accepted(&["a name from kern to local7", "0-23"]),
        option("syslog-format", OptionKind::Enum, "The layout of a record; without it, the one of a local syslog without a host name.")
            .accepted(&["rfc3164", "rfc5424", "rfc5424micro"]),
        option("syslog-tag", OptionKind::Text, "Triton's tag, used as it stands. Without tag and syslog-format it also selects the layout that Triton's users get today."),
    ];
    options.extend(attributes());
    options.extend(generic());
    DriverSpec {
        name: "syslog".to_owned(),
        summary: "Each line goes to a syslog server as one record.".to_owned(),
        runs: Runs::Zone,
        since: FIRST.to_owned(),
        options,
        extra: Extra::new(),
    }
}

/// The options that choose a record's tag and attributes.
fn attributes() -> Vec<OptionSpec> {
    let no_effect = "Accepted as in Docker; a syslog record has no place for attributes.";
    vec![
        option("tag", OptionKind::Template, "The tag of every record.")
            .default("{{.ID}}")
            .accepted(&[
                "text with fields such as {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageName}}",
            ]),
        option("labels", OptionKind::Text, no_effect),
        option("labels-regex", OptionKind::Text, no_effect),
        option("env", OptionKind::Text, no_effect),
        option("env-regex", OptionKind::Text, no_effect),
    ]
}

/// The options of every driver that runs in the zone.
fn generic() -> Vec<OptionSpec> {
    let (size_min, size_max) = BUFFER_SIZE_BYTES;
    let (flush_min, flush_max) = FLUSH_INTERVAL_MS;
    vec![
        option("mode", OptionKind::Enum, "What happens when the buffer is full: non-blocking drops and counts, blocking stops reading.")
            .default("non-blocking")
            .accepted(&["blocking", "non-blocking"]),
        option("max-buffer-size", OptionKind::SizeBinary, "Memory for lines that were read but not yet taken by the server.")
            .default("1m")
            .bounds(size_min, size_max)
            .accepted(&["64k to 1g; k, m and g are powers of 1024"]),
        option("drain-timeout", OptionKind::Duration, "How long to go on sending after the container's output has ended.")
            .default("5s")
            .bounds(0, DRAIN_TIMEOUT_MAX_MS)
            .accepted(&["0s to 1m"])
            .extension(),
        // `restart` because the lines are safe meanwhile: they stay in the buffer. `kill` is for those who would
        // rather have no container than one without logs, `ignore` for those who want no second attempt.
        option("on-failure", OptionKind::Enum, "What happens when the sending process dies: restart starts another, which goes on with what was not yet taken; kill ends the container; ignore goes on reading and counting, and sends no more.")
            .default("restart")
            .accepted(&["restart", "kill", "ignore"])
            .extension(),
        // Off by default: Docker waits for the newline, and a line sent in two pieces looks different.
        option("flush-interval", OptionKind::Duration, "How long a line may stay without its newline before what is there of it is sent as a piece; without it, until the newline comes or the output ends.")
            .bounds(flush_min, flush_max)
            .accepted(&["100ms to 1m"])
            .extension(),
        // Off by default: Docker cuts at bytes.
        option("split-utf8", OptionKind::Boolean, "Whether a long line is cut between characters of UTF-8 and never inside one.")
            .default("false")
            .accepted(&["true", "false"])
            .extension(),
        option("spool", OptionKind::Text, "The directory of a file that keeps lines which were read but not yet taken by the server over a restart.")
            .accepted(&["an absolute directory"])
            .extension(),
    ]
}

/// The version in which everything declared here appeared.
const FIRST: &str = "0.1.0";

fn option(name: &str, kind: OptionKind, help: &str) -> OptionSpec {
    OptionSpec {
        name: name.to_owned(),
        aliases: Vec::new(),
        kind,
        default: None,
        required: false,
        accepted: Vec::new(),
        minimum: None,
        maximum: None,
        help: help.to_owned(),
        since: FIRST.to_owned(),
        extension: false,
        extra: Extra::new(),
    }
}

impl OptionSpec {
    fn required(mut self) -> Self {
        self.required = true;
        self
    }

    fn default(mut self, value: &str) -> Self {
        self.default = Some(value.to_owned());
        self
    }

    fn accepted(mut self, forms: &[&str]) -> Self {
        self.accepted = forms.iter().map(|&form| form.to_owned()).collect();
        self
    }

    fn bounds(mut self, minimum: u64, maximum: u64) -> Self {
        self.minimum = Some(minimum);
        self.maximum = (maximum < u64::MAX).then_some(maximum);
        self
    }

    fn extension(mut self) -> Self {
        self.extension = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_declaration_is_whole() {
        for driver in drivers() {
            let mut names = BTreeSet::new();
            for option in &driver.options {
                for name in std::iter::once(&option.name).chain(&option.aliases) {
                    assert!(names.insert(name.clone()), "{}: {name} twice", driver.name);
                }
                assert!(option.help.ends_with('.'), "{}: help is a sentence", option.name);
                assert!(!(option.required && option.default.is_some()), "{}", option.name);
                let closed = option.kind == OptionKind::Enum;
                assert!(!closed || !option.accepted.is_empty(), "{}", option.name);
            }
        }
        let names: Vec<_> = drivers().into_iter().map(|driver| driver.name).collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn every_default_is_a_value_that_is_accepted() {
        for driver in drivers() {
            for option in driver.options.iter().filter(|option| option.default.is_some()) {
                let written =
                    BTreeMap::from([(option.name.clone(), option.default.clone().unwrap())]);
                let problems = crate::validate(&driver, &written).err().unwrap_or_default();
                assert!(problems.iter().all(|p| p.field != option.name), "{problems:?}");
            }
        }
    }

    #[test]
    fn the_catalog_survives_json() {
        let json = serde_json::to_string(&drivers()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<DriverSpec>>(&json).unwrap(), drivers());
    }
}
