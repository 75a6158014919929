// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The launch contract with dockerinit, from the logger's side and from the container's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use dockerlogger_tests::dockerinit::{Container, ContainerSpec, Ending, Output};
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::TcpReceiver;
use dockerlogger_tests::{SOON, programs, until};
use rustix::process::Signal;

use super::{EX_CONFIG, syslog_container, texts};

const KILLED: Exit = Exit::Signal(9);

/// A command that ends only when somebody ends it.
const FOREVER: &str = "while :; do read -r line < /dev/zero; done";

/// A program in the logger's place, which writes what it was given to a file.
fn probe(scratch: &Path, script: &str) -> std::path::PathBuf {
    let (written, file) = (scratch.join("probe.written"), scratch.join("probe"));
    fs::write(&written, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&written, fs::Permissions::from_mode(0o755)).unwrap();
    programs::copy(&written, &file);
    file
}

#[test]
fn the_simulated_launch_is_exactly_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let folder = scratch.path().join("a folder");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "exec 9> '{0}.new'; echo \"args $#: $1\" >&9; pwd >&9; tr '\\0' '\\n' < /proc/$$/environ | sort >&9; \
         for fd in 0 1 2 3 4; do readlink /proc/$$/fd/$fd | sed 's/[0-9][0-9]*//g' >&9; grep -h flags /proc/$$/fdinfo/$fd >&9; done; \
         mv '{0}.new' '{0}'; sleep 1000",
        out.display()
    );
    let mut spec = ContainerSpec::new(&probe(scratch.path(), &script), "some driver", &[])
        .without("DOCKERLOG_CMD")
        .without("DOCKERLOG_ENTRYPOINT")
        .without("DOCKERLOG_IMAGEID")
        .with("DOCKERLOG_CONTAINERNAME", "a b");
    spec.workdir = folder.clone();
    let _container = Container::start(&spec, scratch.path());
    let seen = until("the probe's report", SOON, || fs::read_to_string(&out));
    if cfg!(target_os = "linux") {
        let expected = format!(
            "args 1: some driver\n{}\nDOCKERLOG_CONFIG={{}}\nDOCKERLOG_CONTAINERID={}\nDOCKERLOG_CONTAINERNAME=a b\n\
             DOCKERLOG_CREATETIME=2026-01-02T03:04:05Z\nDOCKERLOG_IMAGENAME=registry.example.com/team/app:1.2\n",
            folder.display(),
            dockerlogger_tests::dockerinit::CONTAINER_ID,
        );
        let (head, descriptors) = seen.split_at(expected.len().min(seen.len()));
        assert_eq!(head, expected);
        let lines: Vec<&str> = descriptors.lines().collect();
        assert!(lines[0].ends_with("sdc-dockerinit.log") && lines[1].ends_with('1'), "{lines:?}");
        assert_eq!((lines[2], lines[4]), ("/dev/null", "/dev/null"));
        assert!(
            lines[3].ends_with('1') && lines[5].ends_with('1'),
            "1 and 2 are write-only: {lines:?}"
        );
        assert_eq!((lines[6], lines[8]), ("pipe:[]", "pipe:[]"));
        assert!(
            lines[7].ends_with('0') && lines[9].ends_with('0'),
            "3 and 4 are read-only: {lines:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_but_the_five_descriptors_is_inherited() {
    let scratch = tempfile::tempdir().unwrap();
    // Descriptors of the test process that a careless start would pass on.
    let _more: Vec<fs::File> = (0..20).map(|_| fs::File::open("/dev/null").unwrap()).collect();
    let spec = ContainerSpec::new(Path::new("/bin/sleep"), "1000", &[]);
    let container = Container::start(&spec, scratch.path());
    // While it starts, sleep has files of its own open for a moment; what was inherited would stay.
    until("sleep to have five descriptors", SOON, || {
        let fds = fs::read_dir(format!("/proc/{}/fd", container.logger_pid()))
            .map_err(|error| vec![error.to_string()])?;
        let mut fds: Vec<String> =
            fds.map(|fd| fd.unwrap().file_name().into_string().unwrap()).collect();
        fds.sort();
        if fds == ["0", "1", "2", "3", "4"] { Ok(()) } else { Err(fds) }
    });
}

#[test]
fn a_logger_that_cannot_be_executed_kills_the_container() {
    let scratch = tempfile::tempdir().unwrap();
    let spec = ContainerSpec::new(Path::new("/nonexistent/logger"), "syslog", &[]).running(FOREVER);
    let outcome = Container::start(&spec, scratch.path()).wait(SOON);
    assert_eq!(outcome.logger.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(outcome.init, Some(KILLED));
}

#[test]
fn a_refused_configuration_says_why_on_descriptor_0_and_ends_the_container() {
    for (driver, config, named) in [
        (
            "syslog",
            &[("syslog-address", "tcp://127.0.0.1:1"), ("syslog-facility", "LOCAL0")][..],
            &["syslog-facility", "LOCAL0", "local0"][..],
        ),
        (
            "syslog",
            &[("syslog-address", "gopher://h")],
            &["syslog-address", "gopher", "udp", "tcp"],
        ),
        ("syslog", &[("syslog-address", "tcp://127.0.0.1:1"), ("no-such", "x")], &["no-such"]),
        ("syslog", &[], &["syslog-address"]),
        ("no-such-driver", &[], &["no-such-driver", "syslog"]),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let spec = ContainerSpec::new(&programs::logger(), driver, config).running(FOREVER);
        let container = Container::start(&spec, scratch.path());
        let outcome = container.wait(SOON);
        assert_eq!(outcome.logger.unwrap(), Exit::Code(EX_CONFIG), "{driver} {config:?}");
        assert_eq!(outcome.init, Some(KILLED));
        let log = container.dockerinit_log();
        for word in named {
            assert!(log.contains(word), "{driver} {config:?}: {word:?} should be named in {log:?}");
        }
    }
}

#[test]
fn labels_and_environment_that_are_malformed_end_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let spec = syslog_container(&receiver.syslog_address(), &[])
        .with("DOCKERLOG_LABELS", "{not json")
        .with("DOCKERLOG_ENV", r#"{"A":"b"}"#);
    let container = Container::start(&spec, scratch.path());
    container.write(Output::Stdout, b"here\n");
    assert_eq!(texts(&receiver.wait_for_messages(1, SOON)), ["here"]);
    let page = container.wait_until_settled(SOON);
    let log = container.dockerinit_log();
    for name in ["DOCKERLOG_LABELS", "DOCKERLOG_ENV"] {
        assert!(page.last_error.as_ref().unwrap().text.contains(name), "{page:?}");
        assert!(log.contains(name), "{log}");
    }
}

/// Its end would be the container's.
#[test]
fn signals_that_are_meant_for_nobody_end_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let spec = syslog_container(&receiver.syslog_address(), &[]);
    let container = Container::start(&spec, scratch.path());
    for (n, signal) in [Signal::HUP, Signal::QUIT, Signal::USR2, Signal::ALARM, Signal::PROF]
        .into_iter()
        .enumerate()
    {
        container.write(Output::Stdout, b"before\n");
        receiver.wait_for_messages(2 * n + 1, SOON);
        container.signal_logger(signal);
        container.write(Output::Stdout, b"after\n");
        receiver.wait_for_messages(2 * n + 2, SOON);
        assert_eq!(container.logger_exit(), None, "{signal:?}");
    }
}

#[test]
fn a_configuration_that_is_not_json_or_absent_is_refused() {
    let spec = syslog_container("tcp://127.0.0.1:1", &[]);
    for spec in
        [spec.clone().with("DOCKERLOG_CONFIG", "{not json"), spec.without("DOCKERLOG_CONFIG")]
    {
        let scratch = tempfile::tempdir().unwrap();
        let container = Container::start(&spec.running(FOREVER), scratch.path());
        assert_eq!(container.wait(SOON).logger.unwrap(), Exit::Code(EX_CONFIG));
        assert!(!container.dockerinit_log().is_empty());
    }
}

#[test]
fn variables_that_are_absent_are_not_needed() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let mut spec = syslog_container(&receiver.syslog_address(), &[]);
    spec.variables.retain(|name, _| name == "DOCKERLOG_CONFIG" || name == "DOCKERLOG_CONTAINERID");
    let container = Container::start(&spec, scratch.path());
    container.write(Output::Stdout, b"hello\n");
    assert_eq!(texts(&receiver.wait_for_messages(1, SOON)), ["hello"]);
    assert_eq!(container.logger_exit(), None);
}

