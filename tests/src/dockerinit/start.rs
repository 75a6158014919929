// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The start of a container: streams, then the logger by the launch contract, then the command.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::contract::{Contract, Ended};
use super::{Container, ContainerSpec};
use crate::oracle::status::StatusFile;
use crate::os::Launch;
use crate::process::Process;
use crate::zfd::{Stream, StreamOptions};

/// The streams of a container, with the application's and the logger's end of each.
struct Streams {
    streams: Vec<Stream>,
    app_ends: Vec<OwnedFd>,
    log_ends: Vec<OwnedFd>,
}

impl Container {
    /// Starts the logger, then the command. `scratch` keeps dockerinit's log; one folder per container.
    pub fn start(spec: &ContainerSpec, scratch: &Path) -> Container {
        let dockerinit_log = scratch.join("sdc-dockerinit.log");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&dockerinit_log)
            .expect("dockerinit's log opens");
        let log_start = fs::read(&dockerinit_log).map_or(0, |log| log.len());
        let status_path = is_logger(&spec.logger).then(|| scratch.join("status"));
        let Streams { streams, app_ends, log_ends } = open_streams(spec);

        let (report, reports) = channel();
        let logger = start_logger(spec, &log, &log_ends, status_path.as_deref(), report.clone());
        drop(log_ends);
        if let Err(error) = &logger {
            let _ = writeln!(&log, "failed to execute {}: {error}", spec.logger.display());
        }
        let init =
            spec.command.as_ref().map(|command| start_init(spec, command, &app_ends, report));
        let streams = Arc::new(streams);
        let ending = Arc::new(Mutex::new(spec.ending));
        let status = Arc::default();
        match &logger {
            Ok(logger) => {
                let contract = Contract {
                    logger: logger.clone(),
                    init: init.clone(),
                    streams: Arc::clone(&streams),
                    ending: Arc::clone(&ending),
                };
                thread::spawn(move || contract.supervise(&reports));
                if let Some(path) = status_path {
                    let (logger, status) = (logger.clone(), Arc::clone(&status));
                    thread::spawn(move || watch_for_status(&path, &logger, &status));
                }
            }
            // As the platform does: the child that could not execute the logger kills the container.
            Err(_) => {
                if let Some(init) = &init {
                    init.kill_group();
                }
            }
        }
        let writers = if init.is_some() { Vec::new() } else { app_ends };
        let written_messages = Mutex::new(vec![0; writers.len()]);
        Container {
            logger,
            init,
            streams,
            writers: Mutex::new(writers),
            written_messages,
            ending,
            dockerinit_log,
            log_start,
            status,
        }
    }
}

/// Programs in a logger's place get what the platform gives, and nothing else.
fn is_logger(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name.to_string_lossy().contains("logger"))
}

fn open_streams(spec: &ContainerSpec) -> Streams {
    let options = StreamOptions {
        pressure: spec.pressure,
        unjoined_messages: spec.unjoined_messages,
        tty: spec.tty,
    };
    let mut open = Streams { streams: Vec::new(), app_ends: Vec::new(), log_ends: Vec::new() };
    for _ in 0..if spec.tty { 1 } else { 2 } {
        let (stream, app_end, log_end) = Stream::start(options).expect("a zfd stream starts");
        open.streams.push(stream);
        open.app_ends.push(app_end);
        open.log_ends.push(log_end);
    }
    open
}

fn start_logger(
    spec: &ContainerSpec,
    log: &File,
    log_ends: &[OwnedFd],
    status: Option<&Path>,
    report: Sender<Ended>,
) -> io::Result<Process> {
    let mut environment = spec.environment();
    if let Some(path) = status {
        environment.push(("DOCKERLOG_STATUS".to_owned(), path.to_string_lossy().into_owned()));
    }
    let null_out =
        OpenOptions::new().write(true).open("/dev/null").expect("/dev/null opens for writing");
    let null_in = null_in();
    let stderr_stream = log_ends.get(1).map_or(null_in.as_fd(), AsFd::as_fd);
    let launch = Launch {
        program: &spec.logger,
        argv: &["logger".to_owned(), spec.driver.clone()],
        env: &environment,
        cwd: &spec.workdir,
        fds: &[log.as_fd(), null_out.as_fd(), null_out.as_fd(), log_ends[0].as_fd(), stderr_stream],
    };
    Process::start(&launch, move |_| drop(report.send(Ended::Logger)))
}

fn start_init(
    spec: &ContainerSpec,
    command: &[String],
    app_ends: &[OwnedFd],
    report: Sender<Ended>,
) -> Process {
    let stdout = app_ends[0].as_fd();
    let stderr = app_ends.get(1).unwrap_or(&app_ends[0]).as_fd();
    let null_in = null_in();
    let launch = Launch {
        program: &find_program(&command[0]),
        argv: command,
        env: &spec.command_env,
        cwd: &spec.workdir,
        fds: &[null_in.as_fd(), stdout, stderr],
    };
    Process::start(&launch, move |_| drop(report.send(Ended::Init))).unwrap_or_else(|error| {
        panic!("the container's command {command:?} cannot be executed: {error}")
    })
}

fn null_in() -> File {
    File::open("/dev/null").expect("/dev/null opens for reading")
}

/// Finds the status page of `logger` while it is there.
fn watch_for_status(path: &Path, logger: &Process, found: &Mutex<Option<StatusFile>>) {
    while logger.exit().is_none() {
        if let Some(status) = StatusFile::open(path, logger.pid()) {
            *found.lock().unwrap() = Some(status);
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The first executable of that name in the usual folders, as a container's PATH would find it.
fn find_program(name: &str) -> PathBuf {
    if name.contains('/') {
        return PathBuf::from(name);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}
