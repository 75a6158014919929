// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a container's log configuration means: its driver, and the options that
//! every driver has.

use std::time::Duration;

use dockerlogger_manifest::Normalized;
use dockerlogger_manifest::catalog::BUFFER_SIZE_BYTES;
use dockerlogger_manifest::value::{parse_duration, parse_size_binary};

use super::{ConfigError, Driver, is_true, normalize};
use crate::launch::Launch;

/// What a container's log configuration means.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) driver: Driver,
    pub(crate) generic: Generic,
    /// The directory of the ring's file; `None`: it is in memory.
    pub(crate) spool: Option<String>,
}

/// The options of every driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generic {
    pub(crate) mode: Mode,
    /// Capacity of the ring in bytes.
    pub(crate) buffer_bytes: usize,
    /// How long to go on after the container's output has ended.
    pub(crate) drain: Duration,
    pub(crate) on_failure: OnFailure,
    /// How long a line may stay unterminated; `None`: until the end.
    pub(crate) flush: Option<Duration>,
    pub(crate) cut: Cut,
}

/// What the reader does when a sender has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Starts another.
    Restart,
    /// Ends, and with that the container.
    Kill,
    /// Reads on, and counts.
    Ignore,
}

/// Where a line that is too long may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Anywhere.
    Bytes,
    /// Not inside a character of UTF-8.
    Characters,
}

/// What happens when the ring is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Stop reading.
    Blocking,
    /// Read, drop and count.
    NonBlocking,
}

impl Settings {
    /// Everything a container's configuration says.
    ///
    /// # Errors
    /// When the driver is not known, or an option is refused.
    pub(crate) fn parse(name: &str, launch: &Launch, host: &[u8]) -> Result<Self, ConfigError> {
        let options = normalize(name, &launch.options)?;
        let driver = Driver::parse(name, &options, launch, host)?;
        let spool = options.get("spool").map(str::to_owned);
        Ok(Self { driver, generic: Generic::from_options(&options), spool })
    }
}

impl Generic {
    /// The values were checked against the catalog, whose defaults these are too.
    fn from_options(options: &Normalized) -> Self {
        let size = options.get("max-buffer-size").and_then(|size| parse_size_binary(size).ok());
        let drain = options.get("drain-timeout").and_then(|drain| parse_duration(drain).ok());
        let flush = options.get("flush-interval").and_then(|flush| parse_duration(flush).ok());
        let characters = is_true(options, "split-utf8");
        let blocking = options.get("mode") == Some("blocking");
        Self {
            mode: if blocking { Mode::Blocking } else { Mode::NonBlocking },
            buffer_bytes: size
                .and_then(|size| usize::try_from(size.max(BUFFER_SIZE_BYTES.0)).ok())
                .unwrap_or(1 << 20),
            drain: drain.unwrap_or(Duration::from_secs(5)),
            on_failure: match options.get("on-failure") {
                Some("kill") => OnFailure::Kill,
                Some("ignore") => OnFailure::Ignore,
                _ => OnFailure::Restart,
            },
            flush,
            cut: if characters { Cut::Characters } else { Cut::Bytes },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::zone_drivers;

    fn parse(name: &str, options: &[(&str, &str)]) -> Result<Settings, String> {
        let options = options.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let launch = Launch { options, ..Launch::default() };
        Settings::parse(name, &launch, b"host").map_err(|error| error.to_string())
    }

    #[test]
    fn every_driver_of_the_catalog_that_runs_in_a_zone_is_here() {
        for name in zone_drivers() {
            let error = parse(&name, &[]).err().unwrap_or_default();
            assert!(!error.contains("not known"), "{error}");
        }
    }

    #[test]
    fn generic_options() {
        let address = ("syslog-address", "udp://h");
        let settings = parse("syslog", &[address]).unwrap();
        let default = Generic {
            mode: Mode::NonBlocking,
            buffer_bytes: 1 << 20,
            drain: Duration::from_secs(5),
            on_failure: OnFailure::Restart,
            flush: None,
            cut: Cut::Bytes,
        };
        assert_eq!(settings.generic, default);
        let settings = parse(
            "syslog",
            &[
                address,
                ("mode", "blocking"),
                ("max-buffer-size", "64k"),
                ("drain-timeout", "0s"),
                ("on-failure", "ignore"),
                ("flush-interval", "250ms"),
                ("split-utf8", "true"),
            ],
        )
        .unwrap();
        let chosen = Generic {
            mode: Mode::Blocking,
            buffer_bytes: 64 << 10,
            drain: Duration::ZERO,
            on_failure: OnFailure::Ignore,
            flush: Some(Duration::from_millis(250)),
            cut: Cut::Characters,
        };
        assert_eq!(settings.generic, chosen);
    }

    #[test]
    fn what_docker_takes_is_taken() {
        for (name, value) in [
            ("max-buffer-size", "0"),
            ("max-buffer-size", "1"),
            ("cache-disabled", "true"),
            ("cache-max-size", "any value"),
            ("cache-tag", "{{"),
        ] {
            let settings = parse("syslog", &[("syslog-address", "udp://h"), (name, value)]);
            let smallest = name == "max-buffer-size";
            let bytes = if smallest { 64 << 10 } else { 1 << 20 };
            assert_eq!(settings.unwrap().generic.buffer_bytes, bytes, "{name}={value}");
        }
    }

    #[test]
    fn refusals_name_option_value_and_what_is_accepted() {
        assert_eq!(
            parse("nosuch", &[]).unwrap_err(),
            format!(
                "log driver \"nosuch\": not known, expected one of {}",
                zone_drivers().join(", ")
            )
        );
        let message = parse(
            "syslog",
            &[("syslog-address", "http://h"), ("nosuch", "1"), ("mode", "sometimes")],
        )
        .unwrap_err();
        for part in ["\"http\" is not one of udp, tcp", "\"nosuch\": unknown", "\"sometimes\""] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains('\n'));
        let message =
            parse("syslog", &[("syslog-address", "udp://h"), ("tag", "{{.X}}")]).unwrap_err();
        assert!(message.starts_with("log option \"tag\": \"{{.X}}\" cannot be rendered; expected"));
    }
}
