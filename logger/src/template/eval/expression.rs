// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Commands, fields and variables.

use super::At;
use super::State;
use crate::template::error::Fault;
use crate::template::node::Command;
use crate::template::node::Expr;
use crate::template::node::ExprKind;
use crate::template::value::Value;

impl<'t> State<'t> {
    /// A command's value; `last` comes from the command before it.
    pub(super) fn command(
        &mut self,
        dot: &Value,
        command: &'t Command,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        self.charge(0)?;
        let Some((first, args)) = command.words.split_first() else { return Ok(Value::Nil) };
        match &first.kind {
            ExprKind::Field(fields) => {
                self.at = Some(At::Expr(first));
                self.fields(dot, dot.clone(), (first, fields), args, last)
            }
            ExprKind::Chain(inner, fields) => self.chain(dot, (first, inner, fields), args, last),
            ExprKind::Variable(name, fields) => {
                self.at = Some(At::Expr(first));
                let value = self.variable(name)?;
                if fields.is_empty() {
                    not_a_function(first, args, last.as_ref())?;
                    return Ok(value);
                }
                self.fields(dot, value, (first, fields), args, last)
            }
            ExprKind::Function(function) => {
                self.at = Some(At::Expr(first));
                self.function(dot, *function, At::Command(command), args, last)
            }
            ExprKind::Pipe(pipe) => {
                not_a_function(first, args, last.as_ref())?;
                self.pipe(dot, pipe)
            }
            _ => {
                self.at = Some(At::Expr(first));
                not_a_function(first, args, last.as_ref())?;
                self.constant(dot, first)
            }
        }
    }

    /// What needs no arguments and calls nothing.
    fn constant(&self, dot: &Value, expr: &Expr) -> Result<Value, Fault> {
        match &expr.kind {
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::String { text, .. } => Ok(Value::Text(text.clone())),
            ExprKind::Number(number) => match (number.int, number.float) {
                (Some(int), _) if !number.looks_like_float() => Ok(Value::Int(int)),
                (_, Some(float)) => Ok(Value::Float(float)),
                _ => Err(format!("{} overflows int", number.text).into()),
            },
            _ => Err(format!("{expr} is not a command").into()),
        }
    }

    /// Any expression's value, where nothing says what it has to be.
    pub(super) fn expression(&mut self, dot: &Value, expr: &'t Expr) -> Result<Value, Fault> {
        self.charge(0)?;
        self.at = Some(At::Expr(expr));
        match &expr.kind {
            ExprKind::Field(fields) => self.fields(dot, dot.clone(), (expr, fields), &[], None),
            ExprKind::Chain(inner, fields) => self.chain(dot, (expr, inner, fields), &[], None),
            ExprKind::Variable(name, fields) => {
                let value = self.variable(name)?;
                if fields.is_empty() {
                    return Ok(value);
                }
                self.fields(dot, value, (expr, fields), &[], None)
            }
            ExprKind::Function(function) => {
                self.function(dot, *function, At::Expr(expr), &[], None)
            }
            ExprKind::Pipe(pipe) => self.pipe(dot, pipe),
            ExprKind::Nil => Ok(Value::Nil),
            _ => self.constant(dot, expr),
        }
    }

    fn chain(
        &mut self,
        dot: &Value,
        (expr, inner, fields): (&'t Expr, &'t Expr, &'t [String]),
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let receiver = self.expression(dot, inner)?;
        self.fields(dot, receiver, (expr, fields), args, last)
    }

    /// `receiver.A.B`; a method at the end gets the arguments.
    fn fields(
        &mut self,
        dot: &Value,
        receiver: Value,
        (expr, fields): (&'t Expr, &'t [String]),
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let Some((name, inner)) = fields.split_last() else { return Ok(receiver) };
        let mut receiver = receiver;
        for name in inner {
            receiver = self.field(dot, &receiver, (expr, name), &[], None)?;
        }
        self.field(dot, &receiver, (expr, name), args, last)
    }

    fn field(
        &mut self,
        dot: &Value,
        receiver: &Value,
        (expr, name): (&'t Expr, &'t str),
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let has_args = !args.is_empty() || last.is_some();
        match receiver {
            // What a map does not have has every field, and none has a value.
            Value::Nil => return Ok(Value::Nil),
            Value::Map(map) => {
                if has_args {
                    return Err(format!("{name} is not a method but has arguments").into());
                }
                let text = map.get(name.as_bytes());
                return Ok(text.map_or(Value::Nil, |text| Value::Text(text.clone())));
            }
            Value::Container(fields) => {
                if let Some(value) = self.method(dot, (expr, name), args, last)? {
                    return Ok(value);
                }
                if let Some((_, value)) = fields.iter().find(|(known, _)| *known == name) {
                    if has_args {
                        return Err(format!(
                            "{name} has arguments but cannot be invoked as function"
                        )
                        .into());
                    }
                    return Ok(value.clone());
                }
            }
            _ => {}
        }
        let in_type = receiver.type_name();
        Err(format!("can't evaluate field {name} in type {in_type}").into())
    }
}

fn not_a_function(first: &Expr, args: &[Expr], last: Option<&Value>) -> Result<(), Fault> {
    if args.is_empty() && last.is_none() {
        Ok(())
    } else {
        Err(format!("can't give argument to non-function {first}").into())
    }
}
