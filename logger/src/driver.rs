// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The drivers: the one closed list. A driver is options, an encoder and the
//! transport its address names.

pub(crate) mod fluentd;
pub(crate) mod gelf;
pub(crate) mod json_file;
mod session;
mod sink;
pub(crate) mod syslog;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dockerlogger_manifest::catalog::BUFFER_SIZE_BYTES;
use dockerlogger_manifest::value::{parse_bool, parse_duration, parse_size_binary};
use dockerlogger_manifest::{DriverSpec, Normalized, Problem, ProblemCode, catalog, validate};

pub(crate) use gelf::{ChunkSize, push_chunk};
pub(crate) use session::{Session, SessionError};
pub(crate) use sink::{
    DatagramPeer, Division, HostPort, LogFiles, Sink, StreamPeer, TlsIdentity, TlsSettings, Trust,
};

use crate::attributes::AttributesError;
use crate::launch::Launch;
use crate::local_time::LocalTime;
use crate::record::Record;
use crate::template::container::Container;
use crate::template::{Template, TemplateError};

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

/// A driver with its options.
#[derive(Debug, Clone)]
pub(crate) enum Driver {
    Fluentd(fluentd::Options),
    Gelf(gelf::Options),
    JsonFile(json_file::Options),
    Syslog(syslog::Options),
}

/// Who we are, for formats that say it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Node name of the zone.
    pub(crate) host: Vec<u8>,
    /// The process that dockerinit started.
    pub(crate) pid: u32,
}

/// Turns records into frames.
#[derive(Debug)]
pub(crate) enum Encoder {
    Fluentd(fluentd::Encoder),
    Gelf(gelf::Encoder),
    JsonFile(json_file::Encoder),
    Syslog(syslog::Encoder),
}

/// A configuration that can never work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// No driver of that name runs in a zone.
    #[error("log driver \"{name}\": not known, expected one of {}", zone_drivers().join(", "))]
    Driver {
        /// As given.
        name: String,
    },
    /// Options are missing, unknown or have values that are not accepted.
    #[error("{}", problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
    Options {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// Labels or environment variables cannot be chosen.
    #[error(transparent)]
    Attributes(#[from] AttributesError),
    /// The tag cannot be rendered.
    #[error(
        "log option \"{option}\": \"{text}\" cannot be rendered; expected text with fields such as \
         {{{{.ID}}}}, {{{{.Name}}}}, {{{{.ImageName}}}} and functions as in Docker"
    )]
    Tag {
        /// The option it came from.
        option: &'static str,
        /// As given.
        text: String,
        /// What is wrong with it.
        #[source]
        source: TemplateError,
    },
}

impl TlsSettings {
    /// What the options `NAME-tls-…` of a driver say; `skip_verify` is for the
    /// driver to read.
    fn read(options: &Normalized, name: &str, skip_verify: bool) -> Self {
        let path = |what| options.get(&format!("{name}-tls-{what}")).map(PathBuf::from);
        let trust =
            if skip_verify { Trust::Anyone } else { Trust::Authorities { file: path("ca-cert") } };
        let identity = path("cert").zip(path("key"));
        let identity = identity.map(|(certificate, key)| TlsIdentity { certificate, key });
        Self { trust, identity }
    }
}

/// The tag that `text`, the value of `option`, makes for a container.
fn rendered(
    option: &'static str,
    text: &str,
    container: &Container,
) -> Result<Vec<u8>, ConfigError> {
    Template::parse(text)
        .and_then(|template| template.render(container))
        .map_err(|source| ConfigError::Tag { option, text: text.to_owned(), source })
}

/// An option whose text validation has accepted; a catalog that lets text pass
/// which does not parse is answered like any other bad value.
fn parsed<T>(options: &Normalized, name: &str) -> Result<T, ConfigError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = options.get(name).unwrap_or_default();
    text.parse().map_err(|error: T::Err| ConfigError::invalid(name, text, &error.to_string()))
}

impl ConfigError {
    /// The value of one option is not accepted; `why` says what is.
    fn invalid(option: &str, value: &str, why: &str) -> Self {
        let message = format!("log option \"{option}\": \"{value}\": {why}");
        let (field, code) = (option.to_owned(), ProblemCode::Invalid);
        Self::Options { problems: vec![Problem { field, code, message }] }
    }
}

