// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The sender is a child that may die: the container lives on and nothing that was read is lost.

#![cfg(target_os = "linux")]

use std::fs;

use dockerlogger_tests::dockerinit::{Container, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::receiver::TcpReceiver;
use dockerlogger_tests::{SOON, try_until, until};
use rustix::process::{Pid, Signal};

use super::{syslog_container, texts};

/// The processes whose parent is `parent`, from `/proc`.
pub(super) fn children_of(parent: i32) -> Vec<i32> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name may hold anything, but no later field holds a parenthesis.
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let mut fields = fields.split(' ');
        let state = fields.next();
        if state != Some("Z") && fields.next().and_then(|ppid| ppid.parse().ok()) == Some(parent) {
            children.push(pid);
        }
    }
    children
}

/// The logger's sender, as soon as there is one.
pub(super) fn sender_of(container: &Container) -> i32 {
    until("the logger to have a sender", SOON, || match children_of(container.logger_pid())[..] {
        [sender] => Ok(sender),
        ref other => Err((other.to_vec(), container.dockerinit_log())),
    })
}

/// Kills the logger's sender, and says which it was.
pub(super) fn kill_sender(container: &Container) -> i32 {
    let sender = sender_of(container);
    rustix::process::kill_process(Pid::from_raw(sender).unwrap(), Signal::KILL).unwrap();
    sender
}

#[test]
fn lines_flow_on_when_the_sender_is_killed_again_and_again() {
    const KILLS: u64 = 4;
    const LINES_PER_KILL: u64 = 400;
    let scratch = tempfile::tempdir().unwrap();
    let receiver = TcpReceiver::start();
    let container =
        Container::start(&syslog_container(&receiver.syslog_address(), &[]), scratch.path());
    let mut written = 0;
    for _ in 0..KILLS {
        for _ in 0..4 {
            let next = written + LINES_PER_KILL / 4;
            container.write(Output::Stdout, oracle::lines(written, next).as_bytes());
            written = next;
        }
        let sender = kill_sender(&container);
        until("another sender", SOON, || match sender_of(&container) {
            next if next != sender => Ok(()),
            same => Err(same),
        });
        assert_eq!(container.logger_exit(), None, "{:?}", container.dockerinit_log());
    }
    let judged = try_until(SOON, || {
        let verdict = Verdict::of(written, texts(&receiver.messages()));
        if verdict.complete() { Ok(verdict) } else { Err(verdict) }
    });
    let verdict =
        judged.unwrap_or_else(|verdict| panic!("{verdict}; {:?}", container.dockerinit_log()));
    // What was on its way when the sender died may be sent again, once per death.
    let bound = usize::try_from(KILLS * LINES_PER_KILL).unwrap();
    assert!(verdict.duplicated.len() <= bound, "{verdict}");
    container.end_well();
}
