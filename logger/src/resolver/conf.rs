// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! resolv.conf(5): which servers to ask, and below which domains.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::hosts;
use super::name::Name;

/// The largest resolv.conf that is read.
pub(super) const LIMIT_BYTES: u64 = 64 * 1024;

/// Servers asked; those behind are passed over.
const SERVERS_MAX: usize = 3;
/// Domains of a search list, and their bytes with a space between them; what
/// is behind is passed over.
const SEARCH_MAX: usize = 6;
const SEARCH_BYTES_MAX: usize = 256;
const NDOTS_MAX: usize = 15;
const TIMEOUT_SECS_MAX: u64 = 30;
const ATTEMPTS_MAX: usize = 5;

/// What the file says. Words, options and values that mean nothing to us are
/// passed over, as the C libraries do: the file belongs to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conf {
    /// One to three, in the order to ask; 127.0.0.1 if the file names none.
    pub(super) servers: Vec<IpAddr>,
    /// Domains to look below, best first.
    pub(super) search: Vec<Name>,
    /// A name with at least so many dots is looked up as it is first: 1 by
    /// default, at most 15.
    pub(super) ndots: usize,
    /// How long one server may take for one try: 5 s by default, 1–30 s.
    pub(super) timeout: Duration,
    /// How often each server is tried: 2 by default, 1–5.
    pub(super) attempts: usize,
    /// Whether to begin with another server each time.
    pub(super) rotate: bool,
}

impl Default for Conf {
    /// An empty file, as glibc reads it.
    fn default() -> Self {
        Self {
            servers: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
        }
    }
}

impl Conf {
    /// Reads the file as glibc does: a keyword begins its line, `#` and `;`
    /// there make a comment, the last of `domain` and `search` counts.
    pub(super) fn parse(file: &[u8]) -> Self {
        let file = String::from_utf8_lossy(file);
        let mut conf = Self::default();
        let mut servers = Vec::new();
        for line in file.lines().filter(|line| !line.starts_with([' ', '\t', '#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if servers.len() < SERVERS_MAX => {
                    // A comment may follow without a space.
                    let word = words.next().and_then(|word| word.split(['#', ';']).next());
                    servers.extend(word.and_then(hosts::address));
                }
                Some("domain") => conf.search = search(words.take(1)),
                Some("search") => conf.search = search(words),
                Some("options") => words.for_each(|word| conf.set(word)),
                _ => {}
            }
        }
        if !servers.is_empty() {
            conf.servers = servers;
        }
        conf
    }

    fn set(&mut self, option: &str) {
        match option.split_once(':') {
            None if option == "rotate" => self.rotate = true,
            Some(("ndots", value)) => {
                self.ndots = number(value).map_or(self.ndots, |n: usize| n.min(NDOTS_MAX));
            }
            Some(("timeout", value)) => {
                let secs = number(value).map(|n: u64| n.clamp(1, TIMEOUT_SECS_MAX));
                self.timeout = secs.map_or(self.timeout, Duration::from_secs);
            }
            Some(("attempts", value)) => {
                self.attempts =
                    number(value).map_or(self.attempts, |n: usize| n.clamp(1, ATTEMPTS_MAX));
            }
            _ => {}
        }
    }
}

/// Domains up to the first that does not fit; what cannot be one is left out.
fn search<'a>(words: impl Iterator<Item = &'a str>) -> Vec<Name> {
    let mut bytes = 0;
    let mut domains = Vec::new();
    for word in words.take(SEARCH_MAX) {
        bytes += word.len() + usize::from(bytes > 0);
        if bytes > SEARCH_BYTES_MAX {
            break;
        }
        match word {
            "." => domains.push(Name::root()),
            word => domains.extend(Name::from_text(word)),
        }
    }
    domains
}

