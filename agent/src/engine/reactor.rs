// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! An event loop that is driven by whoever waits, on that thread. With one of
//! another thread, both have to be woken for each piece of an artifact, and where
//! processors are few they wait for each other.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

/// Sockets, timers and children of one piece of work. Clones are the same one.
/// What was begun on it and is not done when the last one is dropped is abandoned.
#[derive(Debug, Clone)]
pub(crate) struct Reactor(Arc<Inner>);

#[derive(Debug)]
struct Inner(Option<Runtime>);

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Arc::new(Inner(Some(runtime)))))
    }

    /// Does `work` on this thread, which must be one that may block. Whatever was
    /// begun on the loop before makes progress meanwhile, and only then.
    pub(crate) fn wait<F: Future>(&self, work: F) -> F::Output {
        match &self.0.0 {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A look-up of a name cannot be ended: nobody waits for it.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
