// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a line costs when nothing is in the way.

use std::time::{Duration, Instant};

use super::{figure, percent};
use crate::bench::generator::{self, Source, Until};
use crate::bench::procfs::Work;
use crate::bench::report::{Figure, Unit};
use crate::bench::runner::Setup;
use crate::bench::sink::{Purpose, Sink};
use crate::bench::subject::{BLOCKING, Role, UNTUNED};
use crate::bench::target::Target;
use crate::bench::wire::{Listen, Wire, WireSink};

/// A sink that has not got anything for so long gets nothing more.
const PATIENCE: Duration = Duration::from_secs(3);

/// Flat out through a plain pipe; the application waits when the logger is behind.
pub(super) fn flat(setup: &Setup<'_>, lines_per_write: u32) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Count);
    flat_to(setup, &sink, &line(setup), lines_per_write)
}

/// The same over a wire.
pub(super) fn wire(setup: &Setup<'_>, wire: &'static Wire) -> Vec<Figure> {
    if setup.subject.role != Role::Limit {
        return flat_to(setup, &WireSink::start(wire), &generator::lines(1), 64);
    }
    let framed = WireSink::start(wire);
    let running = setup.logger.start(&framed, BLOCKING);
    let frame = framed.first_frame();
    drop(running);
    // The copy loop ends a datagram behind a newline.
    if matches!(wire.listen, Listen::Udp | Listen::Unixgram) && !frame.ends_with(b"\n") {
        return Vec::new();
    }
    flat_to(setup, &WireSink::for_copy_loop(wire), &frame, 64)
}

fn flat_to(setup: &Setup<'_>, sink: &dyn Target, line: &[u8], lines_per_write: u32) -> Vec<Figure> {
    let running = setup.subject.start_with(sink, BLOCKING, line);
    let counts = sink.counts();
    let buffer = line.repeat(lines_per_write as usize);
    let send = |time: Duration| {
        let before = counts.lines();
        let written =
            generator::flat_out(&running.stdout, Source::Pipe, &buffer, Until::Time(time));
        let lines = written.accepted() * u64::from(lines_per_write);
        (lines, counts.wait_for_lines(before + lines, PATIENCE) - before)
    };
    send(Duration::from_millis(200));
    let before = running.work();
    let started = Instant::now();
    let (sent, arrived) = send(setup.size.pick(Duration::from_secs(5), Duration::from_secs(1)));
    let time = counts.last_arrival() - started;
    let mut figures = Vec::new();
    if let Some(cpu) = cpu_since(before, running.work()) {
        figures.push(figure("throughput", Unit::LinesPerCpuSecond, arrived as f64 / cpu));
    }
    figures.push(figure(
        "throughput, real time",
        Unit::LinesPerSecond,
        arrived as f64 / time.as_secs_f64(),
    ));
    figures.push(figure("lost", Unit::Percent, percent(sent.saturating_sub(arrived), sent)));
    figures
}

/// At a rate that leaves the logger idle most of the time.
pub(super) fn rate(setup: &Setup<'_>, lines_per_second: f64) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Count);
    let running = setup.subject.start(&sink, UNTUNED);
    let line = line(setup);
    let until = Until::Time(setup.size.pick(Duration::from_secs(5), Duration::from_secs(1)));
    let (before, work) = (sink.counts().lines(), running.work());
    let written =
        generator::paced(&running.stdout, Source::Pipe, lines_per_second, until, |_| &line);
    let arrived = sink.counts().wait_for_lines(before + written.accepted(), PATIENCE) - before;
    let mut figures = Vec::new();
    if let Some(cpu) = cpu_since(work, running.work()) {
        let micros = cpu * 1e6 / written.accepted() as f64;
        figures.push(figure("cost", Unit::MicrosPerLine, micros));
    }
    let lost = written.accepted().saturating_sub(arrived);
    figures.push(figure("lost", Unit::Percent, percent(lost, written.accepted())));
    figures
}

/// What is written: a line, or for the copy loop the same line as the logger would send it.
fn line(setup: &Setup<'_>) -> Vec<u8> {
    match setup.subject.role {
        Role::Logger | Role::Peer => generator::lines(1),
        Role::Limit | Role::Floor => setup.frame.to_vec(),
    }
}

/// Seconds of processor time between two looks.
fn cpu_since(before: Option<Work>, after: Option<Work>) -> Option<f64> {
    Some((after? - before?).cpu_ns as f64 / 1e9)
}
