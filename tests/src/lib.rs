// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Harness for the end-to-end tests and the demo: everything around the programs of this project, simulated on one host.
//!
//! | module | stands for |
//! |---|---|
//! | [`dockerinit`] | the first process of a container: launch contract, and what its end means |
//! | [`zfd`] | the kernel streams between a container's output and its logger |
//! | [`metadata`] | the zone's metadata socket |
//! | [`receiver`] | somebody's server, healthy or not |
//! | [`certificates`] | an authority, and what it issues |
//! | [`fluentd`] | a real server of Fluentd's protocol, where it is installed |
//! | [`rsyslog`] | a real syslog server: rsyslogd, where it is installed |
//! | [`syslog_ng`] | another one: syslog-ng |
//! | [`release_server`] | an HTTP server with release files, healthy or not |
//! | [`imgapi`] | the image API of a data centre |
//! | [`connect_proxy`] | the HTTP proxy of a site |
//! | [`node`] | a node with an agent on it |
//! | [`clock`] | its clock, when that is wrong |
//! | [`repository`] | the release engineer with the real `release` tool |
//! | [`gelf`] | what a server reads as GELF |
//! | [`graygelf`] | a real GELF server, where it is installed |
//! | [`gelf_stream`] | the same over TCP and TLS |
//! | [`oracle`], [`vectors`] | what should have arrived |
//! | [`demo`] | all of these in one story |
//! | [`mod@bench`] | what the logger costs and loses, measured |
//!
//! The programs under test are the built ones ([`programs`]); nothing of them is linked.
//! Waiting is always [`until()`] a condition holds, never for a time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "only tests use this crate: a broken harness must stop them"
)]

pub mod os;

pub mod bench;
pub mod certificates;
pub mod clock;
pub mod connect_proxy;
pub mod demo;
pub mod dockerinit;
pub mod fluentd;
pub mod frail;
pub mod gelf;
pub mod gelf_stream;
pub mod graygelf;
pub mod http;
mod http_server;
pub mod imgapi;
mod js_receiver;
pub mod metadata;
pub mod namespace;
pub mod node;
pub mod oracle;
mod port;
pub mod process;
pub mod programs;
pub mod receiver;
pub mod release_server;
pub mod repository;
pub mod rsyslog;
pub mod syslog_ng;
pub mod until;
pub mod vectors;
pub mod zfd;

pub use until::SOON;
pub use until::try_until;
pub use until::until;
pub use until::until_state;
