// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A repository behind static HTTP: one request per file, nothing else.
//!
//! The body is received by a task of the runtime and handed over through a
//! bounded queue, so that network and disk work at the same time.

use std::io::{self, Read};
use std::time::Duration;

use reqwest::{StatusCode, Url, redirect};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::engine::Limits;
use crate::engine::error::FetchError;
use crate::engine::source::{Expect, Repository};

/// Redirects followed for one file.
const REDIRECTS_MAX: usize = 4;

/// Chunks in flight between the network and the disk; a chunk is what the
/// HTTP client reads at once, at most some hundred KiB.
const CHUNKS_MAX: usize = 16;

/// Reads below one URL.
#[derive(Debug)]
pub(super) struct HttpRepository {
    client: reqwest::Client,
    base: Url,
    runtime: Handle,
    answer_timeout: Duration,
    pace: Pace,
}

/// The slowest that is waited for.
#[derive(Debug, Clone, Copy)]
struct Pace {
    window: Duration,
    bytes_per_sec_min: u64,
}

impl Pace {
    fn bytes_per_window(self) -> u64 {
        self.bytes_per_sec_min.saturating_mul(self.window.as_secs().max(1))
    }
}

impl HttpRepository {
    pub(super) fn new(base: &Url, limits: &Limits, runtime: &Handle) -> Result<Self, FetchError> {
        install_ring();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("dockerlogger-agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect_timeout)
            .redirect(redirect::Policy::custom(follow));
        if base.scheme() == "http" {
            // Nothing to verify: a node without CA certificates fetches all the same.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(FetchError::Client)?;
        let pace =
            Pace { window: limits.speed_window, bytes_per_sec_min: limits.bytes_per_sec_min };
        let answer_timeout = limits.answer_timeout;
        Ok(Self { client, base: base.clone(), runtime: runtime.clone(), answer_timeout, pace })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }
}

impl Repository for HttpRepository {
    fn open(&mut self, path: &str, expect: Expect) -> Result<Box<dyn Read + Send>, FetchError> {
        let request = self.client.get(self.url(path)).send();
        let answer = self.runtime.block_on(async { timeout(self.answer_timeout, request).await });
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(e)) => return Err(FetchError::Network(e)),
            Err(_elapsed) => {
                return Err(FetchError::NoAnswer { secs: self.answer_timeout.as_secs() });
            }
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(FetchError::NotFound),
            status => return Err(FetchError::Status { status: status.as_u16() }),
        }
        let limit = expect.bytes_max();
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLong { limit });
        }
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let task = self.runtime.spawn(receive(response, self.pace, sender));
        Ok(Box::new(Body { receiver, chunk: None, offset: 0, task }))
    }

    fn is_network(&self) -> bool {
        true
    }
}

/// The blocking end of a body.
struct Body<B> {
    receiver: mpsc::Receiver<Result<B, FetchError>>,
    chunk: Option<B>,
    offset: usize,
    task: JoinHandle<()>,
}

impl<B: AsRef<[u8]>> Read for Body<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(chunk) = &self.chunk {
                let rest = chunk.as_ref().get(self.offset..).unwrap_or_default();
                if !rest.is_empty() {
                    let count = rest.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&rest[..count]);
                    self.offset += count;
                    return Ok(count);
                }
            }
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => (self.chunk, self.offset) = (Some(chunk), 0),
                Some(Err(e)) => return Err(io::Error::other(e)),
                None => return Ok(0),
            }
        }
    }
}

impl<B> Drop for Body<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Receives a body until it ends, fails, is too slow, or nobody wants it.
async fn receive(
    mut response: reqwest::Response,
    pace: Pace,
    sender: mpsc::Sender<Result<Vec<u8>, FetchError>>,
) {
    let too_slow = FetchError::TooSlow {
        bytes_per_sec_min: pace.bytes_per_sec_min,
        window_secs: pace.window.as_secs(),
    };
    let mut window_ends = Instant::now() + pace.window;
    let mut window_bytes = 0_u64;
    let failure = loop {
        let chunk = timeout_at(window_ends, response.chunk()).await;
        if let Ok(Ok(Some(chunk))) = chunk {
            window_bytes = window_bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(0));
            let handed_over = Instant::now();
            if sender.send(Ok(chunk.into())).await.is_err() {
                return;
            }
            // Time spent waiting for our own disk is not the server's.
            window_ends += handed_over.elapsed();
        } else if let Ok(Ok(None)) = chunk {
            return;
        } else if let Ok(Err(e)) = chunk {
            break FetchError::Network(e);
        }
        if Instant::now() >= window_ends {
            if window_bytes < pace.bytes_per_window() {
                break too_slow;
            }
            window_ends = Instant::now() + pace.window;
            window_bytes = 0;
        }
    };
    // Nobody listens any more: nobody to tell.
    let _ = sender.send(Err(failure)).await;
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let secure = |url: &Url| url.scheme() == "https";
    let downgrade = attempt.previous().last().is_some_and(secure) && !secure(attempt.url());
    if downgrade {
        attempt.error("redirected from https to http")
    } else if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error("too many redirects")
    } else {
        attempt.follow()
    }
}

/// Makes ring the process's TLS provider unless there is one already.
fn install_ring() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing a race against another thread leaves ring installed as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
