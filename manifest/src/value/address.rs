// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The address of a syslog server.

use std::fmt;
use std::str::FromStr;

use super::ServerTransport;

/// Where a syslog server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// On a port of a host.
    Network {
        /// How to reach it.
        transport: ServerTransport,
        /// A name or an IP address, IPv6 without brackets and with `%SCOPE` behind it
        /// if it has one; empty: this machine.
        host: String,
        /// 1–65535.
        port: u16,
    },
    /// On a socket of this machine.
    Socket {
        /// What kind of socket.
        kind: SyslogSocket,
        /// Absolute, of 1–107 bytes.
        path: String,
    },
}

/// The kinds of local sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogSocket {
    /// A byte stream.
    Stream,
    /// One datagram a record.
    Datagram,
}

/// The text is no syslog address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// There is no `scheme://`.
    #[error(
        "no scheme: expected udp://HOST[:PORT], tcp://HOST[:PORT], tcp+tls://HOST[:PORT], \
         unix:///PATH or unixgram:///PATH"
    )]
    NoScheme,
    /// The scheme is none of ours.
    #[error("scheme {0:?} is not one of udp, tcp, tcp+tls, unix, unixgram")]
    Scheme(String),
    /// The port is no number from 1 to 65535.
    #[error("port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// The host cannot be one.
    #[error("host {0:?} is neither a name, an IPv4 address, nor an IPv6 address in brackets")]
    Host(String),
    /// There is a host where a path should begin, no path, or one that no socket has.
    #[error("{0:?} is not an absolute path of at most 107 bytes, as in unix:///dev/log")]
    Path(String),
}

impl SyslogAddress {
    /// The port of an address that names none (RFC 5426 section 3.3), as Docker
    /// has it for every transport, TLS included.
    pub const DEFAULT_PORT: u16 = 514;
}

impl SyslogSocket {
    /// The scheme of the address.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Stream => "unix",
            Self::Datagram => "unixgram",
        }
    }
}

impl FromStr for SyslogAddress {
    type Err = ParseAddressError;

    /// As Docker reads it: the scheme's case does not matter; query, fragment,
    /// user, and behind a host the path are ignored; a bare IPv6 address needs
    /// brackets; in a path, `%XX` is a byte.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(ParseAddressError::NoScheme)?;
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "unix" => return socket(SyslogSocket::Stream, rest),
            "unixgram" => return socket(SyslogSocket::Datagram, rest),
            _ => {}
        }
        let transport = ServerTransport::of_scheme(&scheme)
            .ok_or_else(|| ParseAddressError::Scheme(quoted(&scheme)))?;
        let (host, port) = host_and_port(rest)?;
        let port = port.map_or(Ok(Self::DEFAULT_PORT), port_number)?;
        Ok(Self::Network { transport, host, port })
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { transport, host, port } => {
                write!(f, "{}://{}", transport.scheme(), HostPort(host, *port))
            }
            Self::Socket { kind, path } => {
                write!(f, "{}://", kind.scheme())?;
                for c in path.chars() {
                    match c {
                        '%' | '?' | '#' => write!(f, "%{:02X}", u32::from(c))?,
                        c => write!(f, "{c}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// The address of a local socket: what stands where a host would, Docker drops
/// in silence; here it is refused.
fn socket(kind: SyslogSocket, rest: &str) -> Result<SyslogAddress, ParseAddressError> {
    let bad_path = || ParseAddressError::Path(quoted(rest));
    let written = rest.split(['?', '#']).next().unwrap_or_default();
    let path = percent_decoded(written).ok_or_else(bad_path)?;
    if !path.starts_with('/') || path.len() > SOCKET_PATH_MAX || path.contains('\0') {
        return Err(bad_path());
    }
    Ok(SyslogAddress::Socket { kind, path })
}

/// RFC 3986 section 2.1; `None`: not two digits behind a `%`, or not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Host and port as they stand behind the scheme; user, path, query and fragment
/// are left out. Of an IPv6 address the scope stands behind a percent sign.
pub(super) fn host_and_port(rest: &str) -> Result<(String, Option<&str>), ParseAddressError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    split_port(authority.rsplit_once('@').map_or(authority, |(_user, host)| host))
}

/// A number from 1 to 65535, in digits alone.
pub(super) fn port_number(digits: &str) -> Result<u16, ParseAddressError> {
    match digits.parse() {
        Ok(port) if port > 0 && !digits.starts_with('+') => Ok(port),
        _ => Err(ParseAddressError::Port(quoted(digits))),
    }
}

/// Host and port as an address has them, IPv6 in brackets and the percent sign
/// before a scope escaped.
pub(super) struct HostPort<'a>(pub(super) &'a str, pub(super) u16);

impl fmt::Display for HostPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(host, port) = self;
        match host.contains(':') {
            true => write!(f, "[{}]:{port}", host.replace('%', SCOPE_MARK)),
            false => write!(f, "{host}:{port}"),
        }
    }
}

