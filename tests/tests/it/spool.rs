// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a logger that was killed left in its spool, and what the next one makes of it.

#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dockerlogger_tests::dockerinit::{Container, Ending, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::process::Exit;
use dockerlogger_tests::receiver::{Manners, TcpReceiver};
use dockerlogger_tests::{SOON, until};
use rustix::process::Signal;

use super::sender_killed::kill_sender;
use super::{syslog_container, texts};

/// A directory that will do.
fn spool_in(scratch: &Path) -> PathBuf {
    let spool = scratch.join("spool");
    std::fs::create_dir(&spool).unwrap();
    std::fs::set_permissions(&spool, std::fs::Permissions::from_mode(0o700)).unwrap();
    spool
}

/// Kills the sender and then the reader.
fn kill(container: &Container) {
    kill_sender(container);
    container.signal_logger(Signal::KILL);
    assert_eq!(container.wait(SOON).logger.unwrap(), Exit::Signal(9));
}

#[test]
fn a_line_without_an_end_is_sent_after_a_kill_and_ends_there() {
    let scratch = tempfile::tempdir().unwrap();
    let spool = spool_in(scratch.path());
    let receiver = TcpReceiver::start();
    let options = [("spool", spool.to_str().unwrap())];
    let spec = syslog_container(&receiver.syslog_address(), &options);
    let first = Container::start(&spec, scratch.path());
    first.write(Output::Stdout, b"first\npartial");
    receiver.wait_for_messages(1, SOON);
    kill(&first);
    let second = Container::start(&spec, scratch.path());
    second.write(Output::Stdout, b"own\n");
    let page = second.wait_until_settled(SOON);
    assert_eq!(page.sender_restarts, 0, "{page:?}");
    let texts = texts(&receiver.wait_for_messages(3, SOON));
    // What was sent may have to be sent again.
    let (last, before) = texts.split_last_chunk::<2>().map(|(rest, last)| (last, rest)).unwrap();
    assert_eq!(last, &["partial", "own"]);
    assert!(before.iter().all(|text| text == "first"), "{texts:?}");
    second.end(Ending::Close);
    assert_eq!(second.wait(SOON).logger.unwrap(), Exit::Code(0));
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
}

#[test]
fn what_does_not_fit_into_a_smaller_spool_is_announced() {
    let scratch = tempfile::tempdir().unwrap();
    let spool = spool_in(scratch.path());
    let receiver = TcpReceiver::start_refusing();
    let spec = |size| {
        let options = [("spool", spool.to_str().unwrap()), ("max-buffer-size", size)];
        syslog_container(&receiver.syslog_address(), &options)
    };
    let first = Container::start(&spec("1m"), scratch.path());
    for from in (0..4000).step_by(20) {
        first.write(Output::Stdout, oracle::lines(from, from + 20).as_bytes());
    }
    kill(&first);
    // Nothing is written any more: the marker has to go out by itself.
    let second = Container::start(&spec("64k"), scratch.path());
    receiver.set_manners(Manners::Take);
    let texts = until("the marker", SOON * 2, || {
        let texts = texts(&receiver.messages());
        if texts.iter().any(|text| text.contains(" dropped ")) { Ok(texts) } else { Err(texts) }
    });
    let page = second.status().unwrap();
    let dropped = page.dropped["buffer-full"];
    assert!(dropped.lines > 1000, "{page:?}");
    let marker = format!("{} lines / {} bytes dropped ", dropped.lines, dropped.bytes);
    assert!(texts.last().unwrap().starts_with(&marker), "{marker}: {texts:?}");
    let kept = texts.iter().filter(|text| text.starts_with("line "));
    let verdict = Verdict::of(4000 - dropped.lines, kept);
    assert!(verdict.lost.is_empty() && verdict.reordered.is_empty(), "{verdict}");
}

#[test]
fn a_tail_that_was_flushed_is_not_sent_again() {
    let scratch = tempfile::tempdir().unwrap();
    let spool = spool_in(scratch.path());
    let receiver = TcpReceiver::start();
    let options = [("spool", spool.to_str().unwrap()), ("flush-interval", "100ms")];
    let spec = syslog_container(&receiver.syslog_address(), &options);
    let first = Container::start(&spec, scratch.path());
    first.write(Output::Stdout, b"whole\nprompt> ");
    let page = first.wait_until_settled(SOON);
    assert_eq!(page.delivered.bytes, 14, "{page:?}");
    kill(&first);
    let second = Container::start(&spec, scratch.path());
    second.write(Output::Stdout, b"own\n");
    let page = second.wait_until_settled(SOON);
    assert_eq!(page.recovered.bytes, 0, "{page:?}");
    assert_eq!(texts(&receiver.wait_for_messages(3, SOON)), ["whole", "prompt> ", "own"]);
}
