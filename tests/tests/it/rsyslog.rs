// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Interop with a real rsyslogd: what a container wrote is what is in its file, byte for byte.

use std::path::Path;

use dockerlogger_tests::dockerinit::{Container, Output};
use dockerlogger_tests::oracle;
use dockerlogger_tests::rsyslog::{Rsyslog, Transport};

use super::{expect_stored, skip, syslog_container};

/// Lines as containers write them. Empty ones are missing: Docker's formats do not send them.
fn lines() -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = [
        "hello from a container",
        "  leading and trailing spaces  ",
        "tab\tand \"quotes\" and \\backslash and 'more'",
        "unicode: h\u{e9}llo \u{4e16}\u{754c} \u{1f600}",
        "html <b>&amp;</b> and <34>1 2026-01-02T03:04:05Z not - a - header",
        "brackets [a=\"b\"] colon: semicolon; percent %msg% %%",
        "escape \u{1b}[31mred\u{1b}[0m bell \u{7}",
        "carriage return\r",
        "{\"level\":\"info\",\"msg\":\"json\"}",
        "-",
        ":",
    ]
    .map(|line| line.as_bytes().to_vec())
    .to_vec();
    lines.push(b"not utf8: \xff\xfe\x80 end".to_vec());
    for length in [1023, 1024, 1025, 2048, 4096, 8191, 8192] {
        lines.push("long line ".bytes().cycle().take(length - 1).chain([b'$']).collect());
    }
    lines.extend((0..200).map(|number| oracle::line(number).into_bytes()));
    lines
}

/// The server, where it is installed.
fn start(folder: &Path, transport: Transport, what: &str) -> Option<Rsyslog> {
    let rsyslog = Rsyslog::start(folder, transport);
    if rsyslog.is_none() {
        skip(&format!("rsyslogd is not installed for {transport:?}: {what}"));
    }
    rsyslog
}

/// What one transport and format make of [`lines`].
fn check(transport: Transport, format: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let Some(rsyslog) = start(scratch.path(), transport, format) else { return };
    let more = rsyslog.options();
    let mut options = vec![("syslog-format", format)];
    options.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    let container =
        Container::start(&syslog_container(&rsyslog.syslog_address(), &options), scratch.path());
    let mut expected = Vec::new();
    for line in lines() {
        expected.extend_from_slice(&line);
        expected.push(b'\n');
        container.write(Output::Stdout, &[&line[..], b"\n"].concat());
    }
    container.end_well();
    expect_stored(&expected, || rsyslog.written());
}

#[test]
fn rfc5424_over_tcp_is_stored_byte_for_byte() {
    check(Transport::Tcp, "rfc5424");
}

#[test]
fn rfc5424_with_microseconds_over_tcp_is_stored_byte_for_byte() {
    check(Transport::Tcp, "rfc5424micro");
}

#[test]
fn rfc5424_over_udp_is_stored_byte_for_byte() {
    check(Transport::Udp, "rfc5424");
}

#[test]
fn rfc3164_over_tcp_is_stored_byte_for_byte() {
    check(Transport::Tcp, "rfc3164");
}

#[test]
fn rfc3164_over_udp_is_stored_byte_for_byte() {
    check(Transport::Udp, "rfc3164");
}

#[test]
fn rfc5424_over_tls_with_a_client_certificate_is_stored_byte_for_byte() {
    check(Transport::Tls, "rfc5424");
}

#[test]
fn rfc3164_over_tls_with_a_client_certificate_is_stored_byte_for_byte() {
    check(Transport::Tls, "rfc3164");
}
