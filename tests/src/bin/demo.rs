// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `cargo xtask demo`: from keys to a running container and back, on loopback, in a scratch folder.

use std::process::ExitCode;

fn main() -> ExitCode {
    dockerlogger_tests::demo::main(std::env::args().skip(1).collect())
}
