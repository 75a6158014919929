// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Frames over a connection.
//!
//! Taken is what the peer confirms, where the protocol lets it; otherwise what
//! its kernel has acknowledged, where ours says so (Linux); elsewhere what was
//! sent a second ago on a connection that still stands. A connection that ends is
//! followed by another; what it may not have delivered is sent again from the
//! beginning of a frame.

mod connection;
mod link;
mod tls;

use super::{Haste, Progress, Wait, until};
use crate::backoff::{Backoff, Delays};
use crate::driver::{Session, StreamPeer};
use crate::os;
use crate::report::report;
use crate::resolver::Resolver;
use crate::ring::{Shared, SinkState};
use crate::window::{Lost, Replay, Window};

use link::{End, Link};

/// One sink that takes a stream of bytes.
#[derive(Debug)]
pub(crate) struct Stream {
    peer: StreamPeer,
    /// As it is before a connection.
    session: Box<dyn Session>,
    resolver: Resolver,
    state: State,
    backoff: Backoff,
    /// When the last attempt failed.
    failed_ns: u64,
}

#[derive(Debug)]
enum State {
    /// Connect when there is something to send, but not before this time.
    Down {
        retry_ns: u64,
    },
    Up(Box<Link>),
}

impl Stream {
    pub(super) const fn new(
        peer: StreamPeer,
        session: Box<dyn Session>,
        resolver: Resolver,
        seed: u64,
    ) -> Self {
        Self {
            peer,
            session,
            resolver,
            state: State::Down { retry_ns: 0 },
            backoff: Backoff::new(Delays::SINK, seed),
            failed_ns: 0,
        }
    }

    /// What a peer that breaks down may have acknowledged and lost; nothing that
    /// it has confirmed itself.
    pub(super) fn replay(&self) -> Replay {
        if self.session.confirms() { Replay::NOTHING } else { link::REPLAY }
    }

    pub(super) fn drive(
        &mut self,
        window: &mut Window,
        shared: &Shared,
        haste: Haste,
        now_ns: u64,
    ) -> Progress {
        if let State::Down { retry_ns } = self.state {
            if window.unsent_bytes() == 0 {
                // Batches without frames need no sink.
                let released = window.take(window.cursor(), now_ns);
                return Progress::new(released, Wait { socket: None, until_ns: None });
            }
            let retry_ns = haste.retry_ns(retry_ns, self.failed_ns);
            if now_ns < retry_ns {
                return Progress::new(window.take(0, now_ns), until(retry_ns));
            }
            let connected = connection::connect(&self.peer, &self.resolver);
            // Connecting takes time.
            let now_ns = os::mono_ns();
            match connected {
                Ok(connection) => {
                    let session = self.session.anew();
                    let link = Link::new(connection, session, window.cursor(), haste, now_ns);
                    if link.is_open() {
                        shared.set_sink(SinkState::Up);
                    }
                    self.state = State::Up(Box::new(link));
                }
                Err(error) => {
                    shared.note_error(&report(&error));
                    let wait = self.fail(shared, now_ns);
                    return Progress::new(window.take(0, now_ns), wait);
                }
            }
        }
        let now_ns = os::mono_ns().max(now_ns);
        let State::Up(link) = &mut self.state else {
            return Progress::new(window.take(0, now_ns), until(now_ns));
        };
        let was_open = link.is_open();
        let outcome = link.advance(window, haste, now_ns);
        window.set_unread(link.unread());
        let released = window.take(link.acknowledged(), now_ns);
        match outcome {
            Ok(wait) => {
                if !was_open && link.is_open() {
                    shared.set_sink(SinkState::Up);
                }
                Progress::new(released, wait)
            }
            Err(End { lost, reason }) => {
                let lasted = link.is_open() && now_ns.saturating_sub(link.since_ns()) >= STABLE_NS;
                shared.note_error(&reason);
                // Who confirms has what it confirmed, however it went away.
                let lost = if self.session.confirms() { Lost::Closed } else { lost };
                window.rewind(lost, now_ns);
                if lasted {
                    self.backoff.reset();
                    self.state = State::Down { retry_ns: now_ns };
                    let again = (window.unsent_bytes() > 0).then_some(now_ns);
                    return Progress::new(released, Wait { socket: None, until_ns: again });
                }
                let wait = self.fail(shared, now_ns);
                let idle = window.unsent_bytes() == 0;
                let wait = if idle { Wait { socket: None, until_ns: None } } else { wait };
                Progress::new(released, wait)
            }
        }
    }

    /// Nothing more will be sent.
    pub(super) fn close(&mut self) {
        if let State::Up(link) = &mut self.state {
            link.close();
        }
    }

    fn fail(&mut self, shared: &Shared, now_ns: u64) -> Wait {
        shared.set_sink(SinkState::Down);
        self.failed_ns = now_ns;
        let retry_ns = now_ns + self.backoff.next_ns();
        self.state = State::Down { retry_ns };
        until(retry_ns)
    }
}

/// A connection that held this long makes the next loss a first one.
const STABLE_NS: u64 = 1_000_000_000;
