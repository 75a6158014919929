// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The HTTP API: what this node's logger supports, and how the node is.
//!
//! Two listeners, one set of handlers. The network gets what only reads (and `validate`, which changes
//! nothing); the unix socket `<root>/agent.sock`, which only root can open, gets the changing verbs as
//! well. Handlers read published state; none of them touches the disk or the engine.
//!
//! | | |
//! |---|---|
//! | `GET /ping` | liveness and version |
//! | `GET /drivers`, `GET /drivers/NAME` | what is supported; the list has an `ETag` |
//! | `POST /drivers/NAME/validate` | `{"config":{…}}` normalized, or every problem |
//! | `GET /status` | releases, last check, health |
//! | `GET /history` | who changed what and why |
//! | `GET /explain` | why the node is on its release, and what it waits for |
//! | `POST /updates`, `POST /rollback`, `POST /installs`, `POST /changes` | unix socket only |

mod body;
mod drivers;
mod error;
mod explain;
mod headers;
mod history;
mod ping;
pub mod server;
mod status;
mod updates;
mod validate;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

pub use crate::api::body::BODY_BYTES_MAX;
pub use crate::api::drivers::DriverList;
pub use crate::api::drivers::UnknownDriver;
pub use crate::api::drivers::find as find_driver;
use crate::api::error::{ApiError, ErrorCode};
pub use crate::api::explain::explain;
pub use crate::api::history::history;
pub use crate::api::server::Peer;
pub use crate::api::status::Health;
pub use crate::api::status::status;
use crate::config::Config;
use crate::engine::NodeView;
use crate::service::{Activity, Order};

/// What does not change while the agent runs.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The agent's version.
    pub version: &'static str,
    /// This machine's name.
    pub hostname: String,
    /// The value of the `Server` header.
    pub server_header: String,
    /// The configuration in effect; `listen` is where it really listens.
    pub config: Config,
    /// When it started, for uptime; `None` where no agent runs.
    pub started: Option<(Timestamp, Instant)>,
}

impl Identity {
    /// The identity of this process.
    pub fn new(config: Config, started: Option<(Timestamp, Instant)>) -> Identity {
        Identity {
            version: crate::VERSION,
            hostname: crate::hostname(),
            server_header: format!("{}/{}", crate::log::PROGRAM, crate::VERSION),
            config,
            started,
        }
    }
}

/// What handlers share.
#[derive(Debug)]
pub struct ApiState {
    /// Who answers.
    pub identity: Identity,
    /// The node, as the engine publishes it.
    pub node: watch::Receiver<NodeView>,
    /// What the agent is doing.
    pub activity: watch::Receiver<Activity>,
    /// The way to the engine's owner.
    pub orders: mpsc::Sender<Order>,
}

/// What the network may ask.
pub fn reader_router(state: Arc<ApiState>) -> Router {
    finish(reading(), state)
}

/// What root may ask over the unix socket.
pub fn operator_router(state: Arc<ApiState>) -> Router {
    let changing = reading()
        .route("/updates", post(updates::update))
        .route("/rollback", post(updates::rollback))
        .route("/changes", post(updates::change))
        .route("/installs", post(updates::install));
    finish(changing, state)
}

fn reading() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/ping", get(ping::ping))
        .route("/drivers", get(drivers::list))
        .route("/drivers/{name}", get(drivers::one))
        .route("/drivers/{name}/validate", post(validate::validate))
        .route("/status", get(status::show))
        .route("/history", get(history::show))
        .route("/explain", get(explain::show))
}

fn finish(router: Router<Arc<ApiState>>, state: Arc<ApiState>) -> Router {
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(bad_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), headers::add))
        .with_state(state)
}

async fn no_such_path(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(256).collect();
    ApiError::new(ErrorCode::ResourceNotFound, format!("{path} does not exist"))
}

async fn bad_method(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(256).collect();
    ApiError::new(ErrorCode::BadMethod, format!("{method} is not allowed for {path}"))
}

/// A time as every document shows it: UTC, milliseconds.
fn stamp(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests;
