// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A record that is too large for one datagram, in chunks of GELF 1.1. Pure.

/// How records are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    pub(crate) size: ChunkSize,
    /// Records of more chunks are not sent.
    pub(crate) count_max: u8,
}

/// The largest datagram, and so the size of all chunks but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkSize {
    /// Bytes, the chunk's header included.
    Bytes(usize),
    /// What the way to the server carries.
    OfPath,
}

impl Chunks {
    /// How many datagrams of `size` bytes a record of `len` bytes takes; `None`:
    /// more than there may be.
    ///
    /// As in Docker, the last chunk of a record whose length is a multiple of a
    /// chunk's is empty.
    pub(crate) fn count(self, len: usize, size: usize) -> Option<usize> {
        if len <= size {
            return Some(1);
        }
        let count = len / data_bytes(size) + 1;
        (count <= usize::from(self.count_max)).then_some(count)
    }
}

/// Appends datagram `n` of the `count` that `record` takes. `id` is the same for
/// all of them, and not that of another record.
pub(crate) fn push_chunk(
    record: &[u8],
    size: usize,
    (n, count): (usize, usize),
    id: u64,
    out: &mut Vec<u8>,
) {
    let data = data_bytes(size);
    let rest = record.get(n * data..).unwrap_or_default();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend([n, count].map(|number| u8::try_from(number).unwrap_or(u8::MAX)));
    out.extend_from_slice(&rest[..rest.len().min(data)]);
}

const fn data_bytes(size: usize) -> usize {
    size.saturating_sub(HEADER_BYTES)
}

const MAGIC: [u8; 2] = [0x1e, 0x0f];

/// Magic, id, number, count.
const HEADER_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(record: &[u8], size: usize) -> Vec<Vec<u8>> {
        let chunks = Chunks { size: ChunkSize::Bytes(size), count_max: 128 };
        let Some(count) = chunks.count(record.len(), size) else { return Vec::new() };
        let chunk = |n| {
            let mut out = Vec::new();
            push_chunk(record, size, (n, count), 0x5a11_c0de_0042_7f09, &mut out);
            out
        };
        (0..count).map(chunk).collect()
    }

    #[test]
    fn lengths_of_docker() {
        for (len, lens) in [
            (1421, vec![1420, 25]),
            (2815, vec![1420, 1419]),
            (2816, vec![1420, 1420, 12]),
            (2817, vec![1420, 1420, 13]),
        ] {
            let record: Vec<u8> = (0..=255).cycle().take(len).collect();
            let chunks = chunks(&record, 1420);
            assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), lens);
            let data: Vec<u8> = chunks.iter().flat_map(|chunk| &chunk[12..]).copied().collect();
            assert_eq!(data, record);
            for (n, chunk) in chunks.iter().enumerate() {
                let header = [
                    &[0x1e, 0x0f, 0x5a, 0x11, 0xc0, 0xde, 0x00, 0x42, 0x7f, 0x09][..],
                    &[u8::try_from(n).unwrap(), u8::try_from(lens.len()).unwrap()],
                ];
                assert_eq!(chunk[..12], header.concat());
            }
        }
    }

    #[test]
    fn how_many() {
        let docker = Chunks { size: ChunkSize::Bytes(1420), count_max: 128 };
        let triton = Chunks { count_max: 255, ..docker };
        for (len, count, of_triton) in [
            (0, Some(1), Some(1)),
            (1420, Some(1), Some(1)),
            (180_223, Some(128), Some(128)),
            (180_224, None, Some(129)),
            (359_039, None, Some(255)),
            (359_040, None, None),
        ] {
            assert_eq!(docker.count(len, 1420), count, "{len}");
            assert_eq!(triton.count(len, 1420), of_triton, "{len}");
        }
        assert_eq!(docker.count(1421, 8154), Some(1));
    }
}
