// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `GET /history`: who changed what on this node, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::api::{ApiState, stamp};
use crate::engine::NodeView;

/// The history document: every record there is, oldest first. Also what `history` prints where no
/// agent runs.
pub fn history(node: &NodeView) -> Value {
    let records = node.history.iter().map(|record| {
        let mut shown = json!(record);
        shown["at"] = stamp(record.at).into();
        shown
    });
    json!({ "records": records.collect::<Vec<Value>>() })
}

pub(super) async fn show(State(state): State<Arc<ApiState>>) -> Json<Value> {
    Json(history(&state.node.borrow()))
}
