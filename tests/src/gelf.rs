// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! GELF messages out of what arrived, as a server reads them.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};

/// A message and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The JSON, unpacked.
    pub json: Vec<u8>,
    /// `gzip`, `zlib` or `none`.
    pub compression: &'static str,
    /// Lengths of its datagrams in their order.
    pub datagrams: Vec<usize>,
}

/// The messages in `datagrams`, in the order in which they became whole.
///
/// # Errors
/// When a chunk does not fit to the others of its message, one is missing at the end, or a message cannot be unpacked.
pub fn messages_of(datagrams: &[Vec<u8>]) -> Result<Vec<Message>, String> {
    let mut begun: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    let mut messages = Vec::new();
    for datagram in datagrams {
        let Some(chunk) = datagram.strip_prefix(&[0x1e, 0x0f]) else {
            messages.push(unpacked(datagram, vec![datagram.len()])?);
            continue;
        };
        let Some((id, &[number, count, ..])) = chunk.split_at_checked(8) else {
            return Err(format!("a chunk of {} bytes", datagram.len()));
        };
        let chunks = begun.entry(id).or_default();
        if usize::from(number) != chunks.len() || number >= count || count > 128 {
            return Err(format!("chunk {number} of {count} after {} others", chunks.len()));
        }
        chunks.push(datagram);
        if chunks.len() == usize::from(count) {
            let record: Vec<u8> = chunks.iter().flat_map(|chunk| &chunk[12..]).copied().collect();
            let lengths = chunks.iter().map(|chunk| chunk.len()).collect();
            begun.remove(id);
            messages.push(unpacked(&record, lengths)?);
        }
    }
    if begun.is_empty() { Ok(messages) } else { Err(format!("{} incomplete", begun.len())) }
}

/// The messages in what a connection brought, without one that has not ended.
pub fn messages_in(stream: &[u8]) -> Vec<Message> {
    let (whole, _) = stream.split_at(memchr::memrchr(0, stream).map_or(0, |end| end + 1));
    let message = |json: &[u8]| Message {
        json: json.strip_suffix(&[0]).unwrap_or(json).to_vec(),
        compression: "none",
        datagrams: Vec::new(),
    };
    whole.split_inclusive(|byte| *byte == 0).map(message).collect()
}

fn unpacked(record: &[u8], datagrams: Vec<usize>) -> Result<Message, String> {
    let mut json = Vec::new();
    let (compression, read) = match record {
        [0x1f, 0x8b, ..] => ("gzip", GzDecoder::new(record).read_to_end(&mut json)),
        [0x78, ..] => ("zlib", ZlibDecoder::new(record).read_to_end(&mut json)),
        _ => ("none", (&mut &*record).read_to_end(&mut json)),
    };
    read.map_err(|error| format!("{compression}: {error}"))?;
    Ok(Message { json, compression, datagrams })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(number: u8, count: u8, data: &[u8]) -> Vec<u8> {
        [&[0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, number, count], data].concat()
    }

    #[test]
    fn chunks_make_a_message_and_nothing_else_does() {
        let datagrams = [chunk(0, 2, b"{\"a\""), b"{}".to_vec(), chunk(1, 2, b":1}")];
        let messages = messages_of(&datagrams).unwrap();
        assert_eq!(messages[0].json, b"{}");
        assert_eq!(
            (&messages[1].json[..], &messages[1].datagrams[..]),
            (&b"{\"a\":1}"[..], &[16, 15][..])
        );
        for bad in [
            vec![chunk(0, 2, b"")],
            vec![chunk(1, 2, b"")],
            vec![chunk(0, 2, b""), chunk(0, 2, b"")],
            vec![chunk(0, 129, b"")],
            vec![vec![0x1e, 0x0f, 1]],
            vec![vec![0x1f, 0x8b, 1]],
        ] {
            assert!(messages_of(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_stream_ends_its_messages_with_zeros() {
        let messages = messages_in(b"{}\0{\"a\":1}\0{\"unfi");
        assert_eq!(
            messages.iter().map(|m| &m.json[..]).collect::<Vec<_>>(),
            [&b"{}"[..], b"{\"a\":1}"]
        );
    }
}
