// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A logger for tests of releases that turn out bad: it keeps the launch contract, and its flaw is written into its file,
//! see `dockerlogger_tests::frail`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio, abort};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use dockerlogger_manifest::status::{DIRECTORY, FORMAT, MAGIC, PAGE_BYTES, at};

/// What [`dockerlogger_tests::frail::make`] looks for and overwrites: version and flaw.
static TRAITS: [u8; 40] = *b"frail-logger:0.0.0:healthy..............";

fn main() -> ExitCode {
    let traits = std::hint::black_box(&TRAITS);
    let version = text(&traits[13..18]);
    let flaw = text(&traits[19..]);
    let flaw = flaw.trim_end_matches('.');
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["version"] => say(&version),
        // A probe gives no environment, a publisher's shell does.
        ["drivers", "--json"] if flaw == "wrong-drivers" && std::env::var_os("PATH").is_none() => {
            say(&DRIVERS.replace("syslog", "gelf"))
        }
        ["drivers", "--json"] => say(DRIVERS),
        ["drivers"] => say("syslog"),
        ["syslog"] => log(flaw),
        [SENDER] => {
            thread::sleep(SENDER_LIFE);
            abort()
        }
        _ => ExitCode::from(64),
    }
}

/// What it says of its drivers.
const DRIVERS: &str =
    r#"[{"name":"syslog","summary":"frail","runs":"zone","since":"0.0.1","options":[]}]"#;

/// The argument of a child that stands for a sender.
const SENDER: &str = "frail-sender";

/// How long such a child lives.
const SENDER_LIFE: Duration = Duration::from_millis(300);

fn say(line: &str) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{line}");
    ExitCode::SUCCESS
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The logger itself: copies what it reads until both streams end.
fn log(flaw: &str) -> ExitCode {
    let probed = variable("DOCKERLOG_CONTAINERNAME") == "/dockerlogger-probe";
    let with_tls = variable("DOCKERLOG_CONFIG").contains("tcp+tls://");
    match flaw {
        "crashes" => abort(),
        "crashes-later" if !probed => abort(),
        "dies-with-tls" if with_tls => abort(),
        "sender-dies-tls" if with_tls => drop(thread::spawn(sender_after_sender)),
        _ => {}
    }
    if let Some(millis) = flaw.strip_prefix("dies-after-ms-") {
        let life = Duration::from_millis(millis.parse().unwrap_or(0));
        thread::spawn(move || {
            thread::sleep(life);
            abort();
        });
    }
    let loses = flaw == "loses" && !probed;
    let mut page = if loses { Page::create() } else { None };
    let (sender, chunks) = channel();
    for descriptor in [3, 4] {
        let sender = sender.clone();
        thread::spawn(move || copy(descriptor, &sender));
    }
    drop(sender);
    let mut sink = if flaw == "deaf" || loses { None } else { open() };
    for chunk in chunks {
        if let Some(page) = &mut page {
            page.read(chunk.len());
        }
        if let Some(send) = &mut sink {
            send(&chunk);
        }
    }
    ExitCode::SUCCESS
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Starts a child that dies, again and again, like a reader whose senders do.
fn sender_after_sender() {
    let Ok(program) = std::env::current_exe() else { return };
    while let Ok(mut child) = Command::new(&program).arg(SENDER).stdin(Stdio::null()).spawn() {
        let _ = child.wait();
    }
}

/// A status page in a root of its own, as a zone is.
struct Page {
    file: File,
    bytes_read: u64,
}

impl Page {
    /// None where roots cannot be changed.
    fn create() -> Option<Self> {
        let status = PathBuf::from(variable("DOCKERLOG_STATUS"));
        let zone = status.parent()?.join(format!("zone-{}", std::process::id()));
        let directory = Path::new("run").join(DIRECTORY);
        fs::create_dir_all(zone.join(&directory)).ok()?;
        std::os::unix::fs::chroot(&zone).ok()?;
        std::env::set_current_dir("/").ok()?;
        let file = File::create(Path::new("/").join(directory).join("0123456789ab.status")).ok()?;
        let mut page = vec![0; PAGE_BYTES];
        page[at::MAGIC..][..8].copy_from_slice(&MAGIC.to_le_bytes());
        page[at::FORMAT..][..4].copy_from_slice(&FORMAT.to_le_bytes());
        page[at::SINK..][..4].copy_from_slice(&1_u32.to_le_bytes());
        page[at::READER_PID..][..4].copy_from_slice(&std::process::id().to_le_bytes());
        file.write_all_at(&page, 0).ok()?;
        Some(Self { file, bytes_read: 0 })
    }

    fn read(&mut self, bytes: usize) {
        self.bytes_read += u64::try_from(bytes).unwrap_or(0);
        let _ = self.file.write_all_at(&self.bytes_read.to_le_bytes(), at::COUNTERS as u64);
    }
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
