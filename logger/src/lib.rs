// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The logger: the program that dockerinit starts inside a container's zone to
//! ship the container's output to a log service.
//!
//! Two facts decide its shape. *Its exit is the container's end*: dockerinit puts
//! logger and init into one contract. *Its source drops*: the kernel queue holds
//! about 2.5 KiB and loses whole writes, uncounted, when it is full. So there are
//! two processes:
//!
//! ```text
//! fds 3, 4 --> reader --> ring (shared memory) --> sender --> sink
//!              |  cannot fail                       may fail, is started again
//!              +-- forks, watches ------------------^
//! ```
//!
//! In the order of the data:
//!
//! * [`command`] — the command line; `output`, `report` — what it prints.
//! * [`launch`] — what dockerinit says about the container.
//! * `reader` — the process that was exec'd: descriptors to ring, supervision.
//! * `ring` — the shared mapping; `spool` — the file that it may be; `links` —
//!   the wake-ups beside it.
//! * `status` — the page of counters, for others to read.
//! * `sender` — the forked child: its loop. `pump` — ring to frames: `lines`
//!   cuts, [`record`] is what it cuts, `driver` encodes; [`template`]
//!   (tags), [`attributes`], [`json`], [`rfc3339`], `local_time` serve the drivers.
//! * `metadata` — labels and environment, where dockerinit does not pass them.
//! * `suspects` — records that kill senders, and are left out in the end.
//! * `window` — frames sent and not yet taken; `transport` — sockets and files; [`resolver`]
//!   — names; `backoff`.
//! * `os` — system calls.
//!
//! Invariants: after its start the reader allocates nothing, formats nothing and
//! waits for nobody; bytes read are delivered, held in the ring, or counted as
//! dropped by cause; ring space is given back only for what the sink has taken;
//! no byte of a line is altered; only `main` reads arguments and environment,
//! only `output` prints, `unsafe` is in `os` and `ring/mapping` alone.
//!
//! Exit status: 0 everything kept was delivered; 1 lines were left undelivered
//! at the end; 64 arguments; 70 the sender died and `on-failure=kill`; 71 no
//! memory or descriptors at the start; 78 a configuration that can never work.

pub mod attributes;
mod backoff;
pub mod command;
mod driver;
mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod json;
pub mod launch;
mod lines;
mod links;
mod local_time;
mod metadata;
mod os;
mod output;
mod pump;
mod reader;
pub mod record;
mod report;
pub mod resolver;
pub mod rfc3339;
mod ring;
#[cfg(test)]
mod scratch;
mod sender;
mod spool;
mod status;
mod suspects;
pub mod template;
mod transport;
mod window;

/// The version of this build: that of the release it belongs to, if it was built
/// for one.
pub const VERSION: &str = match option_env!("DOCKERLOGGER_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
