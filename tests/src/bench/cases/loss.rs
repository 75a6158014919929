// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the platform's queue drops because the logger did not read in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{figure, percent};
use crate::bench::generator::{self, LINE_BYTES, Source, Until, Written};
use crate::bench::report::{Figure, Unit};
use crate::bench::runner::Setup;
use crate::bench::sink::{Purpose, Sink};
use crate::bench::subject::{Role, UNTUNED};
use crate::bench::target::Target;

/// A sink that has not got anything for so long gets nothing more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines of one burst.
const BURST_LINES: u64 = 20_000;

/// One write per line at a rate of so many MB (of 1 000 000 bytes) per second, beside so many busy threads.
pub(super) fn rate(setup: &Setup<'_>, megabytes: f64, hogs: usize) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Count);
    let running = setup.subject.start(&sink, UNTUNED);
    let line = generator::lines(1);
    let per_second = megabytes * 1e6 / LINE_BYTES as f64;
    let until = Until::Time(setup.size.pick(Duration::from_secs(5), Duration::from_secs(1)));
    let before = sink.counts().lines();
    let busy = Hogs::start(hogs);
    let written = generator::paced(&running.stdout, Source::Queue, per_second, until, |_| &line);
    drop(busy);
    let mut figures = losses(written, arrived(setup, &sink, before, written));
    let reached = (written.writes * LINE_BYTES as u64) as f64 / 1e6 / written.time.as_secs_f64();
    figures.push(figure("rate reached", Unit::MegabytesPerSecond, reached));
    figures
}

/// Bursts of one write per line, without a pause within a burst.
pub(super) fn bursts(setup: &Setup<'_>, hogs: usize) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Count);
    let running = setup.subject.start(&sink, UNTUNED);
    let line = generator::lines(1);
    let before = sink.counts().lines();
    let busy = Hogs::start(hogs);
    let mut written = Written::default();
    for _ in 0..setup.size.pick(10, 3) {
        let until = Until::Writes(BURST_LINES);
        let burst = generator::flat_out(&running.stdout, Source::Queue, &line, until);
        written.writes += burst.writes;
        written.dropped += burst.dropped;
        sink.counts().wait_for_lines(before + written.accepted(), Duration::from_millis(300));
    }
    drop(busy);
    losses(written, arrived(setup, &sink, before, written))
}

/// How many lines the sink got; `None` of a program that sends none on.
fn arrived(setup: &Setup<'_>, sink: &Sink, before: u64, written: Written) -> Option<u64> {
    let sends = setup.subject.role != Role::Floor;
    sends.then(|| sink.counts().wait_for_lines(before + written.accepted(), PATIENCE) - before)
}

/// What was lost where, as shares of what was written. Lines that a logger adds about drops count as arrived.
pub(super) fn losses(written: Written, arrived: Option<u64>) -> Vec<Figure> {
    let share = |name, lines| figure(name, Unit::Percent, percent(lines, written.writes));
    let mut figures = vec![share("dropped before the read", written.dropped)];
    figures.extend(
        arrived.map(|arrived| {
            share("lost after the read", written.accepted().saturating_sub(arrived))
        }),
    );
    figures
}

/// Threads that use a processor each until they are dropped.
struct Hogs {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hogs {
    fn start(count: usize) -> Hogs {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (0..count)
            .map(|_| {
                let over = Arc::clone(&over);
                thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        Hogs { over, threads }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
