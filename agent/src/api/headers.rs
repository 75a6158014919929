// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is the same for every answer: Triton's headers, and the audit record.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::ApiState;
use crate::random::request_id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RESPONSE_TIME: HeaderName = HeaderName::from_static("x-response-time");
const SERVER_NAME: HeaderName = HeaderName::from_static("x-server-name");

/// The longest request id of a caller that is repeated.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// How much of a path is logged.
const LOGGED_PATH_CHARS_MAX: usize = 256;

/// Answers `request` and adds the headers. `Date` is added by the HTTP library.
pub(super) async fn add(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = callers_id(request.headers()).unwrap_or_else(request_id);
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(LOGGED_PATH_CHARS_MAX).collect();

    let mut response = next.run(request).await;

    let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let headers = response.headers_mut();
    headers.insert(RESPONSE_TIME, latency_ms.into());
    insert_text(headers, header::SERVER, &state.identity.server_header);
    insert_text(headers, SERVER_NAME, &state.identity.hostname);
    insert_text(headers, REQUEST_ID, &id);
    if path != "/ping" {
        tracing::info!(
            audit = true,
            req_id = id,
            req.method = method.as_str(),
            req.url = path,
            res.statusCode = response.status().as_u16(),
            latency = latency_ms,
            "handled"
        );
    }
    response
}

/// The caller's request id, where it is short and visible ASCII: it goes into a log and a header.
fn callers_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let sane = !text.is_empty()
        && text.len() <= REQUEST_ID_CHARS_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    sane.then(|| text.to_owned())
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
