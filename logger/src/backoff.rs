// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! How long to wait before trying again: doubling, with jitter. Pure.

/// Delays that double from `first_ns` to `cap_ns` until they are reset.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first_ns: u64,
    cap_ns: u64,
    failures: u32,
    /// State of the jitter; never zero.
    random: u64,
}

impl Backoff {
    /// `seed` makes two loggers that lose the same sink come back apart.
    pub(crate) const fn new(first_ns: u64, cap_ns: u64, seed: u64) -> Self {
        Self { first_ns, cap_ns, failures: 0, random: seed | 1 }
    }

    /// The delay after one more failure: between half of the step and all of it.
    pub(crate) fn next_ns(&mut self) -> u64 {
        let doubled = 1_u64.checked_shl(self.failures.min(32)).unwrap_or(u64::MAX);
        let step = self.first_ns.saturating_mul(doubled).min(self.cap_ns);
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

    #[test]
    fn doubles_to_the_cap_and_starts_over() {
        let mut backoff = Backoff::new(100, 1000, 7);
        for step in [100, 200, 400, 800, 1000, 1000] {
            let delay = backoff.next_ns();
            assert!((step / 2..=step).contains(&delay), "{delay} of {step}");
        }
        backoff.reset();
        assert!(backoff.next_ns() <= 100);
        for _ in 0..100 {
            backoff.next_ns();
        }
        assert!(backoff.next_ns() <= 1000);
    }
}
