// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `POST /drivers/NAME/validate`: would this container start?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use dockerlogger_manifest::{DriverSpec, Problem, ProblemCode, SECRET};
use serde_json::{Map, Value, json};

use crate::api::ApiState;
use crate::api::body::JsonObject;
use crate::api::drivers::{self, DriverName};
use crate::api::error::ApiError;

pub(super) async fn validate(
    State(state): State<Arc<ApiState>>,
    DriverName(name): DriverName,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let spec = drivers::find(&state.node.borrow(), &name)?;
    let normalized = check(&spec, &body).map_err(|problems| {
        let count = problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        let message = format!("{count} {noun} with the options of log driver {}", spec.name);
        ApiError::invalid_parameters(message, problems)
    })?;
    Ok(Json(json!({ "driver": spec.name, "config": normalized })))
}

/// The options of `body` with their defaults, or everything that is wrong with them.
fn check(spec: &DriverSpec, body: &Map<String, Value>) -> Result<Map<String, Value>, Vec<Problem>> {
    let config = match body.get("config") {
        Some(Value::Object(config)) => config,
        Some(_) => {
            let message = "config is not an object of option names and text values";
            return Err(vec![problem("config", ProblemCode::Invalid, message.to_owned())]);
        }
        None => {
            let message = "config is missing: an object of option names and text values";
            return Err(vec![problem("config", ProblemCode::Missing, message.to_owned())]);
        }
    };
    let mut problems = Vec::new();
    let mut options = BTreeMap::new();
    for (name, value) in config {
        match value {
            Value::String(text) => drop(options.insert(name.clone(), text.clone())),
            other => {
                let secret = spec.option(name).is_some_and(|option| option.secret);
                let shown = if secret { SECRET.to_owned() } else { other.to_string() };
                let shown: String = shown.chars().take(64).collect();
                let message =
                    format!("log option {name:?}: {shown} is not text; every value is a string");
                problems.push(problem(name, ProblemCode::Invalid, message));
            }
        }
    }
    match dockerlogger_manifest::validate(spec, &options) {
        Ok(normalized) if problems.is_empty() => {
            Ok(normalized.shown().map(|(name, value)| (name.to_owned(), value.into())).collect())
        }
        Ok(_) => Err(problems),
        Err(more) => {
            // An option whose value is no text was given: calling it missing as well is wrong.
            let given: BTreeSet<String> =
                problems.iter().map(|problem| official(spec, &problem.field)).collect();
            problems.extend(more.into_iter().filter(|problem| {
                problem.code != ProblemCode::Missing || !given.contains(&problem.field)
            }));
            Err(problems)
        }
    }
}

/// The name under which the driver declares `name`.
fn official(spec: &DriverSpec, name: &str) -> String {
    let declared = spec
        .options
        .iter()
        .find(|option| option.name == name || option.aliases.iter().any(|alias| alias == name));
    declared.map_or(name, |option| option.name.as_str()).to_owned()
}

fn problem(field: &str, code: ProblemCode, message: String) -> Problem {
    Problem { field: field.to_owned(), code, message }
}
