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
use std::path::{Path, PathBuf};
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
    let loopback = (Ipv4Addr::LOCALHOST, 0);
    let (receiver, places) = match route.over {
        Carrier::File => {
            let dir = folder(user)?;
            let path = dir.path().display().to_string();
            (Receiver::File(dir), vec![(Route::FOLDER, path)])
        }
        Carrier::Tcp => {
            let listener = TcpListener::bind(loopback).await?;
            let address = listener.local_addr()?.to_string();
            (Receiver::Tcp(listener), vec![(Route::ADDRESS, address)])
        }
        Carrier::Tls => {
            let listener = TcpListener::bind(loopback).await?;
            let address = listener.local_addr()?.to_string();
            let identity = Identity::new(user)?;
            let authority = identity.file().display().to_string();
            let places = vec![(Route::ADDRESS, address), (Route::AUTHORITY, authority)];
            (Receiver::Tls(listener, identity), places)
        }
        Carrier::Udp => {
            let socket = UdpSocket::bind(loopback).await?;
            let address = socket.local_addr()?.to_string();
            (Receiver::Udp(socket), vec![(Route::ADDRESS, address)])
        }
        Carrier::Unix => {
            let (_folder, path) = socket_place(user)?;
            let listener = UnixListener::bind(&path)?;
            user.give(&path)?;
            let address = path.display().to_string();
            (Receiver::Unix { listener, _folder }, vec![(Route::ADDRESS, address)])
        }
        Carrier::Unixgram => {
            let (_folder, path) = socket_place(user)?;
            let socket = UnixDatagram::bind(&path)?;
            user.give(&path)?;
            let address = path.display().to_string();
            (Receiver::Unixgram { socket, _folder }, vec![(Route::ADDRESS, address)])
        }
        Carrier::Unknown(_) => return Ok(None),
    };
    let places: Vec<_> = places.iter().map(|(what, place)| (*what, place.as_str())).collect();
    Ok(Some((receiver, json!(route.options_to(&places)))))
}

/// A folder of the user's.
fn folder(user: &DynamicUser) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    user.give(folder.path())?;
    Ok(folder)
}

/// Where a socket of the user's may be made.
fn socket_place(user: &DynamicUser) -> io::Result<(TempDir, PathBuf)> {
    let folder = folder(user)?;
    let path = folder.path().join("socket");
    Ok((folder, path))
}

