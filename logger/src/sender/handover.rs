// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Lets go of the spool of a reader that is dead when a new logger wants it, even
//! while the sender waits for a name, a connection or a handshake.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::os;

/// Does `work` while a second thread looks whether the reader is gone, which is
/// the end of the pipe `wake`, and `wanted` is set. Then it gives `work` a moment
/// to see that for itself, and ends the process: what was not committed by then,
/// the new logger sends.
pub(super) fn watched<T>(wanted: &AtomicU32, wake: RawFd, work: impl FnOnce() -> T) -> T {
    let Ok((over, running)) = os::pipe() else { return work() };
    thread::scope(|scope| {
        let over = over.as_raw_fd();
        let watch = move || {
            if wait_for_reader(wake, over) && wait_for_wanted(wanted, over) {
                os::exit_now(1);
            }
        };
        // Where no thread can be had, the new logger may have to do without a spool.
        let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, watch);
        // Ends the watch, however the work ends.
        let _running = running;
        work()
    })
}

/// True when the reader is gone, false when the work is over.
fn wait_for_reader(wake: RawFd, over: RawFd) -> bool {
    loop {
        let mut fds = [os::interest(wake, 0), os::interest(over, 0)];
        if os::poll(&mut fds, None).is_err() {
            return false;
        }
        if fds[1].revents != 0 {
            return false;
        }
        if fds[0].revents != 0 {
            return true;
        }
    }
}

/// True when a new logger has waited for a moment, false when the work is over.
fn wait_for_wanted(wanted: &AtomicU32, over: RawFd) -> bool {
    let is_over = |pause| {
        let mut fds = [os::interest(over, 0)];
        !matches!(os::poll(&mut fds, Some(pause)), Ok(0))
    };
    while wanted.load(Ordering::Relaxed) == 0 {
        if is_over(LOOK_EVERY) {
            return false;
        }
    }
    !is_over(GRACE)
}

/// After the reader's death: how often to look whether a new logger waits.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a sender that is not held up has to end by itself, which it does
/// after its next look.
const GRACE: Duration = Duration::from_millis(100);

/// The watch needs little.
const STACK_BYTES: usize = 64 << 10;
