// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Collectors that are down, stuck or rude: the container never notices, and what fits in the ring arrives.

use std::time::Duration;

use dockerlogger_tests::dockerinit::{Container, Ending, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::{Manners, TcpReceiver, UdpReceiver};
use dockerlogger_tests::{SOON, try_until, until};

use super::{syslog_container, texts};

/// Waits until every line arrived, or shows which did not.
#[track_caller]
fn expect_complete(receiver: &TcpReceiver, container: &Container, written: u64) -> Verdict {
    let judged = try_until(SOON, || {
        let verdict = Verdict::of(written, texts(&receiver.messages()));
        if verdict.complete() { Ok(verdict) } else { Err(verdict) }
    });
    let verdict = judged.unwrap_or_else(|verdict| {
        panic!("{verdict}; dockerinit's log: {:?}", container.dockerinit_log())
    });
    let page = container.wait_until_settled(SOON);
    assert_eq!((page.delivered, page.dropped.len()), (page.read, 0), "{page:?}");
    verdict
}

#[track_caller]
fn expect_alive(container: &Container) {
    assert_eq!(container.logger_exit(), None, "the logger ended: {:?}", container.dockerinit_log());
}

#[test]
fn a_collector_that_comes_up_late_gets_everything() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start_refusing();
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &[]), scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 300).as_bytes());
    expect_alive(&container);
    receiver.set_manners(Manners::Take);
    assert!(expect_complete(&receiver, &container, 300).exact());
    container.end_well();
}

#[test]
fn a_collector_that_goes_and_comes_back_gets_everything() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &[]), scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 100).as_bytes());
    receiver.wait_for_messages(100, SOON);
    receiver.set_manners(Manners::Refuse);
    for from in (100..1000).step_by(100) {
        container.write(Output::Stdout, oracle::lines(from, from + 100).as_bytes());
    }
    expect_alive(&container);
    receiver.set_manners(Manners::Take);
    expect_complete(&receiver, &container, 1000);
    expect_alive(&container);
}

#[test]
fn a_connection_reset_in_the_middle_loses_nothing() {
    for manners in [Manners::ResetAfter { bytes: 3000 }, Manners::CloseAfter { bytes: 3000 }] {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = TcpReceiver::start();
        receiver.set_manners(manners);
        let container =
            Container::start(&syslog_container(&receiver.syslog_address(), &[]), scratch.path());
        for from in (0..500).step_by(10) {
            container.write(Output::Stdout, oracle::lines(from, from + 10).as_bytes());
        }
        let verdict = expect_complete(&receiver, &container, 500);
        assert!(receiver.connections() >= 2, "{manners:?}: the fault was not reached");
        assert!(verdict.duplicated.len() <= 500, "{manners:?}: {verdict}");
    }
}

#[test]
fn a_collector_that_never_reads_does_not_stop_the_container() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    receiver.set_manners(Manners::Stall);
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &[]), scratch.path());
    // The default buffer is 1 MiB; this is half of it, so nothing may be missing afterwards.
    let written = 8000;
    for from in (0..written).step_by(500) {
        container.write(Output::Stdout, oracle::lines(from, from + 500).as_bytes());
    }
    expect_alive(&container);
    receiver.set_manners(Manners::Take);
    assert!(expect_complete(&receiver, &container, written).exact());
}

