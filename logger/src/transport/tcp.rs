// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Frames over a TCP connection.
//!
//! Taken is what the peer's kernel has acknowledged, where ours says so
//! (Linux); elsewhere what was sent a second ago on a connection that still
//! stands. A connection that ends is followed by another; what it may not have
//! delivered is sent again from the beginning of a frame.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::{Haste, Host, Progress, Wait};
use crate::backoff::{Backoff, Delays};
use crate::os;
use crate::ring::{Shared, SinkState};
use crate::window::{Lost, Replay, Window};

/// What a peer that breaks down may have acknowledged and lost.
pub(super) const REPLAY: Replay = Replay { max_bytes: 64 << 10, max_age_ns: 1_000_000_000 };

/// One sink over TCP.
#[derive(Debug)]
pub(crate) struct Tcp {
    host: Host,
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
    Up(Connection),
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    since_ns: u64,
    /// When bytes were last accepted or acknowledged.
    progress_ns: u64,
    acknowledged: u64,
    /// How long to wait before looking for acknowledgements again.
    look_ns: u64,
    haste: Haste,
}

impl Tcp {
    pub(super) const fn new(host: Host, seed: u64) -> Self {
        Self {
            host,
            state: State::Down { retry_ns: 0 },
            backoff: Backoff::new(Delays::SINK, seed),
            failed_ns: 0,
        }
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
            // Who is about to give up does not wait for long.
            let retry_ns = match haste {
                Haste::Unhurried => retry_ns,
                Haste::Hurried => retry_ns.min(self.failed_ns + RETRY_HURRIED_NS),
            };
            if now_ns < retry_ns {
                return Progress::new(window.take(0, now_ns), until(retry_ns));
            }
            let connected = connect(&self.host);
            // Connecting takes time.
            let now_ns = os::mono_ns();
            let Some(stream) = connected else {
                shared.note_error("cannot connect to the server, or its name is not known");
                let wait = self.fail(shared, now_ns);
                return Progress::new(window.take(0, now_ns), wait);
            };
            shared.set_sink(SinkState::Up);
            self.state = State::Up(Connection {
                stream,
                since_ns: now_ns,
                progress_ns: now_ns,
                acknowledged: window.cursor(),
                look_ns: first_look_ns(haste),
                haste,
            });
        }
        let now_ns = os::mono_ns().max(now_ns);
        let State::Up(connection) = &mut self.state else {
            return Progress::new(window.take(0, now_ns), until(now_ns));
        };
        let outcome = connection.advance(window, haste, now_ns);
        let released = window.take(connection.acknowledged, now_ns);
        match outcome {
            Ok(wait) => Progress::new(released, wait),
            Err(lost) => {
                let lasted = now_ns.saturating_sub(connection.since_ns);
                shared.note_error(match lost {
                    Lost::Closed => "the server closed the connection",
                    Lost::Broken => "the connection to the server broke",
                });
                window.rewind(lost, now_ns);
                if lasted >= STABLE_NS {
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

    fn fail(&mut self, shared: &Shared, now_ns: u64) -> Wait {
        shared.set_sink(SinkState::Down);
        self.failed_ns = now_ns;
        let retry_ns = now_ns + self.backoff.next_ns();
        self.state = State::Down { retry_ns };
        until(retry_ns)
    }
}

impl Connection {
    /// Looks for a sign of a dead peer, sends, and looks what has arrived.
    fn advance(&mut self, window: &mut Window, haste: Haste, now_ns: u64) -> Result<Wait, Lost> {
        self.listen(window, now_ns)?;
        if haste != self.haste {
            self.haste = haste;
            self.look_ns = first_look_ns(haste);
        }
        while let Some(bytes) = window.unsent() {
            let chunk = bytes.get(..WRITE_MAX).unwrap_or(bytes);
            match self.stream.write(chunk) {
                Ok(n) => {
                    window.sent(n, now_ns);
                    self.progress_ns = now_ns;
                    self.look_ns = first_look_ns(haste);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Lost::Broken),
            }
        }
        self.look(window, now_ns);
        let mut wait = Wait { socket: None, until_ns: None };
        let mut events = libc::POLLIN;
        if window.unsent_bytes() > 0 {
            events |= libc::POLLOUT;
        }
        if self.acknowledged < window.cursor() || window.unsent_bytes() > 0 {
            let deadline = self.progress_ns + STALL_NS;
            if now_ns >= deadline {
                return Err(Lost::Broken);
            }
            let cap = if haste == Haste::Hurried { LOOK_HURRIED_MAX_NS } else { LOOK_MAX_NS };
            wait.until_ns = Some(deadline.min(now_ns + self.look_ns));
            self.look_ns = (self.look_ns * 2).min(cap);
        }
        wait.socket = Some((self.stream.as_raw_fd(), events));
        Ok(wait)
    }

    /// A syslog server says nothing. What it does say is thrown away; its end is
    /// the end of the connection.
    fn listen(&mut self, window: &Window, now_ns: u64) -> Result<(), Lost> {
        let mut bytes = [0; 1024];
        for _ in 0..LISTEN_MAX {
            match self.stream.read(&mut bytes) {
                Ok(0) => {
                    // It closed in order; what it acknowledged, it has.
                    self.look(window, now_ns);
                    return Err(Lost::Closed);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Lost::Broken),
            }
        }
        Ok(())
    }

    /// Learns how much has been taken.
    fn look(&mut self, window: &Window, now_ns: u64) {
        let acknowledged = match os::unacknowledged(self.stream.as_raw_fd()) {
            Some(missing) => window.cursor().saturating_sub(missing),
            None => window.sent_before(now_ns, REPLAY.max_age_ns),
        };
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.progress_ns = now_ns;
        }
    }
}

/// Looks the name up and tries every address of the sink.
fn connect(host: &Host) -> Option<TcpStream> {
    let (addresses, _) = host.resolve(RESOLVE_TIMEOUT)?;
    addresses.iter().find_map(|address| {
        let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT).ok()?;
        stream.set_nonblocking(true).ok()?;
        // Batches are made by us: a line that is alone must leave at once.
        stream.set_nodelay(true).ok()?;
        os::keep_alive(stream.as_raw_fd());
        os::set_send_buffer(stream.as_raw_fd(), SEND_BUFFER_BYTES);
        Some(stream)
    })
}

const fn until(ns: u64) -> Wait {
    Wait { socket: None, until_ns: Some(ns) }
}

const fn first_look_ns(haste: Haste) -> u64 {
    match haste {
        Haste::Unhurried => LOOK_FIRST_NS,
        Haste::Hurried => LOOK_HURRIED_NS,
    }
}

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait of a sender that drains, or for which the reader waits.
const RETRY_HURRIED_NS: u64 = 500_000_000;

/// A connection that held this long makes the next loss a first one.
const STABLE_NS: u64 = 1_000_000_000;

/// Without a byte accepted or acknowledged for so long, the peer is dead.
const STALL_NS: u64 = 30_000_000_000;

/// The largest single write, in bytes.
const WRITE_MAX: usize = 64 << 10;

/// What the kernel holds for a peer, in bytes; twice that with its own overhead.
/// It bounds what may have to be sent again, and the bytes per round trip. The
/// kernel tells when there is room in it, which it does not of acknowledgements.
const SEND_BUFFER_BYTES: i32 = 56 << 10;

/// Reads of a talking peer between two writes.
const LISTEN_MAX: usize = 16;

/// Looks for acknowledgements: soon, then rarer, never when all have come.
const LOOK_FIRST_NS: u64 = 50_000_000;
const LOOK_MAX_NS: u64 = 1_000_000_000;
const LOOK_HURRIED_NS: u64 = 1_000_000;
const LOOK_HURRIED_MAX_NS: u64 = 50_000_000;
