// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Markers that wait for room in the ring. Pure, and allocates nothing.

use super::{DropCause, Gap};
use crate::record::Stream;

/// What the next entries have to say before any other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// How many markers there are.
    count: usize,
    /// What was dropped of each stream since its last marker, by cause.
    gaps: [[Option<Gap>; DropCause::COUNT]; 2],
    /// Another run began at this time.
    break_ns: Option<u64>,
}

impl Due {
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// More was dropped: one marker says all that one cause has cost a stream.
    pub(super) fn add_gap(&mut self, stream: Stream, more: Gap) {
        let gap = &mut self.gaps[stream.index()][more.cause.index()];
        match gap {
            Some(gap) => {
                gap.lines += more.lines;
                gap.bytes += more.bytes;
                gap.last_ns = more.last_ns;
            }
            None => {
                *gap = Some(more);
                self.count += 1;
            }
        }
    }

    /// The marker of what was dropped first.
    pub(super) fn first_gap(&self) -> Option<(Stream, Gap)> {
        let gaps = Stream::BOTH.into_iter().zip(&self.gaps);
        let gaps = gaps.flat_map(|(stream, gaps)| gaps.iter().map(move |gap| (stream, *gap)));
        gaps.filter_map(|(stream, gap)| Some((stream, gap?))).min_by_key(|(_, gap)| gap.first_ns)
    }

    /// That marker is in the ring.
    pub(super) fn forget_gap(&mut self, stream: Stream, cause: DropCause) {
        if self.gaps[stream.index()][cause.index()].take().is_some() {
            self.count -= 1;
        }
    }

    /// What comes next, another run of the container wrote.
    pub(super) fn add_break(&mut self, time_ns: u64) {
        if self.break_ns.replace(time_ns).is_none() {
            self.count += 1;
        }
    }

    /// When the run began that is not announced.
    pub(super) const fn break_ns(&self) -> Option<u64> {
        self.break_ns
    }

    /// It is now.
    pub(super) fn forget_break(&mut self) {
        if self.break_ns.take().is_some() {
            self.count -= 1;
        }
    }
}
