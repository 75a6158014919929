// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Functions and methods, and what their arguments have to be.

use super::At;
use super::State;
use crate::template::error::Fault;
use crate::template::function::Function;
use crate::template::function::Parameter;
use crate::template::function::Parameters;
use crate::template::node::Expr;
use crate::template::node::ExprKind;
use crate::template::value::Value;

impl<'t> State<'t> {
    /// A function's value; `call` is what a message names if it fails.
    pub(super) fn function(
        &mut self,
        dot: &Value,
        function: Function,
        call: At<'t>,
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let parameters = function.parameters();
        check_count(function.name(), parameters, args.len(), last.is_some())?;
        if matches!(function, Function::And | Function::Or) {
            return self.and_or(dot, function, args, last);
        }
        let values = self.arguments(dot, parameters, args, last)?;
        let size: usize = values.iter().map(Value::size).sum();
        self.charge(size)?;
        match function.call(&values) {
            Ok(value) => self.charge(value.size()).map(|()| value),
            Err(Fault::Problem(problem)) => {
                self.at = Some(call);
                Err(format!("error calling {}: {problem}", function.name()).into())
            }
            Err(limit) => Err(limit),
        }
    }

    /// Argument by argument, and no further than what decides.
    fn and_or(
        &mut self,
        dot: &Value,
        function: Function,
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let mut value = Value::Nil;
        for arg in args {
            value = self.argument(dot, Parameter::Any, arg)?;
            if value.truth() == (function == Function::Or) {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// The value of the container's method, if there is one.
    pub(super) fn method(
        &mut self,
        dot: &Value,
        (expr, name): (&'t Expr, &'t str),
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Option<Value>, Fault> {
        let container = self.container;
        let value = match name {
            "ID" => Value::text(container.id()),
            "FullID" => Value::text(container.full_id()),
            "Name" => Value::text(container.name()),
            "ImageID" => Value::text(container.short_image_id()),
            "ImageFullID" => Value::text(container.image_id.as_str()),
            "ImageName" => Value::text(container.image_name.as_str()),
            "Command" => Value::text(container.command()),
            "Hostname" => Value::text(container.hostname.as_str()),
            "ExtraAttributes" => {
                let parameters = Parameters { fixed: &[Parameter::Function], more: None };
                check_count(name, parameters, args.len(), last.is_some())?;
                self.arguments(dot, parameters, args, last)?;
                let attributes = container.extra_attributes().map_err(|error| {
                    self.at = Some(At::Expr(expr));
                    let source = error.source.to_string();
                    format!("error calling {name}: {error}: {source}")
                })?;
                let value = Value::map(&attributes);
                self.charge(value.size())?;
                return Ok(Some(value));
            }
            _ => return Ok(None),
        };
        let none = Parameters { fixed: &[], more: None };
        check_count(name, none, args.len(), last.is_some())?;
        self.charge(value.size())?;
        Ok(Some(value))
    }

    fn arguments(
        &mut self,
        dot: &Value,
        parameters: Parameters,
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Vec<Value>, Fault> {
        let parameter = |at: usize| {
            parameters.fixed.get(at).copied().or(parameters.more).unwrap_or(Parameter::Any)
        };
        let mut values = Vec::with_capacity(args.len() + 1);
        for (at, arg) in args.iter().enumerate() {
            values.push(self.argument(dot, parameter(at), arg)?);
        }
        if let Some(last) = last {
            values.push(fit(last, parameter(args.len()))?);
        }
        Ok(values)
    }

    /// An argument; a constant becomes what the parameter is, if it can.
    fn argument(
        &mut self,
        dot: &Value,
        parameter: Parameter,
        arg: &'t Expr,
    ) -> Result<Value, Fault> {
        self.at = Some(At::Expr(arg));
        let expected = parameter.type_name();
        match (&arg.kind, parameter) {
            (ExprKind::Nil, _) => {
                parameter.nil().ok_or_else(|| format!("cannot assign nil to {expected}").into())
            }
            (ExprKind::Number(number), Parameter::Int) => number
                .int
                .map(Value::Int)
                .ok_or_else(|| format!("expected integer; found {arg}").into()),
            (ExprKind::Bool(_) | ExprKind::String { .. }, Parameter::Int) => {
                Err(format!("expected integer; found {arg}").into())
            }
            (ExprKind::Bool(_) | ExprKind::Number(_), Parameter::Text) => {
                Err(format!("expected string; found {arg}").into())
            }
            (
                ExprKind::Bool(_) | ExprKind::Number(_) | ExprKind::String { .. },
                Parameter::List | Parameter::Function,
            ) => Err(format!("can't handle {arg} for arg of type {expected}").into()),
            _ => fit(self.expression(dot, arg)?, parameter),
        }
    }
}

/// The value as an argument.
fn fit(value: Value, parameter: Parameter) -> Result<Value, Fault> {
    let expected = parameter.type_name();
    if matches!(value, Value::Nil) {
        let nil = parameter.nil();
        return nil.ok_or_else(|| format!("invalid value; expected {expected}").into());
    }
    if parameter.takes(&value) {
        return Ok(value);
    }
    let got = value.type_name();
    Err(format!("wrong type for value; expected {expected}; got {got}").into())
}

fn check_count(
    name: &str,
    parameters: Parameters,
    args: usize,
    has_last: bool,
) -> Result<(), Fault> {
    let want = parameters.fixed.len();
    let got = args + usize::from(has_last);
    if parameters.more.is_some() && got < want {
        return Err(
            format!("wrong number of args for {name}: want at least {want} got {args}").into()
        );
    }
    if parameters.more.is_none() && got != want {
        return Err(format!("wrong number of args for {name}: want {want} got {got}").into());
    }
    Ok(())
}
