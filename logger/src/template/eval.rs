// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The walk over a tree: what it prints, which variables there are, and where a
//! fault is.
//!
//! Expressions are in [`expression`], calls and their arguments in [`call`].

mod call;
mod expression;

use super::buffer::Buffer;
use super::container::Container;
use super::error::Fault;
use super::error::Limit;
use super::error::STEPS_MAX;
use super::error::TemplateError;
use super::format;
use super::node::Binding;
use super::node::Branch;
use super::node::Command;
use super::node::Expr;
use super::node::Node;
use super::node::Pipe;
use super::value::Value;

/// What one step of the work is, in bytes that a function reads or returns.
const STEP_BYTES: usize = 64;

/// What `nodes`, the tree of `source`, print for `container`.
pub(super) fn render(
    source: &str,
    nodes: &[Node],
    container: &Container,
) -> Result<Vec<u8>, TemplateError> {
    let dot = Value::container(container);
    let mut state = State {
        container,
        variables: vec![("$", dot.clone())],
        at: None,
        steps: 0,
        out: Buffer::default(),
    };
    match state.walk_all(nodes, &dot) {
        Ok(_) => Ok(state.out.into_bytes()),
        Err(Fault::Limit(limit)) => Err(TemplateError::Limit(limit)),
        Err(Fault::Problem(problem)) => Err(located(source, state.at, problem)),
    }
}

/// The part of the tree that is being evaluated, for messages.
#[derive(Clone, Copy)]
enum At<'t> {
    Expr(&'t Expr),
    Command(&'t Command),
    Pipe(&'t Pipe),
}

fn located(source: &str, at: Option<At<'_>>, problem: String) -> TemplateError {
    let (byte, at) = match at {
        Some(At::Expr(expr)) => (expr.at, expr.to_string()),
        Some(At::Command(command)) => (command.at, command.to_string()),
        Some(At::Pipe(pipe)) => (pipe.at, pipe.to_string()),
        None => (0, String::new()),
    };
    let before = &source[..byte];
    let line = 1 + before.matches('\n').count();
    let column = before.rfind('\n').map_or(byte, |newline| byte - newline - 1);
    TemplateError::Evaluation { line, column, at, problem }
}

struct State<'t> {
    container: &'t Container,
    /// Innermost last; the same name may be there more than once.
    variables: Vec<(&'t str, Value)>,
    at: Option<At<'t>>,
    steps: usize,
    out: Buffer,
}

/// Whether the next node is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'t> State<'t> {
    /// Counts work of so many bytes.
    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.steps += 1 + bytes / STEP_BYTES;
        if self.steps > STEPS_MAX { Err(Limit::Steps.into()) } else { Ok(()) }
    }

    fn walk_all(&mut self, nodes: &'t [Node], dot: &Value) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = self.walk(node, dot)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn walk(&mut self, node: &'t Node, dot: &Value) -> Result<Flow, Fault> {
        self.charge(0)?;
        match node {
            Node::Text(text) => self.out.push_str(text)?,
            Node::Action(pipe) => {
                // Its variables last until the end of the enclosing action.
                let value = self.pipe(dot, pipe)?;
                if pipe.sets.is_empty() {
                    self.charge(value.size())?;
                    format::print_action(&mut self.out, &value)?;
                }
            }
            Node::If(branch) => return self.scoped(|state| state.walk_if(branch, dot)),
            Node::With(branch) => return self.scoped(|state| state.walk_with(branch, dot)),
            Node::Range(branch) => return self.scoped(|state| state.walk_range(branch, dot)),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    /// Forgets the variables that `inner` declares.
    fn scoped<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let outer = self.variables.len();
        let result = inner(self);
        self.variables.truncate(outer);
        result
    }

    fn walk_if(&mut self, branch: &'t Branch, dot: &Value) -> Result<Flow, Fault> {
        let truth = self.pipe(dot, &branch.pipe)?.truth();
        self.walk_all(if truth { &branch.then } else { &branch.otherwise }, dot)
    }

    fn walk_with(&mut self, branch: &'t Branch, dot: &Value) -> Result<Flow, Fault> {
        let value = self.pipe(dot, &branch.pipe)?;
        if value.truth() {
            self.walk_all(&branch.then, &value)
        } else {
            self.walk_all(&branch.otherwise, dot)
        }
    }

    fn walk_range(&mut self, branch: &'t Branch, dot: &Value) -> Result<Flow, Fault> {
        let over = self.pipe(dot, &branch.pipe)?;
        if !over.truth() && !matches!(over, Value::Bool(_) | Value::Text(_) | Value::Float(_)) {
            return self.walk_all(&branch.otherwise, dot);
        }
        match &over {
            Value::List(list) => {
                let elements = list.iter().map(|text| Value::Text(text.clone()));
                self.iterate(branch, (0..).map(Value::Int).zip(elements))
            }
            Value::Map(map) => self.iterate(
                branch,
                map.iter().map(|(key, text)| (Value::Text(key.clone()), Value::Text(text.clone()))),
            ),
            Value::Int(count) if branch.pipe.sets.len() < 2 => {
                let run = (0..*count).map(|element| (Value::Nil, Value::Int(element)));
                if *count > 0 {
                    self.iterate(branch, run)
                } else {
                    self.walk_all(&branch.otherwise, dot)
                }
            }
            Value::Int(count) => {
                Err(format!("can't use {count} to iterate over more than one variable").into())
            }
            _ => {
                let mut text = Buffer::default();
                format::print_action(&mut text, &over)?;
                let text = String::from_utf8_lossy(text.as_bytes()).into_owned();
                Err(format!("range can't iterate over {text}").into())
            }
        }
    }

    fn iterate(
        &mut self,
        branch: &'t Branch,
        elements: impl Iterator<Item = (Value, Value)>,
    ) -> Result<Flow, Fault> {
        for (index, element) in elements {
            self.charge(0)?;
            match branch.pipe.sets.as_slice() {
                [] => {}
                [only] => self.assign(only, element.clone())?,
                [first, second, ..] => {
                    self.assign(first, index)?;
                    self.assign(second, element.clone())?;
                }
            }
            if self.scoped(|state| state.walk_all(&branch.then, &element))? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), Fault> {
        let variable = self.variables.iter_mut().rev().find(|(known, _)| *known == name);
        let (_, slot) = variable.ok_or_else(|| format!("undefined variable: {name}"))?;
        *slot = value;
        Ok(())
    }

    fn variable(&self, name: &str) -> Result<Value, Fault> {
        let variable = self.variables.iter().rev().find(|(known, _)| *known == name);
        variable
            .map(|(_, value)| value.clone())
            .ok_or_else(|| format!("undefined variable: {name}").into())
    }

    /// The value of a pipeline; its variables are set.
    fn pipe(&mut self, dot: &Value, pipe: &'t Pipe) -> Result<Value, Fault> {
        self.at = Some(At::Pipe(pipe));
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.sets {
            match pipe.binding {
                Binding::Declare => self.variables.push((name, value.clone())),
                Binding::Assign => self.assign(name, value.clone())?,
            }
        }
        Ok(value)
    }
}
