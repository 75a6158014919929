// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Waiting for a condition: polled, with a deadline, and with the last thing seen in the message.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// The deadline of a wait that should be over in well under a second: generous, so that only a fault reaches it.
pub const SOON: Duration = Duration::from_secs(20);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(3);

/// Looks until `look` gives `Ok`; the value of the last `Err` is in the panic message.
///
/// # Panics
/// When the limit is reached.
#[track_caller]
pub fn until<T, E: Debug>(what: &str, limit: Duration, look: impl FnMut() -> Result<T, E>) -> T {
    try_until(limit, look)
        .unwrap_or_else(|seen| panic!("waited {limit:?} in vain for {what}; last seen: {seen:?}"))
}

/// Looks until `look` gives `Ok`, or the limit is reached.
///
/// # Errors
/// What was seen last.
pub fn try_until<T, E>(limit: Duration, mut look: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if Instant::now() >= deadline => return Err(seen),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Looks until `state` satisfies `wanted`, and returns it.
///
/// # Panics
/// When the limit is reached.
#[track_caller]
pub fn until_state<T: Debug>(
    what: &str,
    limit: Duration,
    mut state: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    until(what, limit, || {
        let state = state();
        if wanted(&state) { Ok(state) } else { Err(state) }
    })
}
