// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One record through a driver of the staged logger, started by its launch
//! contract, to a receiver on loopback or in a directory of its own.
//!
//! The routes of its declaration say what a driver is tried on; those that need a
//! receiver which this agent does not have are left out.

use std::io::{self, Read as _, Write};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use dockerlogger_manifest::{Carrier, DriverSpec, Route};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};
use tokio::time::{Instant, timeout_at};

use crate::engine::error::ProbeError;
use crate::engine::probe::tls::Identity;
use crate::engine::probe::{OUTPUT_BYTES_MAX, first_line, run_error};
use crate::os::confine::DynamicUser;
use crate::os::process::{self, Invocation};
use crate::os::{Files as _, RealFiles};

/// How long a record may be under way after the logger has ended.
const LATE_MAX: Duration = Duration::from_secs(2);

/// Where receivers listen, on ports that are free.
const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// How often to look whether a record is in a file.
const LOOK: Duration = Duration::from_millis(10);

/// Files of a folder that are looked at, at most.
const FILES_MAX: usize = 16;

/// Bytes a receiver takes, at most.
const RECEIVED_BYTES_MAX: usize = 64 << 10;

/// An open receiver.
enum Receiver {
    File(TempDir),
    Tcp(TcpListener),
    Tls(TcpListener, Identity),
    Udp(UdpSocket),
    Unix { listener: UnixListener, _folder: TempDir },
    Unixgram { socket: UnixDatagram, _folder: TempDir },
}

/// Tries every route of `driver` to a receiver that there is. Says whether there was
/// one.
pub(super) async fn deliver(
    logger: &Path,
    driver: &DriverSpec,
    timeout: Duration,
) -> Result<bool, ProbeError> {
    let mut tried = false;
    for route in &driver.routes {
        let user = DynamicUser::new();
        let here = |source| ProbeError::Receiver { driver: driver.name.clone(), source };
        if let Some((receiver, options)) = open(route, &user).await.map_err(here)? {
            tried = true;
            attempt(logger, &driver.name, (receiver, options), user, timeout).await?;
        }
    }
    Ok(tried)
}

async fn attempt(
    logger: &Path,
    driver: &str,
    (receiver, options): (Receiver, Value),
    user: DynamicUser,
    timeout: Duration,
) -> Result<(), ProbeError> {
    let marker = format!("dockerlogger probe {}", crate::random::request_id());
    let here = |source| ProbeError::Receiver { driver: driver.to_owned(), source };
    let streams = streams(&marker).map_err(here)?;
    let command = format!("{} {driver}, with the options {options},", logger.display());
    let invocation = Invocation {
        user,
        program: logger.to_owned(),
        arg0: Some("logger"),
        arguments: vec![driver.to_owned()],
        environment: environment(&options),
        streams,
        timeout,
        output_bytes_max: OUTPUT_BYTES_MAX,
    };
    let deadline = Instant::now() + timeout + LATE_MAX;
    let mut running = pin!(process::run(invocation));
    let mut receiving = pin!(receive(&receiver, &marker));
    let mut received = None;
    let finished = loop {
        tokio::select! {
            finished = &mut running => break finished,
            got = &mut receiving, if received.is_none() => received = Some(got),
        }
    };
    let finished = finished.map_err(|e| run_error(e, &command, timeout))?;
    if !finished.status.success() {
        let (status, stderr) = (finished.status.to_string(), first_line(&finished.stderr));
        return Err(ProbeError::Failed { command, status, stderr });
    }
    let late = deadline.min(Instant::now() + LATE_MAX);
    let received = match received {
        Some(received) => received,
        None => match timeout_at(late, receiving).await {
            Ok(received) => received,
            Err(_elapsed) => return Err(ProbeError::Undelivered { command }),
        },
    };
    received.map_err(here)
}

/// A receiver at the end of `route`, and the options that lead to it; `None`: of a kind
/// that this agent does not have.
async fn open(route: &Route, user: &DynamicUser) -> io::Result<Option<(Receiver, Value)>> {
    let (receiver, place) = match route.over {
        Carrier::File => {
            let dir = folder(user)?;
            let path = dir.path().display().to_string();
            (Receiver::File(dir), (Route::FOLDER, path))
        }
        Carrier::Tcp => {
            let (listener, address) = listen().await?;
            (Receiver::Tcp(listener), (Route::ADDRESS, address))
        }
        Carrier::Tls => {
            let (listener, address) = listen().await?;
            let identity = Identity::new(user)?;
            (Receiver::Tls(listener, identity), (Route::ADDRESS, address))
        }
        Carrier::Udp => {
            let socket = UdpSocket::bind(LOOPBACK).await?;
            let address = socket.local_addr()?.to_string();
            (Receiver::Udp(socket), (Route::ADDRESS, address))
        }
        Carrier::Unix => {
            let (listener, _folder, address) = bind(user, |path| UnixListener::bind(path))?;
            (Receiver::Unix { listener, _folder }, (Route::ADDRESS, address))
        }
        Carrier::Unixgram => {
            let (socket, _folder, address) = bind(user, |path| UnixDatagram::bind(path))?;
            (Receiver::Unixgram { socket, _folder }, (Route::ADDRESS, address))
        }
        Carrier::Unknown(_) => return Ok(None),
    };
    let mut places = vec![place];
    if let Receiver::Tls(_, identity) = &receiver {
        places.push((Route::AUTHORITY, identity.file().display().to_string()));
    }
    let places: Vec<_> = places.iter().map(|(what, place)| (*what, place.as_str())).collect();
    Ok(Some((receiver, json!(route.options_to(&places)))))
}

