// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The thread that unpacks. It does nothing else, for that takes longest.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, channel};

use hyper::body::Bytes;

use crate::engine::error::ArtifactError;
use crate::engine::stage::BUFFER_BYTES;
use crate::os::apart::Apart;

/// Buffers that go round between the two threads: what is unpacked and waits, at most.
const BUFFERS: usize = 8;

/// What is told to whoever supplies it.
pub(super) enum Item {
    /// A piece is used up.
    Taken,
    /// Bytes of the archive, in a buffer that is wanted back.
    Unpacked(Vec<u8>),
    /// Nothing more comes.
    End(Result<(), ArtifactError>),
}

/// What unpacks.
pub(super) struct Unpacker {
    packed: Packed,
    empty: Receiver<Vec<u8>>,
    apart: Apart,
    limit: u64,
    window_log_max: u32,
}

/// What the other thread has of it. Dropping them ends it.
pub(super) struct Ends {
    /// Pieces go in here; None: there are no more.
    pub(super) packed: Option<Sender<Bytes>>,
    /// Where buffers go back.
    pub(super) empty: Sender<Vec<u8>>,
    pub(super) items: Receiver<Item>,
    /// The thread that has them stays where it is.
    pub(super) apart: Apart,
}

/// Packed bytes, as a decoder wants them.
struct Packed {
    pieces: Receiver<Bytes>,
    current: Bytes,
    items: Sender<Item>,
}

impl Unpacker {
    /// Unpacks to `limit` bytes at most. Nothing happens before [`Unpacker::run`].
    pub(super) fn new(limit: u64, window_log_max: u32) -> (Self, Ends) {
        let ((packed, pieces), (empty, emptied), (items, told)) = (channel(), channel(), channel());
        // The reader of the archive has one.
        for _ in 1..BUFFERS {
            // Both ends are here.
            let _ = empty.send(Vec::new());
        }
        let apart = Apart::new();
        let ends = Ends { packed: Some(packed), empty, items: told, apart: apart.clone() };
        let packed = Packed { pieces, current: Bytes::new(), items };
        (Self { packed, empty: emptied, apart, limit, window_log_max }, ends)
    }

    /// Unpacks to the end, or as long as anybody wants more.
    pub(super) fn run(mut self) {
        let end = self.unpack();
        // Or nobody wants to know.
        let _ = self.packed.items.send(Item::End(end));
    }

    fn unpack(&mut self) -> Result<(), ArtifactError> {
        let items = self.packed.items.clone();
        let mut decoder = zstd::stream::read::Decoder::with_buffer(&mut self.packed)
            .map_err(ArtifactError::Decode)?;
        decoder.window_log_max(self.window_log_max).map_err(ArtifactError::Decode)?;
        let mut rest = usize::try_from(self.limit).unwrap_or(usize::MAX);
        while let Ok(mut buffer) = self.empty.recv() {
            buffer.resize(BUFFER_BYTES, 0);
            self.apart.step_aside();
            let (mut filled, mut end) = fill(&mut decoder, &mut buffer);
            if filled > rest {
                let limit = self.limit;
                (filled, end) = (rest, Some(Err(ArtifactError::Unpacked { limit })));
            }
            rest -= filled;
            buffer.truncate(filled);
            // What came before a failure is looked at before the failure is.
            if filled > 0 && items.send(Item::Unpacked(buffer)).is_err() {
                break;
            }
            if let Some(end) = end {
                return end;
            }
        }
        Ok(())
    }
}

/// Fills a buffer, or as much of it as there is until the end.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<Result<(), ArtifactError>>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => return (filled, Some(Ok(()))),
            Ok(count) => filled += count,
            Err(e) => return (filled, Some(Err(ArtifactError::Decode(e)))),
        }
    }
    (filled, None)
}

impl BufRead for Packed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() {
            // Without a supplier there are no more: that is the end.
            self.current = self.pieces.recv().unwrap_or_default();
        }
        Ok(&self.current)
    }

    fn consume(&mut self, bytes: usize) {
        let _ = self.current.split_to(bytes.min(self.current.len()));
        if bytes > 0 && self.current.is_empty() {
            // Or nobody supplies it any more.
            let _ = self.items.send(Item::Taken);
        }
    }
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
