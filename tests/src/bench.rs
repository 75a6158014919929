// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Measuring the logger: what it costs, what it loses, how fast it starts and comes back.
//!
//! | module | holds |
//! |---|---|
//! | [`subject`] | the programs that are measured, started as dockerinit starts a logger |
//! | [`generator`] | the application: cheap writes, flat out or at a rate, with or without the dropping queue |
//! | [`target`] | what a program is told of the sink |
//! | [`wire`] | every driver over every transport, and its sink |
//! | [`counts`] | what has arrived |
//! | [`sink`] | the syslog server: counts newlines, can stall, go away and come back |
//! | [`procfs`] | what the kernel says: memory, processor time, wake-ups |
//! | [`cases`] | the list of everything that is measured |
//! | [`runner`] | runs the cases interleaved, the warm-up thrown away |
//! | [`report`] | tables and JSON |
//! | [`aids`] | the programs inside the bench: the simplest loops, and the exec with a time stamp |
//!
//! A figure is a number with a unit. No figure passes or fails: machines differ, and a bar on time would only say how
//! busy the machine was. What must hold everywhere (nothing lost without being counted) is for the tests.

pub mod aids;
pub mod cases;
pub mod counts;
pub mod generator;
pub mod output;
pub mod procfs;
pub mod report;
pub mod runner;
pub mod sink;
pub mod subject;
pub mod target;
pub mod update;
pub mod wire;
