// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A template as a tree, and how its parts are written in messages.

use std::fmt;
use std::sync::Arc;

use super::constant::Number;
use super::function::Function;

/// Text, or an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// A pipeline whose value is printed, unless it sets variables.
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
}

/// A condition or collection, and the two things to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands of which each gets the value of the one before as last argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// Variables that are set, with their `$`.
    pub(super) sets: Vec<String>,
    pub(super) binding: Binding,
    pub(super) commands: Vec<Command>,
}

/// What `sets` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

/// A function, method or value, and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub(super) at: usize,
    /// Never empty.
    pub(super) words: Vec<Expr>,
}

/// One word of a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    /// Byte of the source that messages name.
    pub(super) at: usize,
    pub(super) kind: ExprKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ExprKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    String {
        /// As written.
        quoted: String,
        text: Arc<[u8]>,
    },
    /// `.A.B`; never empty.
    Field(Vec<String>),
    /// `$x.A.B`: the name with its `$`, and the fields.
    Variable(String, Vec<String>),
    Function(Function),
    Pipe(Box<Pipe>),
    /// `(pipe).A` or `function.A`; the fields are never empty.
    Chain(Box<Expr>, Vec<String>),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Dot => f.write_str("."),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Bool(value) => write!(f, "{value}"),
            ExprKind::Number(number) => f.write_str(&number.text),
            ExprKind::String { quoted, .. } => f.write_str(quoted),
            ExprKind::Field(fields) => write_fields(f, fields),
            ExprKind::Variable(name, fields) => {
                f.write_str(name)?;
                write_fields(f, fields)
            }
            ExprKind::Function(function) => f.write_str(function.name()),
            ExprKind::Pipe(pipe) => write!(f, "({pipe})"),
            ExprKind::Chain(first, fields) => {
                write!(f, "{first}")?;
                write_fields(f, fields)
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_separated(f, &self.words, " ")
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.sets.is_empty() {
            write_separated(f, &self.sets, ", ")?;
            f.write_str(match self.binding {
                Binding::Declare => " := ",
                Binding::Assign => " = ",
            })?;
        }
        write_separated(f, &self.commands, " | ")
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[String]) -> fmt::Result {
    fields.iter().try_for_each(|field| write!(f, ".{field}"))
}

fn write_separated<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: &[T],
    separator: &str,
) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}