/// `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT` in its two parts.
pub(super) fn split_port(authority: &str) -> Result<(String, Option<&str>), ParseAddressError> {
    let bad_host = || ParseAddressError::Host(quoted(authority));
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or_else(bad_host)?;
        let host = ipv6(host).ok_or_else(bad_host)?;
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
    Ok((host.to_owned(), port))
}

/// An IPv6 address, with its scope if it has one (RFC 6874): the name or number of
/// an interface, which only the machine knows.
fn ipv6(written: &str) -> Option<String> {
    let (address, scope) = match written.split_once(SCOPE_MARK) {
        Some((address, scope)) => (address, Some(scope)),
        None => (written, None),
    };
    address.parse::<std::net::Ipv6Addr>().ok()?;
    let Some(scope) = scope else { return Some(address.to_owned()) };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let is_scope = !scope.is_empty() && scope.len() <= SCOPE_MAX && scope.chars().all(fits);
    is_scope.then(|| format!("{address}%{scope}"))
}

/// As much of a bad part as a message shows.
fn quoted(part: &str) -> String {
    part.chars().take(100).collect()
}

/// What stands before a scope in an address: an escaped percent sign.
const SCOPE_MARK: &str = "%25";

/// The longest name of an interface, on illumos (`LIFNAMSIZ` with its end); Linux
/// has shorter ones.
const SCOPE_MAX: usize = 31;

/// What `sockaddr_un` holds besides its end, on Linux and illumos.
const SOCKET_PATH_MAX: usize = 107;

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
            ("tcp://[fe80::1%25eth0]:514", "tcp://[fe80::1%25eth0]:514"),
            ("udp://[fe80::1%252]", "udp://[fe80::1%252]:514"),
            ("tcp://", "tcp://:514"),
            ("tcp+tls://h", "tcp+tls://h:514"),
            ("TCP+TLS://h:6514", "tcp+tls://h:6514"),
            ("unix:///dev/log", "unix:///dev/log"),
            ("UNIX:///dev/log?x=1#y", "unix:///dev/log"),
            ("unixgram:///run/a%20b%3Fc%25", "unixgram:///run/a b%3Fc%25"),
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
            ("http://h", "scheme \"http\" is not one of udp, tcp, tcp+tls, unix, unixgram"),
            ("tls://h", "scheme \"tls\" is not one of"),
            ("unix://", "\"\" is not an absolute path"),
            ("unix://dev/log", "\"dev/log\" is not an absolute path"),
            ("unixgram:///a%2", "\"/a%2\" is not"),
            ("unixgram:///a%+1", "\"/a%+1\" is not"),
            ("unix:///a%00", "\"/a%00\" is not"),
            ("unix:///%ff", "\"/%ff\" is not"),
            ("tcp://h:notaport", "port \"notaport\""),
            ("tcp://h:", "port \"\""),
            ("tcp://h:0", "port \"0\""),
            ("tcp://h:65536", "port \"65536\""),
            ("tcp://h:+1", "port \"+1\""),
            ("tcp://::1", "host \"::1\""),
            ("tcp://[::1", "host \"[::1\""),
            ("tcp://[h]", "host \"[h]\""),
            ("tcp://[fe80::1%eth0]", "host \"[fe80::1%eth0]\""),
            ("tcp://[fe80::1%25]", "host \"[fe80::1%25]\""),
            ("tcp://[fe80::1%25a%00]", "host \"[fe80::1%25a%00]\""),
            ("tcp://h%25eth0", "host \"h%25eth0\""),
            ("tcp://a b", "host \"a b\""),
        ] {
            assert!(parsed(text).contains(why), "{text}: {}", parsed(text));
        }
    }

    #[test]
    fn a_socket_has_a_short_path() {
        let path = |len: usize| format!("unix:///{}", "p".repeat(len - 1));
        assert_eq!(parsed(&path(107)), path(107));
        assert!(parsed(&path(108)).contains("at most 107 bytes"));
    }
}
