// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! See `dockerlogger::fuzzing::json_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dockerlogger::fuzzing::json_file(bytes));
