// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Tags: the part of Go's `text/template` that Docker's `tag` option has.
//!
//! Source → tokens (`lex`) → tree (`parse`, `node`) → bytes (`eval`).
//! Pure and without panics: no clock, no files, no environment; what a template
//! can ask for is in [`Container`]. Bounded: source, output and any value on the
//! way 64 KiB each, 64 levels of nesting, 100 000 steps.
//!
//! There are: fields and methods of the container and the keys of its maps;
//! pipelines, parentheses, variables, constants; `if`, `with`, `range`, `else`,
//! `break`, `continue`; comments and trim markers; all functions of Go's and
//! Docker's. Values print as Go prints them.
//!
//! There are not: `define`, `template`, `block`; complex and hexadecimal
//! floating-point numbers; the methods of Go's `time.Time`.

mod buffer;
mod constant;
pub mod container;
mod error;
mod eval;
mod format;
mod function;
mod lex;
mod node;
mod parse;
mod runes;
mod value;

use self::container::Container;
use self::error::SOURCE_BYTES_MAX;
use self::node::Node;

pub use self::error::Limit;
pub use self::error::TemplateError;

/// A template that was parsed, to be rendered any number of times.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    source: String,
    nodes: Vec<Node>,
}

impl Template {
    /// Parses `source`; plain text is a template. So is no text, and it renders
    /// to none: what an empty option means is for the driver to say.
    ///
    /// # Errors
    ///
    /// A text that is no template, with the line, or one above the limits.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(TemplateError::Limit(Limit::Source));
        }
        Ok(Self { source: source.to_owned(), nodes: parse::parse(source)? })
    }

    /// The text for `container`: bytes, because templates can cut characters.
    ///
    /// # Errors
    ///
    /// What cannot be evaluated, as a field that there is not, with the place
    /// and the expression; or a result or an effort above the limits.
    pub fn render(&self, container: &Container) -> Result<Vec<u8>, TemplateError> {
        eval::render(&self.source, &self.nodes, container)
    }
}

#[cfg(test)]
mod tests;
