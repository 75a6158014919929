// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Interop with a real server of Fluentd's protocol: what a container wrote is what it stores.

use std::path::Path;

use dockerlogger_tests::certificates::Authority;
use dockerlogger_tests::dockerinit::{CONTAINER_ID, Container, Ending, Output};
use dockerlogger_tests::fluentd::Fluentd;
use dockerlogger_tests::oracle;
use dockerlogger_tests::{SOON, until};
use serde_json::{Value, json};

use super::fluentd::fluentd_container;
use super::skip;

/// A server, or the word that there is none.
fn server(folder: &Path, options: Value) -> Option<Fluentd> {
    let server = Fluentd::start(folder, options);
    if server.is_none() {
        skip("tests/receivers/fluentd is not installed (npm install there): nothing was compared");
    }
    server
}

/// Lines as containers write them. Not among them are lines that are no UTF-8: the server's language has no such texts.
fn lines() -> Vec<String> {
    let mut lines: Vec<String> = [
        "hello from a container",
        "",
        "  leading and trailing spaces  ",
        "tab\tand \"quotes\" and \\backslash and 'more'",
        "unicode: h\u{e9}llo \u{4e16}\u{754c} \u{1f600}",
        "nul \0 escape \u{1b}[31mred\u{1b}[0m bell \u{7}",
        "carriage return\r",
        "{\"level\":\"info\",\"msg\":\"json\"}",
    ]
    .map(str::to_owned)
    .to_vec();
    for length in [31, 32, 255, 256, 16_383] {
        lines.push("long line ".chars().cycle().take(length - 1).chain(['$']).collect());
    }
    lines.extend((0..200).map(oracle::line));
    lines
}

/// Writes [`lines`] and wants them back.
#[track_caller]
fn check(server: &Fluentd, address: &str, options: &[(&str, &str)], scratch: &Path) {
    let container = Container::start(&fluentd_container(address, options), scratch);
    for line in lines() {
        container.write(Output::Stdout, format!("{line}\n").as_bytes());
    }
    container.write(Output::Stderr, b"the end, without a newline");
    container.end_well();
    let mut expected = lines();
    expected.push("the end, without a newline".to_owned());
    until("the server to have stored all", SOON, || {
        let stored = server.logs();
        if stored == expected { Ok(()) } else { Err((stored.len(), stored.last().cloned())) }
    });
    for (event, source) in [(server.events().first(), "stdout"), (server.events().last(), "stderr")]
    {
        let event = event.unwrap();
        assert_eq!(event.tag, "app.web-1");
        assert_eq!(event.record["container_id"], CONTAINER_ID);
        assert_eq!(event.record["container_name"], "/web-1");
        assert_eq!(event.record["source"], source);
    }
}

#[test]
fn every_mode_is_stored_as_it_was_written() {
    for mode in ["message", "packed-forward"] {
        for acks in ["false", "true"] {
            let scratch = tempfile::tempdir().unwrap();
            let Some(server) = server(scratch.path(), json!({})) else { return };
            let options = [
                ("tag", "app.{{.Name}}"),
                ("fluentd-mode", mode),
                ("fluentd-request-ack", acks),
                ("fluentd-sub-second-precision", acks),
            ];
            check(&server, &format!("127.0.0.1:{}", server.port()), &options, scratch.path());
        }
    }
}

#[test]
fn over_a_socket_of_this_machine() {
    for acks in ["false", "true"] {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("socket");
        let Some(server) = server(scratch.path(), json!({ "path": path })) else { return };
        let options = [("tag", "app.{{.Name}}"), ("fluentd-request-ack", acks)];
        check(&server, &format!("unix://{}", path.display()), &options, scratch.path());
    }
}

#[test]
fn over_tls_with_certificates_of_both_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = Authority::new(scratch.path());
    let (ours, theirs) = (authority.issue("client"), authority.issue("localhost"));
    let tls = json!({ "key": theirs.key, "cert": theirs.certificate, "ca": authority.file() });
    let Some(server) = server(scratch.path(), json!({ "tls": tls })) else { return };
    let [ca, certificate, key] =
        [authority.file(), ours.certificate, ours.key].map(|file| file.display().to_string());
    let options = [
        ("tag", "app.{{.Name}}"),
        ("fluentd-request-ack", "true"),
        ("fluentd-tls-ca-cert", ca.as_str()),
        ("fluentd-tls-cert", certificate.as_str()),
        ("fluentd-tls-key", key.as_str()),
    ];
    check(&server, &format!("tls://localhost:{}", server.port()), &options, scratch.path());
}

#[test]
fn with_a_shared_key_and_a_user() {
    let security = json!({
        "serverHostname": "receiver.example.com",
        "sharedKey": "a key",
        "authorize": true,
        "userDict": { "ali": "sesame" },
    });
    for acks in ["false", "true"] {
        let scratch = tempfile::tempdir().unwrap();
        let options = json!({ "security": security });
        let Some(server) = server(scratch.path(), options) else { return };
        let options = |key: &'static str, password: &'static str| {
            [
                ("tag", "app.{{.Name}}"),
                ("fluentd-request-ack", acks),
                ("fluentd-shared-key", key),
                ("fluentd-username", "ali"),
                ("fluentd-password", password),
                ("drain-timeout", "0s"),
            ]
        };
        let address = format!("127.0.0.1:{}", server.port());
        for (wrong, why) in [
            (options("another", "sesame"), "shared key mismatch"),
            (options("a key", "wrong"), "username/password mismatch"),
        ] {
            let container = Container::start(&fluentd_container(&address, &wrong), scratch.path());
            container.write(Output::Stdout, b"for nobody\n");
            until("the server's reason", SOON, || {
                let error = container.status().and_then(|page| page.last_error);
                let text = error.map(|note| note.text).unwrap_or_default();
                if text == format!("the server refuses us: {why}") { Ok(()) } else { Err(text) }
            });
            assert_eq!(container.logger_exit(), None, "{:?}", container.dockerinit_log());
            container.end(Ending::Halt);
        }
        let right = &options("a key", "sesame")[..5];
        check(&server, &address, right, scratch.path());
    }
}
