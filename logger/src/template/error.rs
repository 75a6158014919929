// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What can be wrong with a template, and with the values it asks for.

/// The name Docker gives the template of the `tag` option; every message has it.
const TEMPLATE_NAME: &str = "log-tag";

/// Why a template cannot be parsed or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The source is not a template.
    #[error("template: {TEMPLATE_NAME}:{line}: {problem}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// It is a template, but not for this container.
    #[error(
        "template: {TEMPLATE_NAME}:{line}:{column}: executing {TEMPLATE_NAME:?} at <{at}>: {problem}"
    )]
    Evaluation {
        /// The line, from 1.
        line: usize,
        /// The byte within the line, from 0.
        column: usize,
        /// The expression.
        at: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A bound of ours; Go has none of them.
    #[error("template: {TEMPLATE_NAME}: {0}")]
    Limit(Limit),
}

/// A bound that keeps a template from taking more than a little time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// Of the template's text.
    #[error("source is longer than {SOURCE_BYTES_MAX} bytes")]
    Source,
    /// Of parentheses and of `if`, `with`, `range` within one another.
    #[error("nested deeper than {NESTING_MAX} levels")]
    Nesting,
    /// Of the result, and of every value on the way to it.
    #[error("output or an intermediate value is longer than {OUTPUT_BYTES_MAX} bytes")]
    Output,
    /// Of the work: one step per command and iteration, and per 64 bytes that a
    /// function returns.
    #[error("evaluation takes more than {STEPS_MAX} steps")]
    Steps,
}

/// Longest template, in bytes.
pub(super) const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting: recursion of parser and evaluator is bounded by it.
pub(super) const NESTING_MAX: usize = 64;
/// Longest output and longest intermediate value, in bytes.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Most steps of one evaluation: well under a second.
pub(super) const STEPS_MAX: usize = 100_000;

/// What went wrong inside an evaluation, before it is known where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Problem(String),
    Limit(Limit),
}

impl From<String> for Fault {
    fn from(problem: String) -> Self {
        Self::Problem(problem)
    }
}

impl From<&str> for Fault {
    fn from(problem: &str) -> Self {
        Self::Problem(problem.to_owned())
    }
}

impl From<Limit> for Fault {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}
