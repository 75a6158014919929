// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Labels and environment that dockerinit does not pass come from the zone's metadata socket.

use std::path::Path;

use dockerlogger_tests::dockerinit::{CONTAINER_ID, Container, ContainerSpec, Output};
use dockerlogger_tests::metadata::{Manners, MetadataServer};
use dockerlogger_tests::{SOON, programs, until};
use serde_json::{Value, json};

const OPTIONS: [(&str, &str); 4] = [
    ("labels", "tier,com.example.team,nobody"),
    ("env", "APP_ENV"),
    ("env-regex", "^PATH$"),
    ("tag", "{{.Name}}"),
];

const KEYS: [(&str, &str); 3] = [
    ("docker:env", r#"["APP_ENV=prod","PATH=/bin","SECRET=x","NOEQ"]"#),
    ("sdc:tags.docker:label:tier", "web"),
    ("sdc:tags.docker:label:com.example.team", "core\n\"a\""),
];

fn container(dir: &Path, socket: &str) -> ContainerSpec {
    let mut config = vec![("json-file-dir", dir.to_str().unwrap())];
    config.extend(OPTIONS);
    ContainerSpec::new(&programs::logger(), "json-file", &config).with("DOCKERLOG_METADATA", socket)
}

/// The attributes of the first line in the file, when there is one.
fn attributes(dir: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(dir.join(format!("{CONTAINER_ID}-json.log"))).ok()?;
    let line: Value = serde_json::from_str(text.lines().next()?).unwrap();
    assert_eq!(line["log"], "hello\n");
    Some(line["attrs"].clone())
}

/// The attributes with which a line arrives.
fn logged(spec: &ContainerSpec, dir: &Path) -> (Value, Option<String>) {
    let scratch = tempfile::tempdir().unwrap();
    let container = Container::start(spec, scratch.path());
    container.write(Output::Stdout, b"hello\n");
    let attributes =
        until("a line in the file", SOON, || attributes(dir).ok_or(container.dockerinit_log()));
    let page = container.wait_until_settled(SOON);
    container.end_well();
    (attributes, page.last_error.map(|error| error.text))
}

#[test]
fn the_socket_is_asked_for_what_options_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = MetadataServer::start(dir.path(), Manners::Answer, &KEYS);
    let (attributes, error) = logged(&container(dir.path(), server.path()), dir.path());
    let expected = json!({
        "APP_ENV": "prod", "PATH": "/bin", "com.example.team": "core\n\"a\"", "tag": "web-1", "tier": "web"
    });
    assert_eq!((attributes, error), (expected, None));
    let asked = server.asked();
    let labels = ["tier", "com.example.team", "nobody"];
    let labels = labels.map(|name| format!("sdc:tags.docker:label:{name}"));
    assert_eq!(asked, [&labels[..], &["docker:env".to_owned()]].concat());
}

#[test]
fn what_dockerinit_says_is_not_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = MetadataServer::start(dir.path(), Manners::Answer, &KEYS);
    let spec = container(dir.path(), server.path())
        .with("DOCKERLOG_LABELS", r#"{"tier":"given"}"#)
        .with("DOCKERLOG_ENV", r#"["APP_ENV=given"]"#);
    let (attributes, _) = logged(&spec, dir.path());
    assert_eq!(attributes, json!({ "APP_ENV": "given", "tag": "web-1", "tier": "given" }));
    assert!(server.asked().is_empty());
}

#[test]
fn without_an_answer_lines_go_without_attributes() {
    for (manners, complaint) in [
        (None, None),
        (Some(Manners::Mute), Some("metadata socket")),
        (Some(Manners::Garble), Some("checksum")),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = manners.map(|manners| MetadataServer::start(dir.path(), manners, &KEYS));
        let path = server.as_ref().map_or("/nonexistent", MetadataServer::path);
        let (attributes, error) = logged(&container(dir.path(), path), dir.path());
        assert_eq!(attributes, json!({ "tag": "web-1" }), "{manners:?}");
        assert_eq!(error.is_some(), complaint.is_some(), "{error:?}");
        assert!(error.unwrap_or_default().contains(complaint.unwrap_or_default()));
    }
}
