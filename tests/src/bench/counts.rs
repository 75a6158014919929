// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What has arrived at a sink.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::until::try_until;

/// Lines and bytes so far, and when the last of them came.
#[derive(Debug)]
pub struct Counts {
    started: Instant,
    lines: AtomicU64,
    bytes: AtomicU64,
    /// In nanoseconds since `started`.
    last_ns: AtomicU64,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            started: Instant::now(),
            lines: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
        }
    }
}

impl Counts {
    /// More has arrived, just now.
    pub fn add(&self, lines: usize, bytes: usize) {
        self.lines.fetch_add(lines as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last_ns.store(now, Ordering::Relaxed);
    }

    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// When the last bytes arrived.
    pub fn last_arrival(&self) -> Instant {
        self.started + Duration::from_nanos(self.last_ns.load(Ordering::Relaxed))
    }

    /// Waits for so many lines; gives up, with what there is, when nothing has come for `patience`.
    pub fn wait_for_lines(&self, lines: u64, patience: Duration) -> u64 {
        let bytes = || self.bytes.load(Ordering::Relaxed);
        let mut seen = bytes();
        let mut progress = Instant::now();
        let limit = Duration::from_secs(600);
        let _ = try_until(limit, || {
            if bytes() != seen {
                (seen, progress) = (bytes(), Instant::now());
            }
            let over = self.lines() >= lines || progress.elapsed() > patience;
            if over { Ok(()) } else { Err(()) }
        });
        self.lines()
    }
}
