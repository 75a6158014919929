// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

mod commands;
mod damage;

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use dockerlogger_manifest::{
    Artifact, ChannelName, Digest, Extra, Release, Target, Version, catalog,
};
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use super::*;
use crate::config::RawConfig;
use crate::engine::{Actor, Blocked, Change, FailureKind, Installed, LastCheck};
use crate::service::{EVENTS_MAX, Mount};

const DIGEST: [u8; 32] = [0xab; 32];

fn node(installed: Option<&str>) -> NodeView {
    let channel = "stable".parse::<ChannelName>().unwrap();
    let mut view = NodeView::empty(channel, Target::of_this_build());
    view.current = installed.map(release);
    view
}

fn release(version: &str) -> Installed {
    let version: Version = version.parse().unwrap();
    let target = Target::of_this_build();
    let artifact = Artifact {
        name: Artifact::file_name(&version, &target),
        size: 1_234_567,
        sha256: Digest::from_bytes(DIGEST),
        files: Vec::new(),
        extra: Map::new(),
    };
    Installed {
        version: version.clone(),
        digest: Digest::from_bytes(DIGEST),
        installed_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        damage: None,
        release: Some(Release {
            format: Release::FORMAT,
            version,
            commit: "abcdef0".to_owned(),
            built_at: "2026-01-01T00:00:00Z".to_owned(),
            drivers: catalog::drivers(),
            targets: BTreeMap::from([(target, artifact)]),
            extra: Map::new(),
        }),
    }
}

/// A node that answers, and the ends that the agent would hold.
struct Api {
    state: Arc<ApiState>,
    node: watch::Sender<NodeView>,
    orders: mpsc::Receiver<Order>,
    activity: watch::Sender<Activity>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }
}

impl Api {
    fn new(view: NodeView) -> Api {
        Api::with_config(view, "{}")
    }

    fn with_config(view: NodeView, config: &str) -> Api {
        let raw: RawConfig = serde_json::from_str(config).unwrap();
        let started = Some((Timestamp::UNIX_EPOCH, Instant::now()));
        let (node, node_reader) = watch::channel(view);
        let (activity, activity_reader) = watch::channel(Activity::default());
        let (orders, queue) = mpsc::channel(1);
        let identity = Identity {
            hostname: "node-7".to_owned(),
            ..Identity::new(Config::parse(raw).unwrap(), started)
        };
        let state =
            Arc::new(ApiState { identity, node: node_reader, activity: activity_reader, orders });
        Api { state, node, orders: queue, activity }
    }

    async fn send(&self, router: Router, request: Request<Body>) -> Answer {
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn ask(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        self.send(reader_router(Arc::clone(&self.state)), request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Body::empty()).await
    }

    async fn get_with(&self, path: &str, header: &str, value: &str) -> Answer {
        let request = Request::get(path).header(header, value).body(Body::empty()).unwrap();
        self.send(reader_router(Arc::clone(&self.state)), request).await
    }

    async fn command(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path).body(Body::from(body.to_owned())).unwrap();
        self.send(operator_router(Arc::clone(&self.state)), request).await
    }
}

#[tokio::test]
async fn ping_answers_with_the_version() {
    let answer = Api::new(node(None)).get("/ping").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["ping"], "pong");
    assert_eq!(answer.json()["version"], crate::VERSION);
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let api = Api::new(node(None));
    for path in ["/ping", "/drivers", "/nowhere", "/drivers/x"] {
        let answer = api.get(path).await;
        assert_eq!(answer.header("server"), format!("dockerlogger-agent/{}", crate::VERSION));
        assert_eq!(answer.header("x-server-name"), "node-7");
        assert!(answer.header("x-response-time").parse::<u64>().is_ok());
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
}

#[tokio::test]
async fn a_sane_request_id_is_repeated_and_no_other() {
    let api = Api::new(node(None));
    let long = "x".repeat(128);
    for sane in ["req-7", "a", long.as_str()] {
        let answer = api.get_with("/ping", "x-request-id", sane).await;
        assert_eq!(answer.header("x-request-id"), sane);
    }
    let longer = "x".repeat(129);
    for odd in ["", "a b", "caf\u{e9}", longer.as_str()] {
        let answer = api.get_with("/ping", "x-request-id", odd).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{odd:?}");
    }
}

