// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The reader: the process that dockerinit started, whose end is the container's.
//!
//! It moves bytes from descriptors 3 and 4 into the ring and nothing else: after
//! the start it allocates nothing, takes no lock, formats nothing and cannot
//! panic. Whatever may fail is done by the [`crate::sender`], of which it starts
//! another when one dies.
//!
//! Order of the start: ring, one look at each stream, configuration, the ring
//! again in the size asked for, signals, priority, sender. A configuration that
//! is refused is refused before there is a sender.

mod start;
mod supervise;

use std::os::fd::AsRawFd;
use std::time::Duration;

use dockerlogger_manifest::status::Life;

use crate::driver::{Mode, OnFailure};
use crate::os::{self, Notice};
use crate::record::{AHEAD_MAX_NS, Stream};
use crate::ring::{Amount, DropCause, Producer, SinkState};

pub(crate) use start::EXIT_CONFIG;
pub(crate) use start::EXIT_LEFT;
pub(crate) use start::Outcome;
pub(crate) use start::run;
use supervise::Supervisor;

/// The reader at work.
#[derive(Debug)]
struct Reader<'a> {
    sources: Sources,
    producer: Producer<'a>,
    supervisor: Supervisor<'a>,
    mode: Mode,
    on_failure: OnFailure,
    drain: Duration,
    /// Where bytes go that the ring has no room for.
    scratch: Box<[u8]>,
    last_wake_ns: u64,
    /// A wake-up that was put off.
    wake_due_ns: Option<u64>,
}

/// The container's streams.
#[derive(Debug)]
struct Sources {
    streams: [Source; 2],
    /// Time of the last byte that was read; every read begins later.
    last_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    stream: Stream,
    /// -1 after its end.
    fd: i32,
}

/// What one look at a stream gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// Bytes, or nothing this time.
    Some,
    /// The ring is full and the stream was left alone.
    NoRoom,
}

