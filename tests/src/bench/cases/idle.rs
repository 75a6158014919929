// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a logger costs while there is nothing to do, and how soon it reads when there is.

use std::thread;
use std::time::Duration;

use super::figure;
use crate::bench::report::{Figure, Unit, percentile};
use crate::bench::runner::Setup;
use crate::bench::sink::{Purpose, Sink};
use crate::bench::subject::UNTUNED;

/// Connected and quiet for a while.
///
/// A process that was never put on a processor made no system call and had no wake-up, so the count of those is the
/// answer to both; no tracer is needed, which would be a load of its own.
pub(super) fn idle(setup: &Setup<'_>) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Count);
    let running = setup.subject.start(&sink, UNTUNED);
    running.settle();
    let before = running.work();
    let window = setup.size.pick(Duration::from_secs(10), Duration::from_secs(2));
    thread::sleep(window);
    let (Some(before), Some(after)) = (before, running.work()) else { return Vec::new() };
    let work = after - before;
    let minutes = window.as_secs_f64() / 60.0;
    vec![
        figure("wake-ups per minute", Unit::Count, work.runs as f64 / minutes),
        figure("context switches per minute", Unit::Count, work.switches as f64 / minutes),
        figure("processor time per minute", Unit::Micros, work.cpu_ns as f64 / 1e3 / minutes),
    ]
}

/// From just before exec to the first read of a queue that is full already.
pub(super) fn start(setup: &Setup<'_>) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Count);
    let times: Vec<f64> = (0..setup.size.pick(20, 5))
        .map(|_| setup.subject.first_read(&sink).as_secs_f64() * 1e6)
        .collect();
    [("exec to first read, p50", 50), ("exec to first read, p95", 95)]
        .into_iter()
        .filter_map(|(name, percent)| {
            Some(figure(name, Unit::Micros, percentile(&times, percent)?))
        })
        .collect()
}
