// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! An event's fields as JSON.

use std::error::Error;
use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

use crate::report::chain;

/// The fields bunyan itself defines; an event cannot replace them.
const CORE: [&str; 7] = ["name", "hostname", "pid", "level", "msg", "time", "v"];

/// Collects what one event or span carries. `message` is kept apart: it becomes `msg`.
#[derive(Debug, Default, Clone)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) values: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        if name == "message" {
            self.message = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            return;
        }
        if name == "error" || name == "err" {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            self.values.insert("err".to_owned(), serde_json::json!({ "message": text }));
            return;
        }
        // `log.*` is how the `log` crate's bridge names its bookkeeping; it says nothing here.
        match name.split_once('.') {
            Some(("log", _)) => {}
            Some((outer, inner)) => {
                let entry = self.values.entry(key(outer)).or_insert_with(|| Map::new().into());
                match entry {
                    Value::Object(object) => drop(object.insert(inner.to_owned(), value)),
                    _ => drop(self.values.insert(name.to_owned(), value)),
                }
            }
            None => drop(self.values.insert(key(name), value)),
        }
    }
}

fn key(name: &str) -> String {
    let plain = name.strip_prefix("r#").unwrap_or(name);
    if CORE.contains(&plain) { format!("{plain}_") } else { plain.to_owned() }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field.name(), chain(value).to_string().into());
    }
}
