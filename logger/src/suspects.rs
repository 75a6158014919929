// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Records that kill senders. Pure.
//!
//! A sender says in the ring's header which record it is at work on. The reader
//! notes where a sender died; the third death in a row at one record sets that
//! record aside: the senders that follow leave it out, count it and put a marker
//! in its place. A sender that dies elsewhere, or while it waits, is no record's
//! fault.
//!
//! Until then each new sender first waits until the sink has taken everything
//! before the entry of the last death, so that one bad record holds back nothing
//! that came before it.

/// A record of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spot {
    /// Of the entry.
    pub(crate) position: u64,
    /// Of the record's first byte in the entry, or one of the two below.
    pub(crate) offset: u64,
}

impl Spot {
    /// The tail that is flushed before `position`, of the stream with this index.
    pub(crate) const fn tail(position: u64, stream: usize) -> Self {
        Self { position, offset: u64::MAX - stream as u64 }
    }
}

/// What to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is known against it.
    Send,
    /// Leave it out.
    LeaveOut,
    /// Leave out the rest of the entry: too many of its records were bad.
    LeaveOutRest,
}

/// What the reader knows of the deaths of senders. A sender inherits it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Suspects {
    last: Option<Spot>,
    deaths: u32,
    /// The records set aside; the first `aside_len` count.
    aside: [Spot; ASIDE_MAX],
    aside_len: usize,
}

impl Suspects {
    /// A sender died at work on `spot`, or at none; everything before `tail` is
    /// delivered. True if that set the record aside.
    pub(crate) fn note_death(&mut self, spot: Option<Spot>, tail: u64) -> bool {
        self.forget_before(tail);
        let Some(spot) = spot else { return false };
        self.deaths = if self.last == Some(spot) { self.deaths + 1 } else { 1 };
        self.last = Some(spot);
        if self.deaths < DEATHS {
            return false;
        }
        // Without a free place, this is in the last one already or takes it.
        let place = self.aside_len.min(ASIDE_MAX - 1);
        self.aside[place] = spot;
        self.aside_len = place + 1;
        self.last = None;
        true
    }

    fn forget_before(&mut self, tail: u64) {
        let mut kept = 0;
        for n in 0..self.aside_len {
            if self.aside[n].position >= tail {
                self.aside[kept] = self.aside[n];
                kept += 1;
            }
        }
        self.aside_len = kept;
    }

    /// What to do with the record at `spot`.
    pub(crate) fn verdict(&self, spot: Spot) -> Verdict {
        match self.aside[..self.aside_len].iter().position(|aside| *aside == spot) {
            None => Verdict::Send,
            Some(n) if n < ASIDE_MAX - 1 => Verdict::LeaveOut,
            Some(_) => Verdict::LeaveOutRest,
        }
    }

    /// The entry that is not to be entered before all others are taken.
    pub(crate) fn gate(&self) -> Option<u64> {
        self.last.map(|spot| spot.position)
    }
}

/// So many deaths in a row at one record set it aside.
const DEATHS: u32 = 3;

/// Records set aside at one time.
const ASIDE_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(position: u64, offset: u64) -> Spot {
        Spot { position, offset }
    }

    #[test]
    fn the_third_death_at_one_record_sets_it_aside() {
        let mut suspects = Suspects::default();
        let bad = spot(100, 7);
        for _ in 0..2 {
            suspects.note_death(Some(bad), 0);
            assert_eq!((suspects.verdict(bad), suspects.gate()), (Verdict::Send, Some(100)));
            // Killed while it waited: says nothing.
            suspects.note_death(None, 50);
        }
        assert!(suspects.note_death(Some(bad), 100));
        assert_eq!((suspects.verdict(bad), suspects.gate()), (Verdict::LeaveOut, None));
        assert_eq!(suspects.verdict(spot(100, 8)), Verdict::Send);
        // Forgotten once it is behind the tail.
        suspects.note_death(None, 101);
        assert_eq!(suspects.verdict(bad), Verdict::Send);
    }

    #[test]
    fn deaths_at_different_records_do_not_add_up() {
        let mut suspects = Suspects::default();
        for n in 0..20 {
            suspects.note_death(Some(spot(n % 2, 0)), 0);
        }
        assert!((0..2).all(|n| suspects.verdict(spot(n, 0)) == Verdict::Send));
    }

    #[test]
    fn an_entry_of_nothing_but_bad_records_is_left_out() {
        let mut suspects = Suspects::default();
        let mut offset = 0;
        let mut rest = false;
        while !rest {
            assert!(offset < 100, "no end");
            for _ in 0..DEATHS {
                suspects.note_death(Some(spot(0, offset)), 0);
            }
            rest = suspects.verdict(spot(0, offset)) == Verdict::LeaveOutRest;
            offset += 1;
        }
        assert_eq!(offset, ASIDE_MAX as u64);
    }
}
