// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The sender: a forked child of the reader with one thread, which takes what
//! the ring holds to the sink. It may wait, allocate and die; whatever the sink
//! has not taken stays in the ring for its successor. With a spool, a second
//! thread watches for who may want that.

mod handover;

use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::driver::{Driver, Identity, Settings};
use crate::launch::Launch;
use crate::links::SenderLinks;
use crate::local_time::LocalTime;
use crate::metadata;
use crate::os;
use crate::pump::{BATCH_BYTES, Pump};
use crate::report::report;
use crate::resolver::{Paths, Resolver};
use crate::ring::{Consumer, Shared};
use crate::suspects::Suspects;
use crate::transport::{Haste, Transport, Wait};
use crate::window::{Released, Window};

/// What a sender is started with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) driver: &'a str,
    pub(crate) launch: &'a Launch,
    pub(crate) settings: &'a Settings,
    pub(crate) identity: &'a Identity,
}

/// How a sender ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SenderEnd {
    /// No more will come, and the sink has taken everything.
    Drained,
    /// The reader is gone and `drain-timeout` has passed.
    GaveUp,
}

/// Sends until everything is taken and no more will come. `suspects` is what
/// killed the senders before.
pub(crate) fn run(
    setup: Setup<'_>,
    suspects: Suspects,
    consumer: &mut Consumer<'_>,
    links: &SenderLinks,
) -> SenderEnd {
    match consumer.handover_word() {
        Some(word) => {
            handover::watched(word, links.wake(), || send(setup, suspects, consumer, links))
        }
        None => send(setup, suspects, consumer, links),
    }
}

fn send(
    setup: Setup<'_>,
    suspects: Suspects,
    consumer: &mut Consumer<'_>,
    links: &SenderLinks,
) -> SenderEnd {
    let mut sender = Sender::new(setup, suspects, consumer, links);
    os::trim_heap();
    sender.consumer.shared().sender_pid.store(std::process::id(), Ordering::Relaxed);
    let end = loop {
        if let Some(end) = sender.turn() {
            break end;
        }
    };
    sender.transport.close();
    end
}

/// A sender at work.
struct Sender<'a, 'r> {
    consumer: &'a mut Consumer<'r>,
    links: &'a SenderLinks,
    pump: Pump,
    window: Window,
    transport: Transport,
    /// How long a line may stay unterminated; `None`: until the end.
    flush_ns: Option<u64>,
    /// How long to go on without a reader.
    drain_ns: u64,
    /// Lines without an end are taken too: nothing more will be.
    is_finished: bool,
    /// The reader is gone, and this is how long to go on.
    give_up_ns: Option<u64>,
}

/// What has become of lines without an end that are old enough.
enum Tails {
    Taken,
    /// None is, the next one at this time of the monotonic clock.
    Due(Option<u64>),
}

impl<'a, 'r> Sender<'a, 'r> {
    fn new(
        setup: Setup<'_>,
        suspects: Suspects,
        consumer: &'a mut Consumer<'r>,
        links: &'a SenderLinks,
    ) -> Self {
        let Setup { launch, settings, identity, .. } = setup;
        let informed = inform(setup, consumer.shared());
        let driver = informed.as_ref().unwrap_or(&settings.driver);
        let seed = os::wall_ns() ^ u64::from(identity.pid).rotate_left(32);
        let local_time = LocalTime::load(launch.time_zone.as_deref());
        let encoder = driver.encoder(identity, local_time.clone());
        let shape = (driver.piece_limit(), settings.generic.cut);
        let mut pump = Pump::new(encoder, shape, local_time, consumer.resume(), seed);
        pump.suspects = suspects;
        #[cfg(debug_assertions)]
        pump.set_test_poison(launch.test_poison.as_deref());
        let transport = Transport::new(&driver.sink(), Resolver::new(Paths::system()), seed);
        let account = consumer.account();
        consumer.shared().show(&account);
        Self {
            pump,
            window: Window::new(transport.replay(), account),
            transport,
            flush_ns: settings.generic.flush.map(nanos),
            drain_ns: nanos(settings.generic.drain),
            is_finished: false,
            give_up_ns: None,
            consumer,
            links,
        }
    }

