// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The archive as it comes out of the thread that unpacks. Whoever reads it keeps
//! that thread supplied, and hashes and keeps what is packed.

use dockerlogger_manifest::Digest;
use hyper::body::Bytes;

use crate::engine::digest::Hasher;
use crate::engine::error::ArtifactError;
use crate::engine::source::{Bounded, Pieces, read_piece};
use crate::engine::stage::unpack::{Ends, Item};
use crate::engine::stage::{Kept, truncated};
use crate::os::files::FileError;

/// Packed pieces that wait to be unpacked: as long as one takes to unpack, whoever
/// supplies them may be at something else.
const PIECES_AHEAD: usize = 4;

/// An artifact on its way in.
pub(super) struct Intake<'a> {
    /// What came before, and where what comes now is kept.
    pub(super) kept: Kept,
    /// What comes now.
    pub(super) rest: Bounded,
    /// Told the packed bytes so far.
    pub(super) progress: &'a mut dyn FnMut(u64),
}

/// What the artifact unpacks to. Dropping it ends the unpacking.
pub(super) struct Archive<'a> {
    intake: Intake<'a>,
    /// The digest of what came so far, and its length.
    hasher: Hasher,
    bytes: u64,
    ends: Ends,
    ahead: usize,
    /// Nothing more comes in; the reason, unless that is the end of it.
    drained: Option<Result<(), ArtifactError>>,
    current: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'a> Archive<'a> {
    pub(super) fn new(intake: Intake<'a>, ends: Ends) -> Self {
        let (hasher, current) = (Hasher::new(), Vec::new());
        let (bytes, ahead, drained, at, ended) = (0, 0, None, 0, false);
        Self { intake, hasher, bytes, ends, ahead, drained, current, at, ended }
    }

    /// Bytes that were not consumed yet: some, or none at the end.
    pub(super) fn bytes(&mut self) -> Result<&[u8], ArtifactError> {
        while self.at == self.current.len() && !self.ended {
            if self.drained.is_none() && self.ahead < PIECES_AHEAD {
                self.supply()?;
                continue;
            }
            match self.ends.items.recv() {
                Ok(Item::Taken) => self.ahead = self.ahead.saturating_sub(1),
                Ok(Item::Unpacked(next)) => {
                    self.ends.apart.stay();
                    let done = std::mem::replace(&mut self.current, next);
                    self.at = 0;
                    // It may have ended, and needs no buffer any more.
                    let _ = self.ends.empty.send(done);
                }
                Ok(Item::End(end)) => {
                    self.judge(end)?;
                    self.ended = true;
                }
                // It panicked, and whoever joins it will, too.
                Err(_disconnected) => return Err(truncated()),
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

    /// Gives one packed piece to the thread that unpacks.
    fn supply(&mut self) -> Result<(), ArtifactError> {
        let (piece, is_new) = match self.next() {
            Ok((piece, is_new)) if !piece.is_empty() => (piece, is_new),
            end => {
                self.drain(end.map(drop));
                return Ok(());
            }
        };
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(length);
        // Before all else: there is time for the rest while it is being unpacked.
        match &self.ends.packed {
            Some(packed) if packed.send(piece.clone()).is_ok() => self.ahead += 1,
            // Why it ended is among the items.
            _ => self.drain(Ok(())),
        }
        (self.intake.progress)(self.bytes);
        self.hasher.update(&piece);
        match &mut self.intake.kept.now {
            Some(keep) if is_new => Ok(keep.write(&piece)?),
            _ => Ok(()),
        }
    }

    /// The next piece, none at the end, and whether it is not kept yet.
    fn next(&mut self) -> Result<(Bytes, bool), ArtifactError> {
        if let Some(before) = &mut self.intake.kept.before {
            // Not the source's fault, and no better the next time: it is to be removed.
            let piece = read_piece(&mut before.bytes)
                .map_err(|e| FileError::new("read", &before.path, e))?;
            if !piece.is_empty() {
                return Ok((piece, false));
            }
            self.intake.kept.before = None;
        }
        Ok((self.intake.rest.piece().map_err(ArtifactError::Read)?, true))
    }

    fn drain(&mut self, end: Result<(), ArtifactError>) {
        self.drained = Some(end);
        self.ends.packed = None;
    }

    /// What became of it: what is wrong with the bytes that came goes before the
    /// lack of those that did not.
    fn judge(&mut self, unpacked: Result<(), ArtifactError>) -> Result<(), ArtifactError> {
        let received = self.drained.take().unwrap_or(Ok(()));
        match unpacked {
            Err(ArtifactError::Decode(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                received.and(Err(ArtifactError::Decode(e)))
            }
            unpacked => unpacked.and(received),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;
    use crate::engine::digest;
    use crate::engine::error::FetchError;
    use crate::engine::source::Expect;
    use crate::engine::stage::Beginning;
    use crate::engine::stage::unpack::Unpacker;
    use crate::os::files::NewFile;

    const WINDOW_LOG: u32 = 23;

    /// Pieces as they are listed; in place of one more, the failure.
    struct Listed(VecDeque<Bytes>, Option<FetchError>);

    impl Pieces for Listed {
        fn piece(&mut self) -> Result<Bytes, FetchError> {
            match (self.0.pop_front(), self.1.take()) {
                (Some(piece), failure) => {
                    self.1 = failure;
                    Ok(piece)
                }
                (None, Some(failure)) => Err(failure),
                (None, None) => Ok(Bytes::new()),
            }
        }
    }

    /// What was kept.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl NewFile for Memory {
        fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        }

        fn write_back(&mut self) -> Result<(), FileError> {
            Ok(())
        }

        fn set_mode(&mut self, _: u32) -> Result<(), FileError> {
            Ok(())
        }

        fn sync(&mut self) -> Result<(), FileError> {
            Ok(())
        }
    }

    /// Bytes that hardly get smaller.
    fn noise(length: usize) -> Vec<u8> {
        let blocks = (0..).flat_map(|i: u64| *digest::of(&i.to_be_bytes()).as_bytes());
        blocks.take(length).collect()
    }

    /// What comes out of an artifact in such pieces, how it ends, and its digest.
    fn unpacked(
        pieces: &[&[u8]],
        failure: Option<FetchError>,
        kept: Kept,
    ) -> (Vec<u8>, Result<(), ArtifactError>, Digest) {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        let pieces = Box::new(Listed(pieces, failure));
        let rest = Bounded::new(pieces, Expect::AtMost(u64::MAX), 0, true);
        let (unpacker, ends) = Unpacker::new(u64::MAX, WINDOW_LOG);
        let mut told = 0;
        let mut progress = |bytes: u64| {
            assert!(bytes > told);
            told = bytes;
        };
        thread::scope(|scope| {
            scope.spawn(|| unpacker.run());
            let mut archive = Archive::new(Intake { kept, rest, progress: &mut progress }, ends);
            let mut bytes = Vec::new();
            let end = loop {
                match archive.bytes() {
                    Ok([]) => break Ok(()),
                    Ok(more) => bytes.extend_from_slice(&more[..more.len().min(300)]),
                    Err(error) => break Err(error),
                }
                archive.consume(300);
            };
            // And so it stays.
            assert_eq!(archive.bytes().is_err(), end.is_err());
            (bytes, end, archive.digest())
        })
    }

    #[test]
    fn an_archive_is_what_was_packed_and_all_of_it_is_hashed_and_kept() {
        let content = noise(3_000_000);
        let packed = zstd::encode_all(&content[..], 1).unwrap();
        let (before, now) = packed.split_at(packed.len() / 3);
        let memory = Memory::default();
        let bytes = Box::new(io::Cursor::new(before.to_vec()));
        let kept = Kept {
            before: Some(Beginning { path: PathBuf::from("/partial"), bytes }),
            now: Some(Box::new(memory.clone())),
        };
        let pieces: Vec<&[u8]> = now.chunks(1000).collect();
        let (bytes, end, digest) = unpacked(&pieces, None, kept);
        end.unwrap();
        assert!(bytes == content);
        assert_eq!(digest, digest::of(&packed));
        assert!(*memory.0.lock().unwrap() == now);
    }

    #[test]
    fn pieces_that_unpack_to_nothing_stop_nothing() {
        // A frame to be skipped: magic number, length, that many bytes (RFC 8878, 3.1.2).
        let skipped = [&[0x50, 0x2A, 0x4D, 0x18, 100, 0, 0, 0][..], &[0; 100]].concat();
        let packed = zstd::encode_all(&b"content"[..], 1).unwrap();
        let mut pieces = vec![&skipped[..]; 5 * PIECES_AHEAD];
        pieces.push(&packed);
        let (bytes, end, _) = unpacked(&pieces, None, Kept::default());
        end.unwrap();
        assert_eq!(bytes, b"content");
    }

    #[test]
    fn what_came_is_looked_at_before_what_did_not_come() {
        let content = noise(1_000_000);
        let packed = zstd::encode_all(&content[..], 1).unwrap();
        let half = &packed[..packed.len() / 2];
        let lost = || Some(FetchError::NoAnswer { secs: 1 });

        let (bytes, end, _) = unpacked(&[half], lost(), Kept::default());
        assert!(matches!(end, Err(ArtifactError::Read(FetchError::NoAnswer { .. }))), "{end:?}");
        assert!(!bytes.is_empty() && content.starts_with(&bytes));

        let (_, end, _) = unpacked(&[half], None, Kept::default());
        assert!(matches!(end, Err(ArtifactError::Decode(_))), "{end:?}");

        // Complete, but for what the source says at its end.
        let (bytes, end, _) = unpacked(&[&packed], lost(), Kept::default());
        assert!(matches!(end, Err(ArtifactError::Read(_))), "{end:?}");
        assert!(bytes == content);

        // Not what zstd makes: whatever the source says then.
        let (bytes, end, _) = unpacked(&[half, &[0xFF; 100_000]], lost(), Kept::default());
        assert!(matches!(end, Err(ArtifactError::Decode(_))), "{end:?}");
        assert!(content.starts_with(&bytes[..bytes.len() / 4]));
    }

    #[test]
    fn nobody_unpacks_for_a_reader_that_went_away() {
        let packed = zstd::encode_all(&noise(5_000_000)[..], 1).unwrap();
        let pieces = Listed([Bytes::from(packed)].into(), None);
        let rest = Bounded::new(Box::new(pieces), Expect::AtMost(u64::MAX), 0, true);
        let (unpacker, ends) = Unpacker::new(u64::MAX, WINDOW_LOG);
        let unpacking = thread::spawn(|| unpacker.run());
        let (kept, mut progress) = (Kept::default(), |_| ());
        let mut archive = Archive::new(Intake { kept, rest, progress: &mut progress }, ends);
        assert!(!archive.bytes().unwrap().is_empty());
        drop(archive);
        unpacking.join().unwrap();
    }
}
