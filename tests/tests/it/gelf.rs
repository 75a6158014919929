// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! GELF servers, real ones and such that break off: what the container wrote is what they store.

use std::io::Write;
use std::path::Path;

use dockerlogger_tests::certificates::Authority;
use dockerlogger_tests::dockerinit::{CONTAINER_ID, Container, ContainerSpec, Output};
use dockerlogger_tests::gelf::{Message, messages_in, messages_of};
use dockerlogger_tests::gelf_stream::GelfStream;
use dockerlogger_tests::graygelf::Graygelf;
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::receiver::{Manners, TcpReceiver, UdpReceiver};
use dockerlogger_tests::{SOON, programs, try_until, until};
use serde_json::{Map, Value};

use super::skip;

fn start(address: &str, options: &[(&str, &str)], scratch: &Path) -> Container {
    let mut config = vec![("gelf-address", address)];
    config.extend_from_slice(options);
    Container::start(&ContainerSpec::new(&programs::logger(), "gelf", &config), scratch)
}

fn text_of(message: &Message) -> String {
    let json: Value = serde_json::from_slice(&message.json).unwrap();
    json["short_message"].as_str().unwrap().to_owned()
}

/// What every connection brought to its end.
fn texts(receiver: &TcpReceiver) -> Vec<String> {
    let connections = receiver.per_connection();
    connections.iter().flat_map(|stream| messages_in(stream)).map(|m| text_of(&m)).collect()
}

/// Lines as containers write them, and such that try to be more than one record.
fn lines() -> Vec<String> {
    let mut lines: Vec<String> = [
        "hello from a container",
        "  leading and trailing spaces  ",
        "tab\tand \"quotes\" and \\backslash and 'more'",
        "unicode: h\u{e9}llo \u{4e16}\u{754c} \u{1f600}",
        "html <b>&amp;</b> \u{2028}",
        "escape \u{1b}[31mred\u{1b}[0m bell \u{7}",
        "a zero \0{\"version\":\"1.1\",\"host\":\"forged\",\"short_message\":\"x\"}\0",
        "\",\"level\":0,\"_tag\":\"forged",
        "carriage return\r",
    ]
    .map(str::to_owned)
    .to_vec();
    for length in [1000, 1420, 2816, 8192, 16_384] {
        lines.push("0123456789".chars().cycle().take(length).collect());
        // What compresses badly comes in chunks also then.
        let mut state = 1u64;
        let noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from(state >> 33 & 63).unwrap())
        };
        lines.push(std::iter::repeat_with(noise).take(length).collect());
    }
    lines.extend((0..50).map(oracle::line));
    lines
}

/// Ends a container that has written [`lines`] and wants them back from a server, and one more.
#[track_caller]
fn end_and_compare(
    container: &Container,
    options: &[(&str, &str)],
    stored: impl Fn() -> Vec<Map<String, Value>>,
) {
    let mut expected = lines();
    expected.push("the end, without a newline".to_owned());
    container.write(Output::Stderr, b"the end, without a newline");
    container.end_well();
    let messages = until("the server to have stored all", SOON, || {
        let messages = stored();
        if messages.len() == expected.len() { Ok(messages) } else { Err(messages.len()) }
    });
    let trims = options.contains(&("gelf-tag", "deadbeefcafe"));
    for (message, line) in messages.iter().zip(&expected) {
        let line = if trims { line.trim() } else { line };
        assert!(message["short_message"] == line, "{options:?} {message:?}, not {line:?}");
        assert_eq!(message["_container_id"], CONTAINER_ID);
    }
    assert_eq!(messages[0]["level"], 6);
    assert_eq!(messages[messages.len() - 1]["level"], 3);
}

#[test]
fn a_real_server_stores_every_line_however_it_was_sent() {
    for options in [
        &[][..],
        &[("gelf-compression-level", "6")],
        &[("gelf-compression-type", "zlib")],
        &[("gelf-compression-type", "none")],
        &[("gelf-compression-type", "none"), ("gelf-chunk-size", "auto")],
        &[("gelf-tag", "deadbeefcafe")],
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let Some(server) = Graygelf::start(scratch.path()) else {
            return skip("tests/receivers/graygelf is not installed (npm install there)");
        };
        let container = start(&server.address(), options, scratch.path());
        for (count, line) in lines().iter().enumerate() {
            container.write(Output::Stdout, format!("{line}\n").as_bytes());
            // One at a time: a server that is too slow for a burst loses datagrams, and nobody knows.
            until("the server to have stored it", SOON, || {
                let stored = server.messages().len();
                if stored > count { Ok(()) } else { Err((options, count, stored)) }
            });
        }
        end_and_compare(&container, options, || server.messages());
    }
}

