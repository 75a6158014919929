// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The agent of the docker logger: one process in each node's global zone.
//!
//! It fetches signed releases of the logger, verifies and installs them, goes back from a bad one, and
//! tells over HTTP which log drivers this node supports.
//!
//! ```text
//! main ─▶ cli ─▶ config                      arguments and file in, one checked Config out
//!          │ run ──▶ service ─▶ api          the daemon: owner of the engine, listeners, polls
//!          │            └─────▶ engine ─▶ os the update itself; effects on this machine
//!          └ other verbs ─▶ client           the running agent does it, over <root>/agent.sock,
//!                        └▶ work ─▶ engine   or this process does, if none runs
//! ```
//!
//! Invariants:
//! - one process at a time owns an install root: who holds `<root>/lock`;
//! - within it one task owns the engine; everybody else reads what it publishes;
//! - nothing that comes from a client, a source or a configuration is acted on before it is parsed into
//!   a type that cannot be wrong, and nothing from a source before it is verified;
//! - every queue, body, connection and wait has a bound;
//! - the network may read; changing anything takes the unix socket, which is root's.

pub mod cli;
pub mod config;
pub mod service;

pub mod api;
pub mod client;
pub mod work;

pub mod engine;
mod os;

mod backoff;
pub mod log;
mod random;
pub mod report;

/// The agent's version: the build's own, where it has one.
pub const VERSION: &str = match option_env!("DOCKERLOGGER_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// This machine's name, as the kernel knows it.
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
