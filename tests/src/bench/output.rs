// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The only place where the measuring programs print: results on stdout, progress on stderr.

/// A part of the result.
#[expect(clippy::print_stdout, reason = "the one place where measuring programs print results")]
pub fn say(text: &str) {
    println!("{text}");
}

/// What is going on, for who waits.
#[expect(clippy::print_stderr, reason = "the one place where measuring programs report progress")]
pub fn progress(text: &str) {
    eprintln!("{text}");
}
