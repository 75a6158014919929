// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The first process of a container, as the platform's dockerinit: starts the logger by the launch contract, then the
//! container's command, and ends one when the other ends.
//!
//! The contract, exactly:
//! - the logger gets `argv = ["logger", DRIVER]`, only the `DOCKERLOG_*` variables that exist, the container's working
//!   directory, and descriptors 0 (write-only, dockerinit's log), 1 and 2 (write-only, `/dev/null`), 3 and 4 (the log
//!   streams of stdout and stderr; with a terminal 3 is the one stream and 4 is `/dev/null`); nothing else is inherited;
//! - a logger that exits, with any status, takes the container with it (SIGKILL); so does one that cannot be executed;
//! - when the container's command exits, the zone halts and the logger is killed without warning ([`Ending::Halt`]).
//!   [`Ending::Close`] is kinder than the platform: the streams close and the logger may send what it has.
//!
//! A logger that ends by itself is held against its status page: [`Container::wait`].

mod contract;
mod spec;
mod start;

pub use spec::CONTAINER_ID;
pub use spec::ContainerSpec;
pub use spec::Ending;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use dockerlogger_manifest::status::StatusPage;

use self::contract::end_zone;
use crate::SOON;
use crate::oracle::status::{self, StatusFile};
use crate::process::{Exit, Process};
use crate::until::until;
use crate::zfd::{Counts, Stream};

/// The two output streams of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output, and everything when there is a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a container came to its end.
#[derive(Debug)]
pub struct Outcome {
    /// The logger's end, or why it could not be executed.
    pub logger: Result<Exit, io::Error>,
    /// The command's end; `None` when the test itself wrote the output.
    pub init: Option<Exit>,
}

/// A started container.
#[derive(Debug)]
pub struct Container {
    logger: Result<Process, io::Error>,
    init: Option<Process>,
    streams: Arc<Vec<Stream>>,
    writers: Mutex<Vec<OwnedFd>>,
    written_messages: Mutex<Vec<u64>>,
    ending: Arc<Mutex<Ending>>,
    dockerinit_log: PathBuf,
    /// Where the log of this container begins.
    log_start: usize,
    status: Arc<Mutex<Option<StatusFile>>>,
}

impl Container {
    /// Writes one message as the application (only when the spec has no command) and returns when the logger has read
    /// it, so that the order over both streams is known.
    pub fn write(&self, output: Output, bytes: &[u8]) {
        let stream = self.write_unread(output, bytes);
        let expected = self.written_messages.lock().unwrap()[stream];
        until("the logger to read what was written", SOON, || {
            let counts = self.streams[stream].counts();
            let read = counts.written.messages >= expected && self.streams[stream].settled();
            if read { Ok(()) } else { Err((counts, self.logger_exit())) }
        });
    }

    /// Writes one message as the application and does not wait for the logger; returns the stream's index.
    pub fn write_unread(&self, output: Output, bytes: &[u8]) -> usize {
        if let Err(error) = &self.logger {
            panic!("the logger could not be executed: {error}");
        }
        self.try_write_unread(output, bytes).expect("the zfd stream takes a message")
    }

    /// The same for a logger that may be gone by now.
    ///
    /// # Errors
    /// When nobody takes messages any more.
    pub fn try_write_unread(&self, output: Output, bytes: &[u8]) -> io::Result<usize> {
        let writers = self.writers.lock().unwrap();
        let stream = match output {
            Output::Stderr if writers.len() > 1 => 1,
            _ => 0,
        };
        let app = writers.get(stream).expect("a container without a command, still open");
        crate::zfd::write_message(app, bytes)?;
        let messages = bytes.len().div_ceil(crate::zfd::MESSAGE_MAX).max(1);
        self.written_messages.lock().unwrap()[stream] += messages as u64;
        Ok(stream)
    }

    /// Ends the container now, in the given way.
    pub fn end(&self, how: Ending) {
        if let (Ending::Stop { grace }, Some(init)) = (how, &self.init) {
            init.signal(Signal::TERM);
            init.wait(grace);
        }
        *self.ending.lock().unwrap() = how;
        match &self.init {
            // The supervisor does the rest when it sees the command's end.
            Some(init) => init.kill_group(),
            None => {
                self.writers.lock().unwrap().clear();
                if let Ok(logger) = &self.logger {
                    end_zone(how, logger, &self.streams);
                }
            }
        }
    }

