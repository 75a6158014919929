// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A web server for tests: the files of one directory, one of them badly. It
//! knows ranges and validators, and remembers what it was asked.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::engine::{Source, digest};

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
    /// All of the body, whatever part was asked for.
    NoRanges,
    /// Another part than was asked for.
    WrongRange,
    /// One byte in the middle is wrong.
    Flipped,
    /// A byte now and then.
    Trickle,
}

/// A request that came, and the status of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) path: String,
    /// The first byte that was wanted.
    pub(super) from: u64,
    pub(super) status: u16,
    /// Its head, as it came.
    pub(super) head: String,
}

/// What the server does and has done.
#[derive(Default)]
struct Shared {
    directory: PathBuf,
    /// A path, what is wrong with it, and how often.
    fault: Mutex<Option<(String, Answer, u32)>>,
    asked: Mutex<Vec<Asked>>,
    stop: AtomicBool,
}

pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(directory: &Path, fault: Option<(String, Answer)>) -> Self {
        let fault = fault.map(|(path, answer)| (path, answer, u32::MAX));
        let (directory, fault) = (directory.to_owned(), Mutex::new(fault));
        let shared = Arc::new(Shared { directory, fault, ..Shared::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let mut workers = Vec::new();
            let mut streams = Vec::new();
            for stream in listener.incoming() {
                if serving.stop.load(Ordering::Relaxed) {
                    break;
                }
                let (serving, stream) = (Arc::clone(&serving), stream.unwrap());
                streams.push(stream.try_clone().unwrap());
                workers.push(thread::spawn(move || {
                    // A client that goes away is what many cases are about.
                    let _ = serve(stream, &serving);
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
        Self { address, shared, thread: Some(thread) }
    }

    pub(super) fn source(&self) -> Source {
        format!("http://{}/", self.address).parse().unwrap()
    }

    /// Answers so many requests for a path badly.
    pub(super) fn fail(&self, path: &str, answer: Answer, times: u32) {
        *self.shared.fault.lock().unwrap() = Some((path.to_owned(), answer, times));
    }

    /// Says whether a path was asked for since the last call of [`Self::asked`].
    pub(super) fn is_asked(&self, path: &'static str) -> impl Fn() -> bool + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.asked.lock().unwrap().iter().any(|asked| asked.path == path)
    }

    /// The requests since the last call.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Shared {
    fn fault(&self, path: &str) -> Option<Answer> {
        let mut fault = self.fault.lock().unwrap();
        let (_, answer, times) = fault.as_mut().filter(|(faulty, ..)| faulty == path)?;
        *times = times.checked_sub(1)?;
        Some(*answer)
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while reader.read_line(&mut head)? > 2 {}
    let path = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let field = |name: &str| {
        let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned)
    };
    let answer = shared.fault(&path);
    let body = fs::read(shared.directory.join(&path));
    let (mut status, body) = match (&answer, body) {
        (Some(Answer::Status(status)), _) => (*status, Vec::new()),
        (_, Ok(body)) => (200, body),
        (_, Err(_)) => (404, Vec::new()),
    };
    let etag = format!("\"{}\"", digest::of(&body));
    let mut from = 0;
    let range = field("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let asked_from = u64::try_from(range.unwrap_or(0)).unwrap();
    let mut fields = String::new();
    if status == 200 && field("if-none-match").as_ref() == Some(&etag) {
        status = 304;
    } else if let (200, Some(first)) = (status, range)
        && answer != Some(Answer::NoRanges)
    {
        (status, from) = (206, first.min(body.len()));
        let told = from + usize::from(answer == Some(Answer::WrongRange));
        fields = format!("content-range: bytes {told}-{}/{}\r\n", body.len() - 1, body.len());
    }
    shared.asked.lock().unwrap().push(Asked { path, from: asked_from, status, head });
    let mut body = if status == 304 { Vec::new() } else { body[from..].to_vec() };
    let half = body.len() / 2;
    let length = match answer {
        Some(Answer::Endless | Answer::Truncated) => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    let head =
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\netag: {etag}\r\n{fields}{length}\r\n");
    if !matches!(answer, Some(Answer::Silent | Answer::Reset)) {
        stream.write_all(head.as_bytes())?;
    }
    match answer {
        Some(Answer::Flipped) => body[half] ^= 1,
        Some(Answer::Truncated | Answer::CutOff | Answer::Stalled) => body.truncate(half),
        Some(Answer::Silent | Answer::Reset) => body.clear(),
        _ => {}
    }
    match answer {
        Some(Answer::Trickle) => {
            for byte in body {
                stream.write_all(&[byte])?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        _ => stream.write_all(&body)?,
    }
    match answer {
        Some(Answer::Endless) => loop {
            stream.write_all(&[b'x'; 4096])?;
        },
        Some(Answer::Stalled | Answer::Silent) => wait_for_close(&mut stream)?,
        _ => {}
    }
    stream.shutdown(Shutdown::Both)
}

/// Until the client gives up.
fn wait_for_close(stream: &mut TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}
