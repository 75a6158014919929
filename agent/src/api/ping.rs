// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `GET /ping`: is anybody there?

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::api::ApiState;

pub(super) async fn ping(State(state): State<Arc<ApiState>>) -> Json<Value> {
    Json(json!({
        "ping": "pong",
        "version": state.identity.version,
        "pid": std::process::id(),
    }))
}
