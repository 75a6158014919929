// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the death of a sender means: as `on-failure` says, and when a record is to blame.

#![cfg(target_os = "linux")]

use dockerlogger_manifest::status::SinkStatus;
use dockerlogger_tests::dockerinit::{Container, Ending, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::TcpReceiver;
use dockerlogger_tests::{SOON, until};
use rustix::process::Signal;

use super::sender_killed::{children_of, kill_sender, sender_of};
use super::{syslog_container, texts};

/// The status of a logger whose sender died, with `on-failure=kill`.
const EX_SOFTWARE: i32 = 70;

/// Writes lines until somebody ends it.
const TICKS: &str = "while :; do echo tick; sleep 0.005; done";

#[test]
fn kill_ends_the_container() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let spec =
        syslog_container(&receiver.syslog_address(), &[("on-failure", "kill")]).running(TICKS);
    let container = Container::start(&spec, scratch.path());
    receiver.wait_for_messages(3, SOON);
    kill_sender(&container);
    let outcome = container.wait(SOON);
    assert_eq!(outcome.logger.unwrap(), Exit::Code(EX_SOFTWARE));
    assert_eq!(outcome.init, Some(Exit::Signal(9)));
    assert!(container.dockerinit_log().contains("on-failure=kill"));
}

#[test]
fn restart_and_ignore_leave_the_container_alone() {
    for choice in ["restart", "ignore", ""] {
        let scratch = tempfile::tempdir().unwrap();
        let receiver = TcpReceiver::start();
        let spec =
            syslog_container(&receiver.syslog_address(), &[("on-failure", choice)]).running(TICKS);
        let container = Container::start(&spec, scratch.path());
        receiver.wait_for_messages(3, SOON);
        let killed = kill_sender(&container);
        let read = container.counts(Output::Stdout).delivered.messages;
        if choice == "ignore" {
            until("the sender to be gone", SOON, || match children_of(container.logger_pid()) {
                gone if gone.is_empty() => Ok(()),
                children => Err(children),
            });
        } else {
            until("another sender", SOON, || match sender_of(&container) {
                next if next != killed => Ok(()),
                same => Err(same),
            });
            let seen = receiver.messages().len();
            receiver.wait_for_messages(seen + 20, SOON);
        }
        until("the container's output to be read on", SOON, || {
            let now = container.counts(Output::Stdout).delivered.messages;
            if now > read + 50 { Ok(()) } else { Err(now) }
        });
        assert_eq!((container.logger_exit(), container.init_exit()), (None, None), "{choice}");
        let children = children_of(container.logger_pid()).len();
        assert_eq!(children, usize::from(choice != "ignore"), "{choice}");
        // Whether or not there is a sender, the page says what happened and a report can be had.
        container.signal_logger(Signal::USR1);
        let reports = || container.dockerinit_log().matches("\"reader_pid\":").count();
        until("a report", SOON, || if reports() == 1 { Ok(()) } else { Err(reports()) });
        let page = container.status().unwrap();
        let expected = if choice == "ignore" { SinkStatus::Down } else { SinkStatus::Up };
        assert_eq!(page.sink, expected, "{choice}");
        let error = page.last_error.unwrap().text;
        assert!(error.starts_with("the sending process died"), "{choice}: {error}");
    }
}

#[test]
fn ignore_reads_on_when_the_ring_is_full_even_in_blocking_mode() {
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let options = [("on-failure", "ignore"), ("mode", "blocking"), ("max-buffer-size", "64k")];
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &options), scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 10).as_bytes());
    receiver.wait_for_messages(10, SOON);
    kill_sender(&container);
    for from in (10..6000).step_by(100) {
        // Returns when the logger has read it.
        container.write(Output::Stdout, oracle::lines(from, from + 100).as_bytes());
    }
    assert_eq!(container.logger_exit(), None);
    container.end(Ending::Close);
    assert_eq!(container.wait(SOON).logger.unwrap(), Exit::Code(1));
    assert!(container.dockerinit_log().contains("left undelivered"));
}

/// Needs the poison of a build with debug assertions, which the programs of a release do not have.
#[cfg(debug_assertions)]
mod poison {
    use dockerlogger_tests::receiver::Manners;

    use super::*;

    const PILL: &str = "poison pill";

    /// Lines `0..300`, every hundredth followed by a pill, in writes of ten lines.
    fn swallow(container: &Container) {
        for from in (0..300).step_by(10) {
            let mut lines = oracle::lines(from, from + 10);
            if from % 100 == 50 {
                lines = lines.replace(&oracle::line(from + 5), PILL);
            }
            container.write(Output::Stdout, lines.as_bytes());
        }
    }

    #[test]
    fn a_record_that_kills_three_senders_is_left_out_and_the_rest_arrives() {
        for first in [Manners::Take, Manners::Refuse] {
            let scratch = tempfile::tempdir().unwrap();
            let receiver = TcpReceiver::start();
            receiver.set_manners(first);
            let spec = syslog_container(&receiver.syslog_address(), &[])
                .with("DOCKERLOGGER_TEST_POISON", PILL);
            let container = Container::start(&spec, scratch.path());
            swallow(&container);
            receiver.set_manners(Manners::Take);
            let texts = until("the last line", SOON, || {
                let texts = texts(&receiver.messages());
                if texts.last() == Some(&oracle::line(299)) {
                    Ok(texts)
                } else {
                    Err((texts.last().cloned(), container.logger_exit()))
                }
            });
            let verdict = Verdict::of(300, &texts);
            assert_eq!(verdict.lost, [55, 155, 255], "{verdict}");
            assert!(verdict.reordered.is_empty(), "{verdict}");
            assert_eq!(verdict.torn.len(), 3, "{verdict}");
            for marker in &verdict.torn {
                assert!(marker.starts_with("1 lines / 12 bytes dropped "), "{marker}");
                assert!(marker.ends_with(": poison"), "{marker}");
            }
            let place = |text: &String| texts.iter().position(|other| other == text).unwrap();
            assert!(
                place(&oracle::line(54)) < place(&verdict.torn[0])
                    && place(&verdict.torn[0]) < place(&oracle::line(56)),
                "the marker stands where the line was"
            );
            let page = container.wait_until_settled(SOON);
            let poison = &page.dropped["poison"];
            assert_eq!((poison.lines, poison.bytes, page.dropped.len()), (3, 36, 1), "{page:?}");
            container.end_well();
        }
    }
}