/// Ends when the marker has arrived.
async fn receive(receiver: &Receiver, marker: &str) -> io::Result<()> {
    let mut buffer = vec![0; RECEIVED_BYTES_MAX];
    let found = |bytes: &[u8]| bytes.windows(marker.len()).any(|part| part == marker.as_bytes());
    match receiver {
        Receiver::File(dir) => {
            loop {
                for file in std::fs::read_dir(dir.path())?.take(FILES_MAX) {
                    // The folder is the logger's: whatever stands there is neither followed nor waited for.
                    let Ok(written) = RealFiles.open(&file?.path()) else { continue };
                    buffer.clear();
                    written.take(RECEIVED_BYTES_MAX as u64).read_to_end(&mut buffer)?;
                    if found(&buffer) {
                        return Ok(());
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Receiver::Udp(socket) => loop {
            let (length, _) = socket.recv_from(&mut buffer).await?;
            if found(&buffer[..length]) {
                return Ok(());
            }
        },
        Receiver::Unixgram { socket, .. } => loop {
            let length = socket.recv(&mut buffer).await?;
            if found(&buffer[..length]) {
                return Ok(());
            }
        },
        Receiver::Unix { listener, .. } => loop {
            let (stream, _) = listener.accept().await?;
            if arrives(stream, &mut buffer, found).await {
                return Ok(());
            }
        },
        Receiver::Tcp(listener) => loop {
            let (stream, _) = listener.accept().await?;
            if arrives(stream, &mut buffer, found).await {
                return Ok(());
            }
        },
        Receiver::Tls(listener, identity) => loop {
            let (stream, _) = listener.accept().await?;
            if let Ok(stream) = identity.accept(stream).await
                && arrives(stream, &mut buffer, found).await
            {
                return Ok(());
            }
        },
    }
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
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::engine::error::FailureKind;
    use crate::engine::probe::tests::{folder, script};

    const QUICK: Duration = Duration::from_secs(20);

    /// A driver with the routes over these.
    fn driver(name: &str, over: &[Carrier]) -> DriverSpec {
        let mut driver = dockerlogger_manifest::catalog::driver(name).unwrap();
        driver.routes.retain(|route| over.contains(&route.over));
        assert_eq!(driver.routes.len(), over.len());
        driver
    }

    #[tokio::test]
    async fn a_logger_that_delivers_passes_and_gets_the_contract() {
        let folder = folder();
        let seen = folder.path().join("seen");
        // Each run is another user's.
        fs::write(&seen, "").unwrap();
        fs::set_permissions(&seen, fs::Permissions::from_mode(0o666)).unwrap();
        let body = format!(
            r#"pipe() {{ [ -p /dev/fd/$1 ] && echo pipe; }}
            echo "$1 $(pipe 3) $(pipe 4) $(cat <&4 | wc -c)" >> {}
            address=${{DOCKERLOG_CONFIG##*//}}; address=${{address%%\"*}}
            case $DOCKERLOG_CONFIG in *tcp:*) kind=tcp;; *) kind=udp;; esac
            cat <&3 > /dev/$kind/${{address/://}}"#,
            seen.display()
        );
        let logger = script(folder.path(), &body);
        for name in ["syslog", "gelf"] {
            let driver = driver(name, &[Carrier::Tcp, Carrier::Udp]);
            assert!(deliver(&logger, &driver, QUICK).await.unwrap());
        }
        assert!(deliver(&logger, &driver("fluentd", &[Carrier::Tcp]), QUICK).await.unwrap());
        let seen = fs::read_to_string(seen).unwrap();
        assert_eq!(
            seen,
            "syslog pipe pipe 0\n".repeat(2)
                + &"gelf pipe pipe 0\n".repeat(2)
                + "fluentd pipe pipe 0\n"
        );
        let body = r#"dir=${DOCKERLOG_CONFIG#*:\"}
            cat <&3 > ${dir%%\"*}/$DOCKERLOG_CONTAINERID-json.log"#;
        let mut json_file = driver("json-file", &[Carrier::File]);
        let logger = script(folder.path(), body);
        assert!(deliver(&logger, &json_file, QUICK).await.unwrap());
        "from-the-future".clone_into(&mut json_file.name);
        assert!(deliver(&logger, &json_file, QUICK).await.unwrap(), "its routes say how");
        json_file.routes[0].over = Carrier::Unknown("http".to_owned());
        assert!(!deliver(&logger, &json_file, QUICK).await.unwrap());
    }

    #[tokio::test]
    async fn a_logger_that_loses_the_record_crashes_or_hangs_fails() {
        let folder = folder();
        let refused = async |body: &str, timeout| {
            let logger = script(folder.path(), body);
            let syslog = driver("syslog", &[Carrier::Tcp]);
            let error = deliver(&logger, &syslog, timeout).await.unwrap_err();
            assert_eq!(error.kind(), FailureKind::Refused);
            error.to_string()
        };
        let lost = refused("cat <&3 >/dev/null", QUICK).await;
        assert!(lost.ends_with("ended well and its record did not arrive"), "{lost}");
        let crashed = refused("echo boom >&2; kill -SEGV $$", QUICK).await;
        assert!(crashed.contains("signal: 11") && crashed.contains("boom"), "{crashed}");
        let hung = refused("sleep 100", Duration::from_millis(300)).await;
        assert!(hung.contains("did not end within"), "{hung}");
    }

    /// What a client that believes the file says arrives.
    #[tokio::test]
    async fn records_arrive_over_tls() {
        for name in ["fluentd", "gelf", "syslog"] {
            let route = &driver(name, &[Carrier::Tls]).routes[0];
            let (receiver, options) = open(route, &DynamicUser::new()).await.unwrap().unwrap();
            let address = options[format!("{name}-address")].as_str().unwrap();
            let (_, address) = address.split_once("tls://").unwrap();
            let authority = options[format!("{name}-tls-ca-cert")].as_str().unwrap();
            let pem = fs::read(authority).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let client = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let client = async {
                // Another one before, which is no reason to stop.
                drop(TcpStream::connect(address).await.unwrap());
                let stream = TcpStream::connect(address).await.unwrap();
                let name = ServerName::try_from("127.0.0.1").unwrap();
                let connector = TlsConnector::from(Arc::new(client));
                let mut stream = connector.connect(name, stream).await.unwrap();
                stream.write_all(b"<30>1 the marker\n").await.unwrap();
                stream.shutdown().await.unwrap();
            };
            let (received, ()) = tokio::join!(receive(&receiver, "the marker"), client);
            received.unwrap();
        }
    }

    #[tokio::test]
    async fn a_driver_that_has_tls_is_tried_with_it() {
        let folder = folder();
        // It delivers well, but it does not speak TLS.
        let body = r#"address=${DOCKERLOG_CONFIG##*tls://}; address=${address%%\"*}
            cat <&3 > /dev/tcp/${address/://}"#;
        for name in ["fluentd", "gelf", "syslog"] {
            let logger = script(folder.path(), body);
            let error = deliver(&logger, &driver(name, &[Carrier::Tls]), QUICK).await.unwrap_err();
            assert!(error.to_string().contains("tls://127.0.0.1:"), "{error}");
        }
    }
}
