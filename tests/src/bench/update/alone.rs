// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One stage of the pass alone, in a process of its own: the program that measures starts itself again for each. What the
//! stage works on is read before the clock starts.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};

use crate::bench::output::say;
use crate::os::processor_time;

/// The first argument of a process that is one stage.
pub const STAGE: &str = "--stage";

/// Bytes moved at once, as by the agent.
const BUFFER_BYTES: usize = 128 << 10;

/// What is done.
#[derive(Debug)]
pub enum Stage {
    /// A bare request for a file of so many bytes, received and thrown away.
    Network {
        /// Of the server.
        address: String,
        /// Of the file.
        path: String,
        /// Of the file.
        bytes: usize,
    },
    /// The digest of each file.
    Sha256 {
        /// Read one after the other.
        files: Vec<PathBuf>,
    },
    /// Unpacked and thrown away.
    Zstd {
        /// The file.
        packed: PathBuf,
    },
    /// A new file, one fsync of it and one of its folder.
    Write {
        /// What is written.
        unpacked: PathBuf,
        /// The new file.
        to: PathBuf,
    },
}

/// What a stage took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// From its first instruction to its last.
    pub wall: Duration,
    /// Of its process; for the network of this one, too, where the server is.
    pub processor: Duration,
}

impl Stage {
    /// Runs the stage in a process of its own.
    ///
    /// # Panics
    /// When that fails.
    pub fn cost(&self) -> Cost {
        let program = env::current_exe().expect("a program knows its file");
        let before = processor_time();
        let output = Command::new(program)
            .arg(STAGE)
            .args(self.arguments())
            .stderr(Stdio::inherit())
            .output()
            .expect("this program can be started");
        // Of the others, starting the process is all that happens here.
        let here = match self {
            Stage::Network { .. } => processor_time().saturating_sub(before),
            _ => Duration::ZERO,
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let mut nanos = text.split_whitespace().map_while(|word| word.parse().ok());
        let (Some(wall), Some(there)) = (nanos.next(), nanos.next()) else {
            panic!("the stage says \"{text}\" and ends with {}", output.status);
        };
        Cost { wall: Duration::from_nanos(wall), processor: Duration::from_nanos(there) + here }
    }

    fn arguments(&self) -> Vec<String> {
        let text = |path: &PathBuf| path.display().to_string();
        match self {
            Stage::Network { address, path, bytes } => {
                vec!["network".to_owned(), address.clone(), path.clone(), bytes.to_string()]
            }
            Stage::Sha256 { files } => {
                std::iter::once("sha256".to_owned()).chain(files.iter().map(text)).collect()
            }
            Stage::Zstd { packed } => vec!["zstd".to_owned(), text(packed)],
            Stage::Write { unpacked, to } => vec!["write".to_owned(), text(unpacked), text(to)],
        }
    }
}

/// Is one stage, with the arguments after [`STAGE`]; prints its times in nanoseconds, wall clock first.
///
/// # Panics
/// When the arguments or the files are not what [`Stage::cost`] gives it.
pub fn run(arguments: &[String]) {
    let read = |path: &String| fs::read(path).expect("a scratch file can be read");
    match arguments {
        [name, address, path, bytes] if name == "network" => {
            let bytes = bytes.parse().expect("a number of bytes");
            timed(|| network(address, path, bytes));
        }
        [name, files @ ..] if name == "sha256" => {
            let files: Vec<Vec<u8>> = files.iter().map(read).collect();
            timed(|| files.iter().for_each(|bytes| sha256(bytes)));
        }
        [name, packed] if name == "zstd" => {
            let packed = read(packed);
            timed(|| unpack(&packed));
        }
        [name, unpacked, to] if name == "write" => {
            let unpacked = read(unpacked);
            timed(|| write(&unpacked, Path::new(to)).expect("a scratch file can be written"));
        }
        other => panic!("there is no stage {other:?}"),
    }
}

fn timed(work: impl FnOnce()) {
    let (began, before) = (Instant::now(), processor_time());
    work();
    let (wall, processor) = (began.elapsed(), processor_time().saturating_sub(before));
    say(&format!("{} {}", wall.as_nanos(), processor.as_nanos()));
}

fn network(address: &str, path: &str, bytes: usize) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")
        .expect("the server takes a request");
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut rest = bytes;
    // The head is a few bytes more: what counts is when the last byte is here.
    while rest > 0 {
        let count = stream.read(&mut buffer).expect("the server answers");
        assert!(count > 0, "the server ends early");
        rest = rest.saturating_sub(count);
    }
}

fn sha256(bytes: &[u8]) {
    let mut context = Context::new(&SHA256);
    for chunk in bytes.chunks(BUFFER_BYTES) {
        context.update(chunk);
    }
    std::hint::black_box(context.finish());
}

fn unpack(packed: &[u8]) {
    let mut decoder = zstd::Decoder::with_buffer(packed).expect("a decoder can be made");
    let mut buffer = vec![0; BUFFER_BYTES];
    while decoder.read(&mut buffer).expect("the artifact can be unpacked") > 0 {}
}

fn write(unpacked: &[u8], to: &Path) -> io::Result<()> {
    let mut file = File::create(to)?;
    for chunk in unpacked.chunks(BUFFER_BYTES) {
        file.write_all(chunk)?;
    }
    file.sync_all()?;
    File::open(to.parent().unwrap_or(to))?.sync_all()
}
