// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The status page: one page of counters that each logger keeps in a small file
//! in its zone, and how to read it.
//!
//! The logger writes it by plain stores into a shared mapping while others read,
//! so two counters of one look may be a moment apart; each is whole by itself.
//! Numbers are little endian, at the places of [`at`]. Who reads must take care
//! on the way to the file (`O_NOFOLLOW`: the zone's root owns the path) and not
//! here: [`StatusPage::decode`] takes any bytes.
//!
//! The page outlives its logger: what it says last is why that ended. The next
//! logger of the same container replaces it.
//!
//! The file is `DIR/dockerlogger/<first 12 of the container's id>.status` with
//! the first `DIR` of [`DIRECTORIES`] that is a directory and no symbolic link.

use std::collections::BTreeMap;

use serde::Serialize;

mod life;

pub use life::Life;

/// Where a logger looks for a place for its page, seen from the zone's root.
pub const DIRECTORIES: [&str; 2] = ["/var/run", "/run"];

/// The directory in one of [`DIRECTORIES`].
pub const DIRECTORY: &str = "dockerlogger";

/// Length of a page, in bytes.
pub const PAGE_BYTES: usize = 4096;

/// The first eight bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"dklogsta");

/// The format that this version reads and writes. What is added in the place of
/// zeros does not raise it.
pub const FORMAT: u32 = 1;

/// Why a logger drops bytes, each at its place in the three lists of drops. New
/// ones come at the end.
pub const CAUSES: [&str; 7] =
    ["sink-down", "buffer-full", "no-sender", "empty", "oversize", "poison", "spool-damaged"];

/// Places in each list of drops.
pub const CAUSES_MAX: usize = 8;

/// The longest text of a [`Note`], in bytes.
pub const NOTE_TEXT_BYTES: usize = 480;

/// The longest name, in bytes.
pub const NAME_BYTES: usize = 32;

