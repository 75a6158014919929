// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a logger says last on its status page: why it ended.

#![cfg(target_os = "linux")]

use std::path::Path;

use dockerlogger_manifest::status::{Life, StatusPage};
use dockerlogger_tests::dockerinit::{Container, ContainerSpec, Ending, Output};
use dockerlogger_tests::receiver::TcpReceiver;
use dockerlogger_tests::{SOON, until};
use rustix::process::Signal;

use super::sender_killed::sender_of;
use super::{EX_CONFIG, syslog_container};

/// The page that a logger of this container left.
fn left_by(container: &Container, scratch: &Path) -> Life {
    container.wait(SOON);
    let page = StatusPage::decode(&std::fs::read(scratch.join("status")).unwrap()).unwrap();
    assert_eq!(i64::from(page.reader_pid), i64::from(container.logger_pid()));
    page.life
}

fn started(spec: &ContainerSpec, scratch: &Path) -> Container {
    let container = Container::start(spec, scratch);
    let page = until("the logger to be at work", SOON, || {
        container.status().filter(|page| page.sender_pid.is_some()).ok_or("it is not")
    });
    assert_eq!(page.life, Life::Runs);
    container
}

/// Options, how it ends, and what is on the page then.
type Case = (&'static [(&'static str, &'static str)], fn(&Container), Life);

#[test]
fn every_end_but_a_kill_is_on_the_page() {
    let crashed =
        |signal: Signal| Life::Crashed { signal: u16::try_from(signal.as_raw()).unwrap() };
    let cases: [Case; 8] = [
        (&[], |one| one.end(Ending::Close), Life::StreamsEnded),
        (&[], |one| one.signal_logger(Signal::TERM), Life::Asked),
        (&[], |one| one.signal_logger(Signal::KILL), Life::Runs),
        (&[], |one| one.signal_logger(Signal::SEGV), crashed(Signal::SEGV)),
        (&[], |one| one.signal_logger(Signal::ABORT), crashed(Signal::ABORT)),
        (&[], |one| one.signal_logger(Signal::ILL), crashed(Signal::ILL)),
        (
            &[("on-failure", "kill")],
            |one| kill_sender(one, Signal::KILL),
            Life::Failed { status: 70 },
        ),
        (
            &[("syslog-address", "tcp://127.0.0.1:1"), ("drain-timeout", "10ms")],
            |one| {
                one.write(Output::Stdout, b"nobody takes it\n");
                one.end(Ending::Close);
            },
            Life::DrainTimedOut,
        ),
    ];
    for (options, end, life) in cases {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = TcpReceiver::start();
        let spec = syslog_container(&receiver.syslog_address(), options);
        let container = started(&spec, scratch.path());
        end(&container);
        assert_eq!(left_by(&container, scratch.path()), life, "{options:?}");
    }
}

fn kill_sender(container: &Container, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(sender_of(container)).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn the_fault_of_a_sender_is_not_its_readers() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let container = started(&syslog_container(&receiver.syslog_address(), &[]), scratch.path());
    kill_sender(&container, Signal::SEGV);
    let page = until("another sender", SOON, || {
        container.status().filter(|page| page.sender_restarts == 1).ok_or("there is none")
    });
    assert_eq!(page.life, Life::Runs);
}

#[test]
fn a_refused_configuration_leaves_a_page_too() {
    let scratch = tempfile::tempdir().unwrap();
    let spec = syslog_container("tcp://127.0.0.1:1", &[("syslog-format", "none-of-these")]);
    let container = Container::start(&spec, scratch.path());
    let life = left_by(&container, scratch.path());
    assert_eq!(life, Life::Failed { status: u16::try_from(EX_CONFIG).unwrap() });
    let text = std::process::Command::new(&spec.logger)
        .args(["status".as_ref(), scratch.path().join("status").as_os_str()])
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("\nstate      failed: exit status 78\n"), "{text}");
}
