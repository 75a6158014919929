// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a logger that was killed left in its spool, and what the next one makes of it.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dockerlogger_tests::dockerinit::{Container, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::os::Launch;
use dockerlogger_tests::process::{Exit, Process};
use dockerlogger_tests::receiver::{Manners, TcpReceiver};
use dockerlogger_tests::{SOON, until};
use rustix::net::{AddressFamily, SocketType, ipproto};
use rustix::process::{Pid, Signal};

use super::sender_killed::{children_of, kill_sender};
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
    second.end_well();
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

/// A server that never gets to accept anybody: the system answers no attempt to connect. With what keeps it so.
fn black_hole() -> (SocketAddr, Vec<impl Drop>) {
    let listener =
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP)).unwrap();
    rustix::net::bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = rustix::net::getsockname(&listener).unwrap().try_into().unwrap();
    let mut open = vec![listener];
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        open.push(stream.into());
    }
    (address, open)
}

/// Whether somebody waits for an answer from this port of this machine.
fn is_waited_for(port: u16) -> Result<(), String> {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (to, syn_sent) = (format!(":{port:04X}"), "02");
    let waits = sockets.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&to) && fields[3] == syn_sent
    });
    if waits { Ok(()) } else { Err(sockets) }
}

#[test]
fn a_sender_that_waits_for_a_connection_does_not_keep_the_spool() {
    let scratch = tempfile::tempdir().unwrap();
    let spool = spool_in(scratch.path());
    let (address, _open) = black_hole();
    until("the attempts before to be over", SOON, || match is_waited_for(address.port()) {
        Ok(()) => Err(()),
        Err(_) => Ok(()),
    });
    let options = [("spool", spool.to_str().unwrap())];
    let spec = syslog_container(&format!("tcp://{address}"), &options);
    // Not in a container, whose end would be the sender's too: the platform leaves a logger's children alone.
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let (stream, mut output) = std::io::pipe().unwrap();
    let mut env = spec.environment();
    let status = scratch.path().join("first").to_str().unwrap().to_owned();
    env.push(("DOCKERLOG_STATUS".to_owned(), status));
    let launch = Launch {
        program: &spec.logger,
        argv: &["logger".to_owned(), spec.driver.clone()],
        env: &env,
        cwd: scratch.path(),
        fds: &[null.as_fd(), null.as_fd(), null.as_fd(), stream.as_fd(), null.as_fd()],
    };
    let first = Process::start(&launch, |_| ()).unwrap();
    output.write_all(b"first\n").unwrap();
    until("the sender to connect", SOON, || is_waited_for(address.port()));
    let [sender] = children_of(first.pid())[..] else { panic!("no sender") };
    first.signal(Signal::KILL);
    assert_eq!(first.wait(SOON), Some(Exit::Signal(9)));
    let second = Container::start(&spec, scratch.path());
    let page = until("the next logger", SOON, || second.status().ok_or(()));
    assert!(page.ring.is_file && page.recovered.lines == 1, "{page:?}");
    // Unless it has found itself that the reader is dead.
    let _ = rustix::process::kill_process(Pid::from_raw(sender).unwrap(), Signal::KILL);
}