#[tokio::test]
async fn drivers_are_those_of_the_installed_release() {
    let answer = Api::new(node(Some("1.2.3"))).get("/drivers").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    let list = answer.json();
    assert_eq!(list["server"]["hostname"], "node-7");
    assert_eq!(list["agent"]["version"], crate::VERSION);
    assert_eq!(list["logger"]["version"], "1.2.3");
    assert_eq!(list["logger"]["sha256"], "ab".repeat(32));
    assert_eq!(list["logger"]["size"], 1_234_567);
    assert_eq!(list["logger"]["installed_at"], "2026-01-02T03:04:05.000Z");
    assert_eq!(list["drivers"], json!(catalog::drivers()));
}

#[tokio::test]
async fn without_a_release_only_the_platforms_drivers_work() {
    let list = Api::new(node(None)).get("/drivers").await.json();
    assert_eq!(list["logger"], Value::Null);
    let names: Vec<_> =
        list["drivers"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"json-file") && names.contains(&"none"), "{names:?}");
    assert!(!names.contains(&"syslog"), "{names:?}");
    let api = Api::new(node(None));
    let answer = api.ask("POST", "/drivers/syslog/validate", r#"{"config":{}}"#).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_poller_gets_304_until_something_changes() {
    let api = Api::new(node(Some("1.2.3")));
    let etag = api.get("/drivers").await.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    for asked in [etag.clone(), format!("\"other\", {etag}"), format!("W/{etag}"), "*".to_owned()] {
        let answer = api.get_with("/drivers", "if-none-match", &asked).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{asked}");
        assert_eq!(answer.header("etag"), etag);
        assert!(answer.body.is_empty());
    }
    let other = api.get_with("/drivers", "if-none-match", "\"other\"").await;
    assert_eq!(other.status, StatusCode::OK);
    api.node.send_replace(node(Some("1.2.4")));
    let changed = api.get_with("/drivers", "if-none-match", &etag).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(changed.json()["logger"]["version"], "1.2.4");
}

#[tokio::test]
async fn one_driver_or_the_names_of_all() {
    let api = Api::new(node(Some("1.2.3")));
    let found = api.get("/drivers/syslog").await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(found.json()["name"], "syslog");
    let absent = api.get("/drivers/sislog").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert_eq!(absent.json()["code"], "ResourceNotFound");
    let message = absent.json()["message"].as_str().unwrap().to_owned();
    let names: Vec<String> = catalog::drivers().into_iter().map(|driver| driver.name).collect();
    assert_eq!(
        message,
        format!(
            "log driver \"sislog\" is not supported on this node; supported: {}",
            names.join(", ")
        )
    );
}

