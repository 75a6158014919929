// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Error answers, in the one shape Triton's clients read: `{"code","message","errors"?}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dockerlogger_manifest::Problem;
use serde::Serialize;

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    code: ErrorCode,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Problem>,
}

/// What a client branches on; each has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum ErrorCode {
    /// 404: no such path, or no such driver.
    ResourceNotFound,
    /// 405: the path exists, and not for this method.
    BadMethod,
    /// 400: the body is not JSON.
    InvalidContent,
    /// 413: the body is larger than 64 KiB.
    RequestTooLarge,
    /// 408: the body did not arrive in time.
    RequestTimeout,
    /// 422: `errors` says what is wrong, field by field.
    InvalidParameters,
    /// 503: too many commands wait already, or the agent is about to end.
    ServiceUnavailable,
}

impl ErrorCode {
    fn status(self) -> StatusCode {
        match self {
            ErrorCode::ResourceNotFound => StatusCode::NOT_FOUND,
            ErrorCode::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::InvalidContent => StatusCode::BAD_REQUEST,
            ErrorCode::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            ErrorCode::InvalidParameters => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl ApiError {
    /// An error without field errors.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError {
            status: code.status(),
            body: ErrorBody { code, message: message.into(), errors: Vec::new() },
        }
    }

    /// 422 with all that is wrong, field by field.
    pub(super) fn invalid_parameters(message: impl Into<String>, errors: Vec<Problem>) -> ApiError {
        let code = ErrorCode::InvalidParameters;
        ApiError {
            status: code.status(),
            body: ErrorBody { code, message: message.into(), errors },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
