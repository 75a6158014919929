// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a logger takes of the container's memory: idle, under load, and under input meant to make it grow.

use std::io::PipeWriter;
use std::thread;
use std::time::Duration;

use super::figure;
use crate::bench::generator::{self, Source, Until};
use crate::bench::procfs::{self, Memory};
use crate::bench::report::{Figure, Unit};
use crate::bench::runner::Setup;
use crate::bench::sink::{Purpose, Sink};
use crate::bench::subject::UNTUNED;
use crate::bench::target::Target;
use crate::bench::wire::{Wire, WireSink};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One write of the cases that are about bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// Connected, one line sent.
pub(super) fn idle(setup: &Setup<'_>) -> Vec<Figure> {
    idle_at(setup, &Sink::start(Purpose::Count))
}

/// The same over TLS.
pub(super) fn idle_tls(setup: &Setup<'_>) -> Vec<Figure> {
    idle_at(setup, &WireSink::start(Wire::named("syslog/tls")))
}

fn idle_at(setup: &Setup<'_>, sink: &dyn Target) -> Vec<Figure> {
    let running = setup.subject.start(sink, UNTUNED);
    running.settle();
    let mut figures = running.memory().map(figures).unwrap_or_default();
    if let Some(bytes) = procfs::resident_once(running.family()) {
        figures.push(figure("resident, shared pages once", Unit::Kib, kib(bytes)));
    }
    figures
}

/// Lines flat out, 64 per write.
pub(super) fn loaded(setup: &Setup<'_>) -> Vec<Figure> {
    let time = setup.size.pick(Duration::from_secs(3), Duration::from_millis(500));
    let buffer = generator::lines(64);
    peak(setup, Sink::start(Purpose::Count), |pipe| {
        generator::flat_out(pipe, Source::Pipe, &buffer, Until::Time(time));
    })
}

/// One line that never ends.
pub(super) fn long_line(setup: &Setup<'_>) -> Vec<Figure> {
    bytes(setup, &[b'x'; WRITE_BYTES], setup.size.pick(200_000_000, 20_000_000))
}

/// Lines of one byte each.
pub(super) fn short_lines(setup: &Setup<'_>) -> Vec<Figure> {
    bytes(setup, &b"x\n".repeat(WRITE_BYTES / 2), setup.size.pick(20_000_000, 2_000_000))
}

/// Lines of nothing.
pub(super) fn empty_lines(setup: &Setup<'_>) -> Vec<Figure> {
    bytes(setup, &[b'\n'; WRITE_BYTES], setup.size.pick(10_000_000, 1_000_000))
}

/// A sink that takes nothing, until everything between it and the application is full.
pub(super) fn stalled(setup: &Setup<'_>) -> Vec<Figure> {
    let time = setup.size.pick(Duration::from_secs(5), Duration::from_secs(1));
    let line = generator::lines(1);
    let sink = Sink::start(Purpose::Stall);
    let running = setup.subject.start(&sink, UNTUNED);
    sink.stall();
    let family = running.family().to_vec();
    let peak = sampled(&family, || {
        let until = Until::Time(time);
        generator::flat_out(&running.stdout, Source::Queue, &line, until);
    });
    sink.resume();
    peak.map(figures).unwrap_or_default()
}

fn bytes(setup: &Setup<'_>, write: &[u8], total: u64) -> Vec<Figure> {
    let writes = total.div_ceil(write.len() as u64);
    peak(setup, Sink::start(Purpose::Count), |pipe| {
        generator::flat_out(pipe, Source::Pipe, write, Until::Writes(writes));
    })
}

/// The largest amounts seen while `load` runs and until the sink has had everything.
fn peak(setup: &Setup<'_>, sink: Sink, load: impl FnOnce(&PipeWriter) + Send) -> Vec<Figure> {
    let running = setup.subject.start(&sink, UNTUNED);
    let family = running.family().to_vec();
    let peak = sampled(&family, || {
        load(&running.stdout);
        sink.counts().wait_for_lines(u64::MAX, Duration::from_millis(500));
    });
    peak.map(figures).unwrap_or_default()
}

/// Looks at the memory of the processes until `load` is over.
fn sampled(family: &[i32], load: impl FnOnce() + Send) -> Option<Memory> {
    thread::scope(|scope| {
        let load = scope.spawn(load);
        let mut peak = None;
        while !load.is_finished() {
            let now: Option<Memory> = family.iter().map(|pid| procfs::memory(*pid)).sum();
            peak = peak.map_or(now, |peak: Memory| now.map(|now| peak.max(now)));
            thread::sleep(LOOK_EVERY);
        }
        load.join().expect("the generator only writes");
        peak
    })
}

fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

fn figures(memory: Memory) -> Vec<Figure> {
    vec![
        figure("resident, sum", Unit::Kib, kib(memory.rss_bytes)),
        figure("proportional, sum", Unit::Kib, kib(memory.pss_bytes)),
        figure("private, sum", Unit::Kib, kib(memory.private_bytes)),
        figure("heap, stack and ring", Unit::Kib, kib(memory.own_bytes)),
    ]
}