#[test]
fn a_full_buffer_drops_the_newest_and_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start_refusing();
    let options = [("max-buffer-size", "64k")];
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &options), scratch.path());
    let written = 4000;
    for from in (0..written).step_by(100) {
        container.write(Output::Stdout, oracle::lines(from, from + 100).as_bytes());
    }
    expect_alive(&container);
    receiver.set_manners(Manners::Take);
    let marker = until("a message about the gap", SOON, || {
        let texts = texts(&receiver.messages());
        texts.iter().find(|text| text.contains("dropped")).cloned().ok_or(texts.len())
    });
    container.write(Output::Stdout, (oracle::line(written) + "\n").as_bytes());
    let texts = until("the line after the gap", SOON, || {
        let texts = texts(&receiver.messages());
        if texts.last() == Some(&oracle::line(written)) {
            Ok(texts)
        } else {
            Err(texts.last().cloned())
        }
    });
    let verdict = Verdict::of(written + 1, &texts);
    assert!(verdict.reordered.is_empty() && verdict.duplicated.is_empty(), "{verdict}");
    assert_eq!(
        verdict.torn,
        std::slice::from_ref(&marker),
        "only the marker is not a line of the container"
    );
    // The oldest lines are kept: what is missing is one run.
    let (first, last) = (verdict.lost[0], verdict.lost[verdict.lost.len() - 1]);
    assert_eq!(verdict.lost, (first..=last).collect::<Vec<u64>>(), "the gap is one run");
    assert!(first > 500, "64 KiB hold more than {first} lines");
    let lines = verdict.lost.len();
    let bytes: usize = verdict.lost.iter().map(|number| oracle::line(*number).len() + 1).sum();
    let page = container.wait_until_settled(SOON);
    let dropped = page.dropped.values().next().unwrap();
    assert_eq!((dropped.lines, dropped.bytes), (lines as u64, bytes as u64), "{page:?}");
    assert_eq!(page.dropped.len(), 1, "{page:?}");
    for count in [lines, bytes] {
        assert!(marker.contains(&count.to_string()), "{count} should be in the marker {marker:?}");
    }
}

#[test]
fn a_name_that_does_not_resolve_is_no_reason_to_end() {
    let scratch = tempfile::tempdir().unwrap();
    let options = [("drain-timeout", "0s")];
    let spec = syslog_container("tcp://no-such-host.invalid:514", &options);
    let container = Container::start(&spec, scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 100).as_bytes());
    expect_alive(&container);
    container.write(Output::Stdout, oracle::lines(100, 200).as_bytes());
    expect_alive(&container);
    container.end(Ending::Close);
    let exit = container.wait(SOON).logger.unwrap();
    assert!(
        matches!(exit, Exit::Code(code) if code != 0),
        "100 lines were lost, and the logger ends with {exit}"
    );
}

#[test]
fn a_udp_collector_may_go_and_come_back() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = UdpReceiver::start();
    receiver.go_away();
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &[]), scratch.path());
    for from in (0..200).step_by(20) {
        container.write(Output::Stdout, oracle::lines(from, from + 20).as_bytes());
    }
    expect_alive(&container);
    receiver.come_back();
    // UDP may lose what was sent while nobody was there, but not what is sent from now on.
    let mut written = 200;
    until("a datagram after the return", SOON, || {
        container.write(Output::Stdout, oracle::lines(written, written + 1).as_bytes());
        written += 1;
        let received = receiver.datagrams().len();
        if received > 0 { Ok(()) } else { Err((received, container.dockerinit_log())) }
    });
    let last = oracle::lines(written, written + 20);
    container.write(Output::Stdout, last.as_bytes());
    until("the last twenty lines", SOON, || {
        let datagrams = receiver.datagrams().concat();
        let datagrams = String::from_utf8_lossy(&datagrams);
        if last.lines().all(|line| datagrams.contains(line)) {
            Ok(())
        } else {
            Err(datagrams.into_owned())
        }
    });
    expect_alive(&container);
    container.end(Ending::Close);
    assert!(matches!(container.wait(SOON).logger.unwrap(), Exit::Code(_)));
}

#[test]
fn a_silent_drain_ends_at_its_limit() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start_refusing();
    let options = [("drain-timeout", "100ms")];
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &options), scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 10).as_bytes());
    container.end(Ending::Close);
    // Well below the default of 5 s plus everything else that could be waited for.
    let exit = container.wait(Duration::from_secs(15)).logger.unwrap();
    assert!(
        matches!(exit, Exit::Code(code) if code != 0),
        "10 lines were lost, and the logger ends with {exit}"
    );
    assert!(
        container.dockerinit_log().contains("undelivered"),
        "what is left is reported: {:?}",
        container.dockerinit_log()
    );
}
