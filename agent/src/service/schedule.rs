// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! When the source is asked next.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::backoff::doubled;
use crate::random::jittered;

/// The first pause after a temporary failure; it doubles with each one that follows.
const BACK_OFF_START: Duration = Duration::from_secs(30);

/// The schedule of polls: at once at start, then every interval ± 25 %; after temporary failures
/// sooner, with pauses that grow from 30 s to the interval.
#[derive(Debug)]
pub(super) struct Polls {
    interval: Duration,
    /// Temporary failures in a row; any other result resets it.
    failures: u32,
    next: Instant,
    next_at: Option<Timestamp>,
}

impl Polls {
    pub(super) fn new(interval: Duration) -> Polls {
        Polls { interval, failures: 0, next: Instant::now(), next_at: None }
    }

    /// Waits until a poll is due.
    pub(super) async fn due(&self) {
        tokio::time::sleep_until(self.next).await;
    }

    /// A poll ended: plans the next one.
    pub(super) fn done(&mut self, temporary_failure: bool) {
        self.failures = if temporary_failure { self.failures.saturating_add(1) } else { 0 };
        let pause = jittered(mean_pause(self.failures, self.interval));
        self.next = Instant::now() + pause;
        self.next_at = SignedDuration::try_from(pause)
            .ok()
            .and_then(|pause| Timestamp::now().checked_add(pause).ok());
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.next_at
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

/// The pause before the next poll, jitter apart. Pure.
fn mean_pause(failures: u32, interval: Duration) -> Duration {
    failures.checked_sub(1).map_or(interval, |times| doubled(BACK_OFF_START, times, interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_the_interval_and_never_beyond() {
        let cases = [
            (0, 300, 300),
            (1, 300, 30),
            (2, 300, 60),
            (3, 300, 120),
            (4, 300, 240),
            (5, 300, 300),
            (31, 300, 300),
            (32, 300, 300),
            (u32::MAX, 300, 300),
            // An interval below the first pause is kept: the operator asked for it.
            (1, 1, 1),
            (9, 1, 1),
        ];
        for (failures, interval, expected) in cases {
            let interval = Duration::from_secs(interval);
            assert_eq!(mean_pause(failures, interval), Duration::from_secs(expected), "{failures}");
        }
    }

    #[test]
    fn a_success_and_a_refusal_reset_the_back_off() {
        let mut polls = Polls::new(Duration::from_secs(300));
        assert!(polls.next <= Instant::now(), "the first poll is due at once");
        polls.done(true);
        polls.done(true);
        assert_eq!(polls.failures(), 2);
        assert!(polls.next_at().is_some());
        polls.done(false);
        assert_eq!(polls.failures(), 0);
    }
}
