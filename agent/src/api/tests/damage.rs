// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A release that is installed and damaged, in every answer.

use super::*;
use crate::engine::{Damage, DamageKind};

/// Release 1.2.3, of which a file is not what was signed.
fn damaged(startable: bool) -> NodeView {
    let mut view = node(Some("1.2.3"));
    let current = view.current.as_mut().unwrap();
    let (kind, what) =
        (DamageKind::Damaged, "digest of logger is a, the release says b".to_owned());
    current.damage = Some(Damage { kind, what, since: Timestamp::UNIX_EPOCH, startable });
    if !startable {
        current.release = None;
    }
    view
}

#[tokio::test]
async fn status_and_health_name_it_and_what_is_done_about_it() {
    let status = Api::new(damaged(false)).get("/status").await.json();
    assert_eq!(status["current"]["version"], "1.2.3");
    assert_eq!(status["current"]["commit"], Value::Null);
    let damage = json!({
        "kind": "damaged", "what": "digest of logger is a, the release says b",
        "since": "1970-01-01T00:00:00.000Z", "startable": false,
    });
    assert_eq!(status["current"]["damage"], damage);
    assert_eq!(status["health"]["state"], "degraded");
    assert_eq!(
        status["health"]["reasons"],
        json!([
            "release 1.2.3 is damaged (digest of logger is a, the release says b); its logger is \
             not to be relied on, only the platform's drivers work, first seen at \
             1970-01-01T00:00:00.000Z: the next update fetches it again"
        ])
    );
    let mut view = damaged(false);
    view.stands_in = Some(crate::engine::StandsIn { why: "it leaks".to_owned(), wanted: None });
    let reasons = Api::new(view).get("/status").await.json()["health"]["reasons"].to_string();
    assert!(reasons.contains("an update brings the next release that is not blocked"), "{reasons}");
    assert!(!reasons.contains("fetches it again"), "{reasons}");
    let whole = Api::new(node(Some("1.2.3"))).get("/status").await.json();
    assert_eq!(whole["current"]["damage"], Value::Null);
}

#[test]
fn a_node_without_a_release_that_should_run_wants_one_at_once() {
    let mut blocked = node(Some("1.2.3"));
    assert!(!blocked.wants_release());
    blocked.stands_in = Some(crate::engine::StandsIn { why: "it leaks".to_owned(), wanted: None });
    for view in [node(None), damaged(true), damaged(false), blocked] {
        assert!(view.wants_release(), "{view:?}");
    }
}

#[tokio::test]
async fn drivers_are_claimed_only_while_its_logger_can_be_started() {
    let list = Api::new(damaged(true)).get("/drivers").await.json();
    assert_eq!(
        (&list["logger"]["version"], &list["drivers"]),
        (&json!("1.2.3"), &json!(catalog::drivers()))
    );
    let api = Api::new(damaged(false));
    let list = api.get("/drivers").await.json();
    let platform = Api::new(node(None)).get("/drivers").await.json();
    assert_eq!((&list["logger"], &list["drivers"]), (&Value::Null, &platform["drivers"]));
    for (method, path) in [("GET", "/drivers/syslog"), ("POST", "/drivers/syslog/validate")] {
        let answer = api.ask(method, path, r#"{"config":{}}"#).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    // Also where the manifest could be read.
    let mut view = damaged(true);
    view.current.as_mut().unwrap().damage.as_mut().unwrap().startable = false;
    assert_eq!(Api::new(view).get("/drivers").await.json()["logger"], Value::Null);
}

#[tokio::test]
async fn the_explanation_says_what_it_waits_for() {
    let explain = async |view, config: &str| {
        let told = Api::with_config(view, config).get("/explain").await.json();
        assert_eq!(
            (&told["release"], &told["damage"]["kind"]),
            (&json!("1.2.3"), &json!("damaged"))
        );
        let sentence = told["sentence"].as_str().unwrap().to_owned();
        let says = "it is damaged (digest of logger is a, the release says b)";
        assert!(sentence.contains(says), "{sentence}");
        assert!(sentence.contains("first seen at 1970-01-01T00:00:00.000Z"), "{sentence}");
        let what = told["waits_for"]["what"].as_str().unwrap().to_owned();
        (what, told["waits_for"]["detail"].as_str().unwrap().to_owned())
    };
    let source = r#"{"source":"/srv/repo"}"#;
    let (what, detail) = explain(damaged(false), source).await;
    assert_eq!(what, "check");
    assert_eq!(detail, "it waits for the next check to fetch release 1.2.3 again");

    let (at, outcome, passed_over) = (Timestamp::UNIX_EPOCH, String::new(), Vec::new());
    let (error, kind, once, offered) = (Some("no route".to_owned()), None, false, None);
    let mut view = damaged(false);
    view.last_check = Some(LastCheck { at, outcome, error, kind, once, passed_over, offered });
    // A hold keeps another release away, and not this one.
    let (reason, by) = ("freeze".to_owned(), "socket uid 0".to_owned());
    view.held = Some(crate::engine::Held { reason, by, since: at, extra: Extra::new() });
    let (what, detail) = explain(view, source).await;
    assert_eq!(what, "source");
    let ends =
        "to fetch release 1.2.3 again, since that at 1970-01-01T00:00:00.000Z failed: no route";
    assert!(detail.ends_with(ends), "{detail}");

    let mut view = damaged(false);
    view.stands_in = Some(crate::engine::StandsIn { why: "it leaks".to_owned(), wanted: None });
    let (what, detail) = explain(view, source).await;
    assert_eq!(
        (what.as_str(), detail.contains("that takes the place of 1.2.3")),
        ("release", true)
    );

    let (what, detail) = explain(damaged(false), "{}").await;
    assert_eq!(what, "bundle");
    assert!(detail.starts_with("it waits for a bundle with release 1.2.3"), "{detail}");
}
