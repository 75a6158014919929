// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! An error and its causes in one line.

use std::error::Error;

/// The messages of `error` and of everything behind it, joined by `: `.
pub(crate) fn report(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::parse_options;

    #[test]
    fn a_chain_is_one_line() {
        let error = parse_options("standard input", "{").unwrap_err();
        let text = report(&error);
        assert!(
            text.starts_with("standard input is not JSON, expected a JSON object of strings: ")
        );
        assert!(text.contains("EOF while parsing"), "{text}");
    }
}
