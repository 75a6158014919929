// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A server in JavaScript, under node: a script of a folder in `tests/receivers`, which takes its options as JSON, prints a
//! line when it listens and appends what it receives to a file, a line of JSON each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};

use crate::port::free_port;
use crate::programs::source_tree;
use crate::until::{SOON, first_line};

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct JsReceiver {
    script: PathBuf,
    options: String,
    file: PathBuf,
    port: u16,
    server: Child,
}

impl JsReceiver {
    /// Starts the server `script`, a folder and a file in it, which stores in `folder`, with these options and `file` and
    /// `port`. `None` when what it needs is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub(crate) fn start(script: &str, folder: &Path, mut options: Value) -> Option<JsReceiver> {
        let script = source_tree().join("tests/receivers").join(script);
        if !script.with_file_name("node_modules").is_dir() {
            return None;
        }
        let (file, port) = (folder.join("stored"), free_port());
        options["file"] = json!(file);
        options["port"] = json!(port);
        let options = options.to_string();
        let server = launch(&script, &options);
        let mut receiver = JsReceiver { script, options, file, port, server };
        receiver.wait_until_it_listens();
        Some(receiver)
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

    /// Starts it again on the same port, with the same file.
    pub(crate) fn start_again(&mut self) {
        self.server = launch(&self.script, &self.options);
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&mut self) {
        let stdout = self.server.stdout.take().expect("it is a pipe");
        let said = first_line(SOON, stdout);
        assert!(
            said.as_ref().is_ok_and(|line| !line.is_empty()),
            "{} {} does not listen within {SOON:?}; it said {said:?} and has ended: {:?}",
            self.script.display(),
            self.options,
            self.server.try_wait()
        );
    }

    /// What it has stored so far, in the order in which it did.
    pub(crate) fn stored(&self) -> Vec<Map<String, Value>> {
        let stored = fs::read_to_string(&self.file).unwrap_or_default();
        let whole = stored.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect("it stores objects")).collect()
    }
}

impl Drop for JsReceiver {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn launch(script: &Path, options: &str) -> Child {
    Command::new("node")
        .arg(script)
        .arg(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node can be executed")
}
