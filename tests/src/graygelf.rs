// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A real GELF server over UDP: `graygelf` under node, where both are installed (`npm install` in
//! `tests/receivers/graygelf`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value};

use crate::SOON;
use crate::programs::source_tree;
use crate::until::until;

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Graygelf {
    server: Child,
    file: PathBuf,
    port: u16,
}

impl Graygelf {
    /// Starts a server that stores in `folder`. `None` when it is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path) -> Option<Graygelf> {
        let home = source_tree().join("tests/receivers/graygelf");
        if !home.join("node_modules").is_dir() {
            return None;
        }
        let file = folder.join("messages");
        // Another may have taken its port before it did.
        let (server, port) = until("the server to listen", SOON, || {
            let mut server = Command::new("node")
                .arg(home.join("server.js"))
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .expect("node can be executed");
            let mut line = String::new();
            let stdout = server.stdout.take().expect("it is a pipe");
            let said = BufReader::new(stdout).read_line(&mut line);
            match (said, line.trim().parse()) {
                (Ok(_), Ok(port)) => Ok((server, port)),
                _ => Err((server.wait(), line)),
            }
        });
        Some(Graygelf { server, file, port })
    }

    /// The `gelf-address` option for this server.
    pub fn address(&self) -> String {
        format!("udp://127.0.0.1:{}", self.port)
    }

    /// What it has stored so far, in the order in which it did.
    pub fn messages(&self) -> Vec<Map<String, Value>> {
        let stored = fs::read_to_string(&self.file).unwrap_or_default();
        let whole = stored.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

impl Drop for Graygelf {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
