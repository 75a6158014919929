// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `fluentd`: one record, one event, over TCP, TLS or a unix socket.
//!
//! Standards: Fluentd Forward Protocol Specification v1; MessagePack.
//!
//! | mode | bytes |
//! |---|---|
//! | `message` | `[TAG, TIME, {…}, OPTION]` for each record |
//! | `packed-forward` | `[TAG, bin([TIME, {…}]…), OPTION]` for each batch |
//!
//! OPTION is a map, in Triton's profile (`fluentd-tag` alone) nil where it would
//! be empty. With `fluentd-request-ack` its last member is `chunk`, an id that
//! the server sends back when it has taken the message; that id is the last
//! thing in a frame, so that a confirmation is matched against what was sent and
//! no list of ids is kept.
//!
//! A record has `container_id`, `container_name`, `source`, `log`, then `partial_*`
//! if it is a piece of a line, and the attributes. As in Docker an attribute takes
//! the place of the member whose name it has, except that of `log`: there the line
//! stays.

mod encode;
mod msgpack;
mod options;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod session;

pub(crate) use encode::Encoder;
pub(crate) use options::Options;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::os;

/// A number that nobody guesses and that no other sender has. The system's
/// randomness may have come with the fork; time and process have not.
fn seed() -> u64 {
    RandomState::new().hash_one((os::wall_ns(), std::process::id()))
}
