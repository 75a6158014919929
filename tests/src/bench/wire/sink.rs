// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One sink for each wire, which counts lines and does nothing else.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dockerlogger_manifest::Route;
use memchr::memmem;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::{Listen, Wire};
use crate::bench::counts::Counts;
use crate::bench::target::{Place, Target};
use crate::certificates::Authority;

/// The sink of one wire, until it is dropped.
#[derive(Debug)]
pub struct WireSink {
    wire: &'static Wire,
    place: Place,
    shared: Arc<Shared>,
    folder: TempDir,
}

#[derive(Debug)]
struct Shared {
    mark: &'static [u8],
    counts: Counts,
    /// What came first.
    first: Mutex<Vec<u8>>,
    closing: AtomicBool,
}

impl WireSink {
    /// A sink that listens.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start(wire: &'static Wire) -> WireSink {
        WireSink::listening(wire, wire.listen)
    }

    /// One for the copy loop, which has no TLS.
    ///
    /// # Panics
    /// When it cannot.
    pub fn for_copy_loop(wire: &'static Wire) -> WireSink {
        let plain = if wire.listen == Listen::Tls { Listen::Tcp } else { wire.listen };
        WireSink::listening(wire, plain)
    }

    fn listening(wire: &'static Wire, listen: Listen) -> WireSink {
        let folder = tempfile::tempdir().expect("a scratch folder can be made");
        let shared = Arc::new(Shared {
            mark: wire.mark,
            counts: Counts::default(),
            first: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let path = folder.path().join("sink");
        let place = match listen {
            Listen::Tcp => tcp(&shared, TcpServer::Plain),
            Listen::Confirming => tcp(&shared, TcpServer::Confirming),
            Listen::Tls => {
                let authority = Authority::new(folder.path());
                tcp(&shared, TcpServer::Tls(authority.issue("127.0.0.1").server(None)))
            }
            Listen::Udp => udp(&shared),
            Listen::Unix => unix(&shared, path),
            Listen::Unixgram => unixgram(&shared, path),
            Listen::File => file(&shared, folder.path()),
        };
        WireSink { wire, place, shared, folder }
    }

    /// What came with the first line: its frame, while there was no other.
    pub fn first_frame(&self) -> Vec<u8> {
        self.shared.first.lock().unwrap().clone()
    }
}

impl Target for WireSink {
    fn driver(&self) -> &str {
        &self.wire.driver
    }

    fn options(&self) -> Vec<(String, String)> {
        let address = match &self.place {
            Place::Tcp(address) | Place::Udp(address) => address.to_string(),
            Place::Unix(path) | Place::Unixgram(path) | Place::File(path) => {
                path.display().to_string()
            }
        };
        let authority = self.folder.path().join(Authority::FILE).display().to_string();
        let folder = self.folder.path().display().to_string();
        let places = [
            (Route::ADDRESS, address.as_str()),
            (Route::AUTHORITY, authority.as_str()),
            (Route::FOLDER, folder.as_str()),
        ];
        self.wire.route.options_to(&places).into_iter().collect()
    }

    fn place(&self) -> Place {
        self.place.clone()
    }

    fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

impl Drop for WireSink {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // What waits for a connection or a datagram gets one.
        if let Ok(mut socket) = self.place.connect() {
            let _ = socket.write(b"\n");
        }
        if let Place::Unix(path) | Place::Unixgram(path) = &self.place {
            let _ = fs::remove_file(path);
        }
    }
}

impl Shared {
    /// Counts until the end. A mark that two reads share counts with the later one.
    fn take(&self, mut connection: impl Read) {
        let mut buffer = vec![0; 256 * 1024];
        let carried_max = self.mark.len() - 1;
        let mut carried = 0;
        while let Ok(count @ 1..) = connection.read(&mut buffer[carried..]) {
            if self.closing.load(Ordering::Relaxed) {
                return;
            }
            let filled = carried + count;
            let seen = &buffer[..filled];
            let lines = match self.mark {
                [byte] => memchr::memchr_iter(*byte, seen).count(),
                mark => memmem::find_iter(seen, mark).count(),
            };
            if self.counts.lines() == 0 {
                self.first.lock().unwrap().extend_from_slice(&buffer[carried..filled]);
            }
            self.counts.add(lines, count);
            // Too short for another mark.
            carried = carried_max.min(filled);
            buffer.copy_within(filled - carried..filled, 0);
        }
    }
}

/// What a TCP port does.
#[derive(Debug, Clone)]
enum TcpServer {
    Plain,
    Confirming,
    Tls(Arc<ServerConfig>),
}

fn tcp(shared: &Arc<Shared>, server: TcpServer) -> Place {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let place = Place::Tcp(v4(listener.local_addr()));
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            if shared.closing.load(Ordering::SeqCst) {
                return;
            }
            let (shared, server) = (Arc::clone(&shared), server.clone());
            thread::spawn(move || match server {
                TcpServer::Plain => shared.take(socket),
                TcpServer::Confirming => shared.take(Confirming { socket, unread: Vec::new() }),
                TcpServer::Tls(config) => {
                    let session =
                        ServerConnection::new(config).expect("the test's own certificate");
                    shared.take(StreamOwned::new(session, socket));
                }
            });
        }
    });
    place
}

