// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `json-file`: one record, one line of a file that is rotated by size.
//!
//! ```text
//! {"log":"TEXT\n","stream":"stdout","attrs":{"KEY":"VALUE"},"time":"2026-03-05T14:07:09.5Z"}
//! ```
//!
//! `log` is without its newline where the record is a piece that is not the last
//! of its line, and left out where that makes it empty; `attrs` is left out where
//! there are none. The file is `DIR/ID-json.log`, those rotated out of it have
//! `.1` (the newest) and so on behind the name, and `.gz` if they are compressed.
//! As Docker's own, in every byte.

mod encode;
mod options;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

pub(crate) use encode::Encoder;
pub(crate) use options::Options;
