// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Recorded cases of what drivers put on the wire, and the matcher for their placeholders (`tests/data/README.md`).

mod events;
mod files;
mod gelf;
mod pattern;

pub use events::check_messages;
pub use files::FileForm;
pub use files::check_files;
pub use gelf::GelfForm;
pub use gelf::check_gelf;
pub use pattern::Facts;
pub use pattern::check;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::dockerinit::Output;

/// One recorded case.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// `argv[1]` of the logger.
    pub driver: String,
    /// Options by name, with `{PORT}`, `{CERTS}` and `{DIR}` in them.
    pub config: Vec<(String, String)>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// Writes in order.
    pub chunks: Vec<(Output, Vec<u8>)>,
    /// `tcp`, `tls`, `udp`, `fluent` or `files`.
    pub sink: String,
    /// What has to happen.
    pub expect: Expect,
}

/// What has to happen in a case.
#[derive(Debug, Clone)]
pub enum Expect {
    /// The configuration is refused.
    Refusal,
    /// This is the byte stream of the one connection.
    Stream(String),
    /// These are the datagrams.
    Frames(Vec<String>),
    /// These are the messages.
    Messages(Vec<Value>),
    /// These are the GELF messages.
    Gelf(Vec<GelfForm>),
    /// These are the files.
    Files(BTreeMap<String, FileForm>),
}

/// All cases of a file.
///
/// # Panics
/// When the file is not what its README says, or holds another number of cases than it claims.
pub fn load(text: &str) -> Vec<Case> {
    let file: Value = serde_json::from_str(text).expect("the vectors are JSON");
    let cases: Vec<Case> = array(&file["cases"]).iter().map(case).collect();
    assert_eq!(file["cases_total"], cases.len(), "cases_total and the number of cases differ");
    cases
}

fn case(case: &Value) -> Case {
    let expect = &case["expect"];
    let expect = match string(&expect["exit"]).as_str() {
        "error" => Expect::Refusal,
        "ok" if expect["stream"].is_string() => Expect::Stream(string(&expect["stream"])),
        "ok" if expect["gelf"].is_array() => Expect::Gelf(gelf::forms(&expect["gelf"])),
        "ok" if expect["files"].is_object() => Expect::Files(files::forms(&expect["files"])),
        "ok" if case["sink"] == "fluent" => Expect::Messages(array(&expect["frames"]).to_vec()),
        "ok" => Expect::Frames(array(&expect["frames"]).iter().map(string).collect()),
        other => panic!("expect.exit is {other:?}, not ok or error"),
    };
    Case {
        name: string(&case["name"]),
        driver: string(&case["driver"]),
        config: pairs(&case["config"]),
        env: pairs(&case["env"]),
        chunks: array(&case["chunks"]).iter().map(chunk).collect(),
        sink: string(&case["sink"]),
        expect,
    }
}

fn chunk(chunk: &Value) -> (Output, Vec<u8>) {
    let output = match chunk[0].as_str() {
        Some("stdout") => Output::Stdout,
        Some("stderr") => Output::Stderr,
        other => panic!("a chunk is for stdout or stderr, not {other:?}"),
    };
    let what = &chunk[1];
    let bytes = if let Some(text) = what.as_str() {
        text.as_bytes().to_vec()
    } else if let Some(text) = what["b64"].as_str() {
        STANDARD.decode(text).expect("base64")
    } else {
        let times = what["times"]
            .as_u64()
            .and_then(|times| usize::try_from(times).ok())
            .expect("times is a number");
        (string(&what["repeat"]).repeat(times) + what["end"].as_str().unwrap_or_default())
            .into_bytes()
    };
    (output, bytes)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_else(|| panic!("an array is wanted, not {value}"))
}

fn string(value: &Value) -> String {
    value.as_str().map(str::to_owned).unwrap_or_else(|| panic!("a text is wanted, not {value}"))
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let Some(object) = value.as_object() else { return Vec::new() };
    object.iter().map(|(name, value)| (name.clone(), string(value))).collect()
}
