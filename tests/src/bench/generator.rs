// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The application of a measurement: one thread, buffers rendered beforehand, nothing computed between two writes.
//!
//! The dropping queue of the platform ([`crate::zfd`]) is here one comparison: a write is dropped as a whole when
//! [`QUEUE_BYTES`] or more are unread. That is the platform's two queues taken as one; it costs the machine far less
//! than the exact simulation, and so leaves the processor to what is measured.

use std::io::{PipeWriter, Write};
use std::thread;
use std::time::{Duration, Instant};

/// Length of a line with its NL.
pub const LINE_BYTES: usize = 120;

/// Unread bytes at which a write is dropped: the stream head (512) and the driver queue (2048).
pub const QUEUE_BYTES: u64 = 2560;

/// Shorter pauses than this are spun, not slept: the kernel's timers are later than that.
const SPIN_BELOW: Duration = Duration::from_micros(150);

/// A line that is late by more than this is not made up for: an application that did not run wrote nothing.
const LATE_MAX: Duration = Duration::from_millis(1);

/// What happens to a write when the logger is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A plain pipe: the application waits.
    Pipe,
    /// The platform's queue: the write is dropped.
    Queue,
}

/// What an application wrote.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// Writes tried.
    pub writes: u64,
    /// Writes that the queue dropped, or that nobody was left to read.
    pub dropped: u64,
    /// From the first write to the last.
    pub time: Duration,
}

impl Written {
    /// Writes that reached the logger's descriptor.
    pub fn accepted(&self) -> u64 {
        self.writes - self.dropped
    }
}

/// When an application stops.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many writes.
    Writes(u64),
    /// After this time.
    Time(Duration),
}

impl Until {
    fn reached(self, writes: u64, elapsed: Duration) -> bool {
        match self {
            Until::Writes(limit) => writes >= limit,
            Until::Time(limit) => elapsed >= limit,
        }
    }
}

/// `count` lines of [`LINE_BYTES`] each.
pub fn lines(count: usize) -> Vec<u8> {
    let text: Vec<u8> = (b'!'..=b'~').cycle().take(LINE_BYTES - 1).collect();
    [text.as_slice(), b"\n"].concat().repeat(count)
}

/// Writes `buffer` again and again, without a pause.
pub fn flat_out(pipe: &PipeWriter, source: Source, buffer: &[u8], until: Until) -> Written {
    let started = Instant::now();
    let mut written = Written::default();
    while !until.reached(written.writes, started.elapsed()) {
        write(pipe, source, buffer, &mut written);
    }
    written.time = started.elapsed();
    written
}

/// Writes what `render` gives at a fixed rate, evenly spaced.
pub fn paced<B: AsRef<[u8]>>(
    pipe: &PipeWriter,
    source: Source,
    per_second: f64,
    until: Until,
    mut render: impl FnMut(u64) -> B,
) -> Written {
    let pause = Duration::from_secs_f64(1.0 / per_second);
    let started = Instant::now();
    let mut due = started;
    let mut written = Written::default();
    while !until.reached(written.writes, started.elapsed()) {
        let mut now = Instant::now();
        while let Some(left) = due.checked_duration_since(now) {
            match left.checked_sub(SPIN_BELOW) {
                Some(nap) => thread::sleep(nap),
                None => std::hint::spin_loop(),
            }
            now = Instant::now();
        }
        if now - due > LATE_MAX {
            due = now;
        }
        due += pause;
        write(pipe, source, render(written.writes).as_ref(), &mut written);
    }
    written.time = started.elapsed();
    written
}

/// Bytes in the pipe that nobody has read.
pub fn unread(pipe: &PipeWriter) -> u64 {
    rustix::io::ioctl_fionread(pipe).expect("a pipe tells how much is unread")
}

fn write(mut pipe: &PipeWriter, source: Source, bytes: &[u8], written: &mut Written) {
    written.writes += 1;
    if source == Source::Queue && unread(pipe) >= QUEUE_BYTES {
        written.dropped += 1;
        return;
    }
    // A program that has ended reads nothing more: everything from here on is lost.
    if pipe.write_all(bytes).is_err() {
        written.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_drops_whole_writes_when_it_is_full() {
        let (_reader, pipe) = std::io::pipe().unwrap();
        let line = lines(1);
        assert_eq!(line.len(), LINE_BYTES);
        let written = flat_out(&pipe, Source::Queue, &line, Until::Writes(100));
        // The write that reaches the mark still goes in.
        assert_eq!(written.accepted(), QUEUE_BYTES.div_ceil(LINE_BYTES as u64));
        assert_eq!(unread(&pipe), written.accepted() * LINE_BYTES as u64);
    }

    #[test]
    fn a_pace_is_kept() {
        let (_reader, pipe) = std::io::pipe().unwrap();
        let mut numbers = Vec::new();
        let written = paced(&pipe, Source::Pipe, 1e6, Until::Writes(3), |number| {
            numbers.push(number);
            [b'\n']
        });
        assert_eq!((numbers, written.accepted(), unread(&pipe)), (vec![0, 1, 2], 3, 3));
    }
}
