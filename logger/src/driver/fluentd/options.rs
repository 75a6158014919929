// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the options of the fluentd driver mean.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use dockerlogger_manifest::Normalized;
use dockerlogger_manifest::value::{FluentdAddress, parse_duration};

use super::session::Conversation;
use super::{Encoder, seed};
use crate::driver::{
    ConfigError, Configure, HostPort, Identity, PIECE_LIMIT, Sink, StreamPeer, TRITON_PIECE_LIMIT,
    TlsSettings, is_true, parsed, rendered,
};
use crate::launch::Launch;
use crate::local_time::LocalTime;

/// The options of one container, checked.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(super) address: FluentdAddress,
    /// Of use only where the address says TLS.
    pub(super) tls: TlsSettings,
    pub(crate) profile: Profile,
    /// Rendered, never a template.
    pub(super) tag: Vec<u8>,
    pub(super) time: TimeStyle,
    pub(super) mode: Mode,
    /// Whether the server confirms what it has taken.
    pub(super) acks: bool,
    /// The members of every record but `log`, and `source` where no attribute has
    /// taken its place.
    pub(super) members: BTreeMap<String, String>,
    pub(super) write_timeout: Option<Duration>,
    pub(super) read_timeout: Option<Duration>,
    pub(super) security: Option<Security>,
}

/// Whose bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Docker,
    /// What Triton's users get since 2015: nil for no options, nothing that marks
    /// pieces, and lines are not cut at Docker's limit.
    Triton,
}

/// The form of an event's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeStyle {
    /// A whole number.
    Seconds,
    /// EventTime, with nanoseconds.
    Nanos,
}

/// How events travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each alone.
    Message,
    /// Those of a batch together.
    PackedForward,
}

/// What both ends prove to each other before the first event.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Security {
    pub(super) shared_key: Vec<u8>,
    /// With a password, where the server asks for a user.
    pub(super) user: Option<(Vec<u8>, Vec<u8>)>,
    /// Our name.
    pub(super) host: Vec<u8>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security").finish_non_exhaustive()
    }
}

impl Configure for Options {
    type Encoder = Encoder;

    /// Reads checked options. `fluentd-tag` is Triton's; alone it also selects
    /// Triton's profile.
    ///
    /// # Errors
    /// When the tag's template or the attributes' patterns are none.
    fn parse(options: &Normalized, launch: &Launch, host: &[u8]) -> Result<Self, ConfigError> {
        let triton = options.get("fluentd-tag").filter(|_| !options.given("tag"));
        let tag = triton.or_else(|| options.get("tag")).unwrap_or("{{.ID}}");
        let name = if triton.is_some() { "fluentd-tag" } else { "tag" };
        let container = launch.container(host);
        let mut members = BTreeMap::from([
            ("container_id".to_owned(), launch.container_id.clone()),
            ("container_name".to_owned(), launch.container_name.clone()),
        ]);
        members.extend(container.extra_attributes()?);
        members.remove("log");
        let timeout = |name| {
            let duration = options.get(name).and_then(|value| parse_duration(value).ok());
            duration.filter(|duration| !duration.is_zero())
        };
        Ok(Self {
            address: parsed(options, "fluentd-address")?,
            tls: TlsSettings::read(options, "fluentd", is_true(options, "fluentd-tls-skip-verify")),
            profile: if triton.is_some() { Profile::Triton } else { Profile::Docker },
            tag: rendered(name, tag, &container)?,
            time: match is_true(options, "fluentd-sub-second-precision") {
                true => TimeStyle::Nanos,
                false => TimeStyle::Seconds,
            },
            mode: match options.get("fluentd-mode") {
                Some("packed-forward") => Mode::PackedForward,
                _ => Mode::Message,
            },
            acks: is_true(options, "fluentd-request-ack"),
            members,
            write_timeout: timeout("fluentd-write-timeout"),
            read_timeout: timeout("fluentd-read-timeout"),
            security: Security::read(options, host),
        })
    }

    fn sink(&self) -> Sink {
        let peer = match self.address.clone() {
            FluentdAddress::Tcp { host, port } => StreamPeer::Tcp(HostPort { host, port }),
            FluentdAddress::Tls { host, port } => {
                StreamPeer::Tls { at: HostPort { host, port }, tls: self.tls.clone() }
            }
            FluentdAddress::Unix { path } => StreamPeer::Unix(path.into()),
        };
        let session = Box::new(Conversation::new(self, [seed(), seed()]));
        Sink::Stream { peer, session }
    }

    fn encoder(&self, _identity: &Identity, _local_time: LocalTime) -> Encoder {
        Encoder::new(self, seed())
    }

    fn piece_limit(&self) -> usize {
        if self.profile == Profile::Triton { TRITON_PIECE_LIMIT } else { PIECE_LIMIT }
    }
}

impl Security {
    fn read(options: &Normalized, host: &[u8]) -> Option<Self> {
        let value = |name| options.get(name).map(|value: &str| value.as_bytes().to_vec());
        Some(Self {
            shared_key: value("fluentd-shared-key")?,
            user: value("fluentd-username").zip(value("fluentd-password")),
            host: host.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::normalize;

    fn parse(written: &[(&str, &str)]) -> Result<Options, String> {
        let map: BTreeMap<_, _> =
            written.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let launch = Launch {
            options: map.clone(),
            container_id: "deadbeefcafe0123".to_owned(),
            container_name: "/web".to_owned(),
            labels: BTreeMap::from([
                ("log".to_owned(), "l".to_owned()),
                ("source".to_owned(), "s".to_owned()),
                ("container_name".to_owned(), "n".to_owned()),
            ]),
            ..Launch::default()
        };
        Options::parse(&normalize("fluentd", &map).unwrap(), &launch, b"host")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn which_profile_and_tag() {
        for (written, profile, tag) in [
            ([].as_slice(), Profile::Docker, "deadbeefcafe"),
            (&[("tag", "")], Profile::Docker, "deadbeefcafe"),
            (&[("tag", "x.{{.Name}}")], Profile::Docker, "x.web"),
            (&[("fluentd-tag", "docker.{{.ID}}")], Profile::Triton, "docker.deadbeefcafe"),
            (&[("fluentd-tag", "t"), ("tag", "")], Profile::Triton, "t"),
            (&[("fluentd-tag", "t"), ("tag", "x")], Profile::Docker, "x"),
        ] {
            let options = parse(written).unwrap();
            assert_eq!((options.profile, options.tag), (profile, tag.into()), "{written:?}");
        }
        let error = parse(&[("fluentd-tag", "{{.X}}")]).unwrap_err();
        assert!(error.starts_with("log option \"fluentd-tag\": \"{{.X}}\""), "{error}");
    }

    #[test]
    fn attributes_take_places_but_not_that_of_the_line() {
        let members = parse(&[("labels", "log,source,container_name")]).unwrap().members;
        let expected =
            [("container_id", "deadbeefcafe0123"), ("container_name", "n"), ("source", "s")];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(members, BTreeMap::from(expected));
        let error = parse(&[("labels-regex", "(")]).unwrap_err();
        assert!(error.starts_with("log option \"labels-regex\""), "{error}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let whole = [
            ("fluentd-shared-key", "hush"),
            ("fluentd-username", "u"),
            ("fluentd-password", "hush"),
        ];
        let options = parse(&whole).unwrap();
        assert_eq!(options.security.as_ref().unwrap().shared_key, b"hush");
        assert!(!format!("{options:?}").contains("hush"));
    }
}
