// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Everything that is measured, in the order in which it is reported.

mod idle;
mod loss;
mod memory;
mod outage;
mod throughput;

use std::sync::LazyLock;
use std::time::Duration;

use super::report::{Figure, Unit};
use super::runner::Setup;
use super::subject::{HUGE_RING, LARGE_RING, Role};
use super::wire::Wire;

/// How often a case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// In every round, and once before for warming up.
    Rounds,
    /// Once: it is long, or repeats the thing itself.
    Once,
}

/// One thing to measure.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name, for `--case`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// How often.
    pub repeat: Repeat,
    /// Which of the simplest loops can do it too.
    pub beside: &'static [Role],
    measure: Measure,
}

/// How a case is measured, once.
#[derive(Debug, Clone, Copy)]
enum Measure {
    By(fn(&Setup<'_>) -> Vec<Figure>),
    /// Flat out over a wire.
    Over(&'static Wire),
}

impl Case {
    /// Measures once.
    pub fn measure(&self, setup: &Setup<'_>) -> Vec<Figure> {
        match self.measure {
            Measure::By(measure) => measure(setup),
            Measure::Over(wire) => throughput::wire(setup, wire),
        }
    }
}

/// A case for every round, with the copy loop beside it.
const fn limited(
    name: &'static str,
    about: &'static str,
    measure: fn(&Setup<'_>) -> Vec<Figure>,
) -> Case {
    Case {
        name,
        about,
        repeat: Repeat::Rounds,
        beside: &[Role::Limit],
        measure: Measure::By(measure),
    }
}

/// A case for every round that the copy loop cannot do.
const fn unlimited(
    name: &'static str,
    about: &'static str,
    measure: fn(&Setup<'_>) -> Vec<Figure>,
) -> Case {
    Case { name, about, repeat: Repeat::Rounds, beside: &[], measure: Measure::By(measure) }
}

/// A case for every round about what a reader loses, with both loops beside it.
const fn reading(
    name: &'static str,
    about: &'static str,
    measure: fn(&Setup<'_>) -> Vec<Figure>,
) -> Case {
    Case {
        name,
        about,
        repeat: Repeat::Rounds,
        beside: &[Role::Limit, Role::Floor],
        measure: Measure::By(measure),
    }
}

/// A case that runs once and that no simple loop can do.
const fn once(
    name: &'static str,
    about: &'static str,
    measure: fn(&Setup<'_>) -> Vec<Figure>,
) -> Case {
    Case { name, about, repeat: Repeat::Once, beside: &[], measure: Measure::By(measure) }
}

/// The list: every driver over every transport behind what the reader can do.
pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let over = |wire: &'static Wire| Case {
        name: &wire.name,
        about: &wire.about,
        repeat: Repeat::Rounds,
        beside: if wire.copied { &[Role::Limit] } else { &[] },
        measure: Measure::Over(wire),
    };
    FLAT_OUT
        .iter()
        .copied()
        .chain(Wire::all().iter().map(over))
        .chain(OTHERS.iter().copied())
        .collect()
});

/// What the parts before the encoder can do.
const FLAT_OUT: &[Case] = &[
    limited("throughput-64", "flat out, 64 lines per write", |setup| throughput::flat(setup, 64)),
    limited("throughput-1", "flat out, one line per write", |setup| throughput::flat(setup, 1)),
];

/// What is not about one driver.
const OTHERS: &[Case] = &[
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
        measure: Measure::By(|setup| {
            outage::stall(setup, LARGE_RING, Duration::from_secs(setup.size.pick(3, 1)))
        }),
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
