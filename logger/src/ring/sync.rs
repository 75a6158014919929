// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The atomics of the hand-off: the processor's own, or loom's in a build with
//! `--cfg loom`, which runs through every order in which two threads can see
//! each other's stores.

#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, fence};

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(loom)]
pub(super) use model::fence;

pub(super) use std::sync::atomic::Ordering;

/// What the model may leave out, to see that it would notice.
#[cfg(loom)]
pub(super) mod model {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;

    thread_local! {
        static WITHOUT_FENCES: Cell<bool> = const { Cell::new(false) };
    }

    /// loom's fence, unless this run is one without.
    pub(in crate::ring) fn fence(ordering: Ordering) {
        if !WITHOUT_FENCES.get() {
            loom::sync::atomic::fence(ordering);
        }
    }

    /// From here on, this thread's models have no fences.
    #[cfg(test)]
    pub(in crate::ring) fn leave_fences_out() {
        WITHOUT_FENCES.set(true);
    }
}
