// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The bytes on the wire are those that Docker's driver and Triton's Go logger produced for the same input.

use std::collections::BTreeSet;

use dockerlogger_manifest::value::parse_size_decimal;
use dockerlogger_tests::certificates::Authority;
use dockerlogger_tests::dockerinit::{CONTAINER_ID, Container, ContainerSpec, Ending};
use dockerlogger_tests::gelf::{messages_in, messages_of};
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::{FluentReceiver, TcpReceiver, TlsReceiver, UdpReceiver};
use dockerlogger_tests::vectors::{
    Case, Expect, Facts, check, check_files, check_gelf, check_messages, load,
};
use dockerlogger_tests::{SOON, programs, try_until};

use super::{EX_CONFIG, hostname};

const SYSLOG: &str = include_str!("../data/syslog-vectors.json");
const FLUENTD: &str = include_str!("../data/fluentd-vectors.json");
const GELF: &str = include_str!("../data/gelf-vectors.json");
const JSON_FILE: &str = include_str!("../data/json-file-vectors.json");

#[test]
fn every_recorded_case_gives_the_recorded_bytes() {
    let cases = [SYSLOG, FLUENTD, GELF, JSON_FILE].map(load).concat();
    let mut ran = BTreeSet::new();
    let mut failures = Vec::new();
    // A few at a time: each is mostly waiting for two processes.
    for cases in cases.chunks(4) {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                cases.iter().map(|case| (case, scope.spawn(|| run(case)))).collect();
            for (case, result) in running {
                ran.insert(case.name.clone());
                match result.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(why)) => failures.push(format!("{}: {why}", case.name)),
                    Err(_) => failures.push(format!("{}: panicked", case.name)),
                }
            }
        });
    }
    assert_eq!(ran.len(), cases.len(), "every case runs once, and no two have one name");
    assert!(
        failures.is_empty(),
        "{} of {} cases differ:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

fn run(case: &Case) -> Result<(), String> {
    let scratch = tempfile::tempdir().unwrap();
    let (tcp, udp) = (TcpReceiver::start(), UdpReceiver::start());
    let dir = scratch.path().join("files");
    std::fs::create_dir(&dir).unwrap();
    let fluent = FluentReceiver::start();
    let certificates = scratch.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    let issued = Authority::new(&certificates).issue("127.0.0.1");
    let tls = TlsReceiver::start(issued.server(None));
    let port = match case.sink.as_str() {
        "udp" => udp.port(),
        "tls" => tls.port(),
        "fluent" => fluent.port(),
        _ => tcp.port(),
    };
    let (port, certificates) = (port.to_string(), certificates.to_str().unwrap());
    let config: Vec<(&str, String)> = case
        .config
        .iter()
        .map(|(name, value)| {
            let value = value.replace("{PORT}", &port).replace("{CERTS}", certificates);
            (name.as_str(), value.replace("{DIR}", dir.to_str().unwrap()))
        })
        .collect();
    let config: Vec<(&str, &str)> =
        config.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut spec = ContainerSpec::new(&programs::logger(), &case.driver, &config);
    for (name, value) in &case.env {
        spec = spec.with(name, value);
    }
    let container = Container::start(&spec, scratch.path());
    if !matches!(case.expect, Expect::Refusal) {
        for (output, bytes) in &case.chunks {
            container.write(*output, bytes);
        }
        container.end(Ending::Close);
    }
    let facts =
        Facts { hostname: hostname(), pid: container.logger_pid(), argv0: "logger".to_owned() };
    let exit = container.wait(SOON).logger.map_err(|error| error.to_string())?;
    match &case.expect {
        Expect::Refusal => {
            if exit != Exit::Code(EX_CONFIG) {
                return Err(format!(
                    "the configuration should be refused with {EX_CONFIG}, not {exit}"
                ));
            }
            let received = (tcp.bytes(), tls.bytes(), udp.datagrams(), fluent.connections());
            if received != (Vec::new(), Vec::new(), Vec::new(), 0) {
                return Err(format!("refused, and yet something was sent: {received:?}"));
            }
            if dir.read_dir().unwrap().next().is_some() {
                return Err("refused, and yet there is a file".to_owned());
            }
            Ok(())
        }
        _ if exit != Exit::Code(0) => {
            Err(format!("the logger ended with {exit}: {:?}", container.dockerinit_log()))
        }
        Expect::Stream(expected) => {
            // The last bytes may still be on their way from the kernel to the recording thread.
            let received = || if case.sink == "tls" { tls.bytes() } else { tcp.bytes() };
            try_until(SOON, || check(expected, &received(), &facts))
        }
        Expect::Messages(expected) => {
            try_until(SOON, || check_messages(expected, &fluent.messages(), &facts))
        }
        Expect::Gelf(expected) => try_until(SOON, || {
            let messages = match case.sink.as_str() {
                "udp" => messages_of(&udp.datagrams())?,
                _ => messages_in(&tcp.bytes()),
            };
            check_gelf(expected, &messages, &facts)
        }),
        Expect::Files(expected) => {
            let current = format!("{CONTAINER_ID}-json.log");
            let max_size = case.config.iter().find(|(name, _)| name == "max-size");
            let max_bytes = max_size.map(|(_, size)| parse_size_decimal(size).unwrap());
            let max_bytes = max_bytes.map(|max| usize::try_from(max).unwrap());
            check_files(expected, &dir, &current, max_bytes, &facts)
        }
        Expect::Frames(expected) => {
            let datagrams = udp.wait_for_datagrams(expected.len(), SOON);
            if datagrams.len() != expected.len() {
                return Err(format!("{} datagrams, not {}", datagrams.len(), expected.len()));
            }
            expected
                .iter()
                .zip(&datagrams)
                .try_for_each(|(expected, datagram)| check(expected, datagram, &facts))
        }
    }
}