/// Offsets of the fields, in bytes. Numbers have 8 bytes where nothing else is
/// said.
pub mod at {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::FORMAT`], 4 bytes.
    pub const FORMAT: usize = 8;
    /// The state of the sink, 4 bytes: 0 not tried, 1 up, 2 down.
    pub const SINK: usize = 12;
    /// Process number of the reader, 4 bytes.
    pub const READER_PID: usize = 16;
    /// Process number of the sender, 4 bytes; 0: none.
    pub const SENDER_PID: usize = 20;
    /// Nanoseconds since 1970.
    pub const STARTED: usize = 24;
    /// Bytes.
    pub const RING_CAPACITY: usize = 32;
    /// Positions; their difference is what the ring holds, headers included.
    pub const RING_HEAD: usize = 40;
    /// See [`RING_HEAD`].
    pub const RING_TAIL: usize = 48;
    /// Where the ring is, 4 bytes: 0 memory, 1 a file.
    pub const RING_KIND: usize = 56;
    /// Whether the logger runs or why it ended, 4 bytes: see
    /// [`Life::code`](super::Life::code). The last thing that is stored.
    pub const LIFE: usize = 60;
    /// The driver's name, zeros behind it.
    pub const DRIVER: usize = 64;
    /// The logger's version, zeros behind it.
    pub const VERSION: usize = 96;
    /// The first characters of the container's id, zeros behind them.
    pub const CONTAINER: usize = 128;
    /// Ten counters: bytes read, lines read, reads, bytes delivered, lines
    /// delivered, records sent, their bytes, bytes recovered, lines recovered,
    /// restarts of the sender.
    pub const COUNTERS: usize = 160;
    /// Bytes dropped, by cause.
    pub const DROPPED_BYTES: usize = 240;
    /// Reads dropped, by cause.
    pub const DROPPED_READS: usize = 304;
    /// Lines dropped, by cause.
    pub const DROPPED_LINES: usize = 368;
    /// The last error of the sink: a count of stores (4, odd while one is under
    /// way), length (4), time (8), text.
    pub const LAST_ERROR: usize = 448;
    /// What was wrong with the spool at the start, in the same form.
    pub const SPOOL_PROBLEM: usize = 448 + 16 + super::NOTE_TEXT_BYTES;
    /// Behind the last field.
    pub const END: usize = SPOOL_PROBLEM + 16 + super::NOTE_TEXT_BYTES;
}

/// What a logger says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusPage {
    /// The container's id, its first 12 characters.
    pub container: String,
    /// The log driver.
    pub driver: String,
    /// The logger's version.
    pub version: String,
    /// When it was started, nanoseconds since 1970.
    pub started_ns: u64,
    /// The process whose end is the container's.
    pub reader_pid: u32,
    /// The process that sends; `None`: none runs.
    pub sender_pid: Option<u32>,
    /// Whether it runs, or why it ended.
    pub life: Life,
    /// How the server was seen last.
    pub sink: SinkStatus,
    /// The buffer.
    pub ring: RingStatus,
    /// What came from the container, or was found in the spool.
    pub read: Amount,
    /// What the server has taken of it.
    pub delivered: Amount,
    /// The part of `read` that was found in the spool at the start.
    pub recovered: Amount,
    /// What was not delivered and will not be, by cause; causes without any are
    /// left out.
    pub dropped: BTreeMap<String, Dropped>,
    /// Reads from the container's streams that returned bytes.
    pub reads: u64,
    /// Records that the server has taken, markers among them.
    pub sent_records: u64,
    /// Their bytes on the wire.
    pub sent_bytes: u64,
    /// Senders started after the first.
    pub sender_restarts: u64,
    /// The last thing that went wrong with the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Note>,
    /// What was wrong with the spool at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_problem: Option<Note>,
}

/// Bytes as the container wrote them, and the newlines among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Newlines.
    pub lines: u64,
}

/// What was dropped for one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Bytes.
    pub bytes: u64,
    /// Newlines among them.
    pub lines: u64,
    /// Reads that were dropped whole; the sender drops none.
    pub reads: u64,
}

/// How the server was seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkStatus {
    /// Nothing was to be sent yet.
    NotTried,
    /// It takes what is sent.
    Up,
    /// It does not.
    Down,
    /// A state of a newer logger.
    #[serde(untagged)]
    Unknown(u32),
}

/// The buffer between reading and sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RingStatus {
    /// Bytes it has room for.
    pub capacity: u64,
    /// Bytes in use, its own headers included.
    pub held: u64,
    /// Whether it is a file (option `spool`).
    pub is_file: bool,
}

/// A text with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// One line, at most [`NOTE_TEXT_BYTES`] long.
    pub text: String,
}

/// Bytes that are not a page this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// Shorter than a page.
    #[error("status page has {found} bytes, expected {PAGE_BYTES}")]
    Length {
        /// Bytes there are.
        found: usize,
    },
    /// It begins with something else.
    #[error("not a status page of a logger")]
    Magic,
    /// A newer logger wrote it, or it was never completed.
    #[error("status page has format {found}, this version reads {FORMAT}")]
    Format {
        /// What it says.
        found: u32,
    },
}

impl StatusPage {
    /// Reads a page.
    ///
    /// # Errors
    /// When the bytes are no page, or one of another format.
    pub fn decode(page: &[u8]) -> Result<Self, StatusError> {
        let page =
            page.first_chunk::<PAGE_BYTES>().ok_or(StatusError::Length { found: page.len() })?;
        if long(page, at::MAGIC) != MAGIC {
            return Err(StatusError::Magic);
        }
        let found = short(page, at::FORMAT);
        if found != FORMAT {
            return Err(StatusError::Format { found });
        }
        let counter = |n: usize| long(page, at::COUNTERS + 8 * n);
        let amount = |n| Amount { bytes: counter(n), lines: counter(n + 1) };
        let sender_pid = short(page, at::SENDER_PID);
        let capacity = long(page, at::RING_CAPACITY);
        let held = long(page, at::RING_HEAD).saturating_sub(long(page, at::RING_TAIL));
        Ok(Self {
            container: name(page, at::CONTAINER),
            driver: name(page, at::DRIVER),
            version: name(page, at::VERSION),
            started_ns: long(page, at::STARTED),
            reader_pid: short(page, at::READER_PID),
            sender_pid: (sender_pid != 0).then_some(sender_pid),
            life: Life::from_code(short(page, at::LIFE)),
            sink: match short(page, at::SINK) {
                0 => SinkStatus::NotTried,
                1 => SinkStatus::Up,
                2 => SinkStatus::Down,
                other => SinkStatus::Unknown(other),
            },
            ring: RingStatus {
                capacity,
                // Two looks at moving numbers.
                held: held.min(capacity),
                is_file: short(page, at::RING_KIND) == 1,
            },
            read: amount(0),
            reads: counter(2),
            delivered: amount(3),
            sent_records: counter(5),
            sent_bytes: counter(6),
            recovered: amount(7),
            sender_restarts: counter(9),
            dropped: dropped(page),
            last_error: note(page, at::LAST_ERROR),
            spool_problem: note(page, at::SPOOL_PROBLEM),
        })
    }
}

fn dropped(page: &[u8; PAGE_BYTES]) -> BTreeMap<String, Dropped> {
    let causes = (0..CAUSES_MAX).map(|n| {
        let name = CAUSES.get(n).map_or_else(|| format!("cause-{n}"), |&name| name.to_owned());
        let of = |list: usize| long(page, list + 8 * n);
        let (bytes, lines) = (of(at::DROPPED_BYTES), of(at::DROPPED_LINES));
        (name, Dropped { bytes, lines, reads: of(at::DROPPED_READS) })
    });
    let none = Dropped { bytes: 0, lines: 0, reads: 0 };
    causes.filter(|(_, dropped)| *dropped != none).collect()
}

fn note(page: &[u8; PAGE_BYTES], at: usize) -> Option<Note> {
    let len = usize::try_from(short(page, at + 4)).unwrap_or(usize::MAX).min(NOTE_TEXT_BYTES);
    let bytes = page.get(at + 16..at + 16 + len).filter(|bytes| !bytes.is_empty())?;
    Some(Note { time_ns: long(page, at + 8), text: text(bytes) })
}

fn name(page: &[u8; PAGE_BYTES], at: usize) -> String {
    let bytes = page.get(at..at + NAME_BYTES).unwrap_or_default();
    text(bytes.split(|&byte| byte == 0).next().unwrap_or_default())
}

/// Text that is safe to print, whatever the bytes are.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn long(page: &[u8; PAGE_BYTES], at: usize) -> u64 {
    let bytes = page.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn short(page: &[u8; PAGE_BYTES], at: usize) -> u32 {
    let bytes = page.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
