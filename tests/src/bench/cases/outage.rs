// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a sink costs that stalls or goes away: lines, and time until the first one after it is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{figure, loss};
use crate::bench::generator::{self, Source, Until};
use crate::bench::report::{Figure, Unit, percentile};
use crate::bench::runner::Setup;
use crate::bench::sink::{Purpose, Sink};
use crate::bench::subject::{LARGE_RING, Tuning};
use crate::bench::target::Target;
use crate::oracle::{self, Verdict};
use crate::receiver::text_of;
use crate::until::try_until;

/// Healthy time before and after.
const AROUND: Duration = Duration::from_secs(1);

/// Healthy time between two outages.
const BETWEEN: Duration = Duration::from_millis(1500);

/// A sink that has not got anything for so long gets nothing more: longer than any pause between two attempts.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who sends nothing for so long after the sink is back will not.
const COMEBACK_MAX: Duration = Duration::from_secs(30);

/// Lines per second during stalls: 2 MB.
const STALL_RATE: f64 = 28e3;

/// Lines per second during outages.
const OUTAGE_RATE: f64 = 1000.0;

/// The sink keeps the connection and reads nothing for a while.
pub(super) fn stall(setup: &Setup<'_>, ring: Tuning<'_>, stall: Duration) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Stall);
    let running = setup.subject.start(&sink, ring);
    let until = Until::Time(AROUND + stall + AROUND);
    let written = thread::scope(|scope| {
        let application = scope.spawn(|| {
            let numbered = |nth| oracle::line(nth) + "\n";
            generator::paced(&running.stdout, Source::Queue, STALL_RATE, until, numbered)
        });
        thread::sleep(AROUND);
        sink.stall();
        thread::sleep(stall);
        sink.resume();
        application.join().expect("the generator only writes")
    });
    sink.counts().wait_for_lines(u64::MAX, PATIENCE);
    let verdict = verdict(&sink, written.writes);
    let arrived = written.writes - verdict.lost.len() as u64;
    let mut figures = loss::losses(written, Some(arrived));
    figures.push(figure("lines twice", Unit::Count, verdict.duplicated.len() as f64));
    figures
}

/// The sink goes away, with every connection, and comes back on the same port; so many times.
pub(super) fn outages(setup: &Setup<'_>, count: u32, away: Duration) -> Vec<Figure> {
    let sink = Sink::start(Purpose::Keep);
    let running = setup.subject.start(&sink, LARGE_RING);
    let over = AtomicBool::new(false);
    let (written, comebacks) = thread::scope(|scope| {
        let application = scope.spawn(|| write_numbered(&running.stdout, &over));
        thread::sleep(AROUND);
        let comebacks: Vec<Option<Duration>> =
            (0..count).map(|nth| outage(&sink, away + phase(nth))).collect();
        thread::sleep(AROUND);
        over.store(true, Ordering::Relaxed);
        (application.join().expect("the generator only writes"), comebacks)
    });
    sink.counts().wait_for_lines(u64::MAX, PATIENCE);
    let verdict = verdict(&sink, written);
    let back: Vec<f64> =
        comebacks.iter().flatten().map(|after| after.as_secs_f64() * 1e3).collect();
    let mut figures = Vec::new();
    for (name, percent) in
        [("first line, p50", 50), ("first line, p95", 95), ("first line, max", 100)]
    {
        figures.extend(percentile(&back, percent).map(|value| figure(name, Unit::Millis, value)));
    }
    let never = comebacks.iter().filter(|after| after.is_none()).count();
    figures.push(figure("outages without a line after 30 s", Unit::Count, never as f64));
    figures.push(figure("lines written", Unit::Count, written as f64));
    figures.push(figure("lines lost", Unit::Count, verdict.lost.len() as f64));
    figures.push(figure("lines twice", Unit::Count, verdict.duplicated.len() as f64));
    figures.push(figure("lines out of order", Unit::Count, verdict.reordered.len() as f64));
    figures
}

/// A different length each time, so that outages do not march in step with a program's attempts.
fn phase(nth: u32) -> Duration {
    Duration::from_millis(u64::from(nth) * 137 % 400)
}

/// Returns how long after its return the sink got the first byte; `None`: it got none in time.
fn outage(sink: &Sink, away: Duration) -> Option<Duration> {
    let gone = sink.go_away();
    thread::sleep(away);
    let back = gone.come_back();
    let first = try_until(COMEBACK_MAX, || sink.first_arrival().ok_or(()));
    // Lines flow again for a while before the next outage: a sink that fails once a second is another matter.
    thread::sleep(BETWEEN);
    Some(first.ok()?.saturating_duration_since(back))
}

fn write_numbered(pipe: &std::io::PipeWriter, over: &AtomicBool) -> u64 {
    let mut written = 0;
    while !over.load(Ordering::Relaxed) {
        let until = Until::Writes(100);
        generator::paced(pipe, Source::Pipe, OUTAGE_RATE, until, |nth| {
            oracle::line(written + nth) + "\n"
        });
        written += 100;
    }
    written
}

fn verdict(sink: &Sink, written: u64) -> Verdict {
    let mut texts = Vec::new();
    for connection in sink.kept() {
        for message in connection.split_inclusive(|byte| *byte == b'\n') {
            let whole = message.strip_suffix(b"\n").map(String::from_utf8_lossy);
            texts.extend(whole.and_then(|message| text_of(&message).map(str::to_owned)));
        }
    }
    Verdict::of(written, texts)
}
