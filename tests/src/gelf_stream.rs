// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A GELF server over TCP or TLS: node's sockets, OpenSSL and `graygelf`'s reader of messages, where they are installed
//! (`npm install` in `tests/receivers/graygelf`).

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Map, Value, json};

use crate::certificates::Issued;
use crate::js_receiver::JsReceiver;

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct GelfStream(JsReceiver);

impl GelfStream {
    /// Starts a server that stores in `folder`, over TLS if it is given what to show. `None` when it is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path, tls: Option<&Issued>) -> Option<GelfStream> {
        let tls = tls.map(|issued| json!({ "key": issued.key, "cert": issued.certificate }));
        JsReceiver::start("graygelf/stream.js", folder, json!({ "tls": tls })).map(GelfStream)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Ends the server in order: it stores what its clients have sent.
    ///
    /// # Panics
    /// When it cannot be told.
    pub fn end(&mut self) {
        self.0.end(Signal::TERM);
    }

    /// Starts it again on the same port, with the same file.
    pub fn start_again(&mut self) {
        self.0.start_again();
    }

    /// What it has stored so far, in the order in which it did.
    pub fn messages(&self) -> Vec<Map<String, Value>> {
        self.0.stored()
    }
}
