// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! How long to wait before trying again: doubling, with jitter. Pure.

/// Delays between attempts, with jitter.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    delays: Delays,
    failures: u32,
    /// State of the jitter; never zero.
    random: u64,
}

/// Delays that double from `first_ns` to `short_ns`, stay there for as many
/// failures as a short outage has, and double on from there to `long_ns`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delays {
    pub(crate) first_ns: u64,
    pub(crate) short_ns: u64,
    pub(crate) short_failures: u32,
    pub(crate) long_ns: u64,
}

impl Delays {
    /// Between attempts to reach a sink. One that comes back within minutes is
    /// found at once, because what it missed waits in little memory; one that
    /// stays away is not pestered by every container there is.
    pub(crate) const SINK: Self = Self {
        first_ns: 50_000_000,
        short_ns: 200_000_000,
        short_failures: 1200,
        long_ns: 5_000_000_000,
    };

    fn step_ns(&self, failures: u32) -> u64 {
        let (from_ns, to_ns, doublings) = match failures.checked_sub(self.short_failures) {
            None => (self.first_ns, self.short_ns, failures),
            Some(more) => (self.short_ns, self.long_ns, more),
        };
        // Beyond a few doublings it is the largest anyway.
        (from_ns << doublings.min(16)).min(to_ns)
    }
}

impl Backoff {
    /// `seed` makes two loggers that lose the same sink come back apart.
    pub(crate) const fn new(delays: Delays, seed: u64) -> Self {
        Self { delays, failures: 0, random: seed | 1 }
    }

    /// The delay after one more failure: between half of the step and all of it.
    pub(crate) fn next_ns(&mut self) -> u64 {
        let step = self.delays.step_ns(self.failures);
        self.failures = self.failures.saturating_add(1);
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        step / 2 + self.random % (step / 2 + 1)
    }

    /// It worked: the next failure starts over.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays =
        Delays { first_ns: 100, short_ns: 400, short_failures: 5, long_ns: 3000 };

    #[test]
    fn short_then_long_then_over_again() {
        let mut backoff = Backoff::new(DELAYS, 7);
        for step in [100, 200, 400, 400, 400, 400, 800, 1600, 3000, 3000] {
            let delay = backoff.next_ns();
            assert!((step / 2..=step).contains(&delay), "{delay} of {step}");
        }
        backoff.reset();
        assert!(backoff.next_ns() <= 100);
    }

    #[test]
    fn steps_never_fall() {
        for failures in 0..3000 {
            let steps = [failures, failures + 1].map(|failures| Delays::SINK.step_ns(failures));
            assert!(steps.is_sorted(), "{steps:?} after {failures}");
        }
        assert_eq!(Delays::SINK.step_ns(u32::MAX), 5_000_000_000);
    }
}
