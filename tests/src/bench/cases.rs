// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Everything that is measured, in the order in which it is reported.

mod idle;
mod loss;
mod memory;
mod outage;
mod throughput;

use std::time::Duration;

use super::report::{Figure, Unit};
use super::runner::Setup;
use super::subject::{HUGE_RING, LARGE_RING, Role};

/// How often a case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// In every round, and once before for warming up.
    Rounds,
    /// Once: it is long, or repeats the thing itself.
    Once,
}

/// One thing to measure.
#[derive(Debug)]
pub struct Case {
    /// Its name, for `--case`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// How often.
    pub repeat: Repeat,
    /// Which of the simplest loops can do it too.
    pub beside: &'static [Role],
    /// Measures once.
    pub measure: fn(&Setup<'_>) -> Vec<Figure>,
}

/// A case for every round, with the copy loop beside it.
const fn limited(
    name: &'static str,
    about: &'static str,
    measure: fn(&Setup<'_>) -> Vec<Figure>,
) -> Case {
    Case { name, about, repeat: Repeat::Rounds, beside: &[Role::Limit], measure }
}

/// A case for every round that the copy loop cannot do.
const fn unlimited(
    name: &'static str,
    about: &'static str,
    measure: fn(&Setup<'_>) -> Vec<Figure>,
) -> Case {
    Case { name, about, repeat: Repeat::Rounds, beside: &[], measure }
}

/// A case for every round about what a reader loses, with both loops beside it.
const fn reading(
    name: &'static str,
    about: &'static str,
    measure: fn(&Setup<'_>) -> Vec<Figure>,
) -> Case {
    Case { name, about, repeat: Repeat::Rounds, beside: &[Role::Limit, Role::Floor], measure }
}

/// A case that runs once and that no simple loop can do.
const fn once(
    name: &'static str,
    about: &'static str,
    measure: fn(&Setup<'_>) -> Vec<Figure>,
) -> Case {
    Case { name, about, repeat: Repeat::Once, beside: &[], measure }
}

/// The list.
pub const CASES: &[Case] = &[
    limited("throughput-64", "flat out, 64 lines per write", |setup| throughput::flat(setup, 64)),
    limited("throughput-1", "flat out, one line per write", |setup| throughput::flat(setup, 1)),
    limited("syslog/tcp", "flat out, 64 lines per write, RFC 5424", |s| {
        throughput::wire(s, "syslog/tcp")
    }),
    limited("syslog/tls", "the same; the limit is without TLS", |s| {
        throughput::wire(s, "syslog/tls")
    }),
    limited("syslog/unix", "the same", |s| throughput::wire(s, "syslog/unix")),
    limited("syslog/udp", "the same, a datagram a line", |s| throughput::wire(s, "syslog/udp")),
    limited("syslog/unixgram", "the same", |s| throughput::wire(s, "syslog/unixgram")),
    limited("json-file", "the same, to a file of 64 MB", |s| throughput::wire(s, "json-file")),
    limited("fluentd/message", "the same, an event a message", |s| {
        throughput::wire(s, "fluentd/message")
    }),
    unlimited("fluentd/packed", "the same, a batch a message", |s| {
        throughput::wire(s, "fluentd/packed")
    }),
    unlimited("fluentd/message-ack", "an event a message, each confirmed", |s| {
        throughput::wire(s, "fluentd/message-ack")
    }),
    unlimited("fluentd/packed-ack", "a batch a message, each confirmed", |s| {
        throughput::wire(s, "fluentd/packed-ack")
    }),
    limited("gelf/tcp", "the same", |s| throughput::wire(s, "gelf/tcp")),
    limited("gelf/tls", "the same; the limit is without TLS", |s| throughput::wire(s, "gelf/tls")),
    unlimited("gelf/udp-gzip", "the same, a datagram a line, compressed", |s| {
        throughput::wire(s, "gelf/udp-gzip")
    }),
    unlimited("gelf/udp-gzip-6", "the same at level 6", |s| throughput::wire(s, "gelf/udp-gzip-6")),
    unlimited("gelf/udp-none", "the same, as it is", |s| throughput::wire(s, "gelf/udp-none")),
    limited("rate-1k", "1 000 lines/s, one per write", |setup| throughput::rate(setup, 1e3)),
    limited("rate-10k", "10 000 lines/s, one per write", |setup| throughput::rate(setup, 1e4)),
    limited("rate-50k", "50 000 lines/s, one per write", |setup| throughput::rate(setup, 5e4)),
    reading("loss-1MB/s", "1 MB/s into the dropping queue", |setup| loss::rate(setup, 1.0, 0)),
    reading("loss-5MB/s", "5 MB/s into the dropping queue", |setup| loss::rate(setup, 5.0, 0)),
    reading("loss-20MB/s", "20 MB/s into the dropping queue", |setup| loss::rate(setup, 20.0, 0)),
    reading("loss-burst", "bursts of 20 000 lines, flat out", |setup| loss::bursts(setup, 0)),
    reading("loss-1MB/s-hogs", "the same beside 2 busy threads", |s| loss::rate(s, 1.0, 2)),
    reading("loss-5MB/s-hogs", "the same beside 2 busy threads", |s| loss::rate(s, 5.0, 2)),
    reading("loss-20MB/s-hogs", "the same beside 2 busy threads", |s| loss::rate(s, 20.0, 2)),
    reading("loss-burst-hogs", "the same beside 2 busy threads", |s| loss::bursts(s, 2)),
    Case {
        name: "stall-3s",
        about: "28 000 numbered lines/s (2 MB/s) into the dropping queue, the sink reads nothing for 3 s; ring of 16 MiB",
        repeat: Repeat::Rounds,
        beside: &[],
        measure: |setup| {
            outage::stall(setup, LARGE_RING, Duration::from_secs(setup.size.pick(3, 1)))
        },
    },
    once("stall-60s", "the same for 60 s; ring of 256 MiB", |setup| {
        outage::stall(setup, HUGE_RING, Duration::from_secs(setup.size.pick(60, 3)))
    }),
    once(
        "outage-1s",
        "1 000 numbered lines/s, the sink is away for 1 s; ring of 16 MiB",
        |setup| outage::outages(setup, 1, Duration::from_secs(1)),
    ),
    once(
        "outage-60s",
        "1 000 numbered lines/s, the sink is away for 60 s; ring of 16 MiB",
        |setup| outage::outages(setup, 1, Duration::from_secs(setup.size.pick(60, 3))),
    ),
    once("recovery", "1 000 numbered lines/s, the sink is away for about 1 s, 50 times", |setup| {
        outage::outages(setup, setup.size.pick(50, 5), Duration::from_secs(1))
    }),
    limited("idle", "connected, nothing to do", idle::idle),
    limited("start", "exec on a queue that is full already", idle::start),
    limited("memory-idle", "connected, one line sent", memory::idle),
    unlimited("memory-idle-tls", "the same with one TLS connection", memory::idle_tls),
    limited("memory-loaded", "peak, flat out", memory::loaded),
    limited("memory-long-line", "peak, 200 MB without a newline", memory::long_line),
    limited("memory-short-lines", "peak, lines of one byte", memory::short_lines),
    limited("memory-empty-lines", "peak, empty lines", memory::empty_lines),
    limited("memory-stalled", "peak, the sink reads nothing", memory::stalled),
];

fn figure(name: &'static str, unit: Unit, value: f64) -> Figure {
    Figure { name, unit, value }
}

/// `part` of `whole` in percent; of nothing, 0.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
