// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A logger for tests of releases that turn out bad: it keeps the launch contract, and its flaw is written into its file,
//! see `dockerlogger_tests::frail`.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::FromRawFd;
use std::process::{ExitCode, abort};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// What [`dockerlogger_tests::frail::make`] looks for and overwrites: version and flaw.
static TRAITS: [u8; 40] = *b"frail-logger:0.0.0:healthy..............";

fn main() -> ExitCode {
    let traits = std::hint::black_box(&TRAITS);
    let version = text(&traits[13..18]);
    let flaw = text(&traits[19..]);
    let flaw = flaw.trim_end_matches('.');
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["version"] => say(&version),
        ["drivers", "--json"] => say(
            r#"[{"name":"syslog","summary":"frail","runs":"zone","since":"0.0.1","options":[]}]"#,
        ),
        ["drivers"] => say("syslog"),
        ["syslog"] => log(flaw),
        _ => ExitCode::from(64),
    }
}

fn say(line: &str) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{line}");
    ExitCode::SUCCESS
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The logger itself: copies what it reads until both streams end.
fn log(flaw: &str) -> ExitCode {
    if flaw == "crashes" {
        abort();
    }
    if let Some(millis) = flaw.strip_prefix("dies-after-ms-") {
        let life = Duration::from_millis(millis.parse().unwrap_or(0));
        thread::spawn(move || {
            thread::sleep(life);
            abort();
        });
    }
    let (sender, chunks) = channel();
    for descriptor in [3, 4] {
        let sender = sender.clone();
        thread::spawn(move || copy(descriptor, &sender));
    }
    drop(sender);
    let mut sink = if flaw == "deaf" { None } else { open() };
    for chunk in chunks {
        if let Some(send) = &mut sink {
            send(&chunk);
        }
    }
    ExitCode::SUCCESS
}

#[expect(unsafe_code, reason = "the contract gives descriptors by their numbers")]
fn copy(descriptor: i32, sender: &Sender<Vec<u8>>) {
    // SAFETY: the launch contract gives this descriptor to this program, and nobody else here uses it.
    let mut stream = unsafe { std::fs::File::from_raw_fd(descriptor) };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if sender.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}

/// Takes bytes.
type Sink = Box<dyn FnMut(&[u8])>;

/// The sink of the configuration; none that answers is fine too.
fn open() -> Option<Sink> {
    let config = std::env::var("DOCKERLOG_CONFIG").ok()?;
    let config: serde_json::Value = serde_json::from_str(&config).ok()?;
    let (kind, address) = config["syslog-address"].as_str()?.split_once("://")?;
    if kind == "tcp" {
        let mut stream = TcpStream::connect(address).ok()?;
        Some(Box::new(move |bytes| drop(stream.write_all(bytes))))
    } else {
        let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
        socket.connect(address).ok()?;
        Some(Box::new(move |bytes| drop(socket.send(bytes))))
    }
}
