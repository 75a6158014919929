// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A clock that is wrong: a library that the agent is started with, built by the C compiler that builds ring anyway.

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// An hour after midnight on the first of January, in seconds since 1970.
pub const IN_1970: u64 = 3600;
/// The same in 2100.
pub const IN_2100: u64 = 4_102_448_400;

/// The library; it goes away when this is dropped.
#[derive(Debug)]
pub struct WrongClock {
    folder: TempDir,
}

impl WrongClock {
    /// Builds it; `None` where that cannot be done.
    pub fn build() -> Option<WrongClock> {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            return None;
        }
        let clock = WrongClock { folder: tempfile::tempdir().ok()? };
        let source = clock.folder.path().join("shift.c");
        std::fs::write(&source, include_str!("clock/shift.c")).ok()?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(clock.library()).arg(&source);
        compiler.status().is_ok_and(|status| status.success()).then_some(clock)
    }

    /// The environment of a program whose clock says `seconds` since 1970 now, and goes on from there.
    pub fn at(&self, seconds: u64) -> Vec<(String, String)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        let shift = i128::from(seconds) - i128::from(now);
        vec![
            ("LD_PRELOAD".to_owned(), self.library().display().to_string()),
            ("CLOCK_SHIFT_SECS".to_owned(), shift.to_string()),
        ]
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("shift.so")
    }
}

/// As many days from now, in seconds since 1970.
pub fn in_days(days: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    now + days * 24 * 3600
}