async fn listen() -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(LOOPBACK).await?;
    let address = listener.local_addr()?.to_string();
    Ok((listener, address))
}

/// A socket of the user's, the folder that it is in, and its path.
fn bind<S>(
    user: &DynamicUser,
    bind: impl FnOnce(&Path) -> io::Result<S>,
) -> io::Result<(S, TempDir, String)> {
    let folder = folder(user)?;
    let path = folder.path().join("socket");
    let socket = bind(&path)?;
    user.give(&path)?;
    Ok((socket, folder, path.display().to_string()))
}

/// A folder of the user's.
fn folder(user: &DynamicUser) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    user.give(folder.path())?;
    Ok(folder)
}

/// Ends when the marker has arrived.
async fn receive(receiver: &Receiver, marker: &str) -> io::Result<()> {
    let mut buffer = vec![0; RECEIVED_BYTES_MAX];
    let found = |bytes: &[u8]| bytes.windows(marker.len()).any(|part| part == marker.as_bytes());
    loop {
        let has_come = match receiver {
            Receiver::File(dir) => {
                let written = is_written(dir, &mut buffer, found)?;
                if !written {
                    tokio::time::sleep(LOOK).await;
                }
                written
            }
            Receiver::Udp(socket) => {
                let length = socket.recv(&mut buffer).await?;
                found(&buffer[..length])
            }
            Receiver::Unixgram { socket, .. } => {
                let length = socket.recv(&mut buffer).await?;
                found(&buffer[..length])
            }
            Receiver::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                arrives(stream, &mut buffer, found).await
            }
            Receiver::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                arrives(stream, &mut buffer, found).await
            }
            Receiver::Tls(listener, identity) => {
                let (stream, _) = listener.accept().await?;
                match identity.accept(stream).await {
                    Ok(stream) => arrives(stream, &mut buffer, found).await,
                    Err(_) => false,
                }
            }
        };
        if has_come {
            return Ok(());
        }
    }
}

/// Whether it is in a file of the folder.
fn is_written(
    dir: &TempDir,
    buffer: &mut Vec<u8>,
    found: impl Fn(&[u8]) -> bool,
) -> io::Result<bool> {
    for file in std::fs::read_dir(dir.path())?.take(FILES_MAX) {
        // The folder is the logger's: whatever stands there is neither followed nor waited for.
        let Ok(written) = RealFiles.open(&file?.path()) else { continue };
        buffer.clear();
        written.take(RECEIVED_BYTES_MAX as u64).read_to_end(buffer)?;
        if found(buffer) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the connection brings it; when it ends without, there may be another.
async fn arrives(
    mut stream: impl AsyncRead + Unpin,
    buffer: &mut [u8],
    found: impl Fn(&[u8]) -> bool,
) -> bool {
    let mut length = 0;
    while length < buffer.len() {
        match stream.read(&mut buffer[length..]).await {
            Ok(count) if count > 0 => length += count,
            _ => return false,
        }
        if found(&buffer[..length]) {
            // A connection that is cut before the logger takes leave is one that may have lost the record.
            while stream.read(buffer).await.is_ok_and(|count| count > 0) {}
            return true;
        }
    }
    false
}

/// Descriptors 3 and 4: a record on the first, both at their end after it.
fn streams(marker: &str) -> io::Result<Vec<OwnedFd>> {
    let (stdout, mut record) = io::pipe()?;
    let (stderr, _) = io::pipe()?;
    record.write_all(format!("{marker}\n").as_bytes())?;
    Ok(vec![stdout.into(), stderr.into()])
}

fn environment(options: &Value) -> Vec<(String, String)> {
    let id = "0".repeat(64);
    let variables = [
        ("DOCKERLOG_CONFIG", options.to_string()),
        ("DOCKERLOG_CONTAINERID", id.clone()),
        ("DOCKERLOG_CONTAINERNAME", "/dockerlogger-probe".to_owned()),
        ("DOCKERLOG_CREATETIME", "1970-01-01T00:00:00Z".to_owned()),
        ("DOCKERLOG_IMAGEID", format!("sha256:{id}")),
        ("DOCKERLOG_IMAGENAME", "dockerlogger-probe".to_owned()),
        ("DOCKERLOG_ENTRYPOINT", "[]".to_owned()),
        ("DOCKERLOG_CMD", "[]".to_owned()),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests;
