// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Servers of Fluentd's protocol that confirm late, wrongly, or say what nobody should: the container never notices, and
//! what was not confirmed is sent again.

use std::collections::BTreeSet;

use dockerlogger_tests::dockerinit::{Container, ContainerSpec, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::receiver::{Conduct, FluentReceiver, confirmation};
use dockerlogger_tests::{SOON, programs, try_until, until};
use rmpv::Value;

/// Both ways in which events travel.
const MODES: [&str; 2] = ["message", "packed-forward"];

/// A container of the fluentd driver that sends to a port of this machine.
pub(super) fn fluentd_container(address: &str, options: &[(&str, &str)]) -> ContainerSpec {
    let mut config = vec![("fluentd-address", address)];
    config.extend_from_slice(options);
    ContainerSpec::new(&programs::logger(), "fluentd", &config)
}

fn start(
    receiver: &FluentReceiver,
    options: &[(&str, &str)],
    scratch: &std::path::Path,
) -> Container {
    let address = format!("127.0.0.1:{}", receiver.port());
    Container::start(&fluentd_container(&address, options), scratch)
}

/// Waits until the first `written` lines have arrived, and ends the container.
#[track_caller]
fn expect_complete(receiver: &FluentReceiver, container: &Container, written: u64) -> Verdict {
    let judged = try_until(SOON, || {
        let verdict = Verdict::of(written, receiver.logs());
        if verdict.complete() { Ok(verdict) } else { Err(verdict) }
    });
    let verdict = judged.unwrap_or_else(|verdict| {
        panic!("{verdict}; {:?}; {:?}", container.dockerinit_log(), container.status())
    });
    container.end_well();
    let page = container.status().unwrap();
    assert_eq!((page.delivered, page.dropped.len()), (page.read, 0), "{page:?}");
    verdict
}

/// Waits for what the status page says last went wrong.
#[track_caller]
fn expect_error(container: &Container, part: &str) {
    until(&format!("the error {part:?}"), SOON, || {
        let error = container.status().and_then(|page| page.last_error).map(|note| note.text);
        if error.as_ref().is_some_and(|text| text.contains(part)) { Ok(()) } else { Err(error) }
    });
}

#[test]
fn confirmations_may_come_in_any_order() {
    for mode in MODES {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = FluentReceiver::with(&[Conduct::Backwards(4)]);
        let options = [("fluentd-request-ack", "true"), ("fluentd-mode", mode)];
        let container = start(&receiver, &options, scratch.path());
        let mut written = 0;
        let arrived = |written: u64| {
            until("what was written to arrive", SOON, || {
                let arrived = receiver.logs().len() as u64;
                if arrived == written { Ok(()) } else { Err(arrived) }
            });
        };
        // Nobody knows how many packs the lines will be; the last four have to be four.
        while written < 400 || !receiver.messages().len().is_multiple_of(4) {
            let more = if written < 400 { 20 } else { 1 };
            container.write(Output::Stdout, oracle::lines(written, written + more).as_bytes());
            written += more;
            if written >= 400 {
                arrived(written);
            }
        }
        container.wait_until_settled(SOON);
        assert!(expect_complete(&receiver, &container, written).exact());
    }
}

#[test]
fn what_a_rude_server_did_not_confirm_is_sent_again() {
    let other = confirmation("AAAAAAAAAAAAAAAAAAAAAA==");
    let huge = [b"\xdb\x7f\xff\xff\xff".as_slice(), &[b'x'; 8192]].concat();
    let helo = b"\x92\xa4HELO\x81\xa5nonce\xa3abc".to_vec();
    for mode in MODES {
        for (rude, error) in [
            (Conduct::Say(other.clone()), "confirmed a chunk that does not wait for it"),
            (Conduct::Say(huge.clone()), "longer than 4096 bytes"),
            (Conduct::Say(b"\xc1".to_vec()), "is no MessagePack"),
            (Conduct::Say(b"\x80".to_vec()), "is no confirmation"),
            (Conduct::Greet(helo.clone()), "asks for a shared key"),
            (Conduct::Greet(b"220 mail.example.com".to_vec()), "is no confirmation"),
            (Conduct::Ignore, "confirmed nothing for 200ms"),
            (Conduct::CloseAfter(1000), "the connection"),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            let receiver = FluentReceiver::with(&[rude.clone(), rude, Conduct::Confirm]);
            let options = [
                ("fluentd-request-ack", "true"),
                ("fluentd-read-timeout", "200ms"),
                ("fluentd-mode", mode),
            ];
            let container = start(&receiver, &options, scratch.path());
            for from in (0..200).step_by(20) {
                container.write(Output::Stdout, oracle::lines(from, from + 20).as_bytes());
            }
            expect_complete(&receiver, &container, 200);
            assert!(receiver.connections() >= 3, "{error}");
            expect_error(&container, error);
        }
    }
}

#[test]
fn nothing_that_was_confirmed_is_sent_again() {
    for mode in MODES {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = FluentReceiver::with(&[
            Conduct::ConfirmThenLeave(7),
            Conduct::ConfirmThenLeave(3),
            Conduct::Confirm,
        ]);
        let options = [("fluentd-request-ack", "true"), ("fluentd-mode", mode)];
        let container = start(&receiver, &options, scratch.path());
        for from in (0..1000).step_by(20) {
            container.write(Output::Stdout, oracle::lines(from, from + 20).as_bytes());
        }
        expect_complete(&receiver, &container, 1000);
        let connections = receiver.per_connection();
        assert!(connections.len() >= 2, "{mode}");
        let mut confirmed = BTreeSet::new();
        let mut sent: Vec<&Value> = Vec::new();
        for (connection, count) in connections.iter().zip([7, 3, usize::MAX]) {
            for message in connection {
                let chunk = chunk_of(message).unwrap();
                assert!(!confirmed.contains(&chunk), "{mode}: {chunk} was confirmed before");
                // What is sent again is the same message.
                let twin = sent.iter().find(|one| chunk_of(one).as_ref() == Some(&chunk));
                assert!(twin.is_none_or(|twin| *twin == message));
            }
            confirmed.extend(connection.iter().take(count).filter_map(chunk_of));
            sent.extend(connection);
        }
    }
}

fn chunk_of(message: &Value) -> Option<String> {
    message.as_array()?.last()?["chunk"].as_str().map(str::to_owned)
}

#[test]
fn who_is_not_asked_may_say_anything_but_a_greeting() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = FluentReceiver::with(&[Conduct::Say(b"\xc1 what? \x81\xa3ack\xa1x".to_vec())]);
    let container = start(&receiver, &[], scratch.path());
    for from in (0..100).step_by(10) {
        container.write(Output::Stdout, oracle::lines(from, from + 10).as_bytes());
    }
    assert!(expect_complete(&receiver, &container, 100).exact());

    let helo = b"\x92\xa4HELO\x83\xa5nonce\xc4\x02\xff\x00\xa4auth\xa0\xa9keepalive\xc3".to_vec();
    let receiver = FluentReceiver::with(&[Conduct::Greet(helo)]);
    let container = start(&receiver, &[("drain-timeout", "0s")], scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 10).as_bytes());
    expect_error(&container, "the server asks for a shared key");
    assert_eq!(container.logger_exit(), None, "{:?}", container.dockerinit_log());
}

#[test]
fn a_server_that_does_not_greet_is_named_as_such() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = FluentReceiver::start();
    let options =
        [("fluentd-shared-key", "k"), ("fluentd-read-timeout", "100ms"), ("drain-timeout", "0s")];
    let container = start(&receiver, &options, scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 10).as_bytes());
    expect_error(&container, "did not greet us for 100ms");
    assert_eq!(receiver.bytes(), 0, "nothing is said to who has not proved anything");
    assert_eq!(container.logger_exit(), None, "{:?}", container.dockerinit_log());
}

#[test]
fn secrets_are_shown_nowhere() {
    let options =
        r#"{"fluentd-shared-key":"hush","fluentd-username":"u","fluentd-password":"hush"}"#;
    let shown = |arguments: [&str; 2], variable: &str| {
        let mut child = std::process::Command::new(programs::logger())
            .args(arguments)
            .env("DOCKERLOG_CONFIG", variable)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // `ctxdump` reads none of it, and may be gone already.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), options.as_bytes());
        let output = child.wait_with_output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for text in [shown(["validate", "fluentd"], ""), shown(["ctxdump", "fluentd"], options)] {
        assert!(!text.contains("hush") && text.contains("(secret)"), "{text}");
    }
}