    /// Takes and sends what can be without waiting, then waits for more to do.
    fn turn(&mut self) -> Option<SenderEnd> {
        // Looked at before the ring: what was there when no more was to come has
        // been seen after this.
        let last = self.is_last();
        let filled = self.take_lines();
        let Tails::Due(tail_due_ns) = self.take_tails() else { return None };
        if last && !self.is_finished && !self.pump.has_input(self.consumer) {
            let mut batch = self.window.new_batch();
            self.pump.finish(self.consumer.shared(), &mut batch);
            self.window.push(batch);
            self.is_finished = true;
        }
        let hurried = last || self.consumer.handoff().room_is_wanted();
        let wanted = self.drive(hurried)?;
        if self.is_finished && !self.window.has_unreleased() && self.transport.is_settled() {
            return Some(SenderEnd::Drained);
        }
        if self.give_up_ns.is_some_and(|give_up_ns| os::mono_ns() >= give_up_ns) {
            return Some(SenderEnd::GaveUp);
        }
        let napping = !hurried && filled >= NAP_BYTES;
        self.rest(last, napping, wanted, tail_due_ns)
    }

    /// Whether no more will come than the ring holds.
    fn is_last(&self) -> bool {
        self.give_up_ns.is_some() || self.consumer.handoff().is_finished()
    }

    /// Returns how many bytes they are as frames.
    fn take_lines(&mut self) -> usize {
        let mut filled = 0;
        while self.wants_input() && self.may_go_on() {
            let mut batch = self.window.new_batch();
            self.pump.fill(self.consumer, &mut batch);
            filled += batch.bytes.len();
            self.window.push(batch);
        }
        filled
    }

    /// A tail whose line goes on in the ring is no tail.
    fn take_tails(&mut self) -> Tails {
        let Some(flush_ns) = self.flush_ns.filter(|_| !self.pump.has_input(self.consumer)) else {
            return Tails::Due(None);
        };
        let due_in_ns = self.pump.tail_due_in_ns(os::wall_ns(), flush_ns);
        if due_in_ns == Some(0) && self.wants_input() {
            let mut batch = self.window.new_batch();
            self.pump.flush_tails(self.consumer.shared(), os::wall_ns(), flush_ns, &mut batch);
            self.window.push(batch);
            return Tails::Taken;
        }
        Tails::Due(due_in_ns.map(|due_in_ns| os::mono_ns().saturating_add(due_in_ns)))
    }

    /// Sends what can be sent, and gives back what is taken. Returns what the
    /// transport waits for; `None`: nothing, there is more to do.
    fn drive(&mut self, hurried: bool) -> Option<Wait> {
        let haste = if hurried { Haste::Hurried } else { Haste::Unhurried };
        let shared = self.consumer.shared();
        let progress = self.transport.drive(&mut self.window, shared, haste, os::mono_ns());
        release(progress.released, &self.window, self.consumer, self.links);
        if progress.too_large {
            let pump = &mut self.pump;
            self.window.replace_next_frame(|lost| pump.oversize_marker(lost));
            return None;
        }
        Some(progress.wait)
    }

