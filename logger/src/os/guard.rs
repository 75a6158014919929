// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Surviving the loss of a mapped file.
//!
//! Ring and status page may be files of the container's zone, whose root can cut
//! them short. The next store into a page that is gone is a SIGBUS, and a reader
//! that dies of it takes the container along. So the page is replaced by an empty
//! one in memory: what was in it is lost, and what is written there is seen by
//! this process alone, but the container runs.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Start and end of each guarded mapping; 0: none.
static GUARDED: [[AtomicUsize; 2]; PLACES] =
    [const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; PLACES];

/// Ring and page.
const PLACES: usize = 2;

const PAGE: usize = 4096;

/// Guards `len` bytes from the address `start`, in the place number `n` (0 or 1).
/// They must stay mapped, or be given up with a length of 0.
pub(crate) fn guard(n: usize, start: usize, len: usize) {
    let Some([from, to]) = GUARDED.get(n) else { return };
    from.store(start, Ordering::Relaxed);
    to.store(start + len, Ordering::Relaxed);
    // SAFETY: a zeroed sigaction is valid: empty mask, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler = replace as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler makes one system call and touches no lock or memory.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) };
}

extern "C" fn replace(
    _signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a whole structure, and this is a SIGBUS.
    let address = unsafe { (*info).si_addr() } as usize;
    let ours = |[from, to]: &[AtomicUsize; 2]| {
        (from.load(Ordering::Relaxed)..to.load(Ordering::Relaxed)).contains(&address)
    };
    let replaced = GUARDED.iter().any(ours) && {
        let page = (address & !(PAGE - 1)) as *mut libc::c_void;
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANON;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: takes the place of a page of ours whose content is gone; zeros
        // are valid there, as they were when the mapping was made.
        let at = unsafe { libc::mmap(page, PAGE, access, flags, -1, 0) };
        at == page
    };
    if !replaced {
        super::last_words::say_crashed(libc::SIGBUS);
        // The instruction runs again, and ends us as it would have.
        // SAFETY: takes numbers only.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    }
}
