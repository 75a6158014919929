// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The kernel stream between an application's output and the logger, as SmartOS' zfd device behaves.
//!
//! One write of the application is one message (split above 64 KiB). A copy of it goes to the *stream head*, from where
//! the logger reads bytes, or waits in the *driver queue*:
//!
//! | queue | full at (bytes or messages) | low mark |
//! |---|---|---|
//! | driver queue | 2048 | 128 |
//! | stream head | 512 | 256 |
//!
//! A queue that is not full takes a message of any size. When the driver queue is full the whole message is dropped and
//! the application never notices ([`Pressure::Drop`], what the platform does unless told otherwise), or the application
//! is stopped until the driver queue is below its low mark ([`Pressure::FlowControl`]). The driver queue is emptied into
//! the stream head only when that has fallen below its own low mark.
//!
//! [`Queues`] is this arithmetic and nothing else; [`Stream`] runs it between two descriptors.

mod stream;
#[cfg(test)]
mod tests;

pub use stream::Stream;
pub use stream::StreamOptions;
pub use stream::write_message;

use std::collections::VecDeque;

/// The driver queue is full at this many bytes or messages.
const DRIVER_HIGH: usize = 2048;
/// With flow control, a stopped application goes on below this many bytes in the driver queue.
const DRIVER_LOW: usize = 128;
/// The stream head is full at this many unread bytes or messages.
const HEAD_HIGH: usize = 512;
/// The driver queue moves on when fewer than this many bytes are unread at the stream head.
const HEAD_LOW: usize = 256;
/// A write is split into messages of at most this many bytes.
pub const MESSAGE_MAX: usize = 64 * 1024;

/// What happens when the driver queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// The message is dropped; the application goes on.
    Drop,
    /// The application is stopped.
    FlowControl,
}

/// Messages and the bytes in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Number of messages.
    pub messages: u64,
    /// Number of bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// What became of everything an application wrote: `written` is the sum of the others and of what is still queued.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written by the application.
    pub written: Amount,
    /// Put where the logger reads.
    pub delivered: Amount,
    /// Dropped because the driver queue was full.
    pub dropped: Amount,
    /// Lost because the stream was not joined to the logger yet.
    pub unjoined: Amount,
    /// Discarded because the logger is gone.
    pub discarded: Amount,
}

/// The two queues of one stream.
///
/// The owner says with every call how many bytes the logger has not read yet; messages that are handed back must be put
/// at the stream head at once, in order.
#[derive(Debug)]
pub struct Queues {
    pressure: Pressure,
    driver: VecDeque<Vec<u8>>,
    driver_bytes: usize,
    /// Lengths of the messages at the stream head, the oldest possibly read in part.
    head: VecDeque<usize>,
    head_bytes: usize,
    stopped: bool,
    counts: Counts,
}

impl Queues {
    /// Two empty queues.
    pub fn new(pressure: Pressure) -> Self {
        Self {
            pressure,
            driver: VecDeque::new(),
            driver_bytes: 0,
            head: VecDeque::new(),
            head_bytes: 0,
            stopped: false,
            counts: Counts::default(),
        }
    }

    /// Takes one message of the application; returns it when it goes to the stream head directly.
    pub fn write(&mut self, message: Vec<u8>, unread_bytes: usize) -> Option<Vec<u8>> {
        self.saw_unread(unread_bytes);
        self.counts.written.add(message.len());
        if self.pressure == Pressure::Drop && self.driver_full() {
            self.counts.dropped.add(message.len());
            return None;
        }
        if self.driver.is_empty() && !self.head_full() {
            self.deliver(message.len());
            return Some(message);
        }
        self.driver_bytes += message.len();
        self.driver.push_back(message);
        if self.pressure == Pressure::FlowControl && self.driver_full() {
            self.stopped = true;
        }
        None
    }

    /// Counts a message that nobody was there to read.
    pub fn lose(&mut self, bytes: usize, cause: Loss) {
        self.counts.written.add(bytes);
        match cause {
            Loss::Unjoined => self.counts.unjoined.add(bytes),
            Loss::NoReader => self.counts.discarded.add(bytes),
        }
    }

    /// Moves messages on when the stream head has room; returns those that go there now.
    pub fn service(&mut self, unread_bytes: usize) -> Vec<Vec<u8>> {
        self.saw_unread(unread_bytes);
        let mut moved = Vec::new();
        if self.head_bytes >= HEAD_LOW {
            return moved;
        }
        while !self.head_full() {
            let Some(message) = self.driver.pop_front() else { break };
            self.driver_bytes -= message.len();
            self.deliver(message.len());
            moved.push(message);
        }
        if self.driver_bytes < DRIVER_LOW {
            self.stopped = false;
        }
        moved
    }

    /// Forgets everything queued: the last reader has closed.
    pub fn discard(&mut self) {
        for message in self.driver.drain(..) {
            self.counts.discarded.add(message.len());
        }
        self.driver_bytes = 0;
        self.head.clear();
        self.head_bytes = 0;
        self.stopped = false;
    }

    /// True while the application may not write.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// True while messages wait for room at the stream head.
    pub fn backlog(&self) -> bool {
        !self.driver.is_empty()
    }

    /// What became of everything so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn driver_full(&self) -> bool {
        self.driver_bytes >= DRIVER_HIGH || self.driver.len() >= DRIVER_HIGH
    }

    fn head_full(&self) -> bool {
        self.head_bytes >= HEAD_HIGH || self.head.len() >= HEAD_HIGH
    }

    fn deliver(&mut self, bytes: usize) {
        self.counts.delivered.add(bytes);
        self.head.push_back(bytes);
        self.head_bytes += bytes;
    }

    /// Takes off the stream head what the logger has read since the last call.
    fn saw_unread(&mut self, unread_bytes: usize) {
        while let Some(oldest) = self.head.front()
            && self.head_bytes - oldest >= unread_bytes
            && self.head_bytes > unread_bytes
        {
            self.head_bytes -= oldest;
            self.head.pop_front();
        }
        if let Some(oldest) = self.head.front_mut() {
            let read = self.head_bytes.saturating_sub(unread_bytes);
            *oldest -= read;
            self.head_bytes -= read;
        }
    }
}

/// Why a message did not even reach the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The stream is not joined to the logger yet.
    Unjoined,
    /// The logger has closed its end.
    NoReader,
}
