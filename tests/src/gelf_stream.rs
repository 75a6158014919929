// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A GELF server over TCP or TLS: node's sockets, OpenSSL and `graygelf`'s reader of messages, where they are installed
//! (`npm install` in `tests/receivers/graygelf`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};

use crate::SOON;
use crate::certificates::Issued;
use crate::programs::source_tree;
use crate::until::until;

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct GelfStream {
    server: Child,
    file: PathBuf,
    options: Value,
    port: u16,
}

impl GelfStream {
    /// Starts a server that stores in `folder`, over TLS if it is given what to show. `None` when it is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path, tls: Option<&Issued>) -> Option<GelfStream> {
        if !home().join("node_modules").is_dir() {
            return None;
        }
        let file = folder.join("messages");
        let tls = tls.map(|issued| json!({ "key": issued.key, "cert": issued.certificate }));
        let mut options = json!({ "file": file, "port": 0, "tls": tls });
        let (server, port) = launch(&options);
        options["port"] = json!(port);
        Some(GelfStream { server, file, options, port })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server in order: it stores what its clients have sent.
    ///
    /// # Panics
    /// When it cannot be told.
    pub fn end(&mut self) {
        kill_process(Pid::from_child(&self.server), Signal::TERM).expect("a child can be told");
        self.server.wait().expect("a child can be waited for");
    }

    /// Starts it again on the same port, with the same file.
    pub fn start_again(&mut self) {
        (self.server, _) = launch(&self.options);
    }

    /// What it has stored so far, in the order in which it did.
    pub fn messages(&self) -> Vec<Map<String, Value>> {
        let stored = fs::read_to_string(&self.file).unwrap_or_default();
        let whole = stored.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

impl Drop for GelfStream {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn home() -> PathBuf {
    source_tree().join("tests/receivers/graygelf")
}

/// Waits until it listens, also for the port that an earlier one had.
fn launch(options: &Value) -> (Child, u16) {
    until("the server to listen", SOON, || {
        let mut server = Command::new("node")
            .arg(home().join("stream.js"))
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
