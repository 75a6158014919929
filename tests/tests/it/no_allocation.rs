// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! After its start the reader allocates nothing: it would be dead in these containers.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dockerlogger_tests::dockerinit::{Container, ContainerSpec, Output};
use dockerlogger_tests::oracle;
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::{Manners, TcpReceiver};
use dockerlogger_tests::{SOON, programs, until};

use rustix::process::Signal;

use super::sender_killed::kill_sender;
use super::{syslog_container, texts};

fn frozen(receiver: &TcpReceiver, options: &[(&str, &str)]) -> ContainerSpec {
    let mut spec = syslog_container(&receiver.syslog_address(), options);
    spec.logger = programs::logger_frozen();
    spec
}

/// Waits for the message, and says how many there are.
fn wait_for(receiver: &TcpReceiver, container: &Container, text: &str) -> usize {
    until(text, SOON, || {
        let texts = texts(&receiver.messages());
        if texts.iter().any(|seen| seen.contains(text)) {
            Ok(texts.len())
        } else {
            Err((texts.len(), texts.last().cloned(), container.logger_exit()))
        }
    })
}

#[test]
fn a_whole_life_without_an_allocation() {
    for (mode, has_spool) in [("non-blocking", false), ("non-blocking", true), ("blocking", false)]
    {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = TcpReceiver::start();
        let spool = scratch.path().join("spool");
        fs::create_dir(&spool).unwrap();
        fs::set_permissions(&spool, fs::Permissions::from_mode(0o700)).unwrap();
        let mut options =
            vec![("mode", mode), ("max-buffer-size", "64k"), ("flush-interval", "100ms")];
        options.extend(has_spool.then_some(("spool", spool.to_str().unwrap())));
        let container = Container::start(&frozen(&receiver, &options), scratch.path());
        container.write(Output::Stdout, oracle::lines(0, 10).as_bytes());
        container.write(Output::Stderr, b"to errors\n");
        container.write(Output::Stdout, b"a tail");
        wait_for(&receiver, &container, "a tail");
        container.write(Output::Stdout, b"\n");
        if mode == "non-blocking" {
            receiver.set_manners(Manners::Refuse);
            for from in (10..4000).step_by(100) {
                container.write(Output::Stdout, oracle::lines(from, from + 100).as_bytes());
            }
            receiver.set_manners(Manners::Take);
            wait_for(&receiver, &container, "dropped");
        } else {
            receiver.set_manners(Manners::Stall);
            for from in (10..4000).step_by(100) {
                container.write_unread(Output::Stdout, oracle::lines(from, from + 100).as_bytes());
            }
            receiver.set_manners(Manners::Take);
        }
        for n in 0..3 {
            kill_sender(&container);
            let line = format!("after the death of sender {n}");
            container.write(Output::Stdout, format!("{line}\n").as_bytes());
            wait_for(&receiver, &container, &line);
        }
        container.signal_logger(Signal::USR1);
        until("the report", SOON, || {
            let log = container.dockerinit_log();
            if log.contains("delivered") { Ok(()) } else { Err((log, container.logger_exit())) }
        });
        assert_eq!(container.logger_exit(), None);
        assert_eq!(container.status().unwrap().ring.is_file, has_spool);
        container.write(Output::Stderr, b"the last tail");
        container.end_well();
        wait_for(&receiver, &container, "the last tail");
        assert_eq!(fs::read_dir(&spool).unwrap().count(), 0, "what is empty is removed");
    }
}

/// What the test above rests on: one allocation, and the logger is dead. Its last words are one.
#[test]
fn an_allocation_would_be_seen() {
    const SIGABRT: i32 = 6;
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let container = Container::start(&frozen(&receiver, &[("on-failure", "kill")]), scratch.path());
    container.write(Output::Stdout, b"hello\n");
    receiver.wait_for_messages(1, SOON);
    kill_sender(&container);
    assert_eq!(container.wait(SOON).logger.unwrap(), Exit::Signal(SIGABRT));
}
