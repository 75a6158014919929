// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A real GELF server over UDP: `graygelf` under node, where both are installed (`npm install` in
//! `tests/receivers/graygelf`).

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::js_receiver::JsReceiver;

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Graygelf(JsReceiver);

impl Graygelf {
    /// Starts a server that stores in `folder`. `None` when it is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path) -> Option<Graygelf> {
        JsReceiver::start("graygelf/server.js", folder, json!({})).map(Graygelf)
    }

    /// The `gelf-address` option for this server.
    pub fn address(&self) -> String {
        format!("udp://127.0.0.1:{}", self.0.port())
    }

    /// What it has stored so far, in the order in which it did.
    pub fn messages(&self) -> Vec<Map<String, Value>> {
        self.0.stored()
    }
}
