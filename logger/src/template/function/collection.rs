// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `len`, `index`, `slice`.

use crate::template::error::Fault;
use crate::template::value::Value;

/// The type in messages: the container is looked at without its pointer.
fn type_of(value: &Value) -> &'static str {
    value.type_name().trim_start_matches('*')
}

pub(super) fn len(value: &Value) -> Result<Value, Fault> {
    let len = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Nil => return Err("len of nil pointer".into()),
        _ => return Err(format!("len of type {}", type_of(value)).into()),
    };
    i64::try_from(len).map(Value::Int).map_err(|_| Fault::from("len overflows int"))
}

pub(super) fn index(value: &Value, indices: &[Value]) -> Result<Value, Fault> {
    let mut item = value.clone();
    if matches!(item, Value::Nil) {
        return Err("index of untyped nil".into());
    }
    for index in indices {
        item = match &item {
            Value::Text(text) => {
                let at = position(index, text.len())?;
                text.get(at).map(|&byte| Value::Byte(byte)).ok_or_else(|| out_of_range("string"))?
            }
            Value::List(list) => {
                let at = position(index, list.len())?;
                let text = list.get(at).ok_or_else(|| out_of_range("slice"))?;
                Value::Text(text.clone())
            }
            Value::Map(map) => match index {
                Value::Text(key) => {
                    map.get(key).map_or_else(|| Value::text(""), |text| Value::Text(text.clone()))
                }
                Value::Nil => return Err("value is nil; should be of type string".into()),
                _ => {
                    let got = index.type_name();
                    return Err(format!("value has type {got}; should be string").into());
                }
            },
            _ => return Err(format!("can't index item of type {}", type_of(&item)).into()),
        };
    }
    Ok(item)
}

pub(super) fn slice(value: &Value, indices: &[Value]) -> Result<Value, Fault> {
    if indices.len() > 3 {
        return Err(format!("too many slice indexes: {}", indices.len()).into());
    }
    let len = match value {
        Value::Nil => return Err("slice of untyped nil".into()),
        Value::Text(_) if indices.len() == 3 => {
            return Err("cannot 3-index slice a string".into());
        }
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        _ => return Err(format!("can't slice item of type {}", value.type_name()).into()),
    };
    let mut bounds = [0, len, len];
    for (bound, index) in bounds.iter_mut().zip(indices) {
        *bound = position(index, len)?;
    }
    let [start, end, max] = bounds;
    for (low, high) in [(start, end), (end, max)] {
        if low > high {
            return Err(format!("invalid slice index: {low} > {high}").into());
        }
    }
    Ok(match value {
        Value::List(list) => Value::List(list[start..end].into()),
        Value::Text(text) => Value::Text(text[start..end].into()),
        _ => Value::Nil,
    })
}

/// An index up to `max`, which a slice may end at.
fn position(index: &Value, max: usize) -> Result<usize, Fault> {
    let number = match index {
        Value::Int(number) => *number,
        Value::Byte(number) => i64::from(*number),
        Value::Nil => return Err("cannot index slice/array with nil".into()),
        _ => {
            let got = index.type_name();
            return Err(format!("cannot index slice/array with type {got}").into());
        }
    };
    let position = usize::try_from(number).ok().filter(|&position| position <= max);
    position.ok_or_else(|| format!("index out of range: {number}").into())
}

fn out_of_range(what: &str) -> Fault {
    format!("reflect: {what} index out of range").into()
}
