// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Reading a request's body: bounded in size and in time.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::api::error::{ApiError, ErrorCode};

/// The largest body read. A container's whole log configuration is a few hundred bytes.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a client may take to send it.
const BODY_READ_MAX: Duration = Duration::from_secs(10);

/// A body that is a JSON object; an empty body counts as `{}`. Whatever the content type says: it
/// is curl's default that is wrong most often, not the body.
#[derive(Debug)]
pub(super) struct JsonObject(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<JsonObject, ApiError> {
        let reading = Bytes::from_request(request, state);
        let bytes = match tokio::time::timeout(BODY_READ_MAX, reading).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("the body is larger than {BODY_BYTES_MAX} bytes");
                return Err(ApiError::new(ErrorCode::RequestTooLarge, message));
            }
            Ok(Err(rejection)) => {
                let message = format!("the body could not be read: {rejection}");
                return Err(ApiError::new(ErrorCode::InvalidContent, message));
            }
            Err(_) => {
                let message = format!("the body did not arrive within {BODY_READ_MAX:?}");
                return Err(ApiError::new(ErrorCode::RequestTimeout, message));
            }
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(JsonObject(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(object) => Ok(JsonObject(object)),
            Err(error) => {
                let message = format!("the body is not a JSON object: {error}");
                Err(ApiError::new(ErrorCode::InvalidContent, message))
            }
        }
    }
}
