// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Two threads that hand each other work, kept on two processors.
//!
//! Linux wakes a thread where it ran last. Where there are few processors it does
//! not look for an idle one, nor move what ran a moment ago: two threads that a
//! third one has driven together share one processor for up to 20 ms while the
//! other has nothing to do. Elsewhere this does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where one of the two runs. Each has a clone.
#[derive(Debug, Clone)]
pub(crate) struct Apart(Arc<AtomicUsize>);

impl Apart {
    /// The calling thread is the one that stays.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(os::processor())))
    }

    /// The calling thread is still the one that stays. Some 20 ns.
    pub(crate) fn stay(&self) {
        self.0.store(os::processor(), Ordering::Relaxed);
    }

    /// Leaves the processor of the other thread, if this one is on it too and may
    /// run on another. It is bound to none afterwards. Otherwise some 20 ns.
    pub(crate) fn step_aside(&self) {
        let taken = self.0.load(Ordering::Relaxed);
        if os::processor() == taken {
            os::leave(taken);
        }
    }
}

#[cfg(target_os = "linux")]
mod os {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    pub(super) fn processor() -> usize {
        sched_getcpu()
    }

    /// Nothing is lost if it does not work: it is a matter of speed.
    pub(super) fn leave(processor: usize) {
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let mut others = allowed;
        if processor < CpuSet::MAX_CPU {
            others.unset(processor);
        }
        if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
            let _ = sched_setaffinity(None, &allowed);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    pub(super) fn processor() -> usize {
        0
    }

    pub(super) fn leave(_: usize) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::*;

    #[test]
    fn a_thread_steps_aside_and_is_bound_to_nothing() {
        let allowed = sched_getaffinity(None).unwrap();
        for taken in (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)) {
            let mut only = CpuSet::new();
            only.set(taken);
            sched_setaffinity(None, &only).unwrap();
            let apart = Apart::new();
            // There is no other that it may use.
            apart.step_aside();
            assert_eq!(sched_getaffinity(None).unwrap(), only);
            sched_setaffinity(None, &allowed).unwrap();
            apart.step_aside();
            assert!(allowed.count() == 1 || os::processor() != taken);
            assert_eq!(sched_getaffinity(None).unwrap(), allowed);
        }
    }
}