#[test]
fn the_end_of_the_logger_is_the_end_of_the_container_whatever_its_status() {
    for (signal, exit) in [(Signal::KILL, KILLED), (Signal::TERM, Exit::Code(0))] {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = TcpReceiver::start();
        let spec = syslog_container(&receiver.syslog_address(), &[])
            .running(&format!("echo ready; {FOREVER}"));
        let container = Container::start(&spec, scratch.path());
        receiver.wait_for_messages(1, SOON);
        container.signal_logger(signal);
        let outcome = container.wait(SOON);
        assert_eq!(outcome.logger.unwrap(), exit);
        assert_eq!(outcome.init, Some(KILLED));
    }
}

#[test]
fn a_halting_zone_leaves_no_process_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let mut spec = syslog_container(&receiver.syslog_address(), &[])
        .running(&format!("echo ready; {FOREVER}"));
    spec.ending = Ending::Halt;
    let container = Container::start(&spec, scratch.path());
    receiver.wait_for_messages(1, SOON);
    container.end(Ending::Stop { grace: Duration::from_secs(5) });
    let outcome = container.wait(SOON);
    assert_eq!(outcome.logger.unwrap(), KILLED);
    assert!(matches!(outcome.init, Some(Exit::Signal(_))));
    let group = rustix::process::Pid::from_raw(container.logger_pid()).unwrap();
    until("the logger's process group to be empty", SOON, || {
        match rustix::process::test_kill_process_group(group) {
            Err(_) => Ok(()),
            Ok(()) => Err(()),
        }
    });
}

