// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Bytes on their way from the thread that unpacks to the one that writes: a
//! bounded queue, and the buffers that go round in it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use dockerlogger_manifest::Digest;
use hyper::body::Bytes;

use crate::engine::digest::Hasher;
use crate::engine::stage::{BUFFER_BYTES, Stopped};
use crate::os::files::NewFile;

/// Buffers that go round, and what is in the queue at most.
const BUFFERS: usize = 8;

/// What is in the queue.
pub(super) enum Item {
    /// Bytes of the artifact, as they came.
    Packed {
        bytes: Bytes,
        /// They come from where others are kept.
        kept: bool,
    },
    /// Bytes of the archive, in a buffer of the queue.
    Unpacked(Vec<u8>),
    /// Nothing failed, and nothing more comes.
    End,
}

/// The end where bytes go in. Dropping it without [`Item::End`] is a failure.
pub(super) struct Feed {
    full: SyncSender<Item>,
    empty: Receiver<Vec<u8>>,
}

/// The end where the archive comes out; what is packed is hashed and kept on the
/// way. Dropping it says that no more is wanted.
pub(super) struct Drain {
    full: Receiver<Item>,
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    ended: bool,
    hasher: Hasher,
    keep: Option<Box<dyn NewFile>>,
}

/// An empty queue. What is packed goes into `keep` too.
pub(super) fn queue(keep: Option<Box<dyn NewFile>>) -> (Feed, Drain) {
    let (full, filled) = sync_channel(BUFFERS);
    let (empty, emptied) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        // There is room for all of them.
        let _ = empty.try_send(Vec::new());
    }
    let (current, at, ended, hasher) = (Vec::new(), 0, false, Hasher::new());
    let drain = Drain { full: filled, empty, current, at, ended, hasher, keep };
    (Feed { full, empty: emptied }, drain)
}

impl Feed {
    /// A buffer of [`BUFFER_BYTES`]; none when nobody wants more.
    pub(super) fn buffer(&self) -> Option<Vec<u8>> {
        let mut buffer = self.empty.recv().ok()?;
        buffer.resize(BUFFER_BYTES, 0);
        Some(buffer)
    }

    /// Hands something over. Whether anybody wants more.
    pub(super) fn give(&self, item: Item) -> bool {
        self.full.send(item).is_ok()
    }
}

impl Drain {
    /// Bytes of the archive that were not consumed yet: some, or none at its end.
    pub(super) fn bytes(&mut self) -> Result<&[u8], Stopped> {
        while self.at == self.current.len() && !self.ended {
            match self.full.recv().map_err(|_ended| Stopped::Upstream)? {
                Item::Packed { bytes, kept } => {
                    self.hasher.update(&bytes);
                    if let Some(keep) = self.keep.as_mut().filter(|_| !kept) {
                        keep.write(&bytes)?;
                    }
                }
                Item::Unpacked(next) => {
                    let done = std::mem::replace(&mut self.current, next);
                    self.at = 0;
                    // Of the first one there is nothing to give back.
                    if done.capacity() > 0 {
                        let _ = self.empty.try_send(done);
                    }
                }
                Item::End => self.ended = true,
            }
        }
        Ok(self.current.get(self.at..).unwrap_or_default())
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.current.len());
    }

    /// The digest of what was packed, of all of it after the end.
    pub(super) fn digest(self) -> Digest {
        self.hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_until_the_end_or_a_failure() {
        for fails in [false, true] {
            let (feed, mut drain) = queue(None);
            let feeding = std::thread::spawn(move || {
                for number in 0..100_u8 {
                    let bytes = vec![number].into();
                    assert!(feed.give(Item::Packed { bytes, kept: false }));
                    let mut buffer = feed.buffer().unwrap();
                    buffer.truncate(1000);
                    buffer.fill(number);
                    assert!(feed.give(Item::Unpacked(buffer)));
                }
                assert!(fails || feed.give(Item::End));
            });
            let mut bytes = Vec::new();
            let end = loop {
                match drain.bytes() {
                    Ok([]) => break Ok(()),
                    Ok(more) => bytes.extend_from_slice(&more[..more.len().min(300)]),
                    Err(stopped) => break Err(stopped),
                }
                drain.consume(300);
            };
            assert_eq!(matches!(end, Err(Stopped::Upstream)), fails);
            // And so it stays.
            assert_eq!(drain.bytes().is_err(), fails);
            assert_eq!(bytes.len(), 100_000);
            assert!(
                (0..100).all(|n| bytes[n * 1000..][..1000].iter().all(|b| usize::from(*b) == n))
            );
            let packed: Vec<u8> = (0..100).collect();
            assert_eq!(drain.digest(), crate::engine::digest::of(&packed));
            feeding.join().unwrap();
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_noticed() {
        let (feed, drain) = queue(None);
        let buffer = feed.buffer().unwrap();
        drop(drain);
        assert!(!feed.give(Item::Unpacked(buffer)));
    }
}
