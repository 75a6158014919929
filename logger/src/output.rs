// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The only place that prints.

#![expect(clippy::print_stderr, reason = "this is the place")]

use std::io::Write;

use crate::os;

/// A result, on standard output.
pub(crate) fn print(text: &str) {
    // A reader that has gone away is not an error of ours.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A complaint, on standard error.
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}

/// A complaint about a container's logging: dockerinit gives us `/dev/null` for
/// standard error, but its own log as descriptor 0.
pub(crate) fn complain_to_starter(text: &str) {
    complain(text);
    if !os::same_file(0, 2) {
        tell_starter(text);
    }
}

/// A line for dockerinit's log.
pub(crate) fn tell_starter(text: &str) {
    if os::is_writable(0) {
        let line = format!("logger: {text}\n");
        let _ = os::write(0, line.as_bytes());
    }
}