#[test]
fn a_real_server_over_tls_stores_every_line() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = Authority::new(scratch.path());
    let Some(server) = GelfStream::start(scratch.path(), Some(&authority.issue("localhost")))
    else {
        return skip("graygelf is not installed (npm install in tests/receivers/graygelf)");
    };
    let ca = authority.file().display().to_string();
    let address = format!("tcp+tls://localhost:{}", server.port());
    let container = start(&address, &[("gelf-tls-ca-cert", &ca)], scratch.path());
    for line in lines() {
        container.write(Output::Stdout, format!("{line}\n").as_bytes());
    }
    end_and_compare(&container, &[], || server.messages());
}

#[test]
fn a_server_that_restarts_under_load_gets_everything() {
    for down in [Manners::Refuse, Manners::CloseAfter { bytes: 20_000 }] {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = TcpReceiver::start();
        let address = format!("tcp://127.0.0.1:{}", receiver.port());
        let container = start(&address, &[], scratch.path());
        let written = 6000;
        for from in (0..written).step_by(50) {
            match from {
                1000 | 3000 => receiver.set_manners(down),
                // The other fault ends by itself, and whoever has nothing to say need not come back before.
                2000 | 4000 if down == Manners::Refuse => {
                    let before = receiver.connections();
                    receiver.set_manners(Manners::Take);
                    until("the logger to have connected again", SOON, || {
                        let connections = receiver.connections();
                        if connections > before { Ok(()) } else { Err(connections) }
                    });
                }
                _ => {}
            }
            container.write(Output::Stdout, oracle::lines(from, from + 50).as_bytes());
        }
        let verdict = try_until(SOON, || {
            let verdict = Verdict::of(written, texts(&receiver));
            if verdict.complete() { Ok(verdict) } else { Err(verdict) }
        });
        let verdict = verdict.unwrap_or_else(|verdict| panic!("{verdict}"));
        assert!(receiver.connections() > 1, "no connection was broken");
        // A message has more than 500 bytes; what may be with the kernel is sent again.
        let resent_max = 2 * RESENT_BYTES_MAX / 500;
        assert!(verdict.duplicated.len() <= resent_max, "{verdict}");
        let page = container.wait_until_settled(SOON);
        assert_eq!((page.delivered, page.dropped.len()), (page.read, 0), "{page:?}");
        container.end_well();
    }
}

/// What a broken connection costs at most in bytes that arrive twice: what was kept, and the rest of its batch.
const RESENT_BYTES_MAX: usize = (128 + 68) << 10;

#[test]
fn a_server_that_says_something_is_not_listened_to() {
    let scratch = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let container = start(&address, &[], scratch.path());
    // It connects when there is something to say.
    container.write(Output::Stdout, oracle::lines(0, 100).as_bytes());
    let (mut server, _) = listener.accept().unwrap();
    let taken = std::thread::spawn(move || {
        server.write_all(&b"220 mail.example.com\r\n\0\x1e\x0f".repeat(1000)).unwrap();
        let mut taken = Vec::new();
        std::io::Read::read_to_end(&mut server, &mut taken).unwrap();
        taken
    });
    container.write(Output::Stdout, oracle::lines(100, 200).as_bytes());
    container.end_well();
    let taken: Vec<String> = messages_in(&taken.join().unwrap()).iter().map(text_of).collect();
    assert!(Verdict::of(200, taken).exact());
}

#[test]
fn records_of_more_chunks_than_there_may_be_are_replaced() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = UdpReceiver::start();
    let address = format!("udp://127.0.0.1:{}", receiver.port());
    // Either alone would fit, and the marker does.
    let huge = "x".repeat(100_000);
    let labels = serde_json::json!({ "huge": huge }).to_string();
    let config =
        [("gelf-address", address.as_str()), ("gelf-compression-type", "none"), ("labels", "huge")];
    let spec =
        ContainerSpec::new(&programs::logger(), "gelf", &config).with("DOCKERLOG_LABELS", &labels);
    let container = Container::start(&spec, scratch.path());
    container.write(Output::Stdout, format!("{}\n", "\u{1}".repeat(16_000)).as_bytes());
    let messages = until("the marker", SOON, || {
        let messages = messages_of(&receiver.datagrams()).map_err(|_| 0)?;
        if messages.is_empty() { Err(0) } else { Ok(messages) }
    });
    let text = text_of(&messages[0]);
    assert!(text.starts_with("1 lines / 16001 bytes dropped"), "{text}");
    container.end_well();
}
