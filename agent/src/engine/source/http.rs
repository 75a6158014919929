// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A repository behind static HTTP: one request per file, nothing else.
//!
//! What broke on the way is asked for again, a few times, after pauses that grow
//! and vary; an artifact from the byte where it broke. The environment's proxy
//! variables are not looked at: the proxy is the configured one or none.

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_NONE_MATCH, RANGE};
use reqwest::{StatusCode, Url, redirect};
use tokio::time::timeout;

use crate::engine::Limits;
use crate::engine::error::FetchError;
use crate::engine::interrupt::Interrupt;
use crate::engine::reactor::Reactor;
use crate::engine::source::http::body::{Body, Transfer};
use crate::engine::source::memory::{Memory, Remembered};
use crate::engine::source::proxy::Proxy;
use crate::engine::source::retries::Retries;
use crate::engine::source::{Access, Bounded, Expect, Pieces, Repository};
use crate::report;

mod body;

/// Redirects followed for one file.
const REDIRECTS_MAX: usize = 4;

/// Bytes of an `ETag`, at most; a longer one is not remembered.
const ETAG_BYTES_MAX: usize = 256;

/// Reads below one URL.
#[derive(Debug)]
pub(super) struct HttpRepository {
    getter: Getter,
    base: Url,
    reactor: Reactor,
    memory: Memory,
    interrupt: Interrupt,
}

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
struct Getter {
    client: reqwest::Client,
    limits: Limits,
}

/// An answer with a body on its way, or the word that nothing has changed.
enum Answer {
    Body {
        response: reqwest::Response,
        /// Bytes at its beginning that were not asked for.
        skip: u64,
    },
    NotModified,
}

/// What is asked for.
#[derive(Debug, Clone)]
struct Request {
    url: Url,
    /// The first byte that is wanted.
    from: u64,
    expect: Expect,
    /// Set: the body is wanted only if it has another validator.
    etag: Option<String>,
}

impl HttpRepository {
    pub(super) fn new(
        base: &Url,
        proxy: Option<&Proxy>,
        access: Access<'_>,
    ) -> Result<Self, FetchError> {
        let limits = &access.config.limits;
        install_ring();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("dockerlogger-agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect_timeout)
            .redirect(redirect::Policy::custom(follow))
            .no_proxy();
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy.for_client().map_err(FetchError::Client)?);
        }
        if base.scheme() == "http" {
            // Nothing to verify: a node without CA certificates fetches all the same.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(FetchError::Client)?;
        let getter = Getter { client, limits: limits.clone() };
        let reactor = Reactor::new().map_err(FetchError::Reactor)?;
        let (memory, interrupt) = (access.memory.clone(), access.interrupt.clone());
        Ok(Self { getter, base: base.clone(), reactor, memory, interrupt })
    }

    /// A small file, wherever it is.
    pub(super) fn fetch_url(&self, url: &Url, expect: Expect) -> Result<Vec<u8>, FetchError> {
        let mut retries = Retries::new(&self.getter.limits);
        loop {
            match self.fetch_once(url, expect) {
                Ok(content) => return Ok(content),
                Err(error) => self.wait(retries.after(error))?,
            }
        }
    }

    /// What it waits for is always the network's or the clock's.
    fn wait<T>(&self, work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
        self.reactor.wait(self.interrupt.or(work))
    }

