// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The programs under measurement, started as dockerinit starts a logger, on plain pipes.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::aids;
use super::generator::{self, Until};
use super::procfs::{self, Memory, Work};
use super::target::Target;
use crate::SOON;
use crate::dockerinit::ContainerSpec;
use crate::os::Launch;
use crate::process::Process;
use crate::until::{until, until_state};

/// What a program is in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The logger of this project.
    Logger,
    /// Another program that honours the launch contract.
    Peer,
    /// The simplest loop from a pipe to a socket: what the machine allows.
    Limit,
    /// The simplest loop that reads and throws away, before everything else on the machine: what it allows any reader.
    Floor,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Logger => "logger",
            Role::Peer => "peer",
            Role::Limit => "limit",
            Role::Floor => "floor",
        })
    }
}

/// A program to measure.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What it is in the comparison.
    pub role: Role,
    /// Its file.
    pub program: PathBuf,
    /// Log options on top of those that the platform's users have today.
    pub options: Vec<(String, String)>,
}

/// Log options that one case needs; only the logger gets them, a peer need not know them.
pub type Tuning<'a> = &'a [(&'a str, &'a str)];

/// Nothing special.
pub const UNTUNED: Tuning<'static> = &[];

/// The application waits when the ring is full, so that nothing is dropped flat out.
pub const BLOCKING: Tuning<'static> = &[("mode", "blocking")];

/// A ring that holds every outage measured here, and a short stall.
pub const LARGE_RING: Tuning<'static> = &[("max-buffer-size", "16m")];

/// A ring that holds a minute at 2 MB/s.
pub const HUGE_RING: Tuning<'static> = &[("max-buffer-size", "256m")];

/// A started program.
#[derive(Debug)]
pub struct Running {
    process: Process,
    /// Writes to the program's descriptor 3.
    pub stdout: PipeWriter,
    _stderr: PipeWriter,
    family: Vec<i32>,
    scratch: TempDir,
}

impl Subject {
    /// Starts it, writes one line, and waits until that has arrived: connected, and warm.
    ///
    /// # Panics
    /// When the line does not arrive.
    pub fn start(&self, sink: &dyn Target, tuning: Tuning<'_>) -> Running {
        self.start_with(sink, tuning, &generator::lines(1))
    }

    /// The same with a line of the caller's.
    ///
    /// # Panics
    /// When the line does not arrive.
    pub fn start_with(&self, sink: &dyn Target, tuning: Tuning<'_>, line: &[u8]) -> Running {
        let (stdout_read, stdout) = std::io::pipe().expect("a pipe can be made");
        let (argv, program) = self.command(sink);
        let mut running = self.launch(sink, tuning, &program, &argv, stdout_read, stdout);
        let before = sink.counts().lines();
        generator::flat_out(&running.stdout, generator::Source::Pipe, line, Until::Writes(1));
        until("the first line to arrive", SOON, || {
            match (sink.counts().lines() > before, running.ended()) {
                (true, _) => Ok(()),
                (false, ended) => Err(ended),
            }
        });
        running.family = procfs::family(running.process.pid());
        running
    }

    /// Starts it on a pipe that is full already; returns how long after exec it read for the first time.
    pub fn first_read(&self, sink: &dyn Target) -> Duration {
        let (stdout_read, stdout) = std::io::pipe().expect("a pipe can be made");
        let line = generator::lines(1);
        let filled = generator::flat_out(
            &stdout,
            generator::Source::Queue,
            &line,
            Until::Writes(generator::QUEUE_BYTES),
        );
        let full = filled.accepted() * line.len() as u64;
        assert_eq!(generator::unread(&stdout), full, "nobody reads before the start");
        let watched = stdout.try_clone().expect("a descriptor is left");
        let watcher = std::thread::spawn(move || aids::first_drop(&watched, full));
        let (argv, program) = self.command(sink);
        let (program, argv) = aids::stamped_exec(&program, &argv);
        let running = self.launch(sink, UNTUNED, &program, &argv, stdout_read, stdout);
        let read_at = watcher.join().expect("the watcher only looks");
        let stamp = until("the time stamp of the exec", SOON, || {
            let log = fs::read_to_string(running.log_file()).unwrap_or_default();
            aids::stamp_in(&log).ok_or(log)
        });
        read_at.saturating_sub(stamp)
    }

    fn command(&self, sink: &dyn Target) -> (Vec<String>, PathBuf) {
        let argv = match self.role {
            Role::Logger | Role::Peer => vec!["logger".to_owned(), sink.driver().to_owned()],
            Role::Limit => aids::copy_loop(&sink.place()),
            Role::Floor => aids::read_loop(&sink.place()),
        };
        (argv, self.program.clone())
    }

    fn launch(
        &self,
        sink: &dyn Target,
        tuning: Tuning<'_>,
        program: &Path,
        argv: &[String],
        stdout_read: PipeReader,
        stdout: PipeWriter,
    ) -> Running {
        let mut options = sink.options();
        options.extend(self.options.iter().cloned());
        let mut config: Vec<(&str, &str)> =
            options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if self.role == Role::Logger {
            config.extend(tuning);
        }
        let environment = ContainerSpec::new(program, sink.driver(), &config).environment();
        let scratch = tempfile::tempdir().expect("a scratch folder can be made");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log_in(scratch.path()))
            .expect("a log file can be made");
        let null = OpenOptions::new().write(true).open("/dev/null").expect("/dev/null opens");
        let (stderr_read, stderr) = std::io::pipe().expect("a pipe can be made");
        let process = Process::start(
            &Launch {
                program,
                argv,
                env: &environment,
                cwd: Path::new("/"),
                fds: &[
                    log.as_fd(),
                    null.as_fd(),
                    null.as_fd(),
                    stdout_read.as_fd(),
                    stderr_read.as_fd(),
                ],
            },
            |_| {},
        )
        .unwrap_or_else(|error| panic!("{} cannot be executed: {error}", program.display()));
        Running { process, stdout, _stderr: stderr, family: Vec::new(), scratch }
    }
}

impl Running {
    /// The processes: the one that was started, then its children.
    pub fn family(&self) -> &[i32] {
        &self.family
    }

    /// Memory of all processes together; `None` where the kernel does not tell.
    pub fn memory(&self) -> Option<Memory> {
        self.family.iter().map(|pid| procfs::memory(*pid)).sum()
    }

    /// What all processes have done so far; `None` where the kernel does not tell.
    pub fn work(&self) -> Option<Work> {
        self.family.iter().map(|pid| procfs::work(*pid)).sum()
    }

    /// Waits until no process has run for a moment: what follows a burst is over.
    pub fn settle(&self) {
        let mut last = self.work();
        let mut since = std::time::Instant::now();
        until_state(
            "the program to fall idle",
            SOON,
            || {
                let now = self.work();
                if now != last {
                    (last, since) = (now, std::time::Instant::now());
                }
                since.elapsed()
            },
            |quiet| *quiet > Duration::from_millis(300),
        );
    }

    /// How the program ended and what it said, when it has.
    pub fn ended(&self) -> Option<String> {
        let exit = self.process.exit()?;
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        Some(format!("{exit}: {log}"))
    }

    fn log_file(&self) -> PathBuf {
        log_in(self.scratch.path())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill_group();
        self.process.wait(SOON);
    }
}

fn log_in(folder: &Path) -> PathBuf {
    folder.join("sdc-dockerinit.log")
}