/// The digits the text begins with are the number; six of them say enough.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let digits = text.get(..end.min(6)).filter(|digits| !digits.is_empty())?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(file: &str) -> Conf {
        Conf::parse(file.as_bytes())
    }

    fn servers(file: &str) -> String {
        conf(file).servers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
    }

    fn domains(file: &str) -> String {
        conf(file).search.iter().map(Name::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_empty_file_means_the_local_server() {
        let expected = Conf {
            servers: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            search: vec![],
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
        };
        for file in ["", "\n\n", "# nothing\n; here\n", "lookup file bind\nsortlist 10.0.0.0\n"] {
            assert_eq!(conf(file), expected, "{file:?}");
        }
        assert_eq!(Conf::parse(b"\xff\xfe\0\n"), expected);
    }

    #[test]
    fn name_servers() {
        for (file, expected) in [
            ("nameserver 8.8.8.8\nnameserver 8.8.4.4\n", "8.8.8.8 8.8.4.4"),
            ("nameserver\t10.0.0.1   \r\n", "10.0.0.1"),
            ("nameserver 10.0.0.1 # first\nnameserver 10.0.0.2;second", "10.0.0.1 10.0.0.2"),
            ("nameserver fd00::53\nnameserver fe80::1%net0\n", "fd00::53 fe80::1"),
            (
                "nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n",
                "1.1.1.1 2.2.2.2 3.3.3.3",
            ),
            ("nameserver dns.example.com\nnameserver\nnameserver 2.2.2.2\n", "2.2.2.2"),
            (" nameserver 9.9.9.9\n#nameserver 9.9.9.9\n;nameserver 9.9.9.9\n", "127.0.0.1"),
            ("nameservers 9.9.9.9\nNAMESERVER 9.9.9.9\n", "127.0.0.1"),
        ] {
            assert_eq!(servers(file), expected, "{file:?}");
        }
    }

    #[test]
    fn search_lists() {
        let long = "a.b".repeat(20);
        let seven = "search a b c d e f g\n";
        let too_many_bytes = format!("search {long} {long} {long} {long} {long}\n");
        for (file, expected) in [
            ("search Example.COM corp.example.com.\n", "example.com corp.example.com"),
            ("domain example.com\n", "example.com"),
            ("domain example.com other.com\n", "example.com"),
            ("domain a\nsearch b c\n", "b c"),
            ("search b c\ndomain a\n", "a"),
            ("search b\nsearch\n", ""),
            ("search . a\n", ". a"),
            ("search a..b c_d \u{fc}\n", "c_d"),
            (seven, "a b c d e f"),
            (too_many_bytes.as_str(), &[long.as_str(); 4].join(" ")),
        ] {
            assert_eq!(domains(file), expected, "{file:?}");
        }
    }

    #[test]
    fn options() {
        let numbers = |file: &str| {
            let conf = conf(file);
            (conf.ndots, conf.timeout.as_secs(), conf.attempts, conf.rotate)
        };
        for (file, expected) in [
            ("options ndots:5 timeout:1 attempts:4 rotate\n", (5, 1, 4, true)),
            ("options ndots:0\noptions edns0 trust-ad timeout:2\n", (0, 2, 2, false)),
            ("options ndots:99 timeout:99 attempts:99\n", (15, 30, 5, false)),
            ("options ndots:99999999999999999999\n", (15, 5, 2, false)),
            ("options timeout:0 attempts:0\n", (1, 1, 1, false)),
            ("options ndots: timeout:x attempts:-1 rotate:1\n", (1, 5, 2, false)),
            ("options ndots:3x ndots\n", (3, 5, 2, false)),
        ] {
            assert_eq!(numbers(file), expected, "{file:?}");
        }
    }

    #[test]
    fn any_bytes_are_a_configuration_within_the_bounds() {
        let words: [&[u8]; 12] = [
            b"nameserver",
            b"search",
            b"domain",
            b"options",
            b" ",
            b"\n",
            b"\t",
            b"1.2.3.4",
            b"::1%",
            b"ndots:",
            b"99999999999",
            b"\xc3",
        ];
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _round in 0..2000 {
            let mut file = Vec::new();
            for _word in 0..40 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                file.extend_from_slice(words[usize::try_from(seed % 12).unwrap()]);
            }
            let conf = Conf::parse(&file);
            assert!((1..=SERVERS_MAX).contains(&conf.servers.len()));
            assert!(conf.search.len() <= SEARCH_MAX && conf.ndots <= NDOTS_MAX);
            assert!((1..=ATTEMPTS_MAX).contains(&conf.attempts));
        }
    }
}
