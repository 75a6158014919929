// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A body on its way: received by a task of the runtime and handed over through
//! a bounded queue, so that network and disk work at the same time.

use std::time::Duration;

use hyper::body::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::engine::Limits;
use crate::engine::error::FetchError;
use crate::engine::interrupt::Interrupt;
use crate::engine::source::http::{Getter, Request};
use crate::engine::source::retries::Retries;
use crate::engine::source::{Expect, PIECE_BYTES, Pieces};

/// Chunks in flight between the network and the disk; a chunk is what the
/// HTTP client reads at once, at most some hundred KiB.
const CHUNKS_MAX: usize = 8;

/// The slowest that is waited for.
#[derive(Debug, Clone, Copy)]
struct Pace {
    window: Duration,
    bytes_per_sec_min: u64,
}

impl Pace {
    fn of(limits: &Limits) -> Self {
        Self { window: limits.speed_window, bytes_per_sec_min: limits.bytes_per_sec_min }
    }

    fn bytes_per_window(self) -> u64 {
        self.bytes_per_sec_min.saturating_mul(self.window.as_secs().max(1))
    }

    fn too_slow(self) -> FetchError {
        FetchError::TooSlow {
            bytes_per_sec_min: self.bytes_per_sec_min,
            window_secs: self.window.as_secs(),
        }
    }
}

/// The receiving end of one file.
pub(super) struct Transfer {
    getter: Getter,
    /// Its `from` is the first byte that was not handed over yet.
    request: Request,
    /// None: what breaks is not taken up again.
    retries: Option<Retries>,
}

type Sender = mpsc::Sender<Result<Bytes, FetchError>>;

/// Whether anybody still wants the rest.
enum End {
    Body,
    Listener,
}

impl Transfer {
    pub(super) fn new(getter: Getter, request: Request, retries: Option<Retries>) -> Self {
        Self { getter, request, retries }
    }

    /// Receives `response`, whose first `skip` bytes are not wanted.
    pub(super) fn start(
        self,
        runtime: &Handle,
        interrupt: &Interrupt,
        response: reqwest::Response,
        skip: u64,
    ) -> Body {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let interrupt = interrupt.clone();
        let task = runtime.spawn(async move {
            let error = tokio::select! {
                () = self.run(response, skip, sender.clone()) => return,
                error = interrupt.asked() => error,
            };
            // Nobody listens any more: nobody to tell.
            drop(sender.send(Err(error)).await);
        });
        Body { receiver, chunk: Bytes::new(), task }
    }

    async fn run(mut self, mut response: reqwest::Response, mut skip: u64, sender: Sender) {
        loop {
            let began = self.request.from;
            let failure = match self.receive(response, skip, &sender).await {
                Ok(End::Listener) => return,
                // Without a length, a broken connection may look like the end.
                Ok(End::Body) if self.is_short() => None,
                Ok(End::Body) => return,
                Err(error) => Some(error),
            };
            let resumed = match (&mut self.retries, failure) {
                (None, None) => return,
                (None, Some(failure)) => Err(failure),
                (Some(retries), failure) => {
                    retries.progressed(self.request.from - began);
                    let failure = failure.unwrap_or_else(|| truncated(&self.request));
                    match retries.after(failure).await {
                        Ok(()) => self.getter.ask_again(&self.request, retries).await,
                        Err(failure) => Err(failure),
                    }
                }
            };
            match resumed {
                Ok(resumed) => (response, skip) = resumed,
                // Nobody listens any more: nobody to tell.
                Err(failure) => return drop(sender.send(Err(failure)).await),
            }
        }
    }

    fn is_short(&self) -> bool {
        matches!(self.request.expect, Expect::Exactly(length) if self.request.from < length)
    }

    /// Receives until the body ends, fails, is too slow, or nobody wants it.
    async fn receive(
        &mut self,
        mut response: reqwest::Response,
        mut skip: u64,
        sender: &Sender,
    ) -> Result<End, FetchError> {
        let pace = Pace::of(&self.getter.limits);
        let mut window_ends = Instant::now() + pace.window;
        let mut window_bytes = 0_u64;
        loop {
            if let Ok(received) = timeout_at(window_ends, response.chunk()).await {
                let Some(chunk) = received.map_err(FetchError::Network)? else {
                    return Ok(End::Body);
                };
                let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                window_bytes = window_bytes.saturating_add(length);
                let unwanted = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
                let wanted = chunk.slice(unwanted..);
                let length = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
                skip = skip.saturating_sub(u64::try_from(unwanted).unwrap_or(u64::MAX));
                if !wanted.is_empty() {
                    let handed_over = Instant::now();
                    if sender.send(Ok(wanted)).await.is_err() {
                        return Ok(End::Listener);
                    }
                    self.request.from = self.request.from.saturating_add(length);
                    // Time spent waiting for our own disk is not the server's.
                    window_ends += handed_over.elapsed();
                }
            }
            if Instant::now() >= window_ends {
                if window_bytes < pace.bytes_per_window() {
                    return Err(pace.too_slow());
                }
                window_ends = Instant::now() + pace.window;
                window_bytes = 0;
            }
        }
    }
}

fn truncated(request: &Request) -> FetchError {
    let (got, expected) = (request.from, request.expect.bytes_max());
    FetchError::Truncated { got, expected, network: true }
}

/// The blocking end of a body.
pub(super) struct Body {
    receiver: mpsc::Receiver<Result<Bytes, FetchError>>,
    chunk: Bytes,
    task: JoinHandle<()>,
}

impl Pieces for Body {
    fn piece(&mut self) -> Result<Bytes, FetchError> {
        if self.chunk.is_empty() {
            self.chunk = self.receiver.blocking_recv().transpose()?.unwrap_or_default();
        }
        Ok(self.chunk.split_to(self.chunk.len().min(PIECE_BYTES)))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.task.abort();
    }
}
