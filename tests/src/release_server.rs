// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A small HTTP/1.1 file server on loopback over a folder that can be switched, with faults per path.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The pause between two pieces of a slow answer.
const SLOW_PAUSE: Duration = Duration::from_millis(2);
/// Bytes per piece of a slow answer.
const SLOW_PIECE_BYTES: usize = 16 * 1024;
/// An endless body is cut here, so that a test that fails does not fill a disk.
const ENDLESS_BYTES: usize = 2 << 30;

/// What is wrong with the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One bit in the middle of the body is wrong.
    FlippedByte,
    /// The connection ends in the middle of the body.
    Truncated,
    /// The body goes on after the file, without a length, for up to 2 GiB.
    Endless,
    /// More bytes than the file has, correctly announced.
    TooLong,
    /// Small pieces with pauses.
    Slow,
    /// Status 503.
    Unavailable,
}

/// A server that lives until it is dropped.
#[derive(Debug)]
pub struct ReleaseServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    over: AtomicBool,
}

#[derive(Debug)]
struct State {
    folder: PathBuf,
    /// A fault for every path that contains the text.
    faults: Vec<(String, Fault)>,
    requests: Vec<String>,
}

impl ReleaseServer {
    /// Serves the files of a folder on a free loopback port.
    pub fn start(folder: &Path) -> ReleaseServer {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = State { folder: folder.to_owned(), faults: Vec::new(), requests: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), over: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if serving.over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let serving = Arc::clone(&serving);
                thread::spawn(move || {
                    // A client that hangs up in the middle is the client's business.
                    let _ = serve(&serving, &connection);
                });
            }
        });
        ReleaseServer { address, shared }
    }

    /// The address of the folder.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves another folder from now on.
    pub fn switch(&self, folder: &Path) {
        self.shared.state.lock().unwrap().folder = folder.to_owned();
    }

    /// Answers every request whose path contains the text with a fault.
    pub fn set_fault(&self, path_contains: &str, fault: Fault) {
        self.shared.state.lock().unwrap().faults.push((path_contains.to_owned(), fault));
    }

    /// Answers every request well again.
    pub fn clear_faults(&self) {
        self.shared.state.lock().unwrap().faults.clear();
    }

    /// The paths requested so far, in order.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().requests.clone()
    }
}

impl Drop for ReleaseServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(shared: &Shared, connection: &TcpStream) -> io::Result<()> {
    // Head and body are two writes: without this, the second waits 40 ms for the client's acknowledgement.
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
        let (file, fault) = {
            let mut state = shared.state.lock().unwrap();
            state.requests.push(path.clone());
            let fault =
                state.faults.iter().find(|(text, _)| path.contains(text)).map(|(_, fault)| *fault);
            (file_of(&state.folder, &path), fault)
        };
        if !answer(connection, file.as_deref(), fault)? {
            return Ok(());
        }
    }
}

/// The file for a path; nothing outside of the folder.
fn file_of(folder: &Path, path: &str) -> Option<Vec<u8>> {
    let path = path.split('?').next()?.trim_start_matches('/');
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    fs::read(folder.join(path)).ok()
}

/// Answers one request; true when the connection can be used again.
fn answer(
    mut connection: &TcpStream,
    file: Option<&[u8]>,
    fault: Option<Fault>,
) -> io::Result<bool> {
    let Some(body) = file else {
        write!(connection, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    };
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    match fault {
        None => {
            connection.write_all(head(body.len()).as_bytes())?;
            connection.write_all(body)?;
        }
        Some(Fault::FlippedByte) => {
            let mut body = body.to_vec();
            let middle = body.len() / 2;
            body[middle] ^= 1;
            connection.write_all(head(body.len()).as_bytes())?;
            connection.write_all(&body)?;
        }
        Some(Fault::Truncated) => {
            connection.write_all(head(body.len()).as_bytes())?;
            connection.write_all(&body[..body.len() / 2])?;
            return Ok(false);
        }
        Some(Fault::Endless) => {
            connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            connection.write_all(body)?;
            let more = vec![0; 64 * 1024];
            for _ in 0..ENDLESS_BYTES / more.len() {
                connection.write_all(&more)?;
            }
            return Ok(false);
        }
        Some(Fault::TooLong) => {
            connection.write_all(head(body.len() + 1000).as_bytes())?;
            connection.write_all(body)?;
            connection.write_all(&[0; 1000])?;
        }
        Some(Fault::Slow) => {
            connection.write_all(head(body.len()).as_bytes())?;
            for piece in body.chunks(SLOW_PIECE_BYTES) {
                connection.write_all(piece)?;
                thread::sleep(SLOW_PAUSE);
            }
        }
        Some(Fault::Unavailable) => {
            write!(connection, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn faults_are_what_they_say() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), vec![7u8; 1000]).unwrap();
        let server = ReleaseServer::start(folder.path());
        let get = || http::get(&format!("{}/file", server.url()));
        assert_eq!(get().unwrap().body, [7u8; 1000]);
        assert_eq!(http::get(&format!("{}/../file", server.url())).unwrap().status, 404);

        server.set_fault("file", Fault::FlippedByte);
        let flipped = get().unwrap().body;
        assert_eq!(flipped.iter().filter(|byte| **byte != 7).count(), 1);

        for (fault, length) in
            [(Fault::Truncated, 500), (Fault::TooLong, 2000), (Fault::Slow, 1000)]
        {
            server.clear_faults();
            server.set_fault("fil", fault);
            assert_eq!(get().unwrap().body.len(), length, "{fault:?}");
        }
        server.clear_faults();
        server.set_fault("file", Fault::Unavailable);
        assert_eq!(get().unwrap().status, 503);
        assert_eq!(server.requests().len(), 7);
    }
}