#[test]
fn with_a_terminal_both_outputs_are_one_stream() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let mut spec = syslog_container(&receiver.syslog_address(), &[])
        .running("echo out; echo err >&2; echo last");
    spec.tty = true;
    let container = Container::start(&spec, scratch.path());
    assert_eq!(
        container.wait(SOON).logger.unwrap(),
        Exit::Code(0),
        "{}",
        container.dockerinit_log()
    );
    let messages = receiver.wait_for_messages(3, SOON);
    assert_eq!(texts(&messages), ["out\r", "err\r", "last\r"], "no byte of a record is altered");
    assert!(messages.iter().all(|message| message.starts_with("<30>")), "{messages:?}");
}

#[test]
fn paths_with_spaces_are_paths() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("some folder");
    fs::create_dir(&folder).unwrap();
    let logger = folder.join("the logger");
    programs::copy(&programs::logger(), &logger);
    let receiver = TcpReceiver::start();
    let mut spec = syslog_container(&receiver.syslog_address(), &[("syslog-tag", "a tag")]);
    spec.logger = logger;
    spec.workdir = folder;
    let container = Container::start(&spec, scratch.path());
    container.write(Output::Stderr, b"  two spaces  \n");
    let messages = receiver.wait_for_messages(1, SOON);
    assert!(messages[0].contains(" logger/a tag["), "{messages:?}");
    assert_eq!(texts(&messages), ["  two spaces  "]);
}

#[test]
fn what_was_written_before_the_stream_was_joined_is_lost_and_the_rest_is_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let mut spec = syslog_container(&receiver.syslog_address(), &[]);
    spec.unjoined_messages = 2;
    let container = Container::start(&spec, scratch.path());
    for text in ["one\n", "two\n", "three\n", "four\n"] {
        container.write(Output::Stdout, text.as_bytes());
    }
    assert_eq!(texts(&receiver.wait_for_messages(2, SOON)), ["three", "four"]);
    assert_eq!(container.counts(Output::Stdout).unjoined.bytes, 8);
}

#[test]
fn the_tail_without_a_newline_is_sent_at_the_end() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let spec = syslog_container(&receiver.syslog_address(), &[]).running("printf 'whole\ntail'");
    let container = Container::start(&spec, scratch.path());
    assert_eq!(
        container.wait(SOON).logger.unwrap(),
        Exit::Code(0),
        "{}",
        container.dockerinit_log()
    );
    assert_eq!(texts(&receiver.wait_for_messages(2, SOON)), ["whole", "tail"]);
}
