// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A receiver of Fluentd's forward protocol: reads messages with a decoder that is not ours, answers them, or answers
//! what nobody should.

use std::io::{Cursor, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rmpv::Value;

/// How often a quiet connection looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How a connection is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conduct {
    /// Every message that wants it is confirmed.
    Confirm,
    /// Messages are taken and never confirmed.
    Ignore,
    /// So many messages are collected, then confirmed from the last to the first.
    Backwards(usize),
    /// So many messages are confirmed; then no more is said, and what comes is still taken.
    ConfirmThenLeave(usize),
    /// These bytes are the answer to every message.
    Say(Vec<u8>),
    /// These bytes are said before anything was asked, and nothing after.
    Greet(Vec<u8>),
    /// The connection is closed when so many bytes have come, read or not.
    CloseAfter(usize),
}

/// A receiver that lives until it is dropped.
#[derive(Debug)]
pub struct FluentReceiver {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What the next connections get; the last of them every one that follows.
    conducts: Mutex<Vec<Conduct>>,
    /// One entry per connection: what it brought, and its messages.
    received: Mutex<Vec<(usize, Vec<Value>)>>,
    over: AtomicBool,
}

impl FluentReceiver {
    /// A receiver that confirms.
    pub fn start() -> FluentReceiver {
        FluentReceiver::with(&[Conduct::Confirm])
    }

    /// A receiver whose n-th connection is treated in the n-th way, and later ones in the last.
    pub fn with(conducts: &[Conduct]) -> FluentReceiver {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let shared = Arc::new(Shared {
            conducts: Mutex::new(conducts.iter().rev().cloned().collect()),
            received: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&accepting, &listener));
        FluentReceiver { port, shared }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.shared.received.lock().unwrap().iter().map(|(bytes, _)| bytes).sum()
    }

    /// Messages so far, one connection after the other.
    pub fn messages(&self) -> Vec<Value> {
        let received = self.shared.received.lock().unwrap();
        received.iter().flat_map(|(_, messages)| messages.clone()).collect()
    }

    /// The messages of each connection.
    pub fn per_connection(&self) -> Vec<Vec<Value>> {
        let received = self.shared.received.lock().unwrap();
        received.iter().map(|(_, messages)| messages.clone()).collect()
    }

    /// The lines in the messages so far, those of packs too.
    pub fn logs(&self) -> Vec<String> {
        self.messages().iter().flat_map(records).map(|record| log_of(&record)).collect()
    }
}

impl Drop for FluentReceiver {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

/// The records of a message.
fn records(message: &Value) -> Vec<Value> {
    match &message[1] {
        Value::Binary(entries) => {
            let mut rest = entries.as_slice();
            let mut records = Vec::new();
            while !rest.is_empty() {
                let entry = rmpv::decode::read_value(&mut rest).expect("an entry is MessagePack");
                records.push(entry[1].clone());
            }
            records
        }
        _ => vec![message[2].clone()],
    }
}

fn log_of(record: &Value) -> String {
    match &record["log"] {
        Value::String(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        other => panic!("a record has a log, not {other}"),
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    while !shared.over.load(Ordering::Relaxed) {
        let Ok((connection, _)) = listener.accept() else {
            thread::sleep(LOOK_EVERY);
            continue;
        };
        let conduct = {
            let mut conducts = shared.conducts.lock().unwrap();
            let last = conducts.len() == 1;
            if last { conducts[0].clone() } else { conducts.pop().expect("there is one at least") }
        };
        let idx = {
            let mut received = shared.received.lock().unwrap();
            received.push((0, Vec::new()));
            received.len() - 1
        };
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(&shared, connection, idx, &conduct));
    }
}

fn serve(shared: &Shared, mut connection: TcpStream, idx: usize, conduct: &Conduct) {
    let _ = connection.set_nonblocking(false);
    let _ = connection.set_read_timeout(Some(LOOK_EVERY));
    if let Conduct::Greet(words) = conduct {
        let _ = connection.write_all(words);
    }
    let (mut unread, mut total, mut chunks) = (Vec::new(), 0, Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    while !shared.over.load(Ordering::Relaxed) {
        let room = match conduct {
            Conduct::CloseAfter(bytes) if total >= *bytes => {
                let _ = connection.shutdown(Shutdown::Both);
                return;
            }
            Conduct::CloseAfter(bytes) => buffer.len().min(bytes - total),
            _ => buffer.len(),
        };
        let count = match connection.read(&mut buffer[..room]) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => continue,
                _ => return,
            },
        };
        total += count;
        unread.extend_from_slice(&buffer[..count]);
        let messages = take_messages(&mut unread);
        let mut answer = Vec::new();
        for message in &messages {
            let chunk = message.as_array().and_then(|parts| match parts.last()? {
                Value::Map(_) => parts.last()?["chunk"].as_str().map(str::to_owned),
                _ => None,
            });
            match (conduct, chunk) {
                (Conduct::Confirm, Some(chunk)) => answer.extend(confirmation(&chunk)),
                (Conduct::ConfirmThenLeave(count), Some(chunk)) if chunks.len() < *count => {
                    answer.extend(confirmation(&chunk));
                    chunks.push(chunk);
                }
                (Conduct::Backwards(count), Some(chunk)) => {
                    chunks.push(chunk);
                    if chunks.len() == *count {
                        answer.extend(chunks.drain(..).rev().flat_map(|c| confirmation(&c)));
                    }
                }
                (Conduct::Say(words), _) => answer.extend_from_slice(words),
                _ => {}
            }
        }
        {
            let mut received = shared.received.lock().unwrap();
            received[idx].0 += count;
            received[idx].1.extend(messages);
        }
        let left = matches!(conduct, Conduct::ConfirmThenLeave(count) if chunks.len() == *count);
        if connection.write_all(&answer).is_err() && !left {
            return;
        }
        if left {
            let _ = connection.shutdown(Shutdown::Write);
        }
    }
}

/// What confirms a chunk.
pub fn confirmation(chunk: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let answer = Value::Map(vec![("ack".into(), chunk.into())]);
    rmpv::encode::write_value(&mut bytes, &answer).expect("memory can be written");
    bytes
}

/// Takes the whole messages from the front.
fn take_messages(unread: &mut Vec<u8>) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut cursor = Cursor::new(unread.as_slice());
    let mut done = 0;
    while done < unread.len() {
        match rmpv::decode::read_value(&mut cursor) {
            Ok(message) => messages.push(message),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => panic!("what came is no MessagePack: {error}"),
        }
        done = usize::try_from(cursor.position()).expect("a place in memory");
    }
    unread.drain(..done);
    messages
}
