// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Ending a check or an update for something more urgent, as long as nothing
//! was changed: until the intent to switch is written down. What came of an
//! artifact by then is kept like that of a transfer that broke.

use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::error::FetchError;

/// Ends what an engine is doing. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<watch::Sender<Option<String>>>);

impl Default for Interrupt {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Interrupt {
    /// Asks for an end, with the reason; the first one counts. Does not wait for it.
    pub fn ask(&self, why: &str) {
        self.0.send_modify(|asked| {
            asked.get_or_insert_with(|| why.to_owned());
        });
    }

    /// What begins from now on goes on to its end.
    pub fn clear(&self) {
        self.0.send_replace(None);
    }

    /// An error if an end was asked for.
    pub(crate) fn check(&self) -> Result<(), FetchError> {
        match &*self.0.borrow() {
            Some(why) => Err(FetchError::Interrupted { why: why.clone() }),
            None => Ok(()),
        }
    }

    /// Waits until an end is asked for.
    pub(crate) async fn asked(&self) -> FetchError {
        let mut asked = self.0.subscribe();
        // The sender lives in `self`, so this does not fail.
        let why = asked.wait_for(Option::is_some).await.map(|why| why.clone());
        FetchError::Interrupted { why: why.ok().flatten().unwrap_or_default() }
    }

    /// Does `work`, unless an end is asked for before it is done.
    pub(crate) async fn or<T>(
        &self,
        work: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        tokio::select! {
            done = work => done,
            asked = self.asked() => Err(asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_when_that_is_asked_for_and_the_next_does_not() {
        let interrupt = Interrupt::default();
        let done = interrupt.or(std::future::ready(Ok(7))).await;
        assert_eq!(done.unwrap(), 7);
        let other = interrupt.clone();
        let (waiting, ()) =
            tokio::join!(interrupt.or(std::future::pending::<Result<(), FetchError>>()), async {
                other.ask("first")
            });
        other.ask("second");
        for error in [waiting.unwrap_err(), interrupt.check().unwrap_err()] {
            assert!(matches!(error, FetchError::Interrupted { why } if why == "first"));
        }
        interrupt.clear();
        other.check().unwrap();
    }
}
