// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is wrong with one option, in the shape of Triton's error bodies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing wrong with one option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The option, as it was written.
    pub field: String,
    /// What a program branches on.
    pub code: ProblemCode,
    /// What a person reads: the option, the value, what is accepted instead.
    pub message: String,
}

/// The kinds of problem, named as Triton's APIs name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProblemCode {
    /// A required option is absent or empty.
    Missing,
    /// The value is not one that is accepted.
    Invalid,
    /// The driver has no such option.
    Unknown,
    /// The option was given twice, under two of its names.
    Duplicate,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