    /// Closes the streams and waits for the logger, which must have delivered everything.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn end_well(&self) {
        self.end(Ending::Close);
        match self.wait(SOON).logger {
            Ok(Exit::Code(0)) => {}
            other => panic!("{other:?}: {}, {:?}", self.dockerinit_log(), self.status()),
        }
    }

    /// Waits for the end of logger and command. Of a logger that ended by itself, everything it read must have been
    /// delivered, dropped for a cause, or reported as left.
    ///
    /// # Panics
    /// When the limit is reached, with what still runs; when the logger's account is wrong.
    pub fn wait(&self, limit: Duration) -> Outcome {
        let init = self.init.as_ref().map(|init| {
            init.wait(limit).unwrap_or_else(|| {
                panic!(
                    "the container's command (pid {}) still runs after {limit:?}; {}",
                    init.pid(),
                    self.describe()
                )
            })
        });
        let logger = match &self.logger {
            Ok(logger) => Ok(logger.wait(limit).unwrap_or_else(|| {
                panic!(
                    "the logger (pid {}) still runs after {limit:?}; {}",
                    logger.pid(),
                    self.describe()
                )
            })),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        if let Ok(Exit::Code(_)) = logger
            && let Some(page) = self.status()
        {
            let held = status::held(&page).unwrap_or_else(|wrong| panic!("{wrong}"));
            let log = self.dockerinit_log();
            let left = status::left_in(log.get(self.log_start..).unwrap_or_default());
            assert_eq!(
                held,
                left.unwrap_or_default(),
                "held and reported as left; {logger:?}, {page:?}, {}",
                self.describe()
            );
        }
        Outcome { logger, init }
    }

    /// The logger's status page, as soon as it has one and was seen to have it.
    pub fn status(&self) -> Option<StatusPage> {
        self.status.lock().unwrap().as_ref().and_then(StatusFile::read)
    }

    /// Waits until the logger has delivered or dropped everything that the application has written, and says so.
    ///
    /// # Panics
    /// When the logger's account does not add up to what was written.
    #[track_caller]
    pub fn wait_until_settled(&self, limit: Duration) -> StatusPage {
        until("the logger to have settled", limit, || {
            let page = self.status().ok_or_else(|| "no status page".to_owned())?;
            let held = status::held(&page)?;
            let written: u64 = self.streams.iter().map(|one| one.counts().delivered.bytes).sum();
            let read = page.read.bytes - page.recovered.bytes;
            if read == written && held.bytes == 0 && held.lines == 0 {
                Ok(page)
            } else {
                Err(format!("{written} bytes written, held {held:?}: {page:?}"))
            }
        })
    }

    /// The logger's process id.
    pub fn logger_pid(&self) -> i32 {
        self.logger.as_ref().expect("the logger was executed").pid()
    }

    /// Sends a signal to the logger.
    pub fn signal_logger(&self, signal: Signal) {
        self.logger.as_ref().expect("the logger was executed").signal(signal);
    }

    /// The logger's end, or `None` while it runs.
    pub fn logger_exit(&self) -> Option<Exit> {
        self.logger.as_ref().ok().and_then(Process::exit)
    }

    /// The command's end, or `None` while it runs.
    pub fn init_exit(&self) -> Option<Exit> {
        self.init.as_ref().and_then(Process::exit)
    }

    /// What became of everything written to a stream.
    pub fn counts(&self, output: Output) -> Counts {
        self.stream(output).counts()
    }

    /// Bytes of a stream that the logger has read, also when it was killed before it could count them.
    pub fn handed_over(&self, output: Output) -> u64 {
        self.stream(output).handed_over()
    }

    /// Every byte of a stream that the simulated kernel did not drop.
    pub fn accepted(&self, output: Output) -> Vec<u8> {
        self.stream(output).accepted()
    }

    /// What dockerinit's log holds: the place for a logger's last words.
    pub fn dockerinit_log(&self) -> String {
        fs::read_to_string(&self.dockerinit_log).unwrap_or_default()
    }

    fn stream(&self, output: Output) -> &Stream {
        match output {
            Output::Stderr if self.streams.len() > 1 => &self.streams[1],
            _ => &self.streams[0],
        }
    }

    fn describe(&self) -> String {
        let counts: Vec<Counts> = self.streams.iter().map(Stream::counts).collect();
        format!("streams {counts:?}, dockerinit's log {:?}", self.dockerinit_log())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for process in self.init.iter().chain(self.logger.as_ref().ok()) {
            process.kill_group();
        }
        for stream in self.streams.iter() {
            stream.halt();
        }
    }
}
