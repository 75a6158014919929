// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Accepting connections: bounded in number, in the time a request may take to arrive, and in age.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::report::chain;

/// Connections served at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take to send a request's head, and to send the next one.
const HEAD_READ_MAX: Duration = Duration::from_secs(15);

/// How old a connection from the network gets; a poller simply connects again.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);

/// How long a connection may take to finish its last answer.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Something connections come from.
#[derive(Debug)]
pub enum Listener {
    /// The network: every connection has an end.
    Tcp(TcpListener),
    /// The unix socket: root's, and an update may take as long as it takes.
    Unix(UnixListener),
}

/// Serves `router` on `listener` until `stop` becomes true (or its sender is gone), then closes the
/// listener and lets running answers finish for a few seconds.
pub async fn serve(listener: Listener, router: Router, stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    match stream {
                        Stream::Tcp(tcp) => {
                            converse(tcp, router, stop, Some(CONNECTION_AGE_MAX)).await;
                        }
                        Stream::Unix(unix) => converse(unix, router, stop, None).await,
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(
    listener: &Listener,
    slots: &Arc<Semaphore>,
) -> io::Result<(Stream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let stream = match listener {
        Listener::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
        Listener::Unix(listener) => Stream::Unix(listener.accept().await?.0),
    };
    Ok((stream, slot))
}

/// One connection, from its first byte to its end. What goes wrong on it is the client's affair.
async fn converse<S>(
    stream: S,
    router: Router,
    mut stop: watch::Receiver<bool>,
    age_max: Option<Duration>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = stopped(&mut stop) => {}
        () = aged(age_max) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = tokio::time::timeout(CLOSE_MAX, connection).await {
        log_end(ended);
    }
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(error = %chain(&error), "connection ended early");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means the sender is gone, and with it whom we serve.
    let _ended = stop.wait_for(|stop| *stop).await.is_ok();
}

async fn aged(age_max: Option<Duration>) {
    match age_max {
        Some(age) => tokio::time::sleep(age).await,
        None => std::future::pending().await,
    }
}
