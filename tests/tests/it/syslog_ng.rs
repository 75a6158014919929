// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Interop with a real syslog-ng: RFC 5424 with lengths over TLS, and structured data, as it understands them.

use dockerlogger_tests::dockerinit::{Container, ContainerSpec, Output};
use dockerlogger_tests::syslog_ng::SyslogNg;
use dockerlogger_tests::{oracle, programs};

use super::{expect_stored, skip};

/// What it stores of `lines` that a container with these `options` writes.
fn stored(options: &[(&str, &str)], lines: &[String], structured_data: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let Some(server) = SyslogNg::start(scratch.path()) else {
        return skip("syslog-ng is not installed: nothing was compared with it");
    };
    let server_options = server.options();
    let mut config = vec![("syslog-format", "rfc5424micro")];
    config.extend(server_options.iter().map(|(name, value)| (*name, value.as_str())));
    config.extend(options);
    let spec = ContainerSpec::new(&programs::logger(), "syslog", &config)
        .with("DOCKERLOG_LABELS", r#"{"tier": "we\"b]\\", "a key": "x\ny"}"#);
    let container = Container::start(&spec, scratch.path());
    let mut expected = String::new();
    for line in lines {
        expected.push_str(&format!("{structured_data} {line}\n"));
        container.write(Output::Stdout, format!("{line}\n").as_bytes());
    }
    container.end_well();
    expect_stored(expected.as_bytes(), || server.written());
}

#[test]
fn lines_arrive_as_they_were_written() {
    let mut lines = vec![
        "tab\tand \"quotes\" and \\backslash and ] and [x@1 y=\"z\"]".to_owned(),
        "unicode: h\u{e9}llo \u{4e16}\u{754c}".to_owned(),
        "l".repeat(16_000),
    ];
    lines.extend((0..500).map(oracle::line));
    stored(&[], &lines, "");
}

#[test]
fn attributes_are_structured_data() {
    let lines: Vec<_> = (0..3).map(oracle::line).collect();
    let options = [("syslog-structured-data", "true"), ("labels-regex", ".")];
    stored(&options, &lines, r#"[docker@38678 a_key="x_y" tier="we\"b\]\\"]"#);
}
