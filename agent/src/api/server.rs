// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Accepting connections: bounded in number, in the time a request may take to arrive, and in age.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::report::chain;

/// Bounds on what clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections served at once; more wait in the kernel's queue.
    pub connections_max: usize,
    /// How long a client may take to send a request's head, and to send the next one.
    pub head_read_max: Duration,
    /// How old a connection gets; a poller simply connects again.
    pub age_max: Option<Duration>,
    /// How long a connection may take to finish its last answer.
    pub close_max: Duration,
}

impl Limits {
    /// For the network.
    pub const NETWORK: Limits = Limits {
        connections_max: 64,
        head_read_max: Duration::from_secs(10),
        age_max: Some(Duration::from_secs(300)),
        close_max: Duration::from_secs(3),
    };

    /// For the unix socket: it is root's, and an update may take as long as it takes.
    pub const SOCKET: Limits = Limits { age_max: None, ..Limits::NETWORK };
}

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Something connections come from.
#[derive(Debug)]
pub enum Listener {
    /// The network.
    Tcp(TcpListener),
    /// The command socket.
    Unix(UnixListener),
}

/// Serves `router` on `listener` until `stop` becomes true (or its sender is gone), then closes the
/// listener and lets running answers finish for a few seconds.
pub async fn serve(
    listener: Listener,
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
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
                        Stream::Tcp(tcp) => converse(tcp, router, limits, stop).await,
                        Stream::Unix(unix) => {
                            let uid = unix.peer_cred().ok().map(|peer| peer.uid());
                            let router = router.layer(Extension(Peer { uid }));
                            converse(unix, router, limits, stop).await;
                        }
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

/// Who is at the other end of the command socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The user id of the process that connected, as the kernel says.
    pub uid: Option<u32>,
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
async fn converse<S>(stream: S, router: Router, limits: Limits, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_read_max)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = stopped(&mut stop) => {}
        () = aged(limits.age_max) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = tokio::time::timeout(limits.close_max, connection).await {
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    async fn exchange(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn stuck_clients_give_their_place_up_and_stop_closes_everything() {
        let limits = Limits {
            connections_max: 2,
            head_read_max: Duration::from_millis(50),
            age_max: None,
            close_max: Duration::from_secs(3),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let router = Router::new().route("/", get(|| async { "here" }));
        let server = tokio::spawn(serve(Listener::Tcp(listener), router, limits, stopped));

        let mut stuck = Vec::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HT").await.unwrap();
            stuck.push(stream);
        }
        let answer = exchange(address).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("here"), "{answer}");
        assert!(answer.contains("\r\ndate: "), "{answer}");
        for mut stream in stuck {
            let mut rest = Vec::new();
            // Closed, whether with an answer, without one, or by a reset.
            let _closed = stream.read_to_end(&mut rest).await;
            assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
        }

        let mut idle = TcpStream::connect(address).await.unwrap();
        stop.send_replace(true);
        server.await.unwrap();
        let mut rest = Vec::new();
        let _closed = idle.read_to_end(&mut rest).await;
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    }

    #[tokio::test]
    async fn an_old_connection_is_closed() {
        let limits = Limits {
            age_max: Some(Duration::from_millis(20)),
            head_read_max: Duration::from_secs(3600),
            ..Limits::NETWORK
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(serve(Listener::Tcp(listener), Router::new(), limits, stopped));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    }
}
