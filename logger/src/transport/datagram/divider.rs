// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Frames into datagrams, one datagram at a time. Pure.

use crate::driver::{ChunkSize, Division, push_chunk};

/// Remembers how much of the frame at the window's cursor is sent. A frame leaves
/// the window whole, with its last datagram.
#[derive(Debug)]
pub(super) struct Divider {
    division: Division,
    /// Bytes that the way to the server carries in one datagram.
    path_bytes: usize,
    /// Place and length of the frame that is being sent.
    at: Option<(u64, usize)>,
    /// Its datagrams that are.
    sent: usize,
    /// Makes ids of frames differ.
    seed: u64,
    datagram: Vec<u8>,
}

/// The next frame does not fit into datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Divider {
    pub(super) const fn new(division: Division, seed: u64) -> Self {
        let path_bytes = PATH_BYTES_UNKNOWN;
        Self { division, path_bytes, at: None, sent: 0, seed, datagram: Vec::new() }
    }

    /// There is a new way to the server, perhaps to another: what was sent of a
    /// frame is sent again. The way carries so many bytes in a datagram; `None`:
    /// the system does not say.
    pub(super) fn begin(&mut self, bytes: Option<usize>) {
        self.at = None;
        let bytes =
            bytes.map_or(PATH_BYTES_UNKNOWN, |bytes| bytes.clamp(PATH_BYTES.0, PATH_BYTES.1));
        if bytes != self.path_bytes {
            self.path_bytes = bytes;
            // Chunks of two sizes must not be taken for those of one frame.
            self.seed = mixed(self.seed);
        }
    }

    /// The datagram to send next of `frame`, which stands at `at`, and whether it
    /// is the last.
    ///
    /// # Errors
    /// When there would be more than the receiver takes.
    pub(super) fn next<'a>(
        &'a mut self,
        frame: &'a [u8],
        at: u64,
    ) -> Result<(&'a [u8], bool), TooLarge> {
        let Division::Chunks(chunks) = self.division else { return Ok((frame, true)) };
        let size = match chunks.size {
            ChunkSize::Bytes(bytes) => bytes,
            ChunkSize::OfPath => self.path_bytes,
        };
        let count = chunks.count(frame.len(), size).ok_or(TooLarge)?;
        if count == 1 {
            return Ok((frame, true));
        }
        if self.at != Some((at, frame.len())) {
            self.at = Some((at, frame.len()));
            self.sent = 0;
        }
        self.datagram.clear();
        let id = mixed(self.seed.wrapping_add(at));
        push_chunk(frame, size, (self.sent, count), id, &mut self.datagram);
        Ok((&self.datagram, self.sent + 1 == count))
    }

    /// That datagram was sent.
    pub(super) const fn sent(&mut self) {
        self.sent += 1;
    }
}

/// The finalizer of `SplitMix64`: different numbers stay different.
const fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// What every way carries, with room for the headers of tunnels: Docker's size.
const PATH_BYTES_UNKNOWN: usize = 1420;

/// Less is no way for chunks; more are they not allowed to be.
const PATH_BYTES: (usize, usize) = (548, 8192);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::gelf::Chunks;

    fn divider(size: ChunkSize) -> Divider {
        Divider::new(Division::Chunks(Chunks { size, count_max: 3 }), 7)
    }

    /// What is sent of a frame when each datagram is accepted.
    fn datagrams(divider: &mut Divider, frame: &[u8], at: u64) -> Result<Vec<Vec<u8>>, TooLarge> {
        let mut datagrams = Vec::new();
        loop {
            let (datagram, last) = divider.next(frame, at)?;
            datagrams.push(datagram.to_vec());
            divider.sent();
            if last {
                return Ok(datagrams);
            }
        }
    }

    #[test]
    fn a_datagram_that_was_not_accepted_comes_again() {
        let mut divider = divider(ChunkSize::Bytes(100));
        let frame = vec![b'x'; 200];
        let (first, last) = divider.next(&frame, 5).unwrap();
        let first = first.to_vec();
        assert!(!last);
        assert_eq!(divider.next(&frame, 5).unwrap().0, first);
        divider.sent();
        assert_eq!(divider.next(&frame, 5).unwrap().0[10..12], [1, 3]);
        assert_eq!(datagrams(&mut divider, &frame, 5).unwrap().len(), 2);
        let next = datagrams(&mut divider, &frame, 205).unwrap();
        assert_eq!(next.len(), 3, "the next frame begins at its beginning");
        assert_ne!(next[0][2..10], first[2..10], "and has an id of its own");
        assert!(next.iter().all(|datagram| datagram[2..10] == next[0][2..10]));
    }

    #[test]
    fn small_and_too_large() {
        let mut divider = divider(ChunkSize::Bytes(100));
        assert_eq!(datagrams(&mut divider, &[1; 100], 0).unwrap(), [[1; 100]]);
        assert_eq!(datagrams(&mut divider, &[1; 264], 0), Err(TooLarge));
        let mut whole = Divider::new(Division::Whole, 7);
        assert_eq!(datagrams(&mut whole, &[1; 5000], 0).unwrap().len(), 1);
    }

    #[test]
    fn another_way_begins_the_frame_again() {
        let mut divider = divider(ChunkSize::OfPath);
        let frame = vec![b'x'; 2000];
        let id = divider.next(&frame, 0).unwrap().0[2..10].to_vec();
        divider.sent();
        assert_eq!(divider.next(&frame, 0).unwrap().0[10..12], [1, 2]);
        divider.begin(None);
        assert_eq!(divider.next(&frame, 0).unwrap().0[2..12], [&id[..], &[0, 2]].concat());
        divider.begin(Some(1000));
        let (first, _) = divider.next(&frame, 0).unwrap();
        assert_eq!((first.len(), &first[10..12]), (1000, &[0, 3][..]));
        assert_ne!(first[2..10], id);
        divider.begin(Some(65_000));
        assert_eq!(divider.next(&frame, 0).unwrap(), (&frame[..], true));
        divider.begin(Some(10));
        assert_eq!(divider.next(&[0; 549], 0).unwrap().0.len(), 548);
    }
}
