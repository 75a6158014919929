// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `GET /drivers` and `GET /drivers/NAME`: what this node supports.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dockerlogger_manifest::{DriverSpec, Release, catalog};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::error::{ApiError, ErrorCode};
use crate::api::{ApiState, Identity, stamp};
use crate::engine::{Installed, NodeView};

/// How much of a driver name from outside is repeated in a message.
const ECHOED_CHARS_MAX: usize = 64;

/// What a node supports: the answer to `GET /drivers`.
#[derive(Debug, Clone, Serialize)]
pub struct DriverList {
    server: Value,
    agent: Value,
    logger: Option<Value>,
    drivers: Vec<DriverSpec>,
}

impl DriverList {
    /// The drivers of the installed release as its signed manifest declares them; without one whose
    /// logger can be started, those that the platform provides by itself.
    pub fn new(identity: &Identity, node: &NodeView) -> DriverList {
        DriverList {
            server: json!({ "hostname": identity.hostname }),
            agent: json!({ "version": identity.version }),
            logger: running(node).map(|(current, release, _)| logger(current, release, node)),
            drivers: supported(node),
        }
    }
}

/// The specs of the drivers this node supports.
fn supported(node: &NodeView) -> Vec<DriverSpec> {
    match running(node) {
        Some((_, _, drivers)) => drivers.to_vec(),
        None => catalog::drivers().into_iter().filter_map(DriverSpec::on_platform).collect(),
    }
}

/// A driver that this node does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log driver {name:?} is not supported on this node; supported: {}", supported.join(", "))]
pub struct UnknownDriver {
    name: String,
    supported: Vec<String>,
}

impl UnknownDriver {
    /// The error for `name` on a node that supports the drivers given.
    pub fn new(name: &str, supported: Vec<String>) -> UnknownDriver {
        UnknownDriver { name: name.chars().take(ECHOED_CHARS_MAX).collect(), supported }
    }
}

impl From<UnknownDriver> for ApiError {
    fn from(error: UnknownDriver) -> ApiError {
        ApiError::new(ErrorCode::ResourceNotFound, error.to_string())
    }
}

/// The spec of driver `name`.
///
/// # Errors
/// When this node does not support it; the error names those it does.
pub fn find(node: &NodeView, name: &str) -> Result<DriverSpec, UnknownDriver> {
    let mut drivers = supported(node);
    match drivers.iter().position(|driver| driver.name == name) {
        Some(at) => Ok(drivers.swap_remove(at)),
        None => {
            let supported = drivers.into_iter().map(|driver| driver.name).collect();
            Err(UnknownDriver::new(name, supported))
        }
    }
}

/// The release whose logger containers start with, its manifest and its drivers.
fn running(node: &NodeView) -> Option<(&Installed, &Release, &[DriverSpec])> {
    let current = node.current.as_ref()?;
    Some((current, current.release.as_ref()?, current.drivers()?))
}

fn logger(current: &Installed, release: &Release, node: &NodeView) -> Value {
    let artifact = release.targets.get(&node.target);
    json!({
        "version": current.version,
        "sha256": current.digest,
        "size": artifact.map(|artifact| artifact.size),
        "installed_at": stamp(current.installed_at),
        "commit": release.commit,
        "built_at": release.built_at,
    })
}

pub(super) async fn list(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let list = DriverList::new(&state.identity, &state.node.borrow());
    let body = match serde_json::to_vec(&list) {
        Ok(body) => body,
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let etag = etag(&body);
    if headers.get_all(header::IF_NONE_MATCH).iter().any(|asked| names(asked, &etag)) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    ([(header::ETAG, etag.as_str()), (header::CONTENT_TYPE, "application/json")], body)
        .into_response()
}

/// The driver that a path names.
#[derive(Debug)]
pub(super) struct DriverName(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for DriverName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<DriverName, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(DriverName(name)),
            Err(_) => {
                let message = "the name of a log driver is UTF-8 text";
                Err(ApiError::new(ErrorCode::ResourceNotFound, message))
            }
        }
    }
}

pub(super) async fn one(
    State(state): State<Arc<ApiState>>,
    DriverName(name): DriverName,
) -> Result<Json<DriverSpec>, ApiError> {
    Ok(Json(find(&state.node.borrow(), &name)?))
}

/// A strong validator: half of the body's SHA-256.
fn etag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let mut etag = String::with_capacity(34);
    etag.push('"');
    for byte in digest.iter().take(16) {
        etag.push_str(&format!("{byte:02x}"));
    }
    etag.push('"');
    etag
}

/// Whether an `If-None-Match` value names `etag`; weak comparison, as RFC 9110 section 13.1.2 asks.
fn names(asked: &HeaderValue, etag: &str) -> bool {
    let Ok(text) = asked.to_str() else { return false };
    text.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}
