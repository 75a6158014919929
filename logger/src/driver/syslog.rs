// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `syslog`: one record, one message, over UDP or TCP.
//!
//! Standards: RFC 3164, RFC 5424, RFC 6587 section 3.4.2 (newline as the end of
//! a message on TCP), RFC 5426 (one message per datagram).
//!
//! | profile | message |
//! |---|---|
//! | local (`syslog-format` not given) | `<PRI>Mmm dd hh:mm:ss TAG[PID]: TEXT` |
//! | `rfc3164` | `<PRI>Mmm dd hh:mm:ss HOST TAG[PID]: TEXT` |
//! | `rfc5424`, `rfc5424micro` | `<PRI>1 TIME HOST TAG PID TAG - TEXT` |
//! | Triton (`syslog-tag` alone) | `<PRI>TIME HOST PROGRAM/TAG[PID]: TEXT` |
//!
//! each with a newline behind it, on UDP too. The time is that of the read, so
//! that a backlog keeps its true times.

mod encode;
mod options;

pub(crate) use encode::Encoder;
pub(crate) use options::Options;
pub(crate) use options::Profile;