impl Reader<'_> {
    /// Reads until the streams end or a signal says so, then drains. Says which of
    /// the two it was, or how it failed.
    fn run(mut self) -> (Outcome, Life) {
        let mut life = Life::StreamsEnded;
        self.supervisor.spawn(os::mono_ns());
        self.wake_if_waiting();
        // What was said too late for a full ring goes out when there is room, even
        // if the container says no more.
        self.has_room();
        while self.sources.are_open() {
            let full = self.waits_for_room() && !self.has_room();
            let mut fds = self.interests(if full { Sources::ended() } else { self.sources.fds() });
            let timeout = self.timeout();
            if os::poll(&mut fds, timeout).is_err() {
                // Out of memory in the kernel, at worst: not a reason to end.
                continue;
            }
            if fds[2].revents != 0 {
                let terminate = self.take_notices();
                if self.died() {
                    let outcome = Outcome::SenderDied(self.supervisor.stop());
                    let status = outcome.exit_status().into();
                    return (outcome, Life::Failed { status });
                }
                if terminate {
                    life = Life::Asked;
                    self.sweep();
                    break;
                }
            }
            if fds[3].revents != 0 {
                self.take_room();
            }
            for (n, fd) in fds.iter().take(2).enumerate() {
                if fd.revents != 0 {
                    self.take(n);
                }
            }
            self.supervisor.respawn_if_due(os::mono_ns());
        }
        self.finish(life)
    }

    fn interests(&self, [stdout, stderr]: [i32; 2]) -> [libc::pollfd; 4] {
        [
            os::interest(stdout, libc::POLLIN),
            os::interest(stderr, libc::POLLIN),
            os::interest(self.supervisor.notices().as_raw_fd(), libc::POLLIN),
            os::interest(self.supervisor.links().room().as_raw_fd(), libc::POLLIN),
        ]
    }

    /// Does the wake-up that was put off, if it is time; else says how long to
    /// wait for that or for the next sender.
    fn timeout(&mut self) -> Option<Duration> {
        let due = [self.wake_due_ns, self.supervisor.spawn_due_ns()].into_iter().flatten().min()?;
        let now_ns = os::mono_ns();
        if self.wake_due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
            self.wake_if_waiting();
            return self.supervisor.spawn_due_ns().map(|at| nanos(at.saturating_sub(now_ns)));
        }
        Some(nanos(due.saturating_sub(now_ns)))
    }

    /// Takes what one stream has.
    fn take(&mut self, n: usize) {
        match self.sources.take(n, &mut self.producer, usize::MAX) {
            Taken::Some => self.published(),
            Taken::NoRoom if !self.waits_for_room() => {
                let cause = match self.producer.shared().sink() {
                    _ if self.supervisor.has_lost_sender() => DropCause::NoSender,
                    SinkState::Down => DropCause::SinkDown,
                    SinkState::Up => DropCause::BufferFull,
                };
                self.sources.discard(n, &mut self.producer, &mut self.scratch, cause);
                // So that the marker goes out when there is room.
                self.has_room();
            }
            Taken::NoRoom => {}
        }
    }

    /// Whether a full ring makes the container wait; nobody waits for a sender
    /// that will not be.
    const fn waits_for_room(&self) -> bool {
        matches!(self.mode, Mode::Blocking) && !self.supervisor.has_lost_sender()
    }

    /// Whether the ring can take a long read; if not, asks the sender to say when.
    /// A reader that is woken for every entry costs more than its reads.
    fn has_room(&mut self) -> bool {
        if self.producer.has_much_room() {
            return true;
        }
        if self.producer.handoff().ask_for_room() {
            // It may wait for something else, or hold what has long been taken.
            self.supervisor.links().wake_sender();
        }
        self.producer.has_much_room()
    }

    /// There is room again: markers of what was dropped come first.
    fn take_room(&mut self) {
        os::drain_pipe(self.supervisor.links().room().as_raw_fd());
        if self.has_room() {
            self.published();
        }
    }

    /// Entries were published: wakes the sender if it waits, but not more often
    /// than every 2 ms unless the ring is half full. A wake per read would lose
    /// more than it gains: the sender would take the processor from the reader.
    fn published(&mut self) {
        if !self.producer.handoff().consumer_waits() {
            return;
        }
        let now_ns = os::mono_ns();
        let due_ns = self.last_wake_ns + WAKE_EVERY_NS;
        if now_ns >= due_ns || self.producer.held() >= self.producer.capacity() / 2 {
            self.wake(now_ns);
        } else {
            self.wake_due_ns = Some(due_ns);
        }
    }

    fn wake_if_waiting(&mut self) {
        self.wake_due_ns = None;
        if self.producer.handoff().consumer_waits() {
            self.wake(os::mono_ns());
        }
    }

    fn wake(&mut self, now_ns: u64) {
        self.wake_due_ns = None;
        self.last_wake_ns = now_ns;
        self.producer.handoff().forget_waiting();
        self.supervisor.links().wake_sender();
    }

    /// True if we were asked to end.
    fn take_notices(&mut self) -> bool {
        let (mut terminate, mut report) = (false, false);
        for notice in os::notices(self.supervisor.notices()) {
            terminate |= notice == Notice::Terminate;
            report |= notice == Notice::Report;
        }
        self.supervisor.reap(os::mono_ns());
        if report {
            self.supervisor.report();
        }
        terminate
    }

    /// Before the end: whatever the streams hold at this moment.
    fn sweep(&mut self) {
        let until_ns = os::mono_ns() + SWEEP_MAX_NS;
        while self.sources.are_open() && os::mono_ns() < until_ns {
            let [stdout, stderr] = self.sources.fds();
            let mut fds = [os::interest(stdout, libc::POLLIN), os::interest(stderr, libc::POLLIN)];
            if !os::poll(&mut fds, Some(Duration::ZERO)).is_ok_and(|ready| ready > 0) {
                return;
            }
            if self.waits_for_room() && self.producer.reserve().is_none() {
                return;
            }
            for (n, fd) in fds.iter().enumerate() {
                if fd.revents != 0 {
                    self.take(n);
                }
            }
        }
    }

    /// Lets the sender drain for as long as was asked, and says what is left.
    fn finish(mut self, mut life: Life) -> (Outcome, Life) {
        let drain_ns = u64::try_from(self.drain.as_nanos()).unwrap_or(u64::MAX);
        let deadline_ns = os::mono_ns().saturating_add(drain_ns);
        let mut announced = false;
        self.supervisor.bring_forward();
        loop {
            if !announced && (self.producer.flush_due() || self.has_room()) {
                announced = true;
                self.producer.handoff().finish();
                self.supervisor.links().wake_sender();
            }
            let now_ns = os::mono_ns();
            self.supervisor.reap(now_ns);
            if self.supervisor.is_drained() {
                return (Outcome::Drained, life);
            }
            if self.supervisor.has_lost_sender() {
                break;
            }
            self.supervisor.respawn_if_due(now_ns);
            if now_ns >= deadline_ns {
                life = Life::DrainTimedOut;
                break;
            }
            let until_ns =
                self.supervisor.spawn_due_ns().map_or(deadline_ns, |d| d.min(deadline_ns));
            let mut fds = self.interests(Sources::ended());
            let _ = os::poll(&mut fds, Some(nanos(until_ns.saturating_sub(now_ns))));
            let _ = os::notices(self.supervisor.notices()).count();
            os::drain_pipe(self.supervisor.links().room().as_raw_fd());
        }
        match self.supervisor.stop() {
            left if self.died() => {
                let outcome = Outcome::SenderDied(left);
                let status = outcome.exit_status().into();
                (outcome, Life::Failed { status })
            }
            left if left == Amount::default() => (Outcome::Drained, life),
            left => (Outcome::Left(left), life),
        }
    }

    /// Whether the end is that of a sender that should have taken the container
    /// with it.
    fn died(&self) -> bool {
        self.on_failure == OnFailure::Kill && self.supervisor.has_lost_sender()
    }
}

