// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `syslog`: one record, one message.
//!
//! Standards: RFC 3164, RFC 5424, RFC 5425 (TLS), RFC 5426 (one message per
//! datagram), RFC 6587 (streams: section 3.4.2, a newline ends a message; section
//! 3.4.1, its length stands before it).
//!
//! | profile | message |
//! |---|---|
//! | local (`syslog-format` not given) | `<PRI>Mmm dd hh:mm:ss TAG[PID]: TEXT` |
//! | `rfc3164` | `<PRI>Mmm dd hh:mm:ss HOST TAG[PID]: TEXT` |
//! | `rfc5424`, `rfc5424micro` | `<PRI>1 TIME HOST TAG PID TAG - TEXT` |
//! | Triton (`syslog-tag` alone) | `<PRI>TIME HOST PROGRAM/TAG[PID]: TEXT` |
//!
//! each with a newline behind it, on UDP too. As in Docker, the length stands
//! before it on TLS with RFC 5424, and on request on every stream; it counts the
//! newline. The time is that of the read, so
//! that a backlog keeps its true times.

mod encode;
mod options;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod severity;
mod structured;

pub(crate) use encode::Encoder;
pub(crate) use options::{Framing, Options, Profile};
