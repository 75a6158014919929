// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What only the socket answers: commands, and the events of the work they order.

use super::*;
use crate::engine::Source;
use crate::work::{Event, Work};

/// Sends a command and plays the engine's owner. Returns the work ordered and the answer.
async fn commanded(api: &mut Api, path: &str, body: &str, events: Vec<Event>) -> (Work, Answer) {
    let request = Request::post(path).body(Body::from(body.to_owned())).unwrap();
    let router = operator_router(Arc::clone(&api.state));
    let response = router.oneshot(request).await.unwrap();
    let order = api.orders.recv().await.unwrap();
    for event in events {
        order.events.try_send(event).unwrap();
    }
    let work = order.work;
    drop(order.events);
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
    (work, Answer { status: head.status, headers: head.headers, body })
}

#[tokio::test]
async fn commands_become_work_and_their_events_lines() {
    let mut api = Api::with_config(node(None), r#"{"source":"/srv/repo"}"#);
    let events = vec![
        Event::Progress { text: "asking the source".to_owned(), detail: json!({}) },
        Event::Done { lines: vec!["release 1.0.0 is installed".to_owned()], result: json!({}) },
    ];
    let (work, answer) = commanded(&mut api, "/updates", "", events.clone()).await;
    assert_eq!(work, Work::Update("/srv/repo".parse().unwrap()));
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(answer.body).unwrap();
    let told: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told, events);

    let cases = [
        ("/updates", r#"{"dry_run":true}"#, Work::Plan("/srv/repo".parse().unwrap())),
        ("/updates", r#"{"source":"/b.tar"}"#, Work::Update(Source::Import("/b.tar".into()))),
        ("/updates", r#"{"allow_expired":true}"#, {
            Work::UpdateExpired("/srv/repo".parse().unwrap())
        }),
        ("/rollback", "", Work::Rollback),
        ("/changes", r#"{"change":"hold"}"#, Work::Change(Change::Hold { reason: None })),
        ("/changes", r#"{"change":"pin","version":"1.0.0"}"#, {
            Work::Change(Change::Pin { version: "1.0.0".parse().unwrap() })
        }),
        ("/installs", r#"{"bundle":"/odd.name"}"#, {
            Work::Update(Source::Import("/odd.name".into()))
        }),
    ];
    for (path, body, expected) in cases {
        let (work, answer) = commanded(&mut api, path, body, Vec::new()).await;
        assert_eq!(work, expected, "{path} {body}");
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn commands_that_make_no_sense_are_refused_with_all_reasons() {
    let api = Api::new(node(None));
    type FieldAndCode = (&'static str, &'static str);
    let cases: [(&str, &str, &[FieldAndCode]); 8] = [
        ("/updates", "{}", &[("source", "Missing")]),
        ("/updates", r#"{"source":"ftp://x"}"#, &[("source", "Invalid")]),
        (
            "/updates",
            r#"{"dry_run":1,"force":true,"source":"/r"}"#,
            &[("force", "Unknown"), ("dry_run", "Invalid")],
        ),
        ("/rollback", r#"{"to":"1.0.0"}"#, &[("to", "Unknown")]),
        ("/changes", r#"{"change":"dance"}"#, &[("change", "Invalid")]),
        ("/changes", r#"{"change":"block","what":"newest"}"#, &[("change", "Invalid")]),
        ("/installs", "{}", &[("bundle", "Missing")]),
        ("/installs", r#"{"bundle":"relative.tar"}"#, &[("bundle", "Invalid")]),
    ];
    for (path, body, expected) in cases {
        let answer = api.command(path, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {body}");
        let json = answer.json();
        let found: Vec<(&str, &str)> = json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["field"].as_str().unwrap(), e["code"].as_str().unwrap()))
            .collect();
        assert_eq!(found, expected, "{path} {body}");
    }
}

#[tokio::test]
async fn a_full_queue_and_an_ending_agent_refuse_work() {
    let mut api = Api::with_config(node(None), r#"{"source":"/srv/repo"}"#);
    let (events, _reader) = mpsc::channel(EVENTS_MAX);
    api.state.orders.try_send(Order { work: Work::Rollback, actor: Actor::Poll, events }).unwrap();
    let full = api.command("/rollback", "").await;
    assert_eq!(full.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(full.json()["code"], "ServiceUnavailable");
    api.orders.close();
    let ending = api.command("/rollback", "").await;
    assert_eq!(ending.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ending.json()["message"].as_str().unwrap().contains("about to end"));
}
