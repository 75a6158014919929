// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Interop with a real server of Fluentd's protocol: what a container wrote is what it stores, also when it is restarted
//! under load.

use std::path::Path;
use std::thread;

use dockerlogger_tests::certificates::Authority;
use dockerlogger_tests::dockerinit::{CONTAINER_ID, Container, Ending, Output};
use dockerlogger_tests::fluentd::Fluentd;
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::{SOON, try_until, until};
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

/// What may be under way when the server goes: what the sender lets wait for a word, and a batch.
const UNDER_WAY_BYTES: usize = (144 + 68) << 10;

/// What of a kernel that goes away with a server may have been acknowledged: a send buffer and a batch, and as much
/// again as the kernel counts for itself.
const SEND_BUFFER_BYTES: usize = 2 * (56 << 10) + (68 << 10);

/// An event has at least so many bytes.
const EVENT_BYTES: usize = 160;

/// Restarts the server three times while 30 000 lines are written.
fn restart_under_load(options: &[(&str, &str)], end: fn(&mut Fluentd), duplicate_bytes_max: usize) {
    const LINES: u64 = 30_000;
    let scratch = tempfile::tempdir().unwrap();
    let Some(mut server) = server(scratch.path(), json!({})) else { return };
    let mut config = vec![("max-buffer-size", "16m")];
    config.extend_from_slice(options);
    let address = format!("127.0.0.1:{}", server.port());
    let container = Container::start(&fluentd_container(&address, &config), scratch.path());
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for from in (0..LINES).step_by(20) {
                container.write_unread(Output::Stdout, oracle::lines(from, from + 20).as_bytes());
            }
        });
        for restart in 1..=3 {
            until("more lines to be stored", SOON, || {
                let stored = server.logs().len();
                if stored >= restart * 3000 { Ok(()) } else { Err(stored) }
            });
            end(&mut server);
            server.start_again();
        }
        writing.join().unwrap();
    });
    let judged = try_until(SOON, || {
        let verdict = Verdict::of(LINES, server.logs());
        if verdict.complete() { Ok(verdict) } else { Err(verdict) }
    });
    let verdict = judged.unwrap_or_else(|verdict| panic!("{verdict}; {:?}", container.status()));
    let duplicates = verdict.duplicated.len();
    assert!(
        duplicates * EVENT_BYTES <= 3 * duplicate_bytes_max,
        "{duplicates} duplicates of three restarts; {options:?}"
    );
    container.end_well();
    let page = container.status().unwrap();
    assert_eq!((page.delivered, page.dropped.len()), (page.read, 0), "{page:?}");
}

#[test]
fn a_crash_under_load_loses_nothing_that_was_to_be_confirmed() {
    restart_under_load(&[("fluentd-request-ack", "true")], Fluentd::crash, UNDER_WAY_BYTES);
}

#[test]
fn a_crash_under_load_loses_no_pack_that_was_to_be_confirmed() {
    let options = [("fluentd-request-ack", "true"), ("fluentd-mode", "packed-forward")];
    restart_under_load(&options, Fluentd::crash, UNDER_WAY_BYTES);
}

/// Without confirmations, what a server has read counts as taken: one that ends in order has stored it.
#[test]
fn a_restart_under_load_repeats_a_send_buffer_at_most() {
    restart_under_load(&[], Fluentd::close, SEND_BUFFER_BYTES);
}
