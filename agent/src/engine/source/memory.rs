// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What sources said before, so that a poll of a source that stands still costs
//! two small requests. Everything taken from here is verified like what comes
//! over the network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Answers that are remembered, at most.
const ENTRIES_MAX: usize = 32;

/// Bytes that are remembered, at most.
const BYTES_MAX: usize = 1 << 20;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The validator it came with.
    pub(crate) etag: Option<String>,
    /// The file; none: there is no such file.
    pub(crate) content: Option<Vec<u8>>,
}

/// The memory of one engine. Cheap to clone: clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<BTreeMap<String, Remembered>>>);

impl Memory {
    pub(crate) fn get(&self, key: &str) -> Option<Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Remembers; forgets everything else when that is too much.
    pub(crate) fn put(&self, key: &str, answer: Remembered) {
        let size = |answer: &Remembered| answer.content.as_ref().map_or(0, Vec::len);
        if size(&answer) > BYTES_MAX / 2 {
            return;
        }
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: usize = answers.values().map(size).sum();
        if answers.len() >= ENTRIES_MAX || bytes + size(&answer) > BYTES_MAX {
            answers.clear();
        }
        answers.insert(key.to_owned(), answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let memory = Memory::default();
        let answer = |length: usize| Remembered { etag: None, content: Some(vec![b' '; length]) };
        memory.put("huge", answer(BYTES_MAX));
        assert_eq!(memory.get("huge"), None);
        for number in 0..10 * ENTRIES_MAX {
            memory.put(&number.to_string(), answer(100 << 10));
            let known = memory.0.lock().unwrap();
            assert!(known.len() <= ENTRIES_MAX && known.len() * (100 << 10) <= BYTES_MAX);
        }
    }
}
