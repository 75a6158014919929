// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The small programs inside the bench, started by argument: the simplest loops, and an exec with a time stamp.

use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::generator;
use super::target::Place;
use crate::{SOON, os};

/// `bench copy-loop PLACE`: descriptor 3 to a socket.
const COPY_LOOP: &str = "copy-loop";

/// `bench read-loop PLACE`: the first read of descriptor 3 to a socket, the rest to nowhere.
const READ_LOOP: &str = "read-loop";

/// `bench stamped-exec PROGRAM ARGV0 ARG...`: the time on descriptor 0, then exec.
const STAMPED_EXEC: &str = "stamped-exec";

/// The loops read at most so many bytes: what a pipe holds.
const COPY_BYTES: usize = 64 * 1024;

/// Runs one of the programs when the arguments ask for it; `None`: they do not.
pub fn run(arguments: &[String]) -> Option<io::Result<()>> {
    match arguments {
        [verb, address] if verb == COPY_LOOP => Some(copy(address)),
        [verb, address] if verb == READ_LOOP => Some(throw_away(address)),
        [verb, program, argv0, rest @ ..] if verb == STAMPED_EXEC => {
            Some(exec(program, argv0, rest))
        }
        _ => None,
    }
}

/// The arguments of a copy loop to `place`.
pub(super) fn copy_loop(place: &Place) -> Vec<String> {
    vec!["bench".to_owned(), COPY_LOOP.to_owned(), place.to_string()]
}

/// The arguments of a loop that reads and throws away; the first line goes to `place`, to show that it is there.
pub(super) fn read_loop(place: &Place) -> Vec<String> {
    vec!["bench".to_owned(), READ_LOOP.to_owned(), place.to_string()]
}

/// Program and arguments that note the time and then execute `program` with `argv`.
pub(super) fn stamped_exec(program: &Path, argv: &[String]) -> (PathBuf, Vec<String>) {
    let me = std::env::current_exe().expect("a running program has a file");
    let program = program.to_str().expect("the path of a program is UTF-8").to_owned();
    let wrapped = ["bench".to_owned(), STAMPED_EXEC.to_owned(), program];
    (me, wrapped.iter().chain(argv).cloned().collect())
}

/// The moment that [`stamped_exec`] noted: the first line of the log.
pub(super) fn stamp_in(log: &str) -> Option<Duration> {
    let (stamp, _) = log.split_once('\n')?;
    Some(Duration::from_nanos(stamp.parse().ok()?))
}

/// Looks without a pause until fewer than `full` bytes are unread; returns when that was.
pub(super) fn first_drop(pipe: &PipeWriter, full: u64) -> Duration {
    let started = Instant::now();
    while generator::unread(pipe) >= full {
        assert!(started.elapsed() < SOON, "the program has not read anything in {SOON:?}");
    }
    now()
}

/// The time of day: two processes have no other clock in common that the standard library reads.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn copy(place: &str) -> io::Result<()> {
    let place = Place::parse(place).ok_or(io::ErrorKind::InvalidInput)?;
    let mut input = File::open("/dev/fd/3")?;
    let mut output = None;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        if output.is_none() {
            output = Some(place.connect()?);
        }
        if let Some(output) = &mut output {
            output.write_all(&buffer[..count])?;
        }
    }
}

fn throw_away(place: &str) -> io::Result<()> {
    let place = Place::parse(place).ok_or(io::ErrorKind::InvalidInput)?;
    os::run_first();
    let mut input = File::open("/dev/fd/3")?;
    let mut buffer = vec![0; COPY_BYTES];
    let count = input.read(&mut buffer)?;
    place.connect()?.write_all(&buffer[..count])?;
    while input.read(&mut buffer)? > 0 {}
    Ok(())
}

fn exec(program: &str, argv0: &str, rest: &[String]) -> io::Result<()> {
    let mut command = Command::new(program);
    command.arg0(argv0).args(rest);
    // Descriptor 0 is a file open for writing, as in a container.
    let mut log = File::options().append(true).open("/dev/fd/0")?;
    let mut stamp = [0; 24];
    let mut rest = &mut stamp[..];
    writeln!(rest, "{}", now().as_nanos())?;
    let unused = rest.len();
    log.write_all(&stamp[..stamp.len() - unused])?;
    drop(log);
    Err(command.exec())
}
