// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Expected GELF messages against those that arrived.

use serde_json::{Map, Value};

use super::{Facts, array, check};
use crate::gelf::Message;

/// What a message has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GelfForm {
    /// Its fields; the order is not looked at.
    json: Map<String, Value>,
    compression: Option<String>,
    /// Number of datagrams.
    chunks: usize,
    /// Length of the first of several.
    first_chunk_len: Option<u64>,
}

pub(super) fn forms(messages: &Value) -> Vec<GelfForm> {
    let form = |message: &Value| GelfForm {
        json: message["json"].as_object().expect("a message is an object").clone(),
        compression: message["compression"].as_str().map(str::to_owned),
        chunks: message["chunks"].as_u64().map_or(1, |n| usize::try_from(n).expect("a number")),
        first_chunk_len: message["first_chunk_len"].as_u64(),
    };
    array(messages).iter().map(form).collect()
}

/// Checks that the messages are the expected ones, in their order.
///
/// # Errors
/// What differs.
pub fn check_gelf(
    expected: &[GelfForm],
    messages: &[Message],
    facts: &Facts,
) -> Result<(), String> {
    if expected.len() != messages.len() {
        return Err(format!("{} messages, not {}", messages.len(), expected.len()));
    }
    expected.iter().zip(messages).try_for_each(|(form, message)| check_one(form, message, facts))
}

fn check_one(form: &GelfForm, message: &Message, facts: &Facts) -> Result<(), String> {
    if form.compression.as_ref().is_some_and(|compression| compression != message.compression) {
        return Err(format!("{}, not {:?}", message.compression, form.compression));
    }
    // On a stream there are none.
    if !message.datagrams.is_empty() && message.datagrams.len() != form.chunks {
        return Err(format!("{} datagrams, not {}", message.datagrams.len(), form.chunks));
    }
    if form.first_chunk_len.is_some_and(|len| message.datagrams[0] as u64 != len) {
        return Err(format!("a first chunk of {} bytes", message.datagrams[0]));
    }
    let text = String::from_utf8(message.json.clone()).map_err(|error| error.to_string())?;
    let json: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    if !json.keys().all(|name| form.json.contains_key(name)) || json.len() != form.json.len() {
        return Err(format!("fields {:?}, not {:?}", json.keys(), form.json.keys()));
    }
    form.json.iter().try_for_each(|(name, expected)| {
        let (expected, value) = (bare(expected), bare(&json[name]));
        check(&expected, value.as_bytes(), facts).map_err(|why| format!("{name}: {why}"))
    })
}

/// A text without its quotation marks; of anything else, the JSON.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
