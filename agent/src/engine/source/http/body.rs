// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A body on its way, received by the thread that asks for it. While that one
//! does something else, the kernel receives into the socket's buffer.

use std::time::Duration;

use hyper::body::Bytes;
use tokio::time::{Instant, timeout};

use crate::engine::Limits;
use crate::engine::error::FetchError;
use crate::engine::interrupt::Interrupt;
use crate::engine::reactor::Reactor;
use crate::engine::source::http::{Getter, Request};
use crate::engine::source::retries::Retries;
use crate::engine::source::{Expect, PIECE_BYTES, Pieces};

/// What still comes of one file.
pub(super) struct Transfer {
    getter: Getter,
    /// Its `from` is the first byte that was not handed over yet.
    request: Request,
    /// None: what breaks is not taken up again.
    retries: Option<Retries>,
    /// None: nothing more comes.
    response: Option<reqwest::Response>,
    /// Bytes of the response that were not asked for.
    skip: u64,
    pace: Pace,
    /// Bytes since the transfer was begun or taken up again.
    bytes: u64,
}

impl Transfer {
    /// Receives `response`, whose first `skip` bytes are not wanted.
    pub(super) fn new(
        getter: Getter,
        request: Request,
        retries: Option<Retries>,
        (response, skip): (reqwest::Response, u64),
    ) -> Self {
        let pace = Pace::of(&getter.limits);
        Self { getter, request, retries, response: Some(response), skip, pace, bytes: 0 }
    }

    /// What is received next, some bytes; none at the end.
    async fn next(&mut self) -> Result<Bytes, FetchError> {
        while let Some(response) = &mut self.response {
            match self.pace.receive(response).await {
                Ok(Some(chunk)) => {
                    let wanted = self.wanted(&chunk);
                    if !wanted.is_empty() {
                        return Ok(wanted);
                    }
                }
                // Without a length, a broken connection may look like the end.
                Ok(None) if self.is_short() => self.resume(truncated(&self.request)).await?,
                Ok(None) => self.response = None,
                Err(failure) => self.resume(failure).await?,
            }
        }
        Ok(Bytes::new())
    }

    /// What was asked for of what came.
    fn wanted(&mut self, chunk: &Bytes) -> Bytes {
        let unwanted = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
        self.skip = self.skip.saturating_sub(bytes_of(unwanted));
        let wanted = chunk.slice(unwanted..);
        self.bytes = self.bytes.saturating_add(bytes_of(wanted.len()));
        self.request.from = self.request.from.saturating_add(bytes_of(wanted.len()));
        wanted
    }

    fn is_short(&self) -> bool {
        matches!(self.request.expect, Expect::Exactly(length) if self.request.from < length)
    }

    /// Asks for what is missing, or gives the failure back.
    async fn resume(&mut self, failure: FetchError) -> Result<(), FetchError> {
        self.response = None;
        let Some(retries) = &mut self.retries else { return Err(failure) };
        retries.progressed(std::mem::take(&mut self.bytes));
        retries.after(failure).await?;
        let (response, skip) = self.getter.ask_again(&self.request, retries).await?;
        (self.response, self.skip) = (Some(response), skip);
        self.pace = Pace::of(&self.getter.limits);
        Ok(())
    }
}

/// How fast a body comes. The time in which nobody waits for it does not count:
/// then it is our own disk that is slow.
struct Pace {
    window: Duration,
    bytes_per_sec_min: u64,
    /// In the window that is under way.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn of(limits: &Limits) -> Self {
        let Limits { speed_window: window, bytes_per_sec_min, .. } = *limits;
        Self { window, bytes_per_sec_min, waited: Duration::ZERO, bytes: 0 }
    }

    /// The next chunk, or none at the end.
    async fn receive(
        &mut self,
        response: &mut reqwest::Response,
    ) -> Result<Option<Bytes>, FetchError> {
        loop {
            let (began, left) = (Instant::now(), self.window.saturating_sub(self.waited));
            let received = timeout(left, response.chunk()).await;
            self.waited += began.elapsed();
            match received {
                Ok(received) => match received.map_err(FetchError::Network)? {
                    Some(chunk) => {
                        self.bytes = self.bytes.saturating_add(bytes_of(chunk.len()));
                        self.look()?;
                        return Ok(Some(chunk));
                    }
                    None => return Ok(None),
                },
                Err(_elapsed) => self.look()?,
            }
        }
    }

    /// An error at the end of a window in which too little came.
    fn look(&mut self) -> Result<(), FetchError> {
        if self.waited < self.window {
            return Ok(());
        }
        let window_secs = self.window.as_secs().max(1);
        if self.bytes < self.bytes_per_sec_min.saturating_mul(window_secs) {
            let bytes_per_sec_min = self.bytes_per_sec_min;
            return Err(FetchError::TooSlow { bytes_per_sec_min, window_secs });
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(())
    }
}

fn bytes_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn truncated(request: &Request) -> FetchError {
    let (got, expected) = (request.from, request.expect.bytes_max());
    FetchError::Truncated { got, expected, network: true }
}

/// The blocking end of a body.
pub(super) struct Body {
    reactor: Reactor,
    interrupt: Interrupt,
    transfer: Transfer,
    /// Received and not handed over.
    chunk: Bytes,
}

impl Body {
    pub(super) fn new(reactor: &Reactor, interrupt: &Interrupt, transfer: Transfer) -> Self {
        let (reactor, interrupt) = (reactor.clone(), interrupt.clone());
        Self { reactor, interrupt, transfer, chunk: Bytes::new() }
    }
}

impl Pieces for Body {
    fn piece(&mut self) -> Result<Bytes, FetchError> {
        if self.chunk.is_empty() {
            self.chunk = self.reactor.wait(self.interrupt.or(self.transfer.next()))?;
        }
        Ok(self.chunk.split_to(self.chunk.len().min(PIECE_BYTES)))
    }
}
