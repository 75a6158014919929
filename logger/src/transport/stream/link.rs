// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One connection while it stands: frames out, the peer's words in, and what of
//! it the peer has.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::super::{Haste, Wait};
use super::connection::{Connection, Unacknowledged};
use crate::driver::Session;
use crate::window::{Lost, Replay, Window};

/// What a peer that breaks down may have acknowledged and lost, as far as that does
/// not show, see [`Link::unread`]. One that hangs up when it hears nothing for
/// longer than this age gets nothing twice.
pub(super) const REPLAY: Replay = Replay { max_bytes: 64 << 10, max_age_ns: 10_000_000_000 };

#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    session: Box<dyn Session>,
    /// Greetings and answers that were not sent yet.
    words: Vec<u8>,
    since_ns: u64,
    /// When bytes were last accepted, acknowledged or confirmed.
    progress_ns: u64,
    acknowledged: u64,
    /// The most that the peer's kernel had room for, and what it has now.
    room_max: u64,
    room: u64,
    /// How long to wait before looking for acknowledgements again.
    look_ns: u64,
    haste: Haste,
}

/// Why a connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) lost: Lost,
    pub(super) reason: Cow<'static, str>,
}

impl End {
    const CLOSED: Self =
        Self { lost: Lost::Closed, reason: Cow::Borrowed("the server closed the connection") };

    fn stalled(missed: &str, patience: Duration) -> Self {
        let reason = format!("the server {missed} for {patience:?}");
        Self { lost: Lost::Broken, reason: reason.into() }
    }

    fn broken(error: &io::Error) -> Self {
        let reason = format!("the connection to the server broke: {error}");
        Self { lost: Lost::Broken, reason: reason.into() }
    }
}

impl Link {
    /// A connection that just came to stand, with everything before `cursor`
    /// behind it.
    pub(super) fn new(
        connection: Connection,
        mut session: Box<dyn Session>,
        cursor: u64,
        haste: Haste,
        now_ns: u64,
    ) -> Self {
        session.begin(cursor);
        Self {
            connection,
            session,
            words: Vec::new(),
            since_ns: now_ns,
            progress_ns: now_ns,
            acknowledged: cursor,
            room_max: 0,
            room: 0,
            look_ns: first_look_ns(haste),
            haste,
        }
    }

    /// Whether the peer takes frames.
    pub(super) fn is_open(&self) -> bool {
        self.session.is_open() && self.connection.accepts_in().is_none()
    }

    pub(super) const fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// Everything before this place of the window's stream is taken.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Of what the peer's kernel acknowledged, how much its program does not seem to
    /// have read: a kernel offers as much less room. It offers more from time to
    /// time to a program that reads, and puts small writes together, so this is too
    /// little; what is kept anyway is added for that.
    pub(super) fn unread(&mut self) -> u64 {
        if !self.session.confirms()
            && let Some(room) = self.connection.peer_room()
        {
            self.room = room;
            self.room_max = self.room_max.max(room);
        }
        let unread = self.room_max - self.room;
        if unread == 0 { 0 } else { (unread + REPLAY.max_bytes).min(UNREAD_MAX) }
    }

    /// Looks for a sign of a dead peer, sends, and looks what has arrived.
    pub(super) fn advance(
        &mut self,
        window: &mut Window,
        haste: Haste,
        now_ns: u64,
    ) -> Result<Wait, End> {
        self.listen(window, now_ns)?;
        if let Some(left) = self.connection.accepts_in() {
            let left_ns = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
            let socket = Some((self.connection.fd(), self.connection.interest(false)));
            return Ok(Wait { socket, until_ns: Some(now_ns.saturating_add(left_ns)) });
        }
        if haste != self.haste {
            self.haste = haste;
            self.look_ns = first_look_ns(haste);
        }
        self.send(window, now_ns)?;
        self.look(window, now_ns);
        let mut wait = Wait { socket: None, until_ns: None };
        let unsent = window.unsent_bytes() > 0;
        if unsent || !self.words.is_empty() || self.acknowledged < window.cursor() {
            let is_blocked = !self.words.is_empty() || (unsent && self.is_open());
            let patience = self.session.patience(is_blocked).unwrap_or(STALL);
            let deadline = self.progress_ns.saturating_add(nanos(patience));
            if now_ns >= deadline {
                let missed = if !self.is_open() {
                    "did not greet us"
                } else if is_blocked || !self.session.confirms() {
                    "took nothing"
                } else {
                    "confirmed nothing"
                };
                return Err(End::stalled(missed, patience));
            }
            wait.until_ns = Some(deadline);
            if !self.session.confirms() {
                let cap = if haste == Haste::Hurried { LOOK_HURRIED_MAX_NS } else { LOOK_MAX_NS };
                wait.until_ns = Some(deadline.min(now_ns + self.look_ns));
                self.look_ns = (self.look_ns * 2).min(cap);
            }
        }
        if wait.until_ns.is_none() {
            self.connection.rest();
        }
        let writing = !self.words.is_empty() || (unsent && self.is_open());
        wait.socket = Some((self.connection.fd(), self.connection.interest(writing)));
        Ok(wait)
    }

