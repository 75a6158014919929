// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A server in JavaScript, under node: a script of a folder in `tests/receivers`, which prints its port when
//! it listens and appends what it receives to a file, a line of JSON each.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::SOON;
use crate::programs::source_tree;
use crate::until::until;

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct JsReceiver {
    script: PathBuf,
    file: PathBuf,
    server: Child,
    port: u16,
}

impl JsReceiver {
    /// Starts the server `script`, a folder and a file in it, which stores in `file`, as `argument` tells it. `None` when
    /// what it needs is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub(crate) fn start(script: &str, file: &Path, argument: &str) -> Option<JsReceiver> {
        let script = source_tree().join("tests/receivers").join(script);
        if !script.with_file_name("node_modules").is_dir() {
            return None;
        }
        let (server, port) = launch(&script, argument);
        Some(JsReceiver { script, file: file.to_owned(), server, port })
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it with a signal.
    pub(crate) fn end(&mut self, signal: Signal) {
        let pid = Pid::from_child(&self.server);
        kill_process(pid, signal).expect("a child that was not waited for can be sent a signal");
        self.server.wait().expect("a child can be waited for");
    }

    /// Starts it again.
    pub(crate) fn start_again(&mut self, argument: &str) {
        (self.server, self.port) = launch(&self.script, argument);
    }

    /// What it has stored so far, in the order in which it did.
    pub(crate) fn stored(&self) -> Vec<Value> {
        let stored = fs::read_to_string(&self.file).unwrap_or_default();
        let whole = stored.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

impl Drop for JsReceiver {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Waits until it listens, also for a port that an earlier one had or another has just taken.
fn launch(script: &Path, argument: &str) -> (Child, u16) {
    until("the server to listen", SOON, || {
        let mut server = Command::new("node")
            .arg(script)
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be executed");
        let mut line = String::new();
        let said = BufReader::new(server.stdout.take().expect("it is a pipe")).read_line(&mut line);
        match (said, line.trim().parse()) {
            (Ok(_), Ok(port)) => Ok((server, port)),
            _ => Err((server.wait(), line)),
        }
    })
}