/// Whether an option is there and says so.
fn is_true(options: &Normalized, name: &str) -> bool {
    options.get(name).map(parse_bool) == Some(Ok(true))
}

/// The names of the drivers that run in a zone.
pub(crate) fn zone_drivers() -> Vec<String> {
    catalog::drivers()
        .into_iter()
        .filter(|driver| driver.runs.in_zone())
        .map(|driver| driver.name)
        .collect()
}

/// Checks options against the declaration of a driver that runs in a zone.
///
/// # Errors
/// Every problem at once.
pub(crate) fn normalize(
    name: &str,
    options: &BTreeMap<String, String>,
) -> Result<Normalized, ConfigError> {
    let spec = zone_driver(name)?;
    validate(&spec, options).map_err(|problems| ConfigError::Options { problems })
}

fn zone_driver(name: &str) -> Result<DriverSpec, ConfigError> {
    catalog::driver(name)
        .filter(|driver| driver.runs.in_zone())
        .ok_or_else(|| ConfigError::Driver { name: name.to_owned() })
}

impl Settings {
    /// Everything a container's configuration says.
    ///
    /// # Errors
    /// When the driver is not known, or an option is refused.
    pub(crate) fn parse(name: &str, launch: &Launch, host: &[u8]) -> Result<Self, ConfigError> {
        let options = normalize(name, &launch.options)?;
        let driver = match name {
            "fluentd" => Driver::Fluentd(fluentd::Options::parse(&options, launch, host)?),
            "gelf" => Driver::Gelf(gelf::Options::parse(&options, launch, host)?),
            "json-file" => Driver::JsonFile(json_file::Options::parse(&options, launch, host)?),
            "syslog" => Driver::Syslog(syslog::Options::parse(&options, launch, host)?),
            _ => return Err(ConfigError::Driver { name: name.to_owned() }),
        };
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

impl Driver {
    /// The longest piece of a line, in bytes; at most 64 KiB.
    pub(crate) const fn piece_limit(&self) -> usize {
        let is_tritons = match self {
            Self::Fluentd(options) => matches!(options.profile, fluentd::Profile::Triton),
            Self::Gelf(options) => matches!(options.profile, gelf::Profile::Triton),
            Self::JsonFile(_) => false,
            Self::Syslog(options) => matches!(options.profile, syslog::Profile::Triton(_)),
        };
        if is_tritons { 64 << 10 } else { 16 << 10 }
    }

    pub(crate) fn sink(&self) -> Sink {
        match self {
            Self::Fluentd(options) => options.sink(),
            Self::Gelf(options) => options.sink(),
            Self::JsonFile(options) => options.sink(),
            Self::Syslog(options) => options.sink(),
        }
    }

    pub(crate) fn encoder(&self, identity: &Identity, local_time: LocalTime) -> Encoder {
        match self {
            Self::Fluentd(options) => Encoder::Fluentd(options.encoder()),
            Self::Gelf(options) => Encoder::Gelf(gelf::Encoder::new(options, identity)),
            Self::JsonFile(options) => Encoder::JsonFile(json_file::Encoder::new(options)),
            Self::Syslog(options) => {
                Encoder::Syslog(syslog::Encoder::new(options, identity, local_time))
            }
        }
    }
}

impl Encoder {
    /// Appends the frame of `record`, or nothing where the format has no place
    /// for such a record.
    pub(crate) fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Fluentd(encoder) => encoder.encode(record, out),
            Self::Gelf(encoder) => encoder.encode(record, out),
            Self::JsonFile(encoder) => encoder.encode(record, out),
            Self::Syslog(encoder) => encoder.encode(record, out),
        }
    }

    /// Whether all records of a batch become one frame.
    pub(crate) const fn packs(&self) -> bool {
        match self {
            Self::Fluentd(encoder) => encoder.packs(),
            Self::Gelf(_) | Self::JsonFile(_) | Self::Syslog(_) => false,
        }
    }

    /// Ends the one frame in `out`, with so many `records`, of an encoder that packs.
    pub(crate) fn end_pack(&mut self, records: u64, out: &mut Vec<u8>) {
        match self {
            Self::Fluentd(encoder) => encoder.end_pack(records, out),
            Self::Gelf(_) | Self::JsonFile(_) | Self::Syslog(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
