// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The logger with an allocator that aborts when the reader allocates after its start.
//!
//! The start ends with the fork of the first sender: from then on the parent is frozen, each child is not. What the
//! logger itself is, is untouched; only the allocator beneath it is another. Freeing is allowed.

#![expect(unsafe_code, reason = "an allocator and the handlers of a fork have no safe form")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

struct Freezing;

/// Whether this process may not allocate any more.
static FROZEN: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Freezing = Freezing;

fn check() {
    if FROZEN.load(Ordering::Relaxed) {
        // SAFETY: ends the process, and does not allocate.
        unsafe { libc::abort() }
    }
}

// SAFETY: everything is the system allocator's, but for the end of the process.
unsafe impl GlobalAlloc for Freezing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        check();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

extern "C" fn freeze() {
    FROZEN.store(true, Ordering::Relaxed);
}

extern "C" fn thaw() {
    FROZEN.store(false, Ordering::Relaxed);
}

fn main() -> ExitCode {
    // SAFETY: both handlers only store an atomic.
    unsafe { libc::pthread_atfork(None, Some(freeze), Some(thaw)) };
    let mut args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let argv0 = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    dockerlogger::command::run(&argv0, &args, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })
}
