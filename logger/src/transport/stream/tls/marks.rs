// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! From positions on the wire back to positions in what was encrypted. Pure.

use std::collections::VecDeque;

/// Where records end, both ways of counting.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: VecDeque<Mark>,
    /// Bytes encrypted.
    plain: u64,
    /// Of those, how many the peer has.
    arrived: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    on_wire: u64,
    plain: u64,
}

impl Marks {
    /// `len` more bytes were encrypted; they end at `on_wire`.
    pub(super) fn push(&mut self, on_wire: u64, len: usize) {
        self.plain += len as u64;
        let mark = Mark { on_wire, plain: self.plain };
        if self.marks.len() >= MARKS_MAX {
            // Two records become one, which arrives when the later does.
            self.marks.pop_back();
        }
        self.marks.push_back(mark);
    }

    /// The peer has everything before `on_wire`: how many of the last bytes it
    /// cannot decrypt yet.
    pub(super) fn behind(&mut self, on_wire: u64) -> u64 {
        while let Some(mark) = self.marks.front().filter(|mark| mark.on_wire <= on_wire) {
            self.arrived = mark.plain;
            self.marks.pop_front();
        }
        self.plain - self.arrived
    }
}

/// Records that are told apart: more than what fits into the kernel's buffer has
/// when they are full.
const MARKS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_arrives_as_a_whole() {
        let mut marks = Marks::default();
        marks.push(122, 100);
        marks.push(244, 100);
        let behind = [0, 121, 122, 243, 244, 300].map(|on_wire| marks.behind(on_wire));
        assert_eq!(behind, [200, 200, 100, 100, 0, 0]);
    }

    #[test]
    fn many_small_records_take_little_memory_and_arrive_late_rather_than_early() {
        let mut marks = Marks::default();
        for record in 1..=1000 {
            marks.push(record * 23, 1);
        }
        assert_eq!(marks.marks.len(), MARKS_MAX);
        assert_eq!(marks.behind(63 * 23), 1000 - 63);
        assert_eq!(marks.behind(999 * 23), 1000 - 63);
        assert_eq!(marks.behind(1000 * 23), 0);
    }
}
