// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! From an exec to a reader at work.

use std::io;
use std::time::Duration;

use dockerlogger_manifest::status::Life;

use super::supervise::Supervisor;
use super::{Reader, Sources};
use crate::driver::{ConfigError, Identity, Mode, Settings};
use crate::launch::{Launch, LaunchError};
use crate::os::{self, LastWords};
use crate::output;
use crate::report::report;
use crate::ring::{Amount, Consumer, Description, DropCause, Due, Mapping, Producer};
use crate::sender::Setup;
use crate::spool::{self, Spool};
use crate::status;
use crate::template::container::short_id;

/// How a run ended that could begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything that was kept was delivered.
    Drained,
    /// `drain-timeout` passed first, or there was no sender any more.
    Left(Amount),
    /// The sender died, and `on-failure=kill`; what it left is lost.
    SenderDied(Amount),
    /// `drain-timeout` passed first, and the rest is in the spool.
    Kept {
        /// What will be sent at the next start.
        amount: Amount,
        /// The spool file's name.
        file: String,
    },
}

impl Outcome {
    /// The exit status that says so.
    pub(crate) const fn exit_status(&self) -> u8 {
        match self {
            Self::Drained | Self::Kept { .. } => 0,
            Self::Left(_) => EXIT_LEFT,
            Self::SenderDied(_) => EXIT_SENDER,
        }
    }
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// What the container's starter says about it is malformed.
    #[error("cannot use the container's description")]
    Launch(#[source] LaunchError),
    /// The log options can never work.
    #[error("cannot use the container's log configuration")]
    Config(#[source] ConfigError),
    /// The system lacks what we cannot do without.
    #[error("cannot {doing}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl StartError {
    /// The exit status that says so.
    pub(crate) const fn exit_status(&self) -> u8 {
        match self {
            Self::Launch(_) | Self::Config(_) => EXIT_CONFIG,
            Self::System { .. } => EXIT_SYSTEM,
        }
    }
}

/// Reads the container's streams until they end. `variable` reads the
/// environment, which happens after the first look at the streams.
///
/// # Errors
/// Before the first sender is started, never after.
pub(crate) fn run(
    driver: &str,
    argv0: &str,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Outcome, StartError> {
    let ended = ship(driver, argv0, &variable);
    if let Err(error) = &ended {
        say_failed(driver, error, &variable);
    }
    ended
}

/// A page that tells of a run that could not begin; where there is no place for
/// it, none.
fn say_failed(
    driver: &str,
    error: &StartError,
    variable: &impl Fn(&'static str) -> Option<String>,
) {
    let id = variable("DOCKERLOG_CONTAINERID").unwrap_or_default();
    let Ok(status) = status::create(variable("DOCKERLOG_STATUS").as_deref(), &id) else { return };
    let Ok(mut mapping) = Mapping::create(NO_RING_BYTES) else { return };
    if mapping.show_in(status.file()).is_ok() {
        mapping.guard();
        let (writable, _) = mapping.split();
        let producer = Producer::new(writable);
        let words = LastWords::new(&producer.shared().life);
        producer.shared().describe(&Description {
            driver,
            container: short_id(&id),
            started_ns: os::wall_ns(),
            reader_pid: std::process::id(),
            spool_problem: None,
        });
        words.say(Life::Failed { status: error.exit_status().into() });
    }
}

fn ship(
    driver: &str,
    argv0: &str,
    variable: &impl Fn(&'static str) -> Option<String>,
) -> Result<Outcome, StartError> {
    let system = |doing| move |source| StartError::System { doing, source };
    let mut sources = Sources::of_contract();
    let inherited = sources.fds();
    let mut mapping = Mapping::create(FIRST_RING_BYTES).map_err(system("map the ring"))?;
    look_once(&mut sources, &mut mapping, Duration::ZERO);
    os::ignore_stray_signals();

    let launch = Launch::read(argv0, variable).map_err(StartError::Launch)?;
    let identity = Identity { host: os::hostname(), pid: std::process::id() };
    let settings = Settings::parse(driver, &launch, &identity.host).map_err(StartError::Config)?;
    let Settled { mut mapping, due, spool, problem } =
        settled(mapping, &settings, &launch, &mut sources);
    let status = status::create(launch.status_path.as_deref(), &launch.container_id);
    if let Ok(status) = status {
        // A page that is not shown is kept in memory.
        let _ = mapping.show_in(status.file());
    }
    mapping.guard();

    let (writable, readable) = mapping.split();
    let producer = Producer::going_on(writable, due);
    let words = LastWords::new(&producer.shared().life);
    producer.shared().describe(&Description {
        driver,
        container: short_id(&launch.container_id),
        started_ns: os::wall_ns(),
        reader_pid: identity.pid,
        spool_problem: problem.as_deref(),
    });
    if !launch.complaints.is_empty() {
        let text = launch.complaints.join("; ");
        output::complain_to_starter(&text);
        producer.shared().note_error(&text);
    }
    let setup = Setup { driver, launch: &launch, settings: &settings, identity: &identity };
    let supervisor =
        Supervisor::new(setup, Consumer::new(readable), inherited, os::raise_priority())
            .map_err(system("open the pipes between reader and sender"))?;
    if settings.generic.mode == Mode::Blocking {
        for stream in inherited.into_iter().filter(|&stream| stream >= 0) {
            os::set_flow_control(stream);
        }
    }
    let reader = Reader {
        sources,
        producer,
        supervisor,
        mode: settings.generic.mode,
        on_failure: settings.generic.on_failure,
        drain: settings.generic.drain,
        scratch: vec![0; DISCARDED_BYTES].into_boxed_slice(),
        last_wake_ns: 0,
        wake_due_ns: None,
    };
    // What the configuration took to read is not kept, nor copied by a fork.
    os::trim_heap();
    let (outcome, life) = reader.run();
    let outcome = match (outcome, spool) {
        (Outcome::Drained, Some(spool)) => {
            spool.remove();
            Outcome::Drained
        }
        (Outcome::Left(amount), Some(spool)) => {
            Outcome::Kept { amount, file: spool.name().to_owned() }
        }
        (outcome, _) => outcome,
    };
    words.say(life);
    Ok(outcome)
}

/// The ring to work with.
struct Settled {
    mapping: Mapping,
    /// What it had no room to say.
    due: Due,
    spool: Option<Spool>,
    /// What was wrong with the spool.
    problem: Option<String>,
}

impl Settled {
    /// The same ring in another size. Where memory for it is refused, the first
    /// one stays: smaller than asked for is better than none.
    fn in_memory(mut first: Mapping, bytes: usize, problem: Option<String>) -> Self {
        let (mut mapping, mut due) = (None, Due::default());
        if bytes != first.capacity() {
            mapping = Mapping::create(bytes).ok();
        }
        if let Some(other) = &mut mapping {
            due = append(&mut first, other, due);
        }
        Self { mapping: mapping.unwrap_or(first), due, spool: None, problem }
    }
}

/// The spool's file, or memory of the size asked for.
fn settled(
    mut first: Mapping,
    settings: &Settings,
    launch: &Launch,
    sources: &mut Sources,
) -> Settled {
    let bytes = settings.generic.buffer_bytes;
    let Some(dir) = &settings.spool else {
        return Settled::in_memory(first, bytes, None);
    };
    // Reading goes on while the file is being made.
    let mut meanwhile = |pause| look_once(sources, &mut first, pause);
    let settled = match spool::open(dir, &launch.container_id, bytes, &mut meanwhile) {
        Ok(mut opened) => {
            let due = append(&mut first, &mut opened.ring, opened.due);
            let (mapping, spool, problem) = (opened.ring, Some(opened.spool), opened.problem);
            Settled { mapping, due, spool, problem }
        }
        Err(error) => {
            let problem = format!("{}; lines are kept in memory", report(&error));
            Settled::in_memory(first, bytes, Some(problem))
        }
    };
    if let Some(problem) = &settled.problem {
        output::complain_to_starter(problem);
    }
    settled
}

/// Takes what is there already, or comes within `pause`: a zfd queue holds
/// little.
fn look_once(sources: &mut Sources, mapping: &mut Mapping, pause: Duration) {
    let (writable, _) = mapping.split();
    let mut producer = Producer::new(writable);
    let [stdout, stderr] = sources.fds();
    let mut fds = [os::interest(stdout, libc::POLLIN), os::interest(stderr, libc::POLLIN)];
    if os::poll(&mut fds, Some(pause)).is_ok() {
        for (n, fd) in fds.iter().enumerate() {
            if fd.revents != 0 {
                sources.take(n, &mut producer, FIRST_READ_BYTES);
            }
        }
    }
}

/// Puts what was read first behind what is in the ring already, and behind what
/// that had to say; says what is to be said still.
fn append(first: &mut Mapping, ring: &mut Mapping, due: Due) -> Due {
    let (dropped, due) = spool::copy(first, ring, due, &mut |_| {});
    let (writable, _) = ring.split();
    let mut producer = Producer::going_on(writable, due);
    if dropped.bytes > 0 {
        producer.note_loss(dropped, os::wall_ns(), DropCause::BufferFull);
        producer.flush_due();
    }
    producer.due()
}

/// The ring that the first look goes into, and the default of `max-buffer-size`.
const FIRST_RING_BYTES: usize = 1 << 20;

/// The most that the first look takes of a stream, in bytes: more than a zfd
/// queue holds, and little enough for the smallest ring.
const FIRST_READ_BYTES: usize = 16 << 10;

/// What one read that is dropped may take: more than a zfd queue holds, and private
/// memory once anything was dropped.
const DISCARDED_BYTES: usize = 16 << 10;

/// The ring beside a page that only tells of a failure.
const NO_RING_BYTES: usize = 64 << 10;

/// Exit status: lines were left undelivered at the end of the drain.
pub(crate) const EXIT_LEFT: u8 = 1;

/// Exit status: the sender died, and the container was to end with it
/// (EX_SOFTWARE).
const EXIT_SENDER: u8 = 70;

/// Exit status: no memory or descriptors at the start (EX_OSERR).
const EXIT_SYSTEM: u8 = 71;

/// Exit status: a configuration that can never work (EX_CONFIG).
pub(crate) const EXIT_CONFIG: u8 = 78;

#[cfg(test)]
mod tests {
    use super::super::{Source, time_after};
    use super::*;
    use crate::record::Stream;
    use crate::ring::Payload;
    use crate::scratch::Scratch;

    #[test]
    fn what_was_read_first_survives_a_ring_of_another_size() {
        for bytes in [64 << 10, 100_000, 1 << 20, 4 << 20] {
            let mut mapping = Mapping::create(FIRST_RING_BYTES).unwrap();
            let (writable, _) = mapping.split();
            let mut producer = Producer::new(writable);
            for (stream, byte) in [(Stream::Stdout, b'o'), (Stream::Stderr, b'e')] {
                assert!(producer.copy_in(&[byte; FIRST_READ_BYTES], stream, 7));
            }
            let mut mapping = Settled::in_memory(mapping, bytes, None).mapping;
            assert!(mapping.capacity() >= bytes);
            let both = [[b'o'; FIRST_READ_BYTES], [b'e'; FIRST_READ_BYTES]].concat();
            assert!(content(&mut mapping) == both, "not all came through");
        }
    }

    /// The bytes in a ring; `|` for what another run left before it.
    fn content(mapping: &mut Mapping) -> Vec<u8> {
        let (_, readable) = mapping.split();
        let mut consumer = Consumer::new(readable);
        let (mut position, _) = consumer.resume();
        let mut content = Vec::new();
        while let Some(entry) = consumer.entry(position) {
            match entry.payload {
                Payload::Bytes(bytes) => content.extend_from_slice(bytes),
                Payload::Break => content.push(b'|'),
                Payload::Gap(gap) => panic!("{gap:?}"),
            }
            position = entry.next;
        }
        content
    }

    #[test]
    fn what_was_read_before_the_spool_was_open_is_in_it() {
        let scratch = Scratch::new();
        let options =
            [("syslog-address", "tcp://127.0.0.1:1"), ("spool", scratch.dir().to_str().unwrap())];
        let launch = Launch {
            options: options.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            container_id: "4f1c0e8f5a5d".to_owned(),
            ..Launch::default()
        };
        let settings = Settings::parse("syslog", &launch, b"host").unwrap();
        let source = |stream| Source { stream, fd: -1 };
        let mut sources = Sources { streams: Stream::BOTH.map(source), last_ns: 0 };
        for (early, in_spool) in [("one", "one"), ("two", "one|two"), ("", "one|two|")] {
            let mut mapping = Mapping::create(FIRST_RING_BYTES).unwrap();
            let (writable, _) = mapping.split();
            assert!(
                early.is_empty()
                    || Producer::new(writable).copy_in(early.as_bytes(), Stream::Stdout, 7)
            );
            let mut settled = settled(mapping, &settings, &launch, &mut sources);
            assert_eq!(settled.problem, None);
            assert!(settled.spool.is_some());
            assert_eq!(String::from_utf8_lossy(&content(&mut settled.mapping)), in_spool);
        }
    }

    #[test]
    fn every_read_has_a_later_time() {
        let mut sources = Sources::of_contract();
        let mut last_ns = 0;
        for len in 1..1000 {
            let time_ns = sources.time();
            assert!(time_ns > last_ns);
            sources.have_read(len, time_ns);
            last_ns = time_ns + len as u64 - 1;
        }
    }

    #[test]
    fn times_go_on_whatever_the_clock_does() {
        const S: u64 = 1_000_000_000;
        for (last_ns, now_ns, want) in [
            (0, 5 * S, 5 * S),
            (5 * S, 5 * S, 5 * S + 1),
            // Set back a little: times wait for it.
            (5 * S, 4 * S, 5 * S + 1),
            // Set back more: times follow, or they would stand still.
            (5 * S, 4 * S - 1, 4 * S - 1),
            (5 * S, 0, 0),
        ] {
            assert_eq!(time_after(last_ns, now_ns), want, "{last_ns} {now_ns}");
        }
    }
}
