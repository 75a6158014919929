// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Asking again: a few times, after pauses that double and vary.

use std::time::Duration;

use crate::backoff::doubled;
use crate::engine::Limits;
use crate::engine::error::FetchError;

/// The longest pause, jitter apart.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// So many bytes since the last break make a transfer one that goes well: it
/// gets all its retries back.
const PROGRESS_BYTES: u64 = 1 << 20;

/// The retries of one file.
#[derive(Debug)]
pub(super) struct Retries {
    allowed: u32,
    used: u32,
    pause: Duration,
}

impl Retries {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { allowed: limits.retries, used: 0, pause: limits.retry_pause }
    }

    /// So much came since the last retry.
    pub(super) fn progressed(&mut self, bytes: u64) {
        if bytes >= PROGRESS_BYTES {
            self.used = 0;
        }
    }

    /// Waits until it is time to try again, or gives the error back.
    pub(super) async fn after(&mut self, error: FetchError) -> Result<(), FetchError> {
        if !is_worth_it(&error) || self.used >= self.allowed {
            return Err(error);
        }
        let pause = mean_pause(self.pause, self.used);
        self.used += 1;
        tracing::debug!(attempt = self.used, error = %error, "asking the source again");
        tokio::time::sleep(crate::random::jittered(pause)).await;
        Ok(())
    }
}

/// The pause after so many retries, jitter apart. Pure.
fn mean_pause(first: Duration, used: u32) -> Duration {
    doubled(first, used, PAUSE_MAX)
}

/// Whether a moment may change the answer. Silence and slowness have cost their
/// time already.
fn is_worth_it(error: &FetchError) -> bool {
    match error {
        FetchError::Network(error) => !error.is_redirect() && !error.is_timeout(),
        FetchError::Tunnel(_) => true,
        FetchError::Truncated { network, .. } => *network,
        FetchError::Status { status } => matches!(status, 429 | 500 | 502..=504),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn retries_end_unless_something_comes() {
        let limits =
            Limits { retries: 2, retry_pause: Duration::from_millis(1), ..Limits::default() };
        let mut retries = Retries::new(&limits);
        let busy = || FetchError::Status { status: 503 };
        for round in 0..3 {
            retries.after(busy()).await.unwrap();
            retries.after(busy()).await.unwrap();
            assert!(retries.after(busy()).await.is_err(), "round {round}");
            retries.progressed(PROGRESS_BYTES - 1);
            assert!(retries.after(busy()).await.is_err(), "round {round}");
            retries.progressed(PROGRESS_BYTES);
        }
        for lost in [FetchError::NotFound, FetchError::NoAnswer { secs: 1 }] {
            assert!(Retries::new(&limits).after(lost).await.is_err());
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pauses = |used| mean_pause(Duration::from_millis(250), used).as_millis();
        assert_eq!([0, 1, 2, 4, 5, 40].map(pauses), [250, 500, 1000, 4000, 5000, 5000]);
    }
}
