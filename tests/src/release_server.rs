// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A small HTTP/1.1 file server on loopback over a folder that can be switched, with faults per path.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http_server::{HttpServer, serve};

/// The pause between two pieces of a slow answer.
const SLOW_PAUSE: Duration = Duration::from_millis(2);
/// The pause between two bytes of a crawling answer.
const CRAWL_PAUSE: Duration = Duration::from_millis(50);
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
    /// Half of the body at once, then a byte now and then.
    Crawling,
    /// Status 503.
    Unavailable,
}

/// A server that lives until it is dropped.
#[derive(Debug)]
pub struct ReleaseServer {
    server: HttpServer,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
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
        Self::launch(folder, None)
    }

    /// The same over TLS.
    pub fn start_tls(folder: &Path, tls: Arc<ServerConfig>) -> ReleaseServer {
        Self::launch(folder, Some(tls))
    }

    fn launch(folder: &Path, tls: Option<Arc<ServerConfig>>) -> ReleaseServer {
        let state = State { folder: folder.to_owned(), faults: Vec::new(), requests: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let serving = Arc::clone(&state);
        let server = HttpServer::start(move |connection| {
            // Head and body are two writes: without this, the second waits 40 ms for the client's acknowledgement.
            connection.set_nodelay(true)?;
            match &tls {
                None => serve(connection, |request, to| answer(&serving, &request.target, to)),
                Some(tls) => {
                    let session =
                        ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
                    let connection = StreamOwned::new(session, connection);
                    serve(connection, |request, to| answer(&serving, &request.target, to))
                }
            }
        });
        ReleaseServer { server, scheme, state }
    }

    /// The address of the folder.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.server.address())
    }

    /// Serves another folder from now on.
    pub fn switch(&self, folder: &Path) {
        self.state.lock().unwrap().folder = folder.to_owned();
    }

    /// Answers every request whose path contains the text with a fault.
    pub fn set_fault(&self, path_contains: &str, fault: Fault) {
        self.state.lock().unwrap().faults.push((path_contains.to_owned(), fault));
    }

    /// Answers every request well again.
    pub fn clear_faults(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// The paths requested so far, in order.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

/// The file for a path, and its length; nothing outside of the folder.
fn file_of(folder: &Path, path: &str) -> Option<(File, usize)> {
    let path = path.split('?').next()?.trim_start_matches('/');
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let file = File::open(folder.join(path)).ok()?;
    let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
    Some((file, usize::try_from(metadata.len()).ok()?))
}

/// Answers one request; true when the connection can be used again.
fn answer(state: &Mutex<State>, path: &str, connection: &mut impl Write) -> io::Result<bool> {
    let (file, fault) = {
        let mut state = state.lock().unwrap();
        state.requests.push(path.to_owned());
        let fault = state.faults.iter().find(|(text, _)| path.contains(text));
        (file_of(&state.folder, path), fault.map(|(_, fault)| *fault))
    };
    let Some((mut file, length)) = file else {
        write!(connection, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    };
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let Some(fault) = fault else {
        connection.write_all(head(length).as_bytes())?;
        // As servers do: from the file into the socket, without a copy of ours.
        io::copy(&mut file, connection)?;
        return Ok(true);
    };
    let mut body = Vec::with_capacity(length);
    file.read_to_end(&mut body)?;
    match fault {
        Fault::FlippedByte => {
            let middle = body.len() / 2;
            body[middle] ^= 1;
            connection.write_all(head(body.len()).as_bytes())?;
            connection.write_all(&body)?;
        }
        Fault::Truncated => {
            connection.write_all(head(body.len()).as_bytes())?;
            connection.write_all(&body[..body.len() / 2])?;
            return Ok(false);
        }
        Fault::Endless => {
            connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            connection.write_all(&body)?;
            let more = vec![0; 64 * 1024];
            for _ in 0..ENDLESS_BYTES / more.len() {
                connection.write_all(&more)?;
            }
            return Ok(false);
        }
        Fault::TooLong => {
            connection.write_all(head(body.len() + 1000).as_bytes())?;
            connection.write_all(&body)?;
            connection.write_all(&[0; 1000])?;
        }
        Fault::Slow => {
            connection.write_all(head(body.len()).as_bytes())?;
            for piece in body.chunks(SLOW_PIECE_BYTES) {
                connection.write_all(piece)?;
                thread::sleep(SLOW_PAUSE);
            }
        }
        Fault::Crawling => {
            connection.write_all(head(body.len()).as_bytes())?;
            let (half, rest) = body.split_at(body.len() / 2);
            connection.write_all(half)?;
            for byte in rest {
                connection.write_all(&[*byte])?;
                thread::sleep(CRAWL_PAUSE);
            }
        }
        Fault::Unavailable => {
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
