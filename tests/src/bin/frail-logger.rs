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
use std::process::{ExitCode, abort};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use dockerlogger_manifest::status::{DIRECTORY, FORMAT, Life, MAGIC, PAGE_BYTES, at};

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
        ["drivers", "--json"] if flaw == "routeless" => say(&DRIVERS.replace(ROUTES, "")),
        ["drivers", "--json"] => say(DRIVERS),
        ["drivers"] => say("syslog"),
        ["syslog"] => log(flaw),
        _ => ExitCode::from(64),
    }
}

/// What it says of its drivers.
const DRIVERS: &str = r#"[{"name":"syslog","summary":"frail","runs":"zone","since":"0.0.1","options":[],"routes":[{"over":"tcp","options":["syslog-address=tcp://{ADDRESS}"]}]}]"#;

/// What a probe tries its driver on.
const ROUTES: &str = r#","routes":[{"over":"tcp","options":["syslog-address=tcp://{ADDRESS}"]}]"#;

/// How long a logger takes that dies before it has a page.
const START: Duration = Duration::from_millis(30);

/// How long a child lives that stands for a sender.
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
    if flaw == "crashes" {
        abort();
    }
    if !probed {
        enter_zone();
        if flaw == "crashes-later" {
            // A real one is in its zone from its first instruction: let that be seen.
            thread::sleep(START);
            abort();
        }
        make_page();
    }
    match flaw {
        "dies-with-tls" if with_tls => die(),
        "sender-dies-tls" if with_tls => drop(thread::spawn(sender_after_sender)),
        _ => {}
    }
    if let Some(millis) = flaw.strip_prefix("dies-after-ms-") {
        let life = Duration::from_millis(millis.parse().unwrap_or(0));
        thread::spawn(move || {
            thread::sleep(life);
            die();
        });
    }
    let (sender, chunks) = channel();
    for descriptor in [3, 4] {
        let sender = sender.clone();
        thread::spawn(move || copy(descriptor, &sender));
    }
    drop(sender);
    let loses = flaw == "loses" && !probed;
    let mut sink = if flaw == "deaf" || loses { None } else { open() };
    let mut bytes_read = 0;
    for chunk in chunks {
        bytes_read += u64::try_from(chunk.len()).unwrap_or(0);
        store(at::COUNTERS, &bytes_read.to_le_bytes());
        if !loses {
            // Delivered, or dropped because nobody takes it.
            store(at::COUNTERS + 24, &bytes_read.to_le_bytes());
        }
        if let Some(send) = &mut sink {
            send(&chunk);
        }
    }
    say_life(Life::StreamsEnded);
    ExitCode::SUCCESS
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Dies of a fault, which a logger has the time to tell of.
fn die() -> ! {
    say_life(Life::Crashed { signal: 6 });
    abort()
}

/// Starts a child that dies, again and again, like a reader whose senders do.
#[expect(unsafe_code, reason = "senders are forked, and a zone has no program to execute")]
fn sender_after_sender() {
    unsafe extern "C" {
        fn fork() -> i32;
    }
    loop {
        // SAFETY: the child sleeps and ends; it touches no lock and no memory.
        let child = unsafe { fork() };
        if child == 0 {
            thread::sleep(SENDER_LIFE);
            abort();
        }
        let Some(child) = rustix::process::Pid::from_raw(child) else { return };
        let _ = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty());
    }
}

/// The status page.
static PAGE: OnceLock<File> = OnceLock::new();

/// Changes to a root of the container's own, as a zone is; the same for every logger of one container. Without
/// privileges it stays where it is.
fn enter_zone() {
    let status = PathBuf::from(variable("DOCKERLOG_STATUS"));
    let Some(scratch) = status.parent() else { return };
    let id = variable("DOCKERLOG_CONTAINERID");
    let zone = scratch.join(format!("zone-{}", id.get(..12).unwrap_or(&id)));
    if fs::create_dir_all(zone.join("run").join(DIRECTORY)).is_ok()
        && std::os::unix::fs::chroot(&zone).is_ok()
    {
        let _ = std::env::set_current_dir("/");
    }
}

/// Makes a page, unless this is no zone.
fn make_page() {
    let directory = Path::new("/run").join(DIRECTORY);
    if Path::new("/proc").exists() || !directory.exists() {
        return;
    }
    let mut page = vec![0; PAGE_BYTES];
    page[at::MAGIC..][..8].copy_from_slice(&MAGIC.to_le_bytes());
    page[at::FORMAT..][..4].copy_from_slice(&FORMAT.to_le_bytes());
    page[at::SINK..][..4].copy_from_slice(&1_u32.to_le_bytes());
    page[at::READER_PID..][..4].copy_from_slice(&std::process::id().to_le_bytes());
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let started = u64::try_from(started.as_nanos()).unwrap_or(0);
    page[at::STARTED..][..8].copy_from_slice(&started.to_le_bytes());
    page[at::LIFE..][..4].copy_from_slice(&Life::Runs.code().to_le_bytes());
    // Complete before it has its name, which it takes from the page of the logger before.
    let (new, name) = (directory.join("new"), directory.join("0123456789ab.status"));
    let written = fs::write(&new, &page).and_then(|()| fs::rename(&new, &name));
    if let Some(file) = written.ok().and_then(|()| File::options().write(true).open(&name).ok()) {
        let _ = PAGE.set(file);
    }
}

fn store(at: usize, bytes: &[u8]) {
    if let Some(page) = PAGE.get() {
        let _ = page.write_all_at(bytes, u64::try_from(at).unwrap_or(u64::MAX));
    }
}

fn say_life(life: Life) {
    store(at::LIFE, &life.code().to_le_bytes());
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
