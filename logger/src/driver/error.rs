// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A configuration that can never work.

use dockerlogger_manifest::{Problem, ProblemCode};

use super::zone_drivers;
use crate::attributes::AttributesError;
use crate::template::TemplateError;

/// A configuration that can never work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// No driver of that name runs in a zone.
    #[error("log driver \"{name}\": not known, expected one of {}", zone_drivers().join(", "))]
    Driver {
        /// As given.
        name: String,
    },
    /// Options are missing, unknown or have values that are not accepted.
    #[error("{}", problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
    Options {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// Labels or environment variables cannot be chosen.
    #[error(transparent)]
    Attributes(#[from] AttributesError),
    /// The tag cannot be rendered.
    #[error(
        "log option \"{option}\": \"{text}\" cannot be rendered; expected text with fields such as \
         {{{{.ID}}}}, {{{{.Name}}}}, {{{{.ImageName}}}} and functions as in Docker"
    )]
    Tag {
        /// The option it came from.
        option: &'static str,
        /// As given.
        text: String,
        /// What is wrong with it.
        #[source]
        source: TemplateError,
    },
}

impl ConfigError {
    /// The value of one option is not accepted; `why` says what is.
    pub(super) fn invalid(option: &str, value: &str, why: &str) -> Self {
        let message = format!("log option \"{option}\": \"{value}\": {why}");
        let (field, code) = (option.to_owned(), ProblemCode::Invalid);
        Self::Options { problems: vec![Problem { field, code, message }] }
    }
}
