// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Labels and environment from the zone's metadata socket, where dockerinit does
//! not pass them.
//!
//! The environment is `docker:env`. A label is the tag `docker:label:NAME` of the
//! machine; the socket answers for one name and lists none, so that what
//! `labels` names is found there and what `labels-regex` would match is not.
//!
//! Asking waits for a service of the global zone, which is why the sender asks
//! and not the reader, once, when it starts, and only if an option needs it.

mod frame;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(crate) use frame::FrameError;
#[cfg(any(test, fuzzing))]
pub(crate) use frame::check_any;
use frame::{Answer, answer, request};

use crate::launch::{Launch, LaunchError, parse_list};

/// Why the socket is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataError {
    /// Talking to it failed.
    #[error("cannot ask the zone's metadata socket {path}")]
    Socket {
        /// Where it is.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no answer.
    #[error("the zone's metadata socket has not answered for {} s", TIMEOUT.as_secs())]
    Late,
    /// Its answer is none.
    #[error("cannot understand the zone's metadata socket")]
    Frame(#[source] FrameError),
    /// It speaks an older protocol.
    #[error("the zone's metadata socket does not speak version 2 of its protocol")]
    Version,
    /// The environment is not what it should be.
    #[error("cannot use the environment that the zone's metadata socket knows")]
    Env(#[source] LaunchError),
}

/// What to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    labels: Vec<String>,
    env: bool,
}

/// What there was.
#[derive(Debug, Default)]
struct Found {
    labels: BTreeMap<String, String>,
    env: Vec<String>,
}

/// `launch` with the labels and the environment that its options ask for and it
/// lacks. `None`: there is nothing to ask for, nobody to ask, or nothing to learn.
///
/// # Errors
/// When somebody is there and the answer is of no use, after 3 s at the latest.
pub(crate) fn complete(launch: &Launch) -> Result<Option<Launch>, MetadataError> {
    let wanted = Wanted::of(launch);
    if wanted == Wanted::default() {
        return Ok(None);
    }
    let paths: Vec<&str> =
        launch.metadata_path.as_deref().map_or(SOCKETS.to_vec(), |path| vec![path]);
    let Some(path) = paths.into_iter().find(|path| std::fs::metadata(path).is_ok()) else {
        return Ok(None);
    };
    // Connecting may wait without end, so it is another that waits.
    let (tell, told) = mpsc::channel();
    let owned = path.to_owned();
    let asking = move || tell.send(ask(&owned, &wanted));
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(asking);
    thread.map_err(|source| MetadataError::Socket { path: path.to_owned(), source })?;
    let found = told.recv_timeout(TIMEOUT).map_err(|_| MetadataError::Late)??;
    if found.labels.is_empty() && found.env.is_empty() {
        return Ok(None);
    }
    let mut launch = launch.clone();
    launch.labels.extend(found.labels);
    launch.env.extend(found.env);
    Ok(Some(launch))
}

impl Wanted {
    fn of(launch: &Launch) -> Self {
        let given = |name: &str| launch.options.get(name).filter(|value| !value.is_empty());
        let env = launch.env.is_empty() && (given("env").is_some() || given("env-regex").is_some());
        let labels = given("labels").filter(|_| launch.labels.is_empty());
        let names = labels.into_iter().flat_map(|labels| labels.split(','));
        let labels = names.filter(|name| !name.is_empty()).take(LABELS_MAX);
        Self { labels: labels.map(str::to_owned).collect(), env }
    }
}

/// One conversation; each question waits for the answer to the one before.
fn ask(path: &str, wanted: &Wanted) -> Result<Found, MetadataError> {
    let failed = |source| MetadataError::Socket { path: path.to_owned(), source };
    let mut socket = Socket::connect(path).map_err(failed)?;
    socket.write(b"NEGOTIATE V2\n").map_err(failed)?;
    if socket.line().map_err(failed)? != b"V2_OK" {
        return Err(MetadataError::Version);
    }
    let mut id = 0;
    let mut get = |key: &str| -> Result<Option<String>, MetadataError> {
        id += 1;
        socket.write(&request(id, key)).map_err(failed)?;
        let line = socket.line().map_err(failed)?;
        match answer(&line, id).map_err(MetadataError::Frame)? {
            Answer::Value(value) => Ok(Some(value)),
            Answer::None => Ok(None),
        }
    };
    let mut found = Found::default();
    for name in &wanted.labels {
        if let Some(value) = get(&format!("sdc:tags.docker:label:{name}"))? {
            found.labels.insert(name.clone(), value);
        }
    }
    if wanted.env
        && let Some(env) = get("docker:env")?
    {
        found.env = parse_list("docker:env", &env).map_err(MetadataError::Env)?;
    }
    Ok(found)
}

/// A conversation in lines, which has to end some time.
struct Socket {
    stream: UnixStream,
    deadline: Instant,
    /// Read and not yet used.
    read: Vec<u8>,
}

impl Socket {
    fn connect(path: &str) -> io::Result<Self> {
        let deadline = Instant::now() + TIMEOUT;
        Ok(Self { stream: UnixStream::connect(path)?, deadline, read: Vec::new() })
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write_all(bytes)
    }

    /// The next line, without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut block = [0; 4096];
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.read) {
                let mut line = self.read.drain(..=end).collect::<Vec<_>>();
                line.pop();
                return Ok(line);
            }
            if self.read.len() > ANSWER_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.stream.set_read_timeout(self.left()?)?;
            match self.stream.read(&mut block)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.read.extend_from_slice(block.get(..n).unwrap_or_default()),
            }
        }
    }
}

/// In an lx zone, and in any other.
const SOCKETS: [&str; 2] = ["/native/.zonecontrol/metadata.sock", "/.zonecontrol/metadata.sock"];

/// For the whole conversation. dockerinit has just had one of its own.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Labels asked for, at most.
const LABELS_MAX: usize = 256;

/// Bytes of an answer, at most: an environment is smaller than what exec takes.
const ANSWER_MAX: usize = 4 << 20;

const STACK_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_options_ask_for_and_is_lacking_is_asked_for() {
        let wanted = |options: &[(&str, &str)], known: &[&str]| {
            let mut launch = Launch::default();
            for &(name, value) in options {
                launch.options.insert(name.to_owned(), value.to_owned());
            }
            for &name in known {
                launch.labels.insert(name.to_owned(), String::new());
                launch.env.push(format!("{name}=x"));
            }
            let Wanted { labels, env } = Wanted::of(&launch);
            (labels.join(" "), env)
        };
        let both = [("labels", "tier,,com.example.team"), ("env-regex", "^A")];
        assert_eq!(wanted(&both, &[]), ("tier com.example.team".to_owned(), true));
        assert_eq!(wanted(&both, &["any"]), (String::new(), false));
        let neither = [("labels-regex", "."), ("env", ""), ("tag", "x")];
        assert_eq!(wanted(&neither, &[]), (String::new(), false));
    }

    #[test]
    fn nobody_to_ask_is_no_error() {
        let options = BTreeMap::from([("env".to_owned(), "A".to_owned())]);
        let metadata_path = Some("/nonexistent/metadata.sock".to_owned());
        let launch = Launch { options, metadata_path, ..Launch::default() };
        assert_eq!(complete(&launch).unwrap(), None);
    }
}