    /// Waits for the reader, unless it is napping, the transport or a time.
    fn rest(
        &mut self,
        last: bool,
        napping: bool,
        wanted: Wait,
        tail_due_ns: Option<u64>,
    ) -> Option<SenderEnd> {
        let handoff = self.consumer.handoff();
        let waiting = self.wants_input();
        let napping = napping && waiting;
        if waiting && !napping {
            handoff.start_waiting();
            if self.may_go_on() || last != self.is_last() {
                handoff.stop_waiting();
                return None;
            }
            self.window.trim();
        }
        let mut look_ns = self.give_up_ns;
        if self.give_up_ns.is_some()
            && let Some(word) = self.consumer.handover_word()
        {
            // A new logger cannot wake us, and sends what we leave.
            if word.load(Ordering::Relaxed) != 0 {
                return Some(SenderEnd::GaveUp);
            }
            look_ns = look_ns.map(|at_ns| at_ns.min(os::mono_ns() + HANDOVER_LOOK_NS));
        }
        let wake = if self.give_up_ns.is_some() { -1 } else { self.links.wake() };
        let nap_ns = napping.then(|| os::mono_ns() + NAP_NS);
        let until = [wanted.until_ns, look_ns, tail_due_ns.filter(|_| waiting), nap_ns];
        let until_ns = until.into_iter().flatten().min();
        let reader_gone = wait(wake, Wait { until_ns, ..wanted }, self.links);
        handoff.stop_waiting();
        if reader_gone && self.give_up_ns.is_none() {
            self.give_up_ns = Some(os::mono_ns().saturating_add(self.drain_ns));
        }
        None
    }

    fn may_go_on(&self) -> bool {
        self.pump.may_go_on(self.consumer, self.window.has_unreleased())
    }

    /// Whether to encode more: little is unsent, and not too much is under way. What is
    /// kept for a server that has not read it takes the place of something under way.
    fn wants_input(&self) -> bool {
        let kept = self.window.kept_bytes().saturating_sub(UNDER_WAY_MIN);
        let under_way_max = UNDER_WAY_MAX.saturating_sub(kept).max(UNDER_WAY_MIN);
        self.window.unsent_bytes() < BATCH_BYTES as u64
            && self.window.untaken_bytes() < under_way_max
    }
}

/// The driver with what the zone's metadata socket knows of the container.
fn inform(setup: Setup<'_>, shared: &Shared) -> Option<Driver> {
    let problem = match metadata::complete(setup.launch) {
        Ok(None) => return None,
        Ok(Some(launch)) => match Settings::parse(setup.driver, &launch, &setup.identity.host) {
            Ok(settings) => return Some(settings.driver),
            Err(error) => report(&error),
        },
        Err(error) => report(&error),
    };
    shared.note_error(&problem);
    None
}

/// Gives ring space back for what the sink has taken.
fn release(released: Released, window: &Window, consumer: &mut Consumer<'_>, links: &SenderLinks) {
    if !released.any {
        return;
    }
    consumer.shared().show(window.account());
    let Some((checkpoint, account)) = released.committed else { return };
    consumer.release(checkpoint.position, &checkpoint.carried, &account);
    if consumer.take_room_request() {
        links.wake_reader();
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits for data, the socket or a time. True if the reader is gone.
fn wait(wake: RawFd, wanted: Wait, links: &SenderLinks) -> bool {
    let (socket, events) = wanted.socket.unwrap_or((-1, 0));
    let mut fds = [os::interest(wake, libc::POLLIN), os::interest(socket, events)];
    let timeout = wanted.until_ns.map(|at| Duration::from_nanos(at.saturating_sub(os::mono_ns())));
    if os::poll(&mut fds, timeout).is_err() {
        return false;
    }
    fds[0].revents != 0 && links.drain()
}

/// After so many bytes at once, more are about to come: the sender looks again
/// after a nap, which is less work for both sides than to be woken.
const NAP_BYTES: usize = 16 << 10;

/// Short enough that no ring is full by then.
const NAP_NS: u64 = 200_000;

/// Bytes that may be with the sink without its word, in case that the kernel
/// accepts more than it was told to; bounds the sender's memory.
const UNDER_WAY_MAX: u64 = 144 << 10;

/// So much may be under way however much is kept, and so much may be kept beside
/// all that is under way.
const UNDER_WAY_MIN: u64 = 64 << 10;

/// After the reader's death: how often to look whether a new logger waits.
const HANDOVER_LOOK_NS: u64 = 20_000_000;
