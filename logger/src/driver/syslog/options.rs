// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the options of the syslog driver mean.

use dockerlogger_manifest::Normalized;
use dockerlogger_manifest::value::{Facility, SyslogAddress, SyslogSocket, SyslogTransport};

use crate::driver::{
    ConfigError, DatagramPeer, Division, HostPort, Session, Sink, StreamPeer, TlsSettings, parsed,
    rendered,
};
use crate::launch::Launch;

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

impl Profile {
    /// The longest piece of a line, in bytes.
    pub(crate) const fn piece_limit(&self) -> usize {
        match self {
            Self::Triton(_) => 64 << 10,
            _ => 16 << 10,
        }
    }
}

impl Options {
    /// Reads checked options. `syslog-tag` is Triton's and literal; alone it
    /// also selects Triton's layout. An empty tag becomes the program's name.
    ///
    /// # Errors
    /// When the tag's template cannot be rendered.
    pub(crate) fn parse(
        options: &Normalized,
        launch: &Launch,
        host: &[u8],
    ) -> Result<Self, ConfigError> {
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
                rendered("tag", text, &launch.container(host))?
            }
        };
        Ok(Self {
            address: parsed(options, "syslog-address")?,
            tls: TlsSettings::read(options, "syslog", options.given("syslog-tls-skip-verify")),
            facility: parsed(options, "syslog-facility")?,
            profile,
            tag: if tag.is_empty() { launch.argv0.clone().into_bytes() } else { tag },
        })
    }

    pub(crate) fn sink(&self) -> Sink {
        let datagram = |peer| Sink::Datagram { peer, division: Division::Whole };
        let stream = |peer| Sink::Stream { peer, session: Session::Silent };
        match self.address.clone() {
            SyslogAddress::Network { transport, host, port } => {
                let at = HostPort { host, port };
                match transport {
                    SyslogTransport::Udp => datagram(DatagramPeer::Udp(at)),
                    SyslogTransport::Tcp => stream(StreamPeer::Tcp(at)),
                    SyslogTransport::Tls => stream(StreamPeer::Tls { at, tls: self.tls.clone() }),
                }
            }
            SyslogAddress::Socket { kind, path } => match kind {
                SyslogSocket::Stream => stream(StreamPeer::Unix(path.into())),
                SyslogSocket::Datagram => datagram(DatagramPeer::Unix(path.into())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::normalize;

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
}
