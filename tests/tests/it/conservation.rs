// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Whatever the kernel stream did not drop arrives: read = delivered, also when the source overruns it.

use dockerlogger_tests::dockerinit::{Container, Ending, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::{TcpReceiver, severity_of, text_of};
use dockerlogger_tests::zfd::Pressure;
use dockerlogger_tests::{SOON, try_until};

use super::{syslog_container, texts};

/// Lines of a stream that were not dropped on the way to the logger.
fn accepted(container: &Container, output: Output) -> Vec<String> {
    String::from_utf8(container.accepted(output)).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_burst_loses_only_what_the_kernel_drops_and_whole_lines_of_it() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let written = 3000;
    let mut spec =
        syslog_container(&receiver.syslog_address(), &[]).running(&oracle::script(0, written));
    spec.pressure = Pressure::Drop;
    let container = Container::start(&spec, scratch.path());
    assert_eq!(
        container.wait(SOON).logger.unwrap(),
        Exit::Code(0),
        "{}",
        container.dockerinit_log()
    );
    let accepted = accepted(&container, Output::Stdout);
    let counts = container.counts(Output::Stdout);
    assert_eq!(counts.written.messages, written);
    assert_eq!(
        counts.delivered.messages,
        counts.written.messages - counts.dropped.messages,
        "{counts:?}"
    );
    assert_eq!(accepted.len() as u64, counts.delivered.messages);
    let judged = try_until(SOON, || {
        let received = texts(&receiver.messages());
        if received == accepted { Ok(()) } else { Err(Verdict::of(written, received)) }
    });
    assert!(
        judged.is_ok(),
        "{} lines passed the kernel stream; received: {}",
        accepted.len(),
        judged.unwrap_err()
    );
}

#[test]
fn both_streams_arrive_whole_each_in_its_own_order() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let script = format!("{} & {} >&2; wait", oracle::script(0, 1500), oracle::script(0, 1500));
    let container = Container::start(
        &syslog_container(&receiver.syslog_address(), &[]).running(&script),
        scratch.path(),
    );
    assert_eq!(
        container.wait(SOON).logger.unwrap(),
        Exit::Code(0),
        "{}",
        container.dockerinit_log()
    );
    let messages = receiver.wait_for_messages(3000, SOON);
    for severity in [6, 3] {
        let of_stream = messages.iter().filter(|message| severity_of(message) == Some(severity));
        let verdict = Verdict::of(1500, of_stream.filter_map(|message| text_of(message)));
        assert!(verdict.exact(), "severity {severity}: {verdict}");
    }
}

#[test]
fn a_container_that_is_halted_loses_no_line_that_had_time_to_leave() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let script = format!("{}; while :; do read -r line < /dev/zero; done", oracle::script(0, 500));
    let mut spec = syslog_container(&receiver.syslog_address(), &[]).running(&script);
    spec.ending = Ending::Halt;
    let container = Container::start(&spec, scratch.path());
    // Nothing is held back for a fuller batch: every line leaves while the container goes on.
    let verdict = Verdict::of(500, texts(&receiver.wait_for_messages(500, SOON)));
    assert!(verdict.exact(), "{verdict}");
    container.end(Ending::Halt);
    assert_eq!(container.wait(SOON).logger.unwrap(), Exit::Signal(9));
}
