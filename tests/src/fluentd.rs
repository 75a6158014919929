// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A real server of Fluentd's forward protocol: `@fluent-org/logger`'s FluentServer under node, where both are installed
//! (`npm install` in `tests/receivers/fluentd`).

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Map, Value};

use crate::js_receiver::JsReceiver;

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Fluentd(JsReceiver);

/// What the server has stored of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its tag.
    pub tag: String,
    /// Members of its record.
    pub record: Map<String, Value>,
}

impl Fluentd {
    /// Starts a server that stores in `folder`, with `options` on top as the script has them. `None` when it is not
    /// installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path, options: Value) -> Option<Fluentd> {
        JsReceiver::start("fluentd/server.js", folder, options).map(Fluentd)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Ends the server in order: it says so to its clients, and stores what they have sent.
    pub fn close(&mut self) {
        self.0.end(Signal::TERM);
    }

    /// Ends the server at once: what it has read and not stored is gone.
    pub fn crash(&mut self) {
        self.0.end(Signal::HUP);
    }

    /// Starts it again on the same port, with the same file.
    pub fn start_again(&mut self) {
        self.0.start_again();
    }

    /// What it has stored so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.stored().into_iter().map(event).collect()
    }

    /// The lines of the container in it.
    pub fn logs(&self) -> Vec<String> {
        let log = |event: Event| event.record["log"].as_str().map(str::to_owned);
        self.events().into_iter().map(|event| log(event).expect("a record has a log")).collect()
    }
}

fn event(mut stored: Map<String, Value>) -> Event {
    match (stored.remove("tag"), stored.remove("record")) {
        (Some(Value::String(tag)), Some(Value::Object(record))) => Event { tag, record },
        other => panic!("an event has a tag and a record, not {other:?}"),
    }
}
