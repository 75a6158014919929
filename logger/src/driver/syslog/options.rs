// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the options of the syslog driver mean.

use std::collections::BTreeMap;

use dockerlogger_manifest::Normalized;
use dockerlogger_manifest::value::{Facility, ServerTransport, SyslogAddress, SyslogSocket};

use super::Encoder;
use crate::driver::{
    ConfigError, Configure, DatagramPeer, Division, HostPort, Identity, PIECE_LIMIT, Silent, Sink,
    StreamPeer, TRITON_PIECE_LIMIT, TlsSettings, is_true, parsed, rendered,
};
use crate::launch::Launch;
use crate::local_time::LocalTime;

/// The options of one container, checked.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) address: SyslogAddress,
    /// Of use only where the address says TLS.
    pub(crate) tls: TlsSettings,
    pub(crate) facility: Facility,
    pub(crate) profile: Profile,
    /// Rendered, never a template.
    pub(crate) tag: Vec<u8>,
    pub(crate) framing: Framing,
    /// Whether a line may say its own severity.
    pub(crate) severity_from_line: bool,
    /// What goes into the structured data; `None`: there is none.
    pub(crate) attributes: Option<BTreeMap<String, String>>,
}

/// How a stream is divided into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By the newline behind each.
    Newline,
    /// By the length before each.
    OctetCounting,
}

/// The layout of a message, and what comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As to a local daemon: no host name.
    Local,
    Rfc3164,
    Rfc5424,
    /// With microseconds.
    Rfc5424Micro,
    /// What Triton's users get since 2015: empty lines are sent, and lines are
    /// not cut at Docker's limit. Holds the program's name.
    Triton(String),
}

impl Configure for Options {
    type Encoder = Encoder;

    /// Reads checked options. `syslog-tag` is Triton's and literal; alone it
    /// also selects Triton's layout. An empty tag becomes the program's name.
    ///
    /// # Errors
    /// When the tag's template cannot be rendered.
    fn parse(options: &Normalized, launch: &Launch, host: &[u8]) -> Result<Self, ConfigError> {
        let literal = options.get("syslog-tag").filter(|_| options.given("syslog-tag"));
        let profile = match options.get("syslog-format") {
            Some("rfc3164") => Profile::Rfc3164,
            Some("rfc5424") => Profile::Rfc5424,
            Some("rfc5424micro") => Profile::Rfc5424Micro,
            _ if literal.is_some() && !options.given("tag") => {
                Profile::Triton(launch.argv0.clone())
            }
            _ => Profile::Local,
        };
        let tag = match literal {
            Some(literal) if !options.given("tag") => literal.as_bytes().to_vec(),
            _ => {
                let text = options.get("tag").unwrap_or("{{.ID}}");
                // What the container brings into the tag must not end a message.
                rendered("tag", text, &launch.container(host).harmless())?
            }
        };
        let address = parsed(options, "syslog-address")?;
        let rfc5424 = matches!(profile, Profile::Rfc5424 | Profile::Rfc5424Micro);
        let attributes = match is_true(options, "syslog-structured-data") {
            true if !rfc5424 => {
                return Err(ConfigError::invalid(
                    "syslog-structured-data",
                    "true",
                    "needs syslog-format rfc5424 or rfc5424micro",
                ));
            }
            true => Some(launch.container(host).extra_attributes()?),
            false => None,
        };
        Ok(Self {
            framing: framing(options, &address, rfc5424)?,
            address,
            tls: TlsSettings::read(options, "syslog", options.given("syslog-tls-skip-verify")),
            facility: parsed(options, "syslog-facility")?,
            profile,
            tag: if tag.is_empty() { launch.argv0.clone().into_bytes() } else { tag },
            severity_from_line: options.get("syslog-severity") == Some("line"),
            attributes,
        })
    }

