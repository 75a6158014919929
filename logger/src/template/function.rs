// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The functions a template may call: Go's and Docker's.

mod collection;
mod comparison;
mod escape;
mod json;
mod text;

use super::error::Fault;
use super::format;
use super::value::Value;

/// A function's name. What it takes is [`Function::parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Call,
    Eq,
    Ge,
    Gt,
    Html,
    Index,
    Join,
    Js,
    Json,
    Le,
    Len,
    Lower,
    Lt,
    Ne,
    Not,
    Or,
    Pad,
    Print,
    Printf,
    Println,
    Slice,
    Split,
    Title,
    Truncate,
    Upper,
    UrlQuery,
}

const FUNCTIONS: [(&str, Function); 27] = [
    ("and", Function::And),
    ("call", Function::Call),
    ("eq", Function::Eq),
    ("ge", Function::Ge),
    ("gt", Function::Gt),
    ("html", Function::Html),
    ("index", Function::Index),
    ("join", Function::Join),
    ("js", Function::Js),
    ("json", Function::Json),
    ("le", Function::Le),
    ("len", Function::Len),
    ("lower", Function::Lower),
    ("lt", Function::Lt),
    ("ne", Function::Ne),
    ("not", Function::Not),
    ("or", Function::Or),
    ("pad", Function::Pad),
    ("print", Function::Print),
    ("printf", Function::Printf),
    ("println", Function::Println),
    ("slice", Function::Slice),
    ("split", Function::Split),
    ("title", Function::Title),
    ("truncate", Function::Truncate),
    ("upper", Function::Upper),
    ("urlquery", Function::UrlQuery),
];

/// What an argument has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Any,
    Text,
    Int,
    List,
    /// A function, of which a template has none: nil only.
    Function,
}

impl Parameter {
    /// The type's name in Go, for messages.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Int => "int",
            Self::List => "[]string",
            Self::Function => "func(string) string",
        }
    }

    /// What nil is as such an argument, if it can be one.
    pub(super) fn nil(self) -> Option<Value> {
        match self {
            Self::Any | Self::Function => Some(Value::Nil),
            Self::List => Some(Value::List([].into())),
            Self::Text | Self::Int => None,
        }
    }

    /// Whether a value that is not nil can be such an argument.
    pub(super) fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text => matches!(value, Value::Text(_)),
            Self::Int => matches!(value, Value::Int(_)),
            Self::List => matches!(value, Value::List(_)),
            Self::Function => false,
        }
    }
}

/// What a function or method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    /// The arguments it must have.
    pub(super) fixed: &'static [Parameter],
    /// Any number more of them.
    pub(super) more: Option<Parameter>,
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(known, _)| *known == name).map(|&(_, function)| function)
    }

    pub(super) fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(_, known)| *known == self).map_or("", |&(name, _)| name)
    }

    pub(super) fn parameters(self) -> Parameters {
        use Parameter::{Any, Int, List, Text};
        let fixed: &'static [Parameter] = match self {
            Self::Print | Self::Println | Self::Html | Self::Js | Self::UrlQuery => &[],
            Self::And | Self::Or | Self::Not | Self::Eq => &[Any],
            Self::Index | Self::Slice | Self::Len | Self::Call | Self::Json => &[Any],
            Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge => &[Any, Any],
            Self::Printf | Self::Title | Self::Lower | Self::Upper => &[Text],
            Self::Split => &[Text, Text],
            Self::Join => &[List, Text],
            Self::Pad => &[Text, Int, Int],
            Self::Truncate => &[Text, Int],
        };
        let more = match self {
            Self::And | Self::Or | Self::Eq | Self::Index | Self::Slice | Self::Call => Some(Any),
            Self::Print | Self::Println | Self::Html | Self::Js | Self::UrlQuery => Some(Any),
            Self::Printf => Some(Any),
            _ => None,
        };
        Parameters { fixed, more }
    }

    /// The result for arguments that fit the parameters. Not for `and` and `or`,
    /// which evaluate their arguments one by one.
    pub(super) fn call(self, args: &[Value]) -> Result<Value, Fault> {
        let result = match (self, args) {
            (Self::Not, [value]) => Value::Bool(!value.truth()),
            (Self::Eq, [first, rest @ ..]) => Value::Bool(comparison::equal_any(first, rest)?),
            (Self::Ne, [a, b]) => Value::Bool(!comparison::equal(a, b)?),
            (Self::Lt, [a, b]) => Value::Bool(comparison::less(a, b)?),
            (Self::Le, [a, b]) => Value::Bool(comparison::less_or_equal(a, b)?),
            (Self::Gt, [a, b]) => Value::Bool(!comparison::less_or_equal(a, b)?),
            (Self::Ge, [a, b]) => Value::Bool(!comparison::less(a, b)?),
            (Self::Len, [value]) => collection::len(value)?,
            (Self::Index, [value, indices @ ..]) => collection::index(value, indices)?,
            (Self::Slice, [value, indices @ ..]) => collection::slice(value, indices)?,
            (Self::Call, [Value::Nil, ..]) => return Err("call of nil".into()),
            (Self::Call, [value, ..]) => {
                return Err(format!("non-function of type {}", value.type_name()).into());
            }
            (Self::Print, args) => Value::text(format::print(args)?),
            (Self::Println, args) => Value::text(format::print_line(args)?),
            (Self::Printf, [Value::Text(format), args @ ..]) => {
                Value::text(format::print_format(format, args)?)
            }
            (Self::Html, args) => escape::html(&escape::printed(args)?)?,
            (Self::Js, args) => escape::javascript(&escape::printed(args)?)?,
            (Self::UrlQuery, args) => escape::url_query(&escape::printed(args)?)?,
            (Self::Json, [value]) => Value::text(json::encode(value)?),
            (Self::Split, [Value::Text(text), Value::Text(separator)]) => {
                text::split(text, separator)
            }
            (Self::Join, [Value::List(list), Value::Text(separator)]) => {
                text::join(list, separator)?
            }
            (Self::Title, [Value::Text(text)]) => text::title(text),
            (Self::Lower, [Value::Text(text)]) => text::lower(text),
            (Self::Upper, [Value::Text(text)]) => text::upper(text),
            (Self::Pad, [Value::Text(text), Value::Int(before), Value::Int(after)]) => {
                text::pad(text, *before, *after)?
            }
            (Self::Truncate, [Value::Text(text), Value::Int(len)]) => text::truncate(text, *len)?,
            _ => return Err("arguments do not fit".into()),
        };
        Ok(result)
    }
}
