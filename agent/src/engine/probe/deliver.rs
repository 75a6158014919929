// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One record through a driver of the staged logger, started by its launch
//! contract, to a receiver on loopback or in a directory of its own.
//!
//! [`RECEIVERS`] says which driver is tried against what; a driver that is not
//! there, since it is newer than this agent, is left out.

use std::io::{self, Read as _, Write};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::{Instant, timeout_at};

use crate::engine::error::ProbeError;
use crate::engine::probe::{OUTPUT_BYTES_MAX, first_line, run_error};
use crate::os::confine::DynamicUser;
use crate::os::process::{self, Invocation};
use crate::os::{Files as _, RealFiles};

/// What each driver is tried against.
const RECEIVERS: [(&str, Kind); 5] = [
    ("fluentd", Kind::FluentdTcp),
    ("gelf", Kind::GelfTcp),
    ("json-file", Kind::JsonFile),
    ("syslog", Kind::SyslogTcp),
    ("syslog", Kind::SyslogUdp),
];

/// How long a record may be under way after the logger has ended.
const LATE_MAX: Duration = Duration::from_secs(2);

/// How often to look whether a record is in a file.
const LOOK: Duration = Duration::from_millis(10);

/// Bytes a receiver takes, at most.
const RECEIVED_BYTES_MAX: usize = 64 << 10;

/// A kind of receiver.
#[derive(Debug, Clone, Copy)]
enum Kind {
    FluentdTcp,
    GelfTcp,
    JsonFile,
    SyslogTcp,
    SyslogUdp,
}

/// An open receiver.
enum Receiver {
    File(TempDir),
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// Tries every receiver there is for `driver`. Says whether there was one.
pub(super) async fn deliver(
    logger: &Path,
    driver: &str,
    timeout: Duration,
) -> Result<bool, ProbeError> {
    let mut tried = false;
    for (_, kind) in RECEIVERS.iter().filter(|(name, _)| *name == driver) {
        tried = true;
        attempt(logger, driver, *kind, timeout).await?;
    }
    Ok(tried)
}

async fn attempt(
    logger: &Path,
    driver: &str,
    kind: Kind,
    timeout: Duration,
) -> Result<(), ProbeError> {
    let marker = format!("dockerlogger probe {}", crate::random::request_id());
    let here = |source| ProbeError::Receiver { driver: driver.to_owned(), source };
    let user = DynamicUser::new();
    let (receiver, options) = open(kind, &user).await.map_err(here)?;
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

/// A receiver, and the options that lead to it.
async fn open(kind: Kind, user: &DynamicUser) -> io::Result<(Receiver, Value)> {
    let loopback = (Ipv4Addr::LOCALHOST, 0);
    let option = match kind {
        Kind::FluentdTcp => "fluentd-address",
        Kind::GelfTcp => "gelf-address",
        Kind::JsonFile => "json-file-dir",
        Kind::SyslogTcp | Kind::SyslogUdp => "syslog-address",
    };
    Ok(match kind {
        Kind::JsonFile => {
            let dir = tempfile::tempdir()?;
            user.give(dir.path())?;
            let options = json!({ (option): dir.path() });
            (Receiver::File(dir), options)
        }
        Kind::FluentdTcp | Kind::GelfTcp | Kind::SyslogTcp => {
            let listener = TcpListener::bind(loopback).await?;
            let options = json!({ (option): format!("tcp://{}", listener.local_addr()?) });
            (Receiver::Tcp(listener), options)
        }
        Kind::SyslogUdp => {
            let socket = UdpSocket::bind(loopback).await?;
            let options = json!({ (option): format!("udp://{}", socket.local_addr()?) });
            (Receiver::Udp(socket), options)
        }
    })
}

/// Ends when the marker has arrived.
async fn receive(receiver: &Receiver, marker: &str) -> io::Result<()> {
    let mut buffer = vec![0; RECEIVED_BYTES_MAX];
    let found = |bytes: &[u8]| bytes.windows(marker.len()).any(|part| part == marker.as_bytes());
    match receiver {
        Receiver::File(dir) => {
            let file = dir.path().join(format!("{}-json.log", container_id()));
            loop {
                // The folder is the logger's: whatever stands there is neither followed nor waited for.
                if let Ok(written) = RealFiles.open(&file) {
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
        Receiver::Tcp(listener) => loop {
            let (mut stream, _) = listener.accept().await?;
            let mut length = 0;
            while length < buffer.len() {
                match stream.read(&mut buffer[length..]).await {
                    Ok(count) if count > 0 => length += count,
                    // The connection ended: there may be another.
                    _ => break,
                }
                if found(&buffer[..length]) {
                    return Ok(());
                }
            }
        },
    }
}

/// Descriptors 3 and 4: a record on the first, both at their end after it.
fn streams(marker: &str) -> io::Result<Vec<OwnedFd>> {
    let (stdout, mut record) = io::pipe()?;
    let (stderr, _) = io::pipe()?;
    record.write_all(format!("{marker}\n").as_bytes())?;
    Ok(vec![stdout.into(), stderr.into()])
}

fn container_id() -> String {
    "0".repeat(64)
}

fn environment(options: &Value) -> Vec<(String, String)> {
    let id = container_id();
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

    use super::*;
    use crate::engine::error::FailureKind;
    use crate::engine::probe::tests::{folder, script};

    const QUICK: Duration = Duration::from_secs(20);

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
            address=${{DOCKERLOG_CONFIG##*//}}; address=${{address%\"*}}
            case $DOCKERLOG_CONFIG in *tcp:*) kind=tcp;; *) kind=udp;; esac
            cat <&3 > /dev/$kind/${{address/://}}"#,
            seen.display()
        );
        let logger = script(folder.path(), &body);
        assert!(deliver(&logger, "syslog", QUICK).await.unwrap());
        assert!(deliver(&logger, "fluentd", QUICK).await.unwrap());
        assert!(deliver(&logger, "gelf", QUICK).await.unwrap());
        let seen = fs::read_to_string(seen).unwrap();
        assert_eq!(
            seen,
            "syslog pipe pipe 0\n".repeat(2) + "fluentd pipe pipe 0\n" + "gelf pipe pipe 0\n"
        );
        let body = r#"dir=${DOCKERLOG_CONFIG#*:\"}
            cat <&3 > ${dir%\"*}/$DOCKERLOG_CONTAINERID-json.log"#;
        assert!(deliver(&script(folder.path(), body), "json-file", QUICK).await.unwrap());
        assert!(!deliver(&logger, "from-the-future", QUICK).await.unwrap());
    }

    #[tokio::test]
    async fn a_logger_that_loses_the_record_crashes_or_hangs_fails() {
        let folder = folder();
        let refused = async |body: &str, timeout| {
            let logger = script(folder.path(), body);
            let error = deliver(&logger, "syslog", timeout).await.unwrap_err();
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
}
