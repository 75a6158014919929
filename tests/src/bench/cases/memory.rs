// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a logger takes of the container's memory: idle, under load, and under input meant to make it grow.
//!
//! A second one of the same program is idle beside it, as on any node with two containers: the pages of the file that it maps
//! too are not private.

use std::io::PipeWriter;
use std::thread;
use std::time::Duration;

use super::figure;
use crate::bench::generator::{self, Source, Until};
use crate::bench::procfs::{self, Memory, Pages};
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
    let beside = setup.subject.start(sink, UNTUNED);
    beside.settle();
    let running = setup.subject.start(sink, UNTUNED);
    running.settle();
    figures(Amounts::of(running.family()))
}

/// Lines flat out, 64 per write.
pub(super) fn loaded(setup: &Setup<'_>) -> Vec<Figure> {
    let time = setup.size.pick(Duration::from_secs(3), Duration::from_millis(500));
    let buffer = generator::lines(64);
    counted(setup, |pipe| {
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
    let figures = peak(setup, &sink, |pipe| {
        sink.stall();
        generator::flat_out(pipe, Source::Queue, &line, Until::Time(time));
    });
    sink.resume();
    figures
}

fn bytes(setup: &Setup<'_>, write: &[u8], total: u64) -> Vec<Figure> {
    let writes = total.div_ceil(write.len() as u64);
    counted(setup, |pipe| {
        generator::flat_out(pipe, Source::Pipe, write, Until::Writes(writes));
    })
}

/// The same until the sink has had everything.
fn counted(setup: &Setup<'_>, load: impl FnOnce(&PipeWriter) + Send) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Count);
    peak(setup, &sink, |pipe| {
        load(pipe);
        sink.counts().wait_for_lines(u64::MAX, Duration::from_millis(500));
    })
}

/// The largest amounts seen while `load` runs.
fn peak(setup: &Setup<'_>, sink: &Sink, load: impl FnOnce(&PipeWriter) + Send) -> Vec<Figure> {
    let idle = Sink::start(Purpose::Count);
    let beside = setup.subject.start(&idle, UNTUNED);
    beside.settle();
    let running = setup.subject.start(sink, UNTUNED);
    figures(thread::scope(|scope| {
        let load = scope.spawn(|| load(&running.stdout));
        let mut peak = None;
        while !load.is_finished() {
            if let Some(now) = Amounts::of(running.family()) {
                peak = Some(peak.map_or(now, |peak: Amounts| peak.max(now)));
            }
            thread::sleep(LOOK_EVERY);
        }
        load.join().expect("the generator only writes");
        peak
    }))
}

/// What a logger takes.
#[derive(Debug, Clone, Copy)]
struct Amounts {
    memory: Memory,
    /// `None`: for root alone.
    pages: Option<Pages>,
}

impl Amounts {
    /// Of a family of processes.
    fn of(family: &[i32]) -> Option<Amounts> {
        let memory: Option<Memory> = family.iter().map(|pid| procfs::memory(*pid)).sum();
        Some(Amounts { memory: memory?, pages: procfs::pages(family) })
    }

    fn max(self, other: Amounts) -> Amounts {
        Amounts {
            memory: self.memory.max(other.memory),
            pages: self.pages.zip(other.pages).map(|(a, b)| a.max(b)),
        }
    }
}

fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

fn figures(amounts: Option<Amounts>) -> Vec<Figure> {
    let Some(Amounts { memory, pages }) = amounts else { return Vec::new() };
    let mut figures = vec![
        figure("resident, sum", Unit::Kib, kib(memory.rss_bytes)),
        figure("proportional, sum", Unit::Kib, kib(memory.pss_bytes)),
        figure("heap, stack and ring", Unit::Kib, kib(memory.own_bytes)),
    ];
    if let Some(Pages { resident_bytes, private_bytes }) = pages {
        figures.push(figure("resident, shared pages once", Unit::Kib, kib(resident_bytes)));
        figures.push(figure("private, ring included", Unit::Kib, kib(private_bytes)));
    }
    figures
}
