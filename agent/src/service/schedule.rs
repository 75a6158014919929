// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! When the source is asked next.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::backoff::doubled;
use crate::random::{jittered, part_of};

/// The first pause after a temporary failure; it doubles with each one that follows.
const BACK_OFF_START: Duration = Duration::from_secs(30);

/// One poll in so many begins with another than the first of several sources.
const ROUND: u64 = 12;

/// The first poll comes within this part of the interval after the start, and within
/// [`START_PAUSE_MAX`]: nodes that get their power back together do not ask together.
const START_PART: u32 = 10;

/// The longest pause before the first poll.
const START_PAUSE_MAX: Duration = Duration::from_secs(60);

/// The schedule of polls: soon after the start, then every interval ± 25 %; after temporary failures
/// sooner, with pauses that grow from 30 s to the interval.
#[derive(Debug)]
pub(super) struct Polls {
    interval: Duration,
    /// Temporary failures in a row; any other result resets it.
    failures: u32,
    /// Polls so far.
    polls: u64,
    next: Instant,
    next_at: Option<Timestamp>,
}

impl Polls {
    /// `wanting`: the node lacks a release that may run, and its first poll is due at once.
    pub(super) fn new(interval: Duration, wanting: bool) -> Polls {
        let (failures, polls, next, next_at) = (0, 0, Instant::now(), None);
        let mut new = Polls { interval, failures, polls, next, next_at };
        new.wait(if wanting { Duration::ZERO } else { part_of(longest_start_pause(interval)) });
        new
    }

    /// Waits until a poll is due.
    pub(super) async fn due(&self) {
        tokio::time::sleep_until(self.next).await;
    }

    /// Which of so many sources the next poll begins with.
    pub(super) fn first_of(&self, sources: usize) -> usize {
        first_of(self.polls, sources)
    }

    /// A poll ended: plans the next one.
    pub(super) fn done(&mut self, temporary_failure: bool) {
        self.polls = self.polls.saturating_add(1);
        self.failures = if temporary_failure { self.failures.saturating_add(1) } else { 0 };
        self.wait(jittered(mean_pause(self.failures, self.interval)));
    }

    fn wait(&mut self, pause: Duration) {
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

/// Which source is asked first: the first, and now and then each of the others. A
/// source that stands still verifies until its metadata expires, and the others would
/// not be asked meanwhile. Pure.
fn first_of(poll: u64, sources: usize) -> usize {
    let others = u64::try_from(sources).unwrap_or(0).saturating_sub(1);
    if others == 0 || poll % ROUND != ROUND - 1 {
        return 0;
    }
    usize::try_from(1 + poll / ROUND % others).unwrap_or(0)
}

/// The bound of the random pause before the first poll. Pure.
fn longest_start_pause(interval: Duration) -> Duration {
    (interval / START_PART).min(START_PAUSE_MAX)
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
    fn each_of_several_sources_is_asked_first_at_times() {
        assert!((0..100).all(|poll| first_of(poll, 0) == 0 && first_of(poll, 1) == 0));
        let others = |sources| {
            let first = (0..60).map(|poll| (poll, first_of(poll, sources)));
            first.filter(|(_, first)| *first > 0).collect::<Vec<_>>()
        };
        assert_eq!(others(2), [(11, 1), (23, 1), (35, 1), (47, 1), (59, 1)]);
        assert_eq!(others(4), [(11, 1), (23, 2), (35, 3), (47, 1), (59, 2)]);
        let mut polls = Polls::new(Duration::from_secs(300), false);
        let asked: Vec<_> = (0..12).map(|_| (polls.first_of(2), polls.done(false)).0).collect();
        assert_eq!(asked, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn first_polls_are_spread_unless_a_release_is_wanting() {
        let cases = [(1_000, 100), (300_000, 30_000), (600_000, 60_000), (86_400_000, 60_000)];
        for (interval, longest) in cases {
            let (interval, longest) =
                (Duration::from_millis(interval), Duration::from_millis(longest));
            assert_eq!(longest_start_pause(interval), longest);
            let begin = Instant::now();
            let first: Vec<_> = (0..200).map(|_| Polls::new(interval, false).next).collect();
            let end = Instant::now();
            assert!(first.iter().all(|next| (begin..=end + longest).contains(next)));
            let late = |part| first.iter().filter(|next| **next > end + longest / part).count();
            assert!(late(4) > 0 && late(2) < 200, "{} {}", late(4), late(2));
            let polls = Polls::new(interval, true);
            assert!(polls.next <= Instant::now(), "a node without a release waits for nothing");
        }
    }

    #[test]
    fn a_success_and_a_refusal_reset_the_back_off() {
        let mut polls = Polls::new(Duration::from_secs(300), false);
        polls.done(true);
        polls.done(true);
        assert_eq!(polls.failures(), 2);
        assert!(polls.next_at().is_some());
        polls.done(false);
        assert_eq!(polls.failures(), 0);
    }
}
