// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the agent answers over HTTP, and what it logs.

use std::fs;

use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::VERSION;
use dockerlogger_tests::{SOON, http, programs, until};
use serde_json::json;

use super::fixture::publisher;

/// A node with the first release and a running agent.
fn running(scratch: &tempfile::TempDir) -> Node {
    let publisher = publisher();
    let mut node =
        publisher.node(&scratch.path().join("node"), publisher.first_tree().to_str().unwrap());
    node.start();
    node
}

#[test]
fn drivers_are_those_of_the_installed_logger_and_a_poll_costs_a_304() {
    let scratch = tempfile::tempdir().unwrap();
    let node = running(&scratch);
    let response = node.get("/drivers");
    assert_eq!(response.status, 200);
    let list = response.json();
    let printed = std::process::Command::new(programs::logger())
        .args(["drivers", "--json"])
        .output()
        .unwrap();
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(list["drivers"], printed, "the API says what the binary says");
    assert!(list.to_string().contains(VERSION));
    for header in ["etag", "server", "x-request-id", "x-response-time", "date"] {
        assert!(response.header(header).is_some(), "{header} is missing: {:?}", response.headers);
    }
    let etag = response.header("etag").unwrap();
    let again = http::get_with(&node.url("/drivers"), &[("If-None-Match", etag)]).unwrap();
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = http::get_with(&node.url("/drivers"), &[("If-None-Match", "\"other\"")]).unwrap();
    assert_eq!(other.status, 200);

    let syslog = node.get("/drivers/syslog");
    assert_eq!((syslog.status, syslog.json()["name"].as_str()), (200, Some("syslog")));
    let unknown = node.get("/drivers/no-such");
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["code"], "ResourceNotFound");
    assert!(unknown.json()["message"].as_str().unwrap().contains("no-such"));
    assert_eq!(node.get("/ping").status, 200);
}

#[test]
fn validate_names_all_mistakes_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let node = running(&scratch);
    let bad = json!({"config": {"syslog-address": "gopher://h", "syslog-facility": "LOCAL0", "no-such": "1"}});
    let response = node.post("/drivers/syslog/validate", &bad.to_string());
    assert_eq!(response.status, 422, "{}", response.text());
    let body = response.json();
    assert!(body["code"].is_string() && body["message"].is_string(), "{body}");
    let errors = body["errors"].as_array().unwrap();
    let mut fields: Vec<&str> =
        errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["no-such", "syslog-address", "syslog-facility"]);
    for error in errors {
        assert!(
            error["code"].is_string() && !error["message"].as_str().unwrap().is_empty(),
            "{error}"
        );
    }
    assert!(body.to_string().contains("LOCAL0") && body.to_string().contains("gopher"), "{body}");

    let good = json!({"config": {"syslog-address": "tcp://10.0.0.1"}});
    let response = node.post("/drivers/syslog/validate", &good.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(
        response.text().contains("tcp://10.0.0.1:514"),
        "the default port is filled in: {}",
        response.text()
    );
    for (body, status) in
        [("{not json", 400), ("[]", 400), ("{\"config\":{\"syslog-address\":1}}", 400)]
    {
        let response = node.post("/drivers/syslog/validate", body);
        assert!(
            (status..=422).contains(&response.status),
            "{body}: {} {}",
            response.status,
            response.text()
        );
        assert!(response.json()["message"].is_string());
    }
    assert_eq!(node.post("/drivers/no-such/validate", "{}").status, 404);
}

#[test]
fn nothing_can_be_changed_over_tcp() {
    let scratch = tempfile::tempdir().unwrap();
    let node = running(&scratch);
    for path in ["/updates", "/rollback", "/installs"] {
        let response = node.post(path, "{}");
        assert!(
            matches!(response.status, 401 | 403 | 404 | 405),
            "POST {path}: {}",
            response.status
        );
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let socket = fs::metadata(node.root().join("agent.sock")).unwrap();
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn the_log_is_bunyan() {
    let scratch = tempfile::tempdir().unwrap();
    let node = running(&scratch);
    let records = node.log_records();
    assert!(!records.is_empty());
    for record in records {
        for (field, kind) in
            [("name", "string"), ("hostname", "string"), ("msg", "string"), ("time", "string")]
        {
            assert!(record[field].is_string(), "{field} should be a {kind}: {record}");
        }
        for field in ["pid", "level", "v"] {
            assert!(record[field].is_u64(), "{field} should be a number: {record}");
        }
        assert_eq!(record["pid"], node.pid());
    }
}

#[test]
fn a_second_agent_on_one_root_says_who_has_the_lock_and_waits_for_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut node = running(&scratch);
    let log = scratch.path().join("second.log");
    let mut second = std::process::Command::new(programs::agent())
        .args(["run", "--config"])
        .arg(node.config_file())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let until_said = |what: &str| {
        until(what, SOON, || match fs::read_to_string(&log).unwrap() {
            said if said.contains(what) => Ok(said),
            said => Err(said),
        })
    };
    let said = until_said("waiting for the install root");
    assert!(said.contains(&node.pid().to_string()) && said.contains("lock"), "{said}");
    assert_eq!(node.get("/ping").status, 200, "the first goes on");
    node.stop();
    until_said("agent started");
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn a_wrong_configuration_is_named_key_by_key() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let mut node = Node::new(scratch.path(), &publisher.trust_anchor(), None);
    node.set("sourcee", "http://h/".into());
    node.set("poll_interval", "soon".into());
    let (status, said) = node.refused(&["run"]);
    assert_eq!(status, 78, "{said}");
    for word in ["sourcee", "source", "poll_interval", "soon"] {
        assert!(said.contains(word), "{word:?} should be in {said}");
    }
    assert!(!node.root().exists(), "nothing was made");
    fs::write(node.config_file(), "{not json").unwrap();
    let (status, said) = node.refused(&["status"]);
    assert_eq!(status, 78, "{said}");
    let (status, said) = node.refused(&["--no-such-flag"]);
    assert_eq!(status, 64, "{said}");
}

#[test]
fn without_a_configuration_file_the_defaults_are_complete() {
    let default = "/opt/smartdc/agents/etc/dockerlogger-agent.config.json";
    if std::path::Path::new(default).exists() {
        // This is a node, and its own configuration is not ours to judge.
        return;
    }
    let output =
        std::process::Command::new(programs::agent()).args(["status", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&status["root"], &status["channel"]),
        (&json!("/opt/smartdc/docker"), &json!("stable"))
    );
}

#[test]
fn verbs_speak_json_to_programs() {
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let node =
        publisher.node(&scratch.path().join("node"), publisher.next_tree().to_str().unwrap());
    let said = node.expect(&["update", "--json"]);
    let events: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = events.last().unwrap();
    assert_eq!(last["event"], "done", "{said}");
    assert!(events[..events.len() - 1].iter().all(|event| event["event"] == "progress"), "{said}");
    let status: serde_json::Value =
        serde_json::from_str(&node.expect(&["status", "--json"])).unwrap();
    assert_eq!(status["current"]["version"], programs::NEXT_VERSION);
    assert_eq!(status["previous"]["version"], VERSION);
}
