// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The address of a Fluentd server.

use std::fmt;
use std::str::FromStr;

use super::address::{HostPort, split_port};

/// Where a server of the forward protocol listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FluentdAddress {
    /// Plain TCP.
    Tcp {
        /// A name or an IP address, IPv6 without brackets and with `%SCOPE` behind it
        /// if it has one.
        host: String,
        /// 1–65535.
        port: u16,
    },
    /// TLS over TCP.
    Tls {
        /// The same; also, without scope, what the certificate has to be for.
        host: String,
        /// 1–65535.
        port: u16,
    },
    /// A socket in the file system.
    Unix {
        /// An absolute path.
        path: String,
    },
}

/// The text is no address of a Fluentd server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFluentdAddressError {
    /// The scheme is none of ours.
    #[error("scheme \"{0}\" is not one of tcp, tls, unix")]
    Scheme(String),
    /// The port is no number from 0 to 65535.
    #[error("port \"{0}\" is not a number up to 65535")]
    Port(String),
    /// The host cannot be one.
    #[error("host \"{0}\" is neither a name, an IPv4 address, nor an IPv6 address in brackets")]
    Host(String),
    /// There is a path where none has a meaning.
    #[error("path \"{0}\" stands behind the port, expected HOST[:PORT] alone")]
    Path(String),
    /// There is no path where one is needed.
    #[error("no path: expected unix:///PATH")]
    NoPath,
}

impl FluentdAddress {
    /// The port of an address that names none.
    pub const DEFAULT_PORT: u16 = 24224;

    /// The host of an address that names none.
    pub const DEFAULT_HOST: &str = "127.0.0.1";
}

impl FromStr for FluentdAddress {
    type Err = ParseFluentdAddressError;

    /// As Docker reads it: without a scheme it is TCP; host and port may be
    /// missing, and port 0 counts as missing; query, fragment and user are
    /// ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let scheme = scheme.to_ascii_lowercase();
        let place = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = place.find('/').map_or((place, ""), |at| place.split_at(at));
        match scheme.as_str() {
            "unix" if path.trim_matches('/').is_empty() => Err(ParseFluentdAddressError::NoPath),
            "unix" => Ok(Self::Unix { path: path.to_owned() }),
            "tcp" | "tls" if !path.is_empty() => {
                Err(ParseFluentdAddressError::Path(path.to_owned()))
            }
            "tcp" | "tls" => {
                let (host, port) = host_and_port(authority)?;
                Ok(if scheme == "tcp" {
                    Self::Tcp { host, port }
                } else {
                    Self::Tls { host, port }
                })
            }
            _ => Err(ParseFluentdAddressError::Scheme(scheme)),
        }
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), ParseFluentdAddressError> {
    let authority = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let (host, port) =
        split_port(authority).map_err(|_| ParseFluentdAddressError::Host(authority.to_owned()))?;
    let port = match port.unwrap_or_default() {
        "" => 0,
        digits => digits
            .parse()
            .ok()
            .filter(|_| !digits.starts_with('+'))
            .ok_or_else(|| ParseFluentdAddressError::Port(digits.to_owned()))?,
    };
    let host = if host.is_empty() { FluentdAddress::DEFAULT_HOST.to_owned() } else { host };
    Ok((host, if port == 0 { FluentdAddress::DEFAULT_PORT } else { port }))
}

impl fmt::Display for FluentdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Unix { path } => return write!(f, "unix://{path}"),
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Tls { host, port } => ("tls", host, port),
        };
        write!(f, "{scheme}://{}", HostPort(host, *port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<FluentdAddress>().map_or_else(|error| error.to_string(), |a| a.to_string())
    }

    #[test]
    fn forms_that_docker_takes() {
        for (text, normal) in [
            ("", "tcp://127.0.0.1:24224"),
            ("h", "tcp://h:24224"),
            ("h:", "tcp://h:24224"),
            (":123", "tcp://127.0.0.1:123"),
            ("h:0", "tcp://h:24224"),
            ("10.0.0.1:24225", "tcp://10.0.0.1:24225"),
            ("[::1]:24225", "tcp://[::1]:24225"),
            ("[fe80::1%25eth0]", "tcp://[fe80::1%25eth0]:24224"),
            ("TLS://h", "tls://h:24224"),
            ("tcp://user@h:1?query#part", "tcp://h:1"),
            ("unix:///a/b.sock", "unix:///a/b.sock"),
            ("unix:///a:80", "unix:///a:80"),
        ] {
            assert_eq!(parsed(text), normal, "{text}");
            assert_eq!(parsed(normal), normal, "{text}");
        }
    }

    #[test]
    fn refusals_say_what_is_accepted() {
        for (text, why) in [
            ("http://h", "scheme \"http\" is not one of tcp, tls, unix"),
            ("udp://h", "scheme \"udp\""),
            ("unixgram:///a", "scheme \"unixgram\""),
            ("h:65536", "port \"65536\" is not a number up to 65535"),
            ("h:-1", "port \"-1\""),
            ("h:+1", "port \"+1\""),
            ("h/", "path \"/\""),
            ("tcp://h:1/p", "path \"/p\" stands behind the port, expected HOST[:PORT] alone"),
            ("unix://", "no path: expected unix:///PATH"),
            ("unix:///", "no path"),
            ("::1", "host \"::1\""),
            ("a b", "host \"a b\""),
        ] {
            assert!(parsed(text).contains(why), "{text}: {}", parsed(text));
        }
    }
}
