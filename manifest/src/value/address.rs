// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The address of a syslog server.

use std::fmt;
use std::str::FromStr;

/// Where a syslog server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogAddress {
    /// How to reach it.
    pub transport: SyslogTransport,
    /// A name or an IP address, IPv6 without brackets; empty: this machine.
    pub host: String,
    /// 1–65535.
    pub port: u16,
}

/// The transports a syslog address may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogTransport {
    /// One datagram a record (RFC 5426).
    Udp,
    /// A byte stream, records ended by a line feed (RFC 6587 section 3.4.2).
    Tcp,
}

/// The text is no syslog address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// There is no `scheme://`.
    #[error("no scheme: expected udp://HOST[:PORT] or tcp://HOST[:PORT]")]
    NoScheme,
    /// The scheme is none of ours.
    #[error("scheme \"{0}\" is not one of udp, tcp")]
    Scheme(String),
    /// The port is no number from 1 to 65535.
    #[error("port \"{0}\" is not a number from 1 to 65535")]
    Port(String),
    /// The host cannot be one.
    #[error("host \"{0}\" is neither a name, an IPv4 address, nor an IPv6 address in brackets")]
    Host(String),
}

impl SyslogAddress {
    /// The port of an address that names none (RFC 5426 section 3.3), as Docker
    /// has it for every transport.
    pub const DEFAULT_PORT: u16 = 514;
}

impl SyslogTransport {
    /// The scheme of the address.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl FromStr for SyslogAddress {
    type Err = ParseAddressError;

    /// As Docker reads it: the scheme's case does not matter; path, query,
    /// fragment and user are ignored; a bare IPv6 address needs brackets.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(ParseAddressError::NoScheme)?;
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "udp" => SyslogTransport::Udp,
            "tcp" => SyslogTransport::Tcp,
            other => return Err(ParseAddressError::Scheme(other.to_owned())),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => Self::DEFAULT_PORT,
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 && !digits.starts_with('+') => port,
                _ => return Err(ParseAddressError::Port(digits.to_owned())),
            },
        };
        Ok(Self { transport, host: host.to_owned(), port })
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.transport.scheme(), self.host, self.port)
    }
}

/// `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT` in its two parts.
pub(super) fn split_port(authority: &str) -> Result<(&str, Option<&str>), ParseAddressError> {
    let bad_host = || ParseAddressError::Host(authority.to_owned());
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or_else(bad_host)?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(bad_host());
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(bad_host()),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    if port.is_some_and(|port| port.contains(':')) || !host.chars().all(fits) {
        return Err(bad_host());
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<SyslogAddress>().map_or_else(|error| error.to_string(), |a| a.to_string())
    }

    #[test]
    fn forms_that_docker_takes() {
        for (text, normal) in [
            ("tcp://h", "tcp://h:514"),
            ("TCP://h:1", "tcp://h:1"),
            ("udp://10.0.0.1:5514", "udp://10.0.0.1:5514"),
            ("tcp://[::1]:514", "tcp://[::1]:514"),
            ("tcp://[::1]", "tcp://[::1]:514"),
            ("tcp://", "tcp://:514"),
            ("udp://user@log.example.com:99/path?query#part", "udp://log.example.com:99"),
        ] {
            assert_eq!(parsed(text), normal, "{text}");
        }
    }

    #[test]
    fn refusals_say_what_is_accepted() {
        for (text, why) in [
            ("h:514", "no scheme"),
            ("10.0.0.1:514", "no scheme"),
            ("", "no scheme"),
            ("http://h", "scheme \"http\" is not one of udp, tcp"),
            ("tcp+tls://h", "scheme \"tcp+tls\" is not one of udp, tcp"),
            ("tcp://h:notaport", "port \"notaport\""),
            ("tcp://h:", "port \"\""),
            ("tcp://h:0", "port \"0\""),
            ("tcp://h:65536", "port \"65536\""),
            ("tcp://h:+1", "port \"+1\""),
            ("tcp://::1", "host \"::1\""),
            ("tcp://[::1", "host \"[::1\""),
            ("tcp://[h]", "host \"[h]\""),
            ("tcp://a b", "host \"a b\""),
        ] {
            assert!(parsed(text).contains(why), "{text}: {}", parsed(text));
        }
    }
}
