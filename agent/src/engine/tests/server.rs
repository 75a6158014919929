// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A web server for tests: the files of one directory, one of them badly.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::engine::Source;

/// What is done to one path instead of serving it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Status(u16),
    /// A body that does not end, without a length.
    Endless,
    /// Half of the body, then a clean end, without a length.
    Truncated,
    /// Half of the body, although its length was announced.
    CutOff,
    /// Half of the body, then nothing.
    Stalled,
    /// No answer at all.
    Silent,
    /// The connection is closed.
    Reset,
}

pub(super) struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(directory: &Path, fault: Option<(String, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, directory) = (Arc::clone(&stop), directory.to_owned());
        let thread = thread::spawn(move || {
            let mut workers = Vec::new();
            let mut streams = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (directory, fault) = (directory.clone(), fault.clone());
                let stream = stream.unwrap();
                streams.push(stream.try_clone().unwrap());
                workers.push(thread::spawn(move || {
                    // A client that goes away is what many cases are about.
                    let _ = serve(stream, &directory, fault);
                }));
            }
            // Nobody may drive the client's end any more: end it from here.
            for stream in streams {
                let _ = stream.shutdown(Shutdown::Both);
            }
            for worker in workers {
                worker.join().unwrap();
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    pub(super) fn source(&self) -> Source {
        format!("http://{}/", self.address).parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(
    mut stream: TcpStream,
    directory: &Path,
    fault: Option<(String, Answer)>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let answer = fault.filter(|(faulty, _)| *faulty == path).map(|(_, answer)| answer);
    let body = fs::read(directory.join(PathBuf::from(&path)));
    let (status, body) = match (&answer, body) {
        (Some(Answer::Status(status)), _) => (*status, Vec::new()),
        (_, Ok(body)) => (200, body),
        (_, Err(_)) => (404, Vec::new()),
    };
    let half = &body[..body.len() / 2];
    let head = |length: Option<usize>| {
        let length = length.map(|length| format!("content-length: {length}\r\n"));
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{}\r\n", length.unwrap_or_default())
    };
    match answer {
        None | Some(Answer::Status(_)) => {
            stream.write_all(head(Some(body.len())).as_bytes())?;
            stream.write_all(&body)?;
        }
        Some(Answer::Endless) => {
            stream.write_all(head(None).as_bytes())?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
        Some(Answer::Truncated) => {
            stream.write_all(head(None).as_bytes())?;
            stream.write_all(half)?;
        }
        Some(Answer::CutOff) => {
            stream.write_all(head(Some(body.len())).as_bytes())?;
            stream.write_all(half)?;
        }
        Some(Answer::Stalled) => {
            stream.write_all(head(Some(body.len())).as_bytes())?;
            stream.write_all(half)?;
            wait_for_close(&mut stream)?;
        }
        Some(Answer::Silent) => wait_for_close(&mut stream)?,
        Some(Answer::Reset) => {}
    }
    stream.shutdown(Shutdown::Both)
}

/// Until the client gives up.
fn wait_for_close(stream: &mut TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}
