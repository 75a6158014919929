// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Bytes on their way from one thread of the pass to the next: a bounded queue
//! of buffers that go round.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::engine::stage::BUFFER_BYTES;

/// Buffers that go round.
const BUFFERS: usize = 8;

/// What is in the queue: bytes, or the word that what comes before has failed.
type Item = Option<Vec<u8>>;

/// The end where bytes go in. Dropping it is the end of the bytes.
pub(super) struct Feed {
    full: SyncSender<Item>,
    empty: Receiver<Vec<u8>>,
}

/// The end where they come out. Dropping it says that no more are wanted.
pub(super) struct Drain {
    full: Receiver<Item>,
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    broken: Arc<AtomicBool>,
}

/// An empty queue.
pub(super) fn queue() -> (Feed, Drain) {
    let (full, filled) = sync_channel(BUFFERS);
    let (empty, emptied) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        // There is room for all of them.
        let _ = empty.try_send(Vec::new());
    }
    let broken = Arc::default();
    let drain = Drain { full: filled, empty, current: Vec::new(), at: 0, broken };
    (Feed { full, empty: emptied }, drain)
}

impl Feed {
    /// An empty buffer of [`BUFFER_BYTES`]; none when nobody wants more.
    pub(super) fn buffer(&self) -> Option<Vec<u8>> {
        let mut buffer = self.empty.recv().ok()?;
        buffer.resize(BUFFER_BYTES, 0);
        Some(buffer)
    }

    /// Hands a buffer over. Whether anybody wants more.
    pub(super) fn give(&self, buffer: Vec<u8>) -> bool {
        self.full.send(Some(buffer)).is_ok()
    }

    /// Nothing more comes, and that is not the end.
    pub(super) fn fail(self) {
        // Nobody listens any more: nobody to tell.
        let _ = self.full.send(None);
    }
}

impl Drain {
    /// Set once the reader was told that what comes before has failed.
    pub(super) fn broken(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.broken)
    }
}

impl BufRead for Drain {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.current.len() {
            match self.full.recv() {
                Ok(Some(next)) => {
                    let done = std::mem::replace(&mut self.current, next);
                    self.at = 0;
                    // Of the first one there is nothing to give back.
                    if done.capacity() > 0 {
                        let _ = self.empty.try_send(done);
                    }
                }
                Ok(None) => {
                    self.broken.store(true, Ordering::Relaxed);
                    return Err(io::Error::other("what comes before has failed"));
                }
                Err(_ended) => return Ok(&[]),
            }
        }
        Ok(self.current.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.current.len());
    }
}

impl Read for Drain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.fill_buf()?;
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_until_the_end_or_a_failure() {
        for fails in [false, true] {
            let (feed, mut drain) = queue();
            let broken = drain.broken();
            let feeding = std::thread::spawn(move || {
                for number in 0..100_u8 {
                    let mut buffer = feed.buffer().unwrap();
                    buffer.truncate(1000);
                    buffer.fill(number);
                    assert!(feed.give(buffer));
                }
                if fails {
                    feed.fail();
                }
            });
            let mut bytes = Vec::new();
            assert_eq!(drain.read_to_end(&mut bytes).is_err(), fails);
            assert_eq!(broken.load(Ordering::Relaxed), fails);
            assert_eq!(bytes.len(), 100_000);
            assert!(
                (0..100).all(|n| bytes[n * 1000..][..1000].iter().all(|b| usize::from(*b) == n))
            );
            feeding.join().unwrap();
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_noticed() {
        let (feed, drain) = queue();
        let buffer = feed.buffer().unwrap();
        drop(drain);
        assert!(!feed.give(buffer));
    }
}