    /// What is left of an answer.
    fn body(
        &self,
        request: Request,
        retries: Option<Retries>,
        begun: (reqwest::Response, u64),
    ) -> Body {
        let transfer = Transfer::new(self.getter.clone(), request, retries, begun);
        Body::new(&self.reactor, &self.interrupt, transfer)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    /// A small file, once.
    fn fetch_once(&self, url: &Url, expect: Expect) -> Result<Vec<u8>, FetchError> {
        let known = self.memory.get(url.as_str());
        let etag = known.as_ref().and_then(|known| known.etag.clone());
        let request = Request { url: url.clone(), from: 0, expect, etag };
        let begun = match self.wait(self.getter.ask(&request))? {
            Answer::Body { response, skip } => (response, skip),
            Answer::NotModified => {
                let content = known.and_then(|known| known.content);
                let limit = expect.bytes_max();
                let content = content.filter(|content| fits(content.len(), limit));
                return content.ok_or(FetchError::Status { status: 304 });
            }
        };
        let etag = validator(begun.0.headers());
        let body = self.body(request, None, begun);
        let content = Bounded::new(Box::new(body), expect, 0, true).whole()?;
        if etag.is_some() {
            let content = Some(content.clone());
            self.memory.put(url.as_str(), Remembered { etag, content });
        }
        Ok(content)
    }
}

impl Repository for HttpRepository {
    fn open(
        &mut self,
        path: &str,
        expect: Expect,
        from: u64,
    ) -> Result<Box<dyn Pieces>, FetchError> {
        let request = Request { url: self.url(path), from, expect, etag: None };
        let mut retries = Retries::new(&self.getter.limits);
        let begun = self.wait(self.getter.ask_again(&request, &mut retries))?;
        Ok(Box::new(self.body(request, Some(retries), begun)))
    }

    fn fetch(&mut self, path: &str, expect: Expect) -> Result<Vec<u8>, FetchError> {
        self.fetch_url(&self.url(path), expect)
    }

    fn is_network(&self) -> bool {
        true
    }
}

impl Getter {
    /// Sends one request and looks at the head of the answer.
    async fn ask(&self, request: &Request) -> Result<Answer, FetchError> {
        let mut sending = self.client.get(request.url.clone());
        if request.from > 0 {
            sending = sending.header(RANGE, format!("bytes={}-", request.from));
        }
        if let Some(etag) = &request.etag {
            sending = sending.header(IF_NONE_MATCH, etag);
        }
        let response = match timeout(self.limits.answer_timeout, sending.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(e)) => return Err(unanswered(e)),
            Err(_elapsed) => {
                return Err(FetchError::NoAnswer { secs: self.limits.answer_timeout.as_secs() });
            }
        };
        let first = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if request.from > 0 => {
                match first_byte(response.headers()) {
                    Some(first) if first == request.from => first,
                    _ => return Err(FetchError::Range { from: request.from }),
                }
            }
            StatusCode::NOT_MODIFIED if request.etag.is_some() => return Ok(Answer::NotModified),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(FetchError::NotFound),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => return Err(FetchError::ProxyPassword),
            status => return Err(FetchError::Status { status: status.as_u16() }),
        };
        let limit = request.expect.bytes_max();
        let length = response.content_length().map(|length| first.saturating_add(length));
        match length {
            Some(length) if length > limit => return Err(FetchError::TooLong { limit }),
            // No network made it so: it is not worth a byte.
            Some(length) if matches!(request.expect, Expect::Exactly(all) if length < all) => {
                return Err(FetchError::Truncated { got: length, expected: limit, network: false });
            }
            _ => {}
        }
        Ok(Answer::Body { response, skip: request.from - first })
    }

    /// The same until there is a body or no hope.
    async fn ask_again(
        &self,
        request: &Request,
        retries: &mut Retries,
    ) -> Result<(reqwest::Response, u64), FetchError> {
        loop {
            match self.ask(request).await {
                Ok(Answer::Body { response, skip }) => return Ok((response, skip)),
                Ok(Answer::NotModified) => return Err(FetchError::Status { status: 304 }),
                Err(error) => retries.after(error).await?,
            }
        }
    }
}

/// A request without an answer; the client has no type for a tunnel that was refused, only words.
fn unanswered(error: reqwest::Error) -> FetchError {
    let causes = report::chain(&error).to_string();
    if causes.contains("tunnel error: proxy authorization required") {
        FetchError::ProxyPassword
    } else if causes.contains("tunnel error: ") {
        FetchError::Tunnel(error)
    } else {
        FetchError::Network(error)
    }
}

fn fits(length: usize, limit: u64) -> bool {
    u64::try_from(length).is_ok_and(|length| length <= limit)
}

/// The validator of an answer, as it is to be sent back.
fn validator(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (etag.len() <= ETAG_BYTES_MAX).then(|| etag.to_owned())
}

/// Where the bytes of a partial answer begin (RFC 9110, 14.4).
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
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
