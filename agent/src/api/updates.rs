// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `POST /updates`, `POST /rollback`, `POST /installs`: the changing verbs, for root only.
//!
//! The answer is a stream of [`Event`]s, a line of JSON each; the last one says how it ended. Its
//! status is 200 as soon as the work is accepted, since it is sent before the work is done. A client
//! that goes away does not stop the work.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use dockerlogger_manifest::{Problem, ProblemCode};
use hyper::body::Frame;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::api::ApiState;
use crate::api::body::JsonObject;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::server::Peer;
use crate::engine::{Actor, Source};
use crate::service::{EVENTS_MAX, Order};
use crate::work::{Event, Work};

pub(super) async fn update(
    State(state): State<Arc<ApiState>>,
    peer: Option<Extension<Peer>>,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let mut problems = unknown_fields(&body, &["allow_expired", "dry_run", "source"]);
    let mut flag = |name: &str| match body.get(name) {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => {
            let message = format!("{name} is true or false");
            problems.push(problem(name, ProblemCode::Invalid, &message));
            false
        }
    };
    let (dry_run, allow_expired) = (flag("dry_run"), flag("allow_expired"));
    let source = match body.get("source") {
        None | Some(Value::Null) => {
            if state.identity.config.source.is_none() {
                let message = "no source is configured, and none is given";
                problems.push(problem("source", ProblemCode::Missing, message));
            }
            state.identity.config.sources()
        }
        Some(value) => {
            let source = value.as_str().and_then(|text| text.parse::<Source>().ok());
            let source = source.map(Source::for_this_once);
            if source.is_none() {
                let message = "source is http(s)://HOST/…, imgapi://HOST, an absolute folder, or an \
                               absolute path of a .tar bundle";
                problems.push(problem("source", ProblemCode::Invalid, message));
            }
            source
        }
    };
    match source {
        Some(source) if problems.is_empty() => {
            let work = match (dry_run, allow_expired) {
                (true, _) => Work::Plan(source),
                (false, true) => Work::UpdateExpired(source),
                (false, false) => Work::Update(source),
            };
            order(&state, peer, work)
        }
        _ => Err(ApiError::invalid_parameters("the update cannot be started", problems)),
    }
}

pub(super) async fn rollback(
    State(state): State<Arc<ApiState>>,
    peer: Option<Extension<Peer>>,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let problems = unknown_fields(&body, &[]);
    if !problems.is_empty() {
        return Err(ApiError::invalid_parameters("the rollback cannot be started", problems));
    }
    order(&state, peer, Work::Rollback)
}

pub(super) async fn install(
    State(state): State<Arc<ApiState>>,
    peer: Option<Extension<Peer>>,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let mut problems = unknown_fields(&body, &["bundle"]);
    let path = body.get("bundle").and_then(Value::as_str).map(std::path::PathBuf::from);
    let path = path.filter(|path| path.is_absolute());
    if path.is_none() {
        let message = "bundle is the absolute path of a bundle file";
        let code =
            if body.contains_key("bundle") { ProblemCode::Invalid } else { ProblemCode::Missing };
        problems.push(problem("bundle", code, message));
    }
    match path {
        Some(path) if problems.is_empty() => {
            order(&state, peer, Work::Update(Source::Import(path)))
        }
        _ => Err(ApiError::invalid_parameters("the installation cannot be started", problems)),
    }
}

/// Hands `work` to the engine's owner and answers with what is told about it.
/// `POST /changes` lays down or lifts a hold, a pin or a block: `{"change":"hold","reason":"…"}`.
pub(super) async fn change(
    State(state): State<Arc<ApiState>>,
    peer: Option<Extension<Peer>>,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    match serde_json::from_value(Value::Object(body)) {
        Ok(change) => order(&state, peer, Work::Change(change)),
        Err(error) => {
            let problems = vec![problem("change", ProblemCode::Invalid, &error.to_string())];
            Err(ApiError::invalid_parameters("the change cannot be made", problems))
        }
    }
}

fn order(
    state: &ApiState,
    peer: Option<Extension<Peer>>,
    work: Work,
) -> Result<Response, ApiError> {
    let (events, receiver) = mpsc::channel(EVENTS_MAX);
    let actor = Actor::Socket { uid: peer.and_then(|Extension(peer)| peer.uid) };
    state.orders.try_send(Order { work, actor, events }).map_err(|error| {
        let message = match error {
            mpsc::error::TrySendError::Full(_) => "other work is waiting already; try again later",
            mpsc::error::TrySendError::Closed(_) => "the agent is about to end",
        };
        ApiError::new(ErrorCode::ServiceUnavailable, message)
    })?;
    let body = Body::new(EventLines(receiver));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Events as a body. It ends with the sender.
struct EventLines(mpsc::Receiver<Event>);

impl hyper::body::Body for EventLines {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, serde_json::Error>>> {
        self.0.poll_recv(context).map(|event| {
            event.map(|event| {
                let mut line = serde_json::to_vec(&event)?;
                line.push(b'\n');
                Ok(Frame::data(Bytes::from(line)))
            })
        })
    }
}

fn unknown_fields(body: &Map<String, Value>, known: &[&str]) -> Vec<Problem> {
    let unknown = body.keys().filter(|key| !known.contains(&key.as_str()));
    unknown
        .map(|key| {
            let accepted = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("unknown field; known fields: {accepted}");
            problem(key, ProblemCode::Unknown, &message)
        })
        .collect()
}

fn problem(field: &str, code: ProblemCode, message: &str) -> Problem {
    Problem { field: field.to_owned(), code, message: message.to_owned() }
}
