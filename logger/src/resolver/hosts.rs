// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! hosts(5): addresses that need no server.

use std::io::{self, BufRead};
use std::net::IpAddr;

/// The largest hosts file that is searched.
pub(super) const LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// The longest line that is looked at; a longer one is passed over.
const LINE_BYTES_MAX: usize = 4096;

/// Addresses taken for one name; those behind are passed over.
const ADDRESSES_MAX: usize = 64;

/// The addresses of every line that has `host` (no final dot) among its names,
/// in the file's order. Lines are looked at one by one, so that a long file
/// costs time and no memory.
pub(super) fn find(file: &mut impl BufRead, host: &str) -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    while found.len() < ADDRESSES_MAX && next_line(file, &mut line)? {
        let address = entry(&line, host);
        if let Some(address) = address.filter(|address| !found.contains(address)) {
            found.push(address);
        }
    }
    Ok(found)
}

/// An address as both files write it; the scope of an IPv6 address is dropped.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    match text.split_once('%') {
        Some((address, _scope)) => address.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// The address of the line, if one of its names is `host`.
fn entry(line: &[u8], host: &str) -> Option<IpAddr> {
    let text = line.split(|byte| *byte == b'#').next()?;
    let text = std::str::from_utf8(text).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let address = address(fields.next()?)?;
    fields.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
}

/// Puts the next line into `line`, without its end, and nothing if it is too
/// long; `false` at the end of the file.
fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let (mut any, mut too_long) = (false, false);
    loop {
        let ready = match file.fill_buf() {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if ready.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = ready.iter().position(|byte| *byte == b'\n');
        let part = &ready[..end.unwrap_or(ready.len())];
        too_long |= line.len() + part.len() > LINE_BYTES_MAX;
        if too_long {
            line.clear();
        } else {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        file.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Through a buffer of few bytes, so that lines cross it.
    fn found(file: &[u8], host: &str) -> String {
        let mut reader = BufReader::with_capacity(7, file);
        let addresses = find(&mut reader, host).unwrap();
        addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines() {
        for (file, host, addresses) in [
            ("10.0.0.1 log", "log", "10.0.0.1"),
            ("10.0.0.1 log\n", "LOG", "10.0.0.1"),
            ("10.0.0.1 LOG.Example.com log\r\n", "log.example.COM", "10.0.0.1"),
            ("\t 10.0.0.1\ta b  log\n", "log", "10.0.0.1"),
            ("::1 localhost\n127.0.0.1 localhost\n", "localhost", "::1 127.0.0.1"),
            ("10.0.0.1 log\n10.0.0.1 log\n10.0.0.2 log\n", "log", "10.0.0.1 10.0.0.2"),
            ("# 10.0.0.1 log\n", "log", ""),
            ("10.0.0.1 other # log\n", "log", ""),
            ("10.0.0.1 log# comment\n", "log", "10.0.0.1"),
            ("10.0.0.1 log2 alog\n", "log", ""),
            ("fe80::1%net0 log\n", "log", "fe80::1"),
            ("10.0.0.1%net0 log\n", "log", ""),
            ("10.0.0 log\n300.0.0.1 log\nlog log\nlog\n10.0.0.1\n\n \n", "log", ""),
            ("10.0.0.1\n log\n", "log", ""),
            ("", "log", ""),
        ] {
            assert_eq!(found(file.as_bytes(), host), addresses, "{file:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_cost_their_line_only() {
        assert_eq!(found(b"10.0.0.1 \xff log\n10.0.0.2 log # \xff\n", "log"), "10.0.0.2");
        assert_eq!(found(b"\0\0\0\n10.0.0.2 log", "log"), "10.0.0.2");
    }

    #[test]
    fn long_lines_and_long_answers_are_bounded() {
        let long = format!("10.0.0.1 {} log\n10.0.0.2 log\n", "a".repeat(LINE_BYTES_MAX));
        assert_eq!(found(long.as_bytes(), "log"), "10.0.0.2");
        let many: String = (0..200).map(|n| format!("10.0.0.{n} log\n")).collect();
        assert_eq!(found(many.as_bytes(), "log").split(' ').count(), ADDRESSES_MAX);
    }
}