fn unix(shared: &Arc<Shared>, path: PathBuf) -> Place {
    let listener = UnixListener::bind(&path).expect("a scratch folder takes a socket");
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            if shared.closing.load(Ordering::SeqCst) {
                return;
            }
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.take(socket));
        }
    });
    Place::Unix(path)
}

fn udp(shared: &Arc<Shared>) -> Place {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    // Where that is allowed, so much that a sink that is late loses nothing.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, DATAGRAM_BUFFER_BYTES);
    let place = Place::Udp(v4(socket.local_addr()));
    let shared = Arc::clone(shared);
    thread::spawn(move || shared.take(Datagrams(move |bytes: &mut [u8]| socket.recv(bytes))));
    place
}

fn unixgram(shared: &Arc<Shared>, path: PathBuf) -> Place {
    let socket = UnixDatagram::bind(&path).expect("a scratch folder takes a socket");
    let shared = Arc::clone(shared);
    thread::spawn(move || shared.take(Datagrams(move |bytes: &mut [u8]| socket.recv(bytes))));
    Place::Unixgram(path)
}

fn file(shared: &Arc<Shared>, folder: &Path) -> Place {
    let place = Place::File(folder.join("log"));
    let folder = folder.to_owned();
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut growing = Growing { folder, path: None, file: None };
        shared.take(Datagrams(|bytes: &mut [u8]| {
            loop {
                match growing.read(bytes)? {
                    0 if shared.closing.load(Ordering::SeqCst) => return Ok(0),
                    0 => thread::sleep(Duration::from_millis(1)),
                    count => return Ok(count),
                }
            }
        }));
    });
    place
}

/// A file that is read as far as it goes, and then the one that has its name: the
/// shortest in the folder, for those that were moved away have more behind it.
struct Growing {
    folder: PathBuf,
    path: Option<PathBuf>,
    file: Option<(File, u64)>,
}

impl Read for Growing {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.path.is_none() {
            let files = fs::read_dir(&self.folder)?.flatten().map(|file| file.path());
            self.path = files.min_by_key(|path| path.as_os_str().len());
        }
        let Some(path) = &self.path else { return Ok(0) };
        let named = fs::metadata(path).map_or(0, |named| named.ino());
        if let Some((file, number)) = &mut self.file {
            let count = file.read(bytes)?;
            if count > 0 || *number == named || named == 0 {
                return Ok(count);
            }
        }
        // Nobody has written to the one that was moved away since `named` was read.
        self.file = File::open(path).ok().and_then(|file| {
            let number = file.metadata().ok()?.ino();
            Some((file, number))
        });
        Ok(0)
    }
}

fn v4(address: io::Result<SocketAddr>) -> SocketAddrV4 {
    match address {
        Ok(SocketAddr::V4(address)) => address,
        other => panic!("a loopback socket has an IPv4 address, not {other:?}"),
    }
}

/// Answers each chunk that passes.
struct Confirming {
    socket: TcpStream,
    /// The last bytes that passed, in which a chunk may have begun.
    unread: Vec<u8>,
}

impl Read for Confirming {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        const CHUNK: &[u8] = b"\xa5chunk\xb8";
        const ID_BYTES: usize = 24;
        let count = self.socket.read(bytes)?;
        self.unread.extend_from_slice(&bytes[..count]);
        let (mut answers, mut done) = (Vec::new(), 0);
        for at in memmem::find_iter(&self.unread, CHUNK) {
            let id = at + CHUNK.len();
            let Some(id) = self.unread.get(id..id + ID_BYTES) else { break };
            answers.extend_from_slice(b"\x81\xa3ack\xb8");
            answers.extend_from_slice(id);
            done = at + CHUNK.len() + ID_BYTES;
        }
        let keep_from = done.max(self.unread.len().saturating_sub(CHUNK.len() + ID_BYTES - 1));
        self.unread.drain(..keep_from);
        self.socket.write_all(&answers)?;
        Ok(count)
    }
}

/// One datagram a read.
struct Datagrams<F>(F);

impl<F: FnMut(&mut [u8]) -> io::Result<usize>> Read for Datagrams<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (self.0)(bytes)
    }
}

#[cfg(target_os = "linux")]
const DATAGRAM_BUFFER_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_is_cut_counts_once() {
        let shared = Shared {
            mark: b"mark",
            counts: Counts::default(),
            first: Mutex::default(),
            closing: AtomicBool::new(false),
        };
        let mut parts = [b"xxma".as_slice(), b"r", b"kmarkma", b"rk"].into_iter();
        shared.take(Datagrams(|bytes: &mut [u8]| {
            let part = parts.next().unwrap_or_default();
            bytes[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }));
        assert_eq!(shared.counts.lines(), 3);
        assert_eq!(*shared.first.lock().unwrap(), b"xxmarkmarkma");
    }
}
