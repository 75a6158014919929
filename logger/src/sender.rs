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
use crate::ring::{Consumer, Handoff, Shared};
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
    let Setup { launch, settings, identity, .. } = setup;
    let informed = inform(setup, consumer.shared());
    let driver = informed.as_ref().unwrap_or(&settings.driver);
    let seed = os::wall_ns() ^ u64::from(identity.pid).rotate_left(32);
    let local_time = LocalTime::load(launch.time_zone.as_deref());
    let encoder = driver.encoder(identity, local_time.clone());
    let resume = consumer.resume();
    let shape = (driver.piece_limit(), settings.generic.cut);
    let mut pump = Pump::new(encoder, shape, local_time, resume, seed);
    pump.suspects = suspects;
    #[cfg(debug_assertions)]
    pump.set_test_poison(launch.test_poison.as_deref());
    let flush_ns = settings.generic.flush.map(nanos);
    let mut transport = Transport::new(&driver.sink(), Resolver::new(Paths::system()), seed);
    let account = consumer.account();
    consumer.shared().show(&account);
    let mut window = Window::new(transport.replay(), account);
    let mut flushed = false;
    let mut give_up_ns = None;
    let (shared, handoff) = (consumer.shared(), consumer.handoff());
    shared.sender_pid.store(std::process::id(), Ordering::Relaxed);
    let end = loop {
        // Looked at before the ring: what was there when no more was to come has
        // been seen after this.
        let last = give_up_ns.is_some() || handoff.is_finished();
        let mut filled = 0;
        while wants_input(&window) && pump.may_go_on(consumer, window.has_unreleased()) {
            let mut batch = window.new_batch();
            pump.fill(consumer, &mut batch);
            filled += batch.bytes.len();
            window.push(batch);
        }
        // A tail whose line goes on in the ring is no tail.
        let mut tail_due_ns = None;
        if let Some(flush_ns) = flush_ns.filter(|_| !pump.has_input(consumer)) {
            let due_in_ns = pump.tail_due_in_ns(os::wall_ns(), flush_ns);
            if due_in_ns == Some(0) && wants_input(&window) {
                let mut batch = window.new_batch();
                pump.flush_tails(consumer.shared(), os::wall_ns(), flush_ns, &mut batch);
                window.push(batch);
                continue;
            }
            tail_due_ns = due_in_ns.map(|due_in_ns| os::mono_ns().saturating_add(due_in_ns));
        }
        if last && !flushed && !pump.has_input(consumer) {
            let mut batch = window.new_batch();
            pump.finish(consumer.shared(), &mut batch);
            window.push(batch);
            flushed = true;
        }
        let hurried = last || handoff.room_is_wanted();
        let haste = if hurried { Haste::Hurried } else { Haste::Unhurried };
        let progress = transport.drive(&mut window, shared, haste, os::mono_ns());
        release(progress.released, &window, consumer, links);
        if progress.too_large {
            window.replace_next_frame(|lost| pump.oversize_marker(lost));
            continue;
        }
        if flushed && !window.has_unreleased() && transport.is_settled() {
            break SenderEnd::Drained;
        }
        if give_up_ns.is_some_and(|give_up_ns| os::mono_ns() >= give_up_ns) {
            break SenderEnd::GaveUp;
        }
        let waiting = wants_input(&window);
        let napping = waiting && !hurried && filled >= NAP_BYTES;
        if waiting && !napping {
            handoff.start_waiting();
            let more = pump.may_go_on(consumer, window.has_unreleased())
                || last != is_last(handoff, give_up_ns);
            if more {
                handoff.stop_waiting();
                continue;
            }
        }
        let mut look_ns = give_up_ns;
        if give_up_ns.is_some()
            && let Some(word) = consumer.handover_word()
        {
            // A new logger cannot wake us, and sends what we leave.
            if word.load(Ordering::Relaxed) != 0 {
                break SenderEnd::GaveUp;
            }
            look_ns = give_up_ns.map(|at_ns| at_ns.min(os::mono_ns() + HANDOVER_LOOK_NS));
        }
        let wake = if give_up_ns.is_some() { -1 } else { links.wake() };
        let nap_ns = napping.then(|| os::mono_ns() + NAP_NS);
        let until = [progress.wait.until_ns, look_ns, tail_due_ns.filter(|_| waiting), nap_ns];
        let until_ns = until.into_iter().flatten().min();
        let reader_gone = wait(wake, Wait { until_ns, ..progress.wait }, links);
        handoff.stop_waiting();
        if reader_gone && give_up_ns.is_none() {
            give_up_ns = Some(os::mono_ns().saturating_add(nanos(settings.generic.drain)));
        }
    };
    transport.close();
    end
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

fn is_last(handoff: &Handoff, give_up_ns: Option<u64>) -> bool {
    give_up_ns.is_some() || handoff.is_finished()
}

/// Whether to encode more: little is unsent, and not too much is under way. What is
/// kept for a server that has not read it takes the place of something under way.
fn wants_input(window: &Window) -> bool {
    let kept = window.kept_bytes().saturating_sub(UNDER_WAY_MIN);
    let under_way_max = UNDER_WAY_MAX.saturating_sub(kept).max(UNDER_WAY_MIN);
    window.unsent_bytes() < BATCH_BYTES as u64 && window.untaken_bytes() < under_way_max
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
