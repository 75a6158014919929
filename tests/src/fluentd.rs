// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A real server of Fluentd's forward protocol: `@fluent-org/logger`'s FluentServer under node, where both are installed
//! (`npm install` in `tests/receivers/fluentd`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::SOON;
use crate::programs::source_tree;
use crate::until::until;

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Fluentd {
    server: Child,
    options: Value,
    port: u16,
}

/// What the server has stored of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its tag.
    pub tag: String,
    /// Members of its record.
    pub record: serde_json::Map<String, Value>,
}

impl Fluentd {
    /// Starts a server that stores in `folder`, with `options` on top as the script has them. `None` when it is not
    /// installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path, options: Value) -> Option<Fluentd> {
        if !home().join("node_modules").is_dir() {
            return None;
        }
        let mut options = options;
        options["file"] = json!(folder.join("events"));
        options["port"] = json!(0);
        let (server, port) = launch(&options);
        options["port"] = json!(port);
        Some(Fluentd { server, options, port })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server in order: it says so to its clients, and stores what they have sent.
    pub fn close(&mut self) {
        self.end(Signal::TERM);
    }

    /// Ends the server at once: what it has read and not stored is gone.
    pub fn crash(&mut self) {
        self.end(Signal::HUP);
    }

    fn end(&mut self, signal: Signal) {
        let pid = Pid::from_child(&self.server);
        kill_process(pid, signal).expect("a child that was not waited for can be sent a signal");
        self.server.wait().expect("a child can be waited for");
    }

    /// Starts it again on the same port, with the same file.
    pub fn start_again(&mut self) {
        (self.server, _) = launch(&self.options);
    }

    /// What it has stored so far.
    pub fn events(&self) -> Vec<Event> {
        let file = self.options["file"].as_str().map(PathBuf::from).expect("set at the start");
        let stored = fs::read_to_string(file).unwrap_or_default();
        let whole = stored.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| event(&serde_json::from_str(line).expect("a line of JSON"))).collect()
    }

    /// The lines of the container in it.
    pub fn logs(&self) -> Vec<String> {
        let log = |event: Event| event.record["log"].as_str().map(str::to_owned);
        self.events().into_iter().map(|event| log(event).expect("a record has a log")).collect()
    }
}

impl Drop for Fluentd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn home() -> PathBuf {
    source_tree().join("tests/receivers/fluentd")
}

/// Waits until it listens, also for the port that an earlier one had.
fn launch(options: &Value) -> (Child, u16) {
    until("the server to listen", SOON, || {
        let mut server = Command::new("node")
            .arg(home().join("server.js"))
            .arg(options.to_string())
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

fn event(stored: &Value) -> Event {
    Event {
        tag: stored["tag"].as_str().expect("an event has a tag").to_owned(),
        record: stored["record"].as_object().expect("an event has a record").clone(),
    }
}
