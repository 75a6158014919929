// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The address of a GELF server.

use std::fmt;
use std::str::FromStr;

use super::address::{ParseAddressError, split_port};

/// Where a GELF server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GelfAddress {
    /// How to reach it.
    pub transport: GelfTransport,
    /// A name or an IP address, IPv6 without brackets; empty: this machine.
    pub host: String,
    /// 1–65535.
    pub port: u16,
}

/// The transports a GELF address may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GelfTransport {
    /// Datagrams, large records in chunks.
    Udp,
    /// A byte stream, records ended by a zero byte.
    Tcp,
    /// The same in TLS.
    Tls,
}

/// The text is no GELF address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseGelfAddressError {
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

impl GelfTransport {
    /// The scheme of the address.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tcp+tls",
        }
    }
}

impl FromStr for GelfAddress {
    type Err = ParseGelfAddressError;

    /// As Docker reads it: the scheme's case does not matter; path, query,
    /// fragment and user are ignored; the port must be there.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(ParseGelfAddressError::NoScheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let transport = [GelfTransport::Udp, GelfTransport::Tcp, GelfTransport::Tls]
            .into_iter()
            .find(|transport| transport.scheme() == scheme)
            .ok_or(ParseGelfAddressError::Scheme(scheme))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
        let (host, port) = split_port(authority)?;
        let digits = port.filter(|port| !port.is_empty()).ok_or(ParseGelfAddressError::NoPort)?;
        match digits.parse::<u16>() {
            Ok(port) if port > 0 && !digits.starts_with('+') => {
                Ok(Self { transport, host: host.to_owned(), port })
            }
            _ => Err(ParseAddressError::Port(digits.to_owned()).into()),
        }
    }
}

impl fmt::Display for GelfAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.transport.scheme(), self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<GelfAddress>().map_or_else(|error| error.to_string(), |a| a.to_string())
    }

    #[test]
    fn forms_that_docker_takes() {
        for (text, normal) in [
            ("udp://h:12201", "udp://h:12201"),
            ("UDP://10.0.0.1:1", "udp://10.0.0.1:1"),
            ("tcp://[::1]:514/path?query", "tcp://[::1]:514"),
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