impl Sources {
    /// Descriptors 3 and 4 of the launch contract; one that is not open counts as
    /// a stream that has ended. To be called before anything is opened.
    fn of_contract() -> Self {
        let source = |stream, fd| Source { stream, fd: if os::is_open(fd) { fd } else { -1 } };
        Self { streams: [source(Stream::Stdout, 3), source(Stream::Stderr, 4)], last_ns: 0 }
    }

    const fn fds(&self) -> [i32; 2] {
        [self.streams[0].fd, self.streams[1].fd]
    }

    /// In the place of `fds` when the streams are not to be looked at.
    const fn ended() -> [i32; 2] {
        [-1, -1]
    }

    fn are_open(&self) -> bool {
        self.streams.iter().any(|source| source.fd >= 0)
    }

    /// One read of a stream that is ready, straight into the ring.
    fn take(&mut self, n: usize, producer: &mut Producer<'_>, max_bytes: usize) -> Taken {
        let Some(Source { stream, fd }) = self.streams.get(n).copied() else { return Taken::Some };
        let time_ns = self.time();
        let Some(room) = producer.begin_read(stream, time_ns) else { return Taken::NoRoom };
        let len = room.len().min(max_bytes);
        if let Some(len) = room.get_mut(..len).and_then(|room| self.read(n, fd, room)) {
            self.have_read(len, time_ns);
            producer.commit(len, stream, time_ns);
        }
        Taken::Some
    }

    /// One read of a stream that is ready, for which there is no room.
    fn discard(
        &mut self,
        n: usize,
        producer: &mut Producer<'_>,
        scratch: &mut [u8],
        cause: DropCause,
    ) {
        let Some(Source { stream, fd }) = self.streams.get(n).copied() else { return };
        let time_ns = self.time();
        if let Some(bytes) = self.read(n, fd, scratch).and_then(|len| scratch.get(..len)) {
            self.have_read(bytes.len(), time_ns);
            producer.note_drop(stream, bytes, time_ns, cause);
        }
    }

    /// `None`: nothing this time, or the stream has ended.
    fn read(&mut self, n: usize, fd: i32, buffer: &mut [u8]) -> Option<usize> {
        use std::io::ErrorKind::{Interrupted, WouldBlock};
        match os::read(fd, buffer) {
            Ok(len) if len > 0 => return Some(len),
            Err(error) if matches!(error.kind(), Interrupted | WouldBlock) => return None,
            // The ring's file was cut short. Touched by us and not by the kernel,
            // its pages come back empty; then the stream is looked at again.
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                buffer.fill(0);
                return None;
            }
            // The end, or an error that will not go away: both end the stream. The
            // descriptor stays open, so that its number means nothing else.
            _ => {}
        }
        if let Some(source) = self.streams.get_mut(n) {
            source.fd = -1;
        }
        None
    }

    /// The time of a read that begins now.
    fn time(&self) -> u64 {
        time_after(self.last_ns, os::wall_ns())
    }

    /// It gave `len` bytes. Its time is that of the first: a read makes no more
    /// records than it has bytes, each with the time of one of them.
    fn have_read(&mut self, len: usize, time_ns: u64) {
        self.last_ns = time_ns + (len as u64).saturating_sub(1);
    }
}

/// A time later than `last_ns` and not before `now_ns`. Whoever reads a gigabyte
/// a second or more is ahead of the clock; so is everybody after it was set back.
/// By more than a second nobody is.
const fn time_after(last_ns: u64, now_ns: u64) -> u64 {
    let ahead_ns = last_ns.saturating_sub(now_ns);
    if last_ns < now_ns || ahead_ns > AHEAD_MAX_NS { now_ns } else { last_ns + 1 }
}

const fn nanos(n: u64) -> Duration {
    Duration::from_nanos(n)
}

/// The least time between two wake-ups of the sender.
const WAKE_EVERY_NS: u64 = 2_000_000;

/// How long to read at most after SIGTERM, from a container that does not stop.
const SWEEP_MAX_NS: u64 = 200_000_000;
