// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The address of a server that has no usual port.

use std::fmt;
use std::str::FromStr;

use super::address::{HostPort, ParseAddressError, host_and_port, port_number};

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// How to reach it.
    pub transport: ServerTransport,
    /// A name or an IP address, IPv6 without brackets and with `%SCOPE` behind it if
    /// it has one; empty: this machine.
    pub host: String,
    /// 1–65535.
    pub port: u16,
}

/// The transports an address may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTransport {
    /// Datagrams.
    Udp,
    /// A byte stream.
    Tcp,
    /// The same inside TLS.
    Tls,
}

/// The text is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseServerAddressError {
    /// There is no `scheme://`.
    #[error("no scheme: expected udp://HOST:PORT, tcp://HOST:PORT or tcp+tls://HOST:PORT")]
    NoScheme,
    /// The scheme is none of ours.
    #[error("scheme \"{0}\" is not one of udp, tcp, tcp+tls")]
    Scheme(String),
    /// There is no port, and no usual one.
    #[error("no port: expected a number from 1 to 65535 behind the host, such as :12201")]
    NoPort,
    /// The host or the port cannot be one.
    #[error(transparent)]
    Part(#[from] ParseAddressError),
}

impl ServerTransport {
    /// The scheme of the address.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tcp+tls",
        }
    }

    /// The transport of a scheme, in lower case.
    pub(super) fn of_scheme(scheme: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls].into_iter().find(|one| one.scheme() == scheme)
    }
}

impl FromStr for ServerAddress {
    type Err = ParseServerAddressError;

    /// As Docker reads it: the scheme's case does not matter; path, query,
    /// fragment and user are ignored; the port must be there.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(ParseServerAddressError::NoScheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let transport =
            ServerTransport::of_scheme(&scheme).ok_or(ParseServerAddressError::Scheme(scheme))?;
        let (host, port) = host_and_port(rest)?;
        let digits = port.filter(|port| !port.is_empty()).ok_or(ParseServerAddressError::NoPort)?;
        Ok(Self { transport, host, port: port_number(digits)? })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport.scheme(), HostPort(&self.host, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<ServerAddress>().map_or_else(|error| error.to_string(), |a| a.to_string())
    }

    #[test]
    fn forms_that_docker_takes() {
        for (text, normal) in [
            ("udp://h:12201", "udp://h:12201"),
            ("UDP://10.0.0.1:1", "udp://10.0.0.1:1"),
            ("tcp://[::1]:514/path?query", "tcp://[::1]:514"),
            ("udp://[FE80::1%25net0]:1", "udp://[FE80::1%25net0]:1"),
            ("tcp+tls://graylog.example.com:12201", "tcp+tls://graylog.example.com:12201"),
            ("udp://:12201", "udp://:12201"),
        ] {
            assert_eq!(parsed(text), normal, "{text}");
        }
    }

    #[test]
    fn refusals_say_what_is_accepted() {
        for (text, why) in [
            ("127.0.0.1:12201", "no scheme: expected udp://HOST:PORT"),
            ("", "no scheme"),
            ("http://h:1", "scheme \"http\" is not one of udp, tcp, tcp+tls"),
            ("tls://h:1", "scheme \"tls\" is not"),
            ("udp://h", "no port: expected a number"),
            ("udp://h:", "no port"),
            ("tcp://[::1]", "no port"),
            ("udp://h:x", "port \"x\" is not a number from 1 to 65535"),
            ("udp://h:0", "port \"0\""),
            ("udp://h:65536", "port \"65536\""),
            ("udp://h:+1", "port \"+1\""),
            ("udp://::1:1", "host \"::1:1\""),
            ("udp://a b:1", "host \"a b:1\""),
        ] {
            assert!(parsed(text).contains(why), "{text}: {}", parsed(text));
        }
    }
}