    /// Says that no more will come.
    pub(super) fn close(&mut self) {
        self.connection.close();
    }

    /// Sends what the session has to say, then frames.
    fn send(&mut self, window: &mut Window, now_ns: u64) -> Result<(), End> {
        match written(self.connection.flush())? {
            None => return Ok(()),
            Some(0) => {}
            Some(_) => self.progress_ns = now_ns,
        }
        while !self.words.is_empty() {
            let Some(n) = written(self.connection.write(&self.words))? else { return Ok(()) };
            self.words.drain(..n);
            self.progress_ns = now_ns;
        }
        while self.is_open()
            && let Some(bytes) = window.unsent()
        {
            let chunk = bytes.get(..WRITE_MAX).unwrap_or(bytes);
            let Some(n) = written(self.connection.write(chunk))? else { break };
            // While a confirmation is due, only that is progress.
            if !self.session.confirms() || self.acknowledged == window.cursor() {
                self.progress_ns = now_ns;
            }
            window.sent(n, now_ns);
            self.look_ns = first_look_ns(self.haste);
        }
        Ok(())
    }

    /// Hears what the peer says; its end is the end of the connection.
    fn listen(&mut self, window: &Window, now_ns: u64) -> Result<(), End> {
        let mut bytes = [0; 1024];
        for _ in 0..LISTEN_MAX {
            match self.connection.read(&mut bytes) {
                Ok(0) => {
                    self.look(window, now_ns);
                    // Where its kernel says so, the program had read everything;
                    // where the program does, it may have left some of it.
                    let lost = if self.connection.is_tls() { Lost::Broken } else { Lost::Closed };
                    return Err(End { lost, ..End::CLOSED });
                }
                Ok(n) => {
                    let said = bytes.get(..n).unwrap_or(&bytes);
                    let heard = self.session.hear(said, window, &mut self.words);
                    // It may have thrown away what its kernel took.
                    let confirmed =
                        heard.map_err(|error| End { lost: Lost::Broken, reason: error.0 })?;
                    if let Some(confirmed) = confirmed {
                        self.acknowledged = self.acknowledged.max(confirmed);
                        self.progress_ns = now_ns;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(End::broken(&error)),
            }
        }
        Ok(())
    }

    /// Learns how much has been taken, where the peer does not say so itself.
    fn look(&mut self, window: &Window, now_ns: u64) {
        if self.session.confirms() {
            return;
        }
        let acknowledged = match self.connection.unacknowledged() {
            Unacknowledged::Exactly(missing) => window.cursor().saturating_sub(missing),
            Unacknowledged::AtLeast(missing) => {
                let left = window.cursor().saturating_sub(missing);
                left.min(window.sent_before(now_ns, TAKEN_AFTER_NS))
            }
        };
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.progress_ns = now_ns;
        }
    }
}

/// How much was written; `None`: not now.
fn written(result: io::Result<usize>) -> Result<Option<usize>, End> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Some(0)),
        Err(error) => Err(End::broken(&error)),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const fn first_look_ns(haste: Haste) -> u64 {
    match haste {
        Haste::Unhurried => LOOK_FIRST_NS,
        Haste::Hurried => LOOK_HURRIED_NS,
    }
}

/// What is kept at most of what the peer has not read, in bytes. Kernels hold
/// 64 KiB to 128 KiB for a program that does not read, and up to megabytes for one
/// that has been reading fast: so much memory is not ours to take.
const UNREAD_MAX: u64 = 144 << 10;

/// Where the kernel tells nothing of acknowledgements, what was sent so long ago
/// has arrived.
const TAKEN_AFTER_NS: u64 = 1_000_000_000;

/// Without a byte accepted or acknowledged for so long, the peer is dead.
const STALL: Duration = Duration::from_secs(30);

/// The largest single write, in bytes.
const WRITE_MAX: usize = 64 << 10;

/// Reads of a talking peer between two writes.
const LISTEN_MAX: usize = 16;

/// Looks for acknowledgements: soon, then rarer, never when all have come.
const LOOK_FIRST_NS: u64 = 50_000_000;
const LOOK_MAX_NS: u64 = 1_000_000_000;
const LOOK_HURRIED_NS: u64 = 1_000_000;
const LOOK_HURRIED_MAX_NS: u64 = 50_000_000;
