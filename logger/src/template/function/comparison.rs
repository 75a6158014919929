// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `eq`, `lt` and the like.

use std::cmp::Ordering;

use crate::template::error::Fault;
use crate::template::value::Value;

const INVALID: &str = "invalid type for comparison";

/// Whether `first` equals any of the others.
pub(super) fn equal_any(first: &Value, others: &[Value]) -> Result<bool, Fault> {
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Integers compare with bytes, nothing else with another type; nil with all.
pub(super) fn equal(a: &Value, b: &Value) -> Result<bool, Fault> {
    match (a, b) {
        (Value::Nil, _) | (_, Value::Nil) => Ok(matches!((a, b), (Value::Nil, Value::Nil))),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::Container(_), Value::Container(_)) => Ok(true),
        (Value::List(_) | Value::Map(_), Value::List(_) | Value::Map(_)) => {
            Err(format!("non-comparable type: {}", b.type_name()).into())
        }
        _ => match (int(a), int(b)) {
            (Some(a), Some(b)) => Ok(a == b),
            _ => Err(incompatible(a, b)),
        },
    }
}

pub(super) fn less(a: &Value, b: &Value) -> Result<bool, Fault> {
    let unordered = |value: &Value| {
        !matches!(
            value,
            Value::Bool(_) | Value::Int(_) | Value::Byte(_) | Value::Float(_) | Value::Text(_)
        )
    };
    if unordered(a) || unordered(b) {
        return Err(INVALID.into());
    }
    match (a, b) {
        (Value::Bool(_), Value::Bool(_)) => Err(INVALID.into()),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b) == Some(Ordering::Less)),
        (Value::Text(a), Value::Text(b)) => Ok(a < b),
        _ => match (int(a), int(b)) {
            (Some(a), Some(b)) => Ok(a < b),
            _ => Err(incompatible(a, b)),
        },
    }
}

pub(super) fn less_or_equal(a: &Value, b: &Value) -> Result<bool, Fault> {
    Ok(less(a, b)? || equal(a, b)?)
}

fn incompatible(a: &Value, b: &Value) -> Fault {
    let (a, b) = (a.type_name(), b.type_name());
    format!("incompatible types for comparison: {a} and {b}").into()
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Byte(value) => Some(i64::from(*value)),
        _ => None,
    }
}