#[tokio::test]
async fn a_good_configuration_comes_back_normalized() {
    let api = Api::new(node(Some("1.2.3")));
    let body = r#"{"config":{"syslog-address":"udp://10.0.0.1"}}"#;
    let answer = api.ask("POST", "/drivers/syslog/validate", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    assert_eq!(answer.json()["driver"], "syslog");
    assert_eq!(answer.json()["config"]["syslog-address"], "udp://10.0.0.1:514");
    assert_eq!(answer.json()["config"]["syslog-facility"], "daemon");
}

#[tokio::test]
async fn secrets_are_not_sent_back() {
    let api = Api::new(node(Some("1.2.3")));
    let body = r#"{"config":{"fluentd-shared-key":"hush","fluentd-address":"h"}}"#;
    let answer = api.ask("POST", "/drivers/fluentd/validate", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    assert_eq!(answer.json()["config"]["fluentd-shared-key"], "(secret)");
    assert_eq!(answer.json()["config"]["fluentd-address"], "tcp://h:24224");
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let api = Api::new(node(Some("1.2.3")));
    let body = r#"{"config":{"syslog-facility":"kitchen","colour":"red","mode":7}}"#;
    let answer = api.ask("POST", "/drivers/syslog/validate", body).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let error = answer.json();
    assert_eq!(error["code"], "InvalidParameters");
    assert!(error["message"].as_str().unwrap().contains("syslog"), "{error}");
    let mut found: Vec<(String, String)> = error["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["field"].as_str().unwrap().into(), e["code"].as_str().unwrap().into()))
        .collect();
    found.sort();
    let expected = [
        ("colour", "Unknown"),
        ("mode", "Invalid"),
        ("syslog-address", "Missing"),
        ("syslog-facility", "Invalid"),
    ];
    assert_eq!(found, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
    assert!(error["errors"].as_array().unwrap().iter().all(|e| e["message"].is_string()));
}

#[tokio::test]
async fn a_value_that_is_no_text_is_one_problem_not_two() {
    let api = Api::new(node(Some("1.2.3")));
    let body = r#"{"config":{"syslog-address":["udp://a"]}}"#;
    let error = api.ask("POST", "/drivers/syslog/validate", body).await.json();
    let errors = error["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{error}");
    assert_eq!(errors[0]["code"], "Invalid");
}

#[tokio::test]
async fn bad_bodies_have_their_own_answers() {
    let api = Api::new(node(Some("1.2.3")));
    let large = format!("{{\"config\":{{\"tag\":\"{}\"}}}}", "x".repeat(BODY_BYTES_MAX));
    let cases = [
        ("{\"config\":", StatusCode::BAD_REQUEST, "InvalidContent"),
        ("[]", StatusCode::BAD_REQUEST, "InvalidContent"),
        ("\u{0}", StatusCode::BAD_REQUEST, "InvalidContent"),
        ("", StatusCode::UNPROCESSABLE_ENTITY, "InvalidParameters"),
        ("{\"config\":null}", StatusCode::UNPROCESSABLE_ENTITY, "InvalidParameters"),
        (large.as_str(), StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLarge"),
    ];
    for (body, status, code) in cases {
        let answer = api.ask("POST", "/drivers/syslog/validate", body.to_owned()).await;
        let shown: String = body.chars().take(20).collect();
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.json()["code"], code, "{shown}");
        assert!(answer.json()["message"].is_string());
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods() {
    let api = Api::new(node(Some("1.2.3")));
    let cases = [
        ("GET", "/", StatusCode::NOT_FOUND, "ResourceNotFound"),
        ("GET", "/drivers/syslog/validate/x", StatusCode::NOT_FOUND, "ResourceNotFound"),
        ("DELETE", "/drivers", StatusCode::METHOD_NOT_ALLOWED, "BadMethod"),
        ("GET", "/drivers/syslog/validate", StatusCode::METHOD_NOT_ALLOWED, "BadMethod"),
        ("POST", "/ping", StatusCode::METHOD_NOT_ALLOWED, "BadMethod"),
        // The changing verbs do not exist on the network.
        ("POST", "/updates", StatusCode::NOT_FOUND, "ResourceNotFound"),
        ("POST", "/rollback", StatusCode::NOT_FOUND, "ResourceNotFound"),
        ("POST", "/changes", StatusCode::NOT_FOUND, "ResourceNotFound"),
        ("POST", "/installs", StatusCode::NOT_FOUND, "ResourceNotFound"),
    ];
    for (method, path, status, code) in cases {
        let answer = api.ask(method, path, Body::empty()).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.json()["code"], code, "{method} {path}");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            assert!(!answer.header("allow").is_empty());
        }
    }
    let bad_path = api.get("/drivers/%ff").await;
    assert_eq!(bad_path.status, StatusCode::NOT_FOUND);
    assert_eq!(bad_path.json()["code"], "ResourceNotFound");
}

#[tokio::test]
async fn status_tells_everything_and_hides_credentials() {
    let mut view = node(Some("1.2.3"));
    view.previous = Some(release("1.2.2"));
    view.blocked = vec![Blocked {
        digest: Digest::from_bytes([1; 32]),
        version: "1.2.4".parse().unwrap(),
        reason: "rolled back".to_owned(),
        failed: false,
        extra: Extra::new(),
    }];
    let source = r#"{"source":"https://bob:s3cret@updates.example.com/repo","root":"/r"}"#;
    let api = Api::with_config(view, source);
    let answer = api.get("/status").await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("s3cret"));
    let status = answer.json();
    assert_eq!(status["agent"]["version"], crate::VERSION);
    assert_eq!(status["agent"]["running"], true);
    assert!(status["agent"]["uptime_secs"].is_u64());
    assert_eq!(status["root"], "/r");
    assert_eq!(status["source"], "https://…@updates.example.com/repo");
    assert_eq!(status["channel"], "stable");
    assert_eq!(status["current"]["version"], "1.2.3");
    assert_eq!(status["current"]["digest"], "ab".repeat(32));
    assert_eq!(status["previous"]["version"], "1.2.2");
    assert_eq!(status["pending"], Value::Null);
    assert_eq!(status["blocked"][0]["reason"], "rolled back");
    assert_eq!(status["last_check"], Value::Null);
    assert_eq!(status["health"], json!({ "state": "ok", "reasons": [] }));
}

#[tokio::test]
async fn a_release_that_zones_do_not_see_degrades_health() {
    let api = Api::new(node(Some("1.2.3")));
    assert_eq!(api.get("/status").await.json()["mounts"], json!([]));
    let mut mount = Mount { path: "/lib/sdc/docker/logger".into(), problem: None };
    api.activity.send_modify(|activity| activity.mounts = vec![mount.clone()]);
    let status = api.get("/status").await.json();
    assert_eq!(status["mounts"], json!([{ "path": "/lib/sdc/docker/logger", "problem": null }]));
    assert_eq!(status["health"]["state"], "ok");
    mount.problem = Some("it is not there".to_owned());
    api.activity.send_modify(|activity| activity.mounts = vec![mount]);
    let health = &api.get("/status").await.json()["health"];
    assert_eq!(health["state"], "degraded");
    let reason = health["reasons"][0].as_str().unwrap();
    assert!(reason.contains("/lib/sdc/docker/logger: it is not there"), "{reason}");
}

#[tokio::test]
async fn health_says_why_it_is_degraded() {
    let mut view = node(None);
    view.pending = Some(release("1.2.3"));
    view.hold = Some("the state is lost".to_owned());
    view.last_check = Some(LastCheck {
        at: Timestamp::UNIX_EPOCH,
        outcome: String::new(),
        error: Some("cannot fetch timestamp.json".to_owned()),
        kind: Some(FailureKind::Temporary),
        once: false,
        passed_over: Vec::new(),
        offered: None,
    });
    let health = Api::new(view).get("/status").await.json()["health"].clone();
    assert_eq!(health["state"], "degraded");
    assert_eq!(
        health["reasons"],
        json!([
            "no release is installed: only the platform's drivers work",
            "changes are held: the state is lost",
            "the switch to release 1.2.3 is not confirmed",
            "the last check failed: cannot fetch timestamp.json",
        ])
    );
}

#[tokio::test]
async fn the_history_is_told_oldest_first() {
    let api = Api::new(node(None));
    assert_eq!(api.get("/history").await.json(), json!({ "records": [] }));
    let record = json!({
        "seq": 4, "at": "2026-01-02T03:04:05Z", "who": "poll", "what": "update",
        "why": "channel stable names release 1.2.3", "from": null, "to": "1.2.3",
    });
    let mut view = node(None);
    view.history = Arc::new(vec![serde_json::from_value(record).unwrap()]);
    api.node.send_replace(view);
    let told = api.get("/history").await.json()["records"][0].clone();
    assert_eq!(told["at"], "2026-01-02T03:04:05.000Z");
    assert_eq!((&told["who"], &told["to"]), (&json!("poll"), &json!("1.2.3")));
}

#[tokio::test]
async fn the_explanation_is_a_sentence_and_its_data() {
    let mut view = node(Some("1.2.3"));
    view.since = Some(Timestamp::UNIX_EPOCH);
    let record = json!({
        "seq": 1, "at": "2026-01-02T03:04:05Z", "who": "poll", "what": "update",
        "why": "channel stable of /r names release 1.2.3", "from": null, "to": "1.2.3",
    });
    view.history = Arc::new(vec![serde_json::from_value(record).unwrap()]);
    let told = Api::new(view).get("/explain").await.json();
    assert_eq!(
        told["sentence"],
        "release 1.2.3 is installed since 1970-01-01T00:00:00.000Z because channel stable of /r \
         names release 1.2.3 (update by poll); it waits for a bundle, since no source is configured"
    );
    assert_eq!(told["waits_for"]["what"], "bundle");
    assert_eq!((&told["release"], &told["because"]["seq"]), (&json!("1.2.3"), &json!(1)));
}