    fn sink(&self) -> Sink {
        let datagram = |peer| Sink::Datagram { peer, division: Division::Whole };
        let stream = |peer| Sink::Stream { peer, session: Box::new(Silent) };
        match self.address.clone() {
            SyslogAddress::Network { transport, host, port } => {
                let at = HostPort { host, port };
                match transport {
                    ServerTransport::Udp => datagram(DatagramPeer::Udp(at)),
                    ServerTransport::Tcp => stream(StreamPeer::Tcp(at)),
                    ServerTransport::Tls => stream(StreamPeer::Tls { at, tls: self.tls.clone() }),
                }
            }
            SyslogAddress::Socket { kind, path } => match kind {
                SyslogSocket::Stream => stream(StreamPeer::Unix(path.into())),
                SyslogSocket::Datagram => datagram(DatagramPeer::Unix(path.into())),
            },
        }
    }

    fn encoder(&self, identity: &Identity, local_time: LocalTime) -> Encoder {
        Encoder::new(self, identity, local_time)
    }

    fn piece_limit(&self) -> usize {
        if matches!(self.profile, Profile::Triton(_)) { TRITON_PIECE_LIMIT } else { PIECE_LIMIT }
    }
}

/// As Docker: lengths on TLS with RFC 5424, newlines elsewhere.
fn framing(
    options: &Normalized,
    address: &SyslogAddress,
    rfc5424: bool,
) -> Result<Framing, ConfigError> {
    let (tls, datagrams) = match address {
        SyslogAddress::Network { transport, .. } => {
            (*transport == ServerTransport::Tls, *transport == ServerTransport::Udp)
        }
        SyslogAddress::Socket { kind, .. } => (false, *kind == SyslogSocket::Datagram),
    };
    match options.get("syslog-framing") {
        Some("octet-counting") if datagrams => Err(ConfigError::invalid(
            "syslog-framing",
            "octet-counting",
            "needs a stream: tcp, tcp+tls or unix",
        )),
        Some("octet-counting") => Ok(Framing::OctetCounting),
        None if tls && rfc5424 => Ok(Framing::OctetCounting),
        _ => Ok(Framing::Newline),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{TlsIdentity, Trust, normalize};

    fn options(written: &[(&str, &str)]) -> (Profile, Vec<u8>) {
        let written = [("syslog-address", "tcp://h")].iter().chain(written);
        let map = written.map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let launch = Launch {
            container_id: "deadbeefcafe0123".to_owned(),
            argv0: "logger".to_owned(),
            ..Launch::default()
        };
        let options =
            Options::parse(&normalize("syslog", &map).unwrap(), &launch, b"host").unwrap();
        (options.profile, options.tag)
    }

    #[test]
    fn which_profile_and_tag() {
        let triton = || Profile::Triton("logger".to_owned());
        for (written, profile, tag) in [
            ([].as_slice(), Profile::Local, "deadbeefcafe"),
            (&[("tag", "")], Profile::Local, "deadbeefcafe"),
            (&[("tag", "{{.Name}}")], Profile::Local, "logger"),
            (&[("syslog-tag", "{{.ID}}")], triton(), "{{.ID}}"),
            (&[("syslog-tag", "t"), ("tag", "")], triton(), "t"),
            (&[("syslog-tag", "t"), ("tag", "x")], Profile::Local, "x"),
            (&[("syslog-tag", "t"), ("syslog-format", "rfc5424")], Profile::Rfc5424, "t"),
            (&[("syslog-format", "rfc3164")], Profile::Rfc3164, "deadbeefcafe"),
            (&[("syslog-format", "rfc5424micro")], Profile::Rfc5424Micro, "deadbeefcafe"),
        ] {
            assert_eq!(options(written), (profile, tag.as_bytes().to_vec()), "{written:?}");
        }
    }

    fn parsed_with(written: &[(&str, &str)]) -> Result<Options, String> {
        let map = written.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let launch = Launch {
            labels: [("tier".to_owned(), "web".to_owned())].into(),
            options: map,
            ..Launch::default()
        };
        let normal = normalize("syslog", &launch.options).map_err(|error| error.to_string())?;
        Options::parse(&normal, &launch, b"host").map_err(|error| error.to_string())
    }

    #[test]
    fn lengths_stand_where_docker_has_them_or_where_they_are_asked_for() {
        use Framing::{Newline, OctetCounting};
        let (tls, tcp, unix) = ("tcp+tls://h", "tcp://h", "unix:///s");
        for (address, written, framing) in [
            (tls, [("syslog-format", "rfc5424")].as_slice(), OctetCounting),
            (tls, &[("syslog-format", "rfc5424micro")], OctetCounting),
            (tls, &[("syslog-format", "rfc3164")], Newline),
            (tls, &[], Newline),
            (tcp, &[("syslog-format", "rfc5424")], Newline),
            (tcp, &[("syslog-framing", "octet-counting")], OctetCounting),
            (unix, &[("syslog-framing", "octet-counting")], OctetCounting),
            (tls, &[("syslog-format", "rfc5424"), ("syslog-framing", "newline")], Newline),
            ("udp://h", &[("syslog-framing", "newline")], Newline),
        ] {
            let written = [&[("syslog-address", address)], written].concat();
            assert_eq!(parsed_with(&written).unwrap().framing, framing, "{written:?}");
        }
    }

    #[test]
    fn which_server_to_believe() {
        let files =
            [("syslog-tls-ca-cert", "/ca"), ("syslog-tls-cert", "/c"), ("syslog-tls-key", "/k")];
        let with = |more: &[(&str, &str)]| {
            let address = [("syslog-address", "tcp+tls://h")];
            parsed_with(&[&address, files.as_slice(), more].concat()).unwrap().tls
        };
        let identity = Some(TlsIdentity { certificate: "/c".into(), key: "/k".into() });
        let authorities = Trust::Authorities { file: Some("/ca".into()) };
        assert_eq!(with(&[]), TlsSettings { trust: authorities, identity: identity.clone() });
        for anything in ["true", "false", "0", ""] {
            let settings = with(&[("syslog-tls-skip-verify", anything)]);
            assert_eq!(settings, TlsSettings { trust: Trust::Anyone, identity: identity.clone() });
        }
    }

    #[test]
    fn combinations_that_can_never_work() {
        for (written, why) in [
            (
                [("syslog-address", "udp://h"), ("syslog-framing", "octet-counting")].as_slice(),
                "needs a stream: tcp, tcp+tls or unix",
            ),
            (
                &[("syslog-address", "tcp://h"), ("syslog-structured-data", "true")],
                "needs syslog-format rfc5424 or rfc5424micro",
            ),
            (
                &[("syslog-address", "tcp+tls://h"), ("syslog-tls-cert", "/c")],
                "\"syslog-tls-key\": required with log option \"syslog-tls-cert\"",
            ),
            (
                &[("syslog-address", "tcp+tls://h"), ("syslog-tls-ca-cert", "ca.pem")],
                "\"syslog-tls-ca-cert\": \"ca.pem\": expected an absolute path",
            ),
            (
                &[
                    ("syslog-address", "tcp://h"),
                    ("syslog-format", "rfc5424"),
                    ("syslog-structured-data", "true"),
                    ("labels-regex", "("),
                ],
                "\"labels-regex\": \"(\" is not a regular expression in RE2 syntax",
            ),
        ] {
            let error = parsed_with(written).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn attributes_go_into_structured_data() {
        let written =
            [("syslog-address", "tcp://h"), ("syslog-format", "rfc5424"), ("labels", "tier")];
        assert_eq!(parsed_with(&written).unwrap().attributes, None);
        let written = [written.as_slice(), &[("syslog-structured-data", "true")]].concat();
        let tier = [("tier".to_owned(), "web".to_owned())].into();
        assert_eq!(parsed_with(&written).unwrap().attributes, Some(tier));
    }
}
