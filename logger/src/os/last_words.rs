// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The last words of a process: one store into its status page, of why it ends.
//!
//! Whoever watches from outside sees a process go and not why. So an orderly end
//! is said as the very last thing, and a fault is said by the handler of its
//! signal, which then has its effect as if it were not handled.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use dockerlogger_manifest::status::Life;

/// Where they go; null: nowhere.
static PLACE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The signals of faults. SIGBUS has a handler of its own.
const FAULTS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGABRT, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// This process has a place for last words, for as long as this lives.
#[derive(Debug)]
pub(crate) struct LastWords<'a>(PhantomData<&'a AtomicU32>);

impl<'a> LastWords<'a> {
    /// From now on faults are said in `place`.
    pub(crate) fn new(place: &'a AtomicU32) -> Self {
        PLACE.store(ptr::from_ref(place).cast_mut(), Ordering::Relaxed);
        // SAFETY: a zeroed sigaction is valid: empty mask, no flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = fault as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // On the stack for signals, which the standard library has made: ours may
        // be what ran out.
        action.sa_flags = libc::SA_ONSTACK;
        for signal in FAULTS {
            // SAFETY: the handler stores one atomic and makes two system calls.
            unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        }
        Self(PhantomData)
    }

    /// The end.
    pub(crate) fn say(self, life: Life) {
        say(life);
    }
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        forget();
    }
}

/// In a forked child: the words are its parent's.
pub(crate) fn forget() {
    PLACE.store(ptr::null_mut(), Ordering::Relaxed);
}

/// Of a signal that ends this process.
pub(super) fn say_crashed(signal: libc::c_int) {
    say(Life::Crashed { signal: u16::try_from(signal).unwrap_or(0) });
}

fn say(life: Life) {
    let place = PLACE.load(Ordering::Relaxed);
    // SAFETY: null, or borrowed by a `LastWords` that has not been dropped.
    if let Some(place) = unsafe { place.as_ref() } {
        place.store(life.code(), Ordering::Relaxed);
    }
}

extern "C" fn fault(signal: libc::c_int) {
    say_crashed(signal);
    // SAFETY: take numbers only. The signal is blocked until the handler is done.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
