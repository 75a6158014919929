// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The state on disk: JSON in two copies, either of which is enough.
//!
//! A write replaces first one of `state/a` and `state/b`, then the other, each
//! atomically, and is done when both are durable. Where a recovery finds them
//! differ, it makes them the same before it does anything else, and if it cannot,
//! it does nothing else. So whatever was told, and whatever was done, rests on
//! what is in both, and a medium that loses one of them loses nothing; that it
//! did is seen and said. The last line of a copy is the SHA-256 of everything
//! before it.
//!
//! # A copy that cannot be read
//!
//! may be as whole as the other one, and the next time it may be readable. It can
//! hold one of three things:
//!
//! - the same generation as the other copy;
//! - an older one: the other was written first, and nothing came of the second;
//! - one that is newer by one, if it was written first and nothing came of the
//!   other. The write has not returned then: nobody was told, and nothing was done
//!   for which that generation had to be there.
//!
//! In each case the copy that can be read has all that was told, and to go on from
//! it is what would be done after a power cut before the write began. What must
//! not happen is that the other one speaks later: a change that was given up would
//! come true, or one that was made on top of it would be undone. So it is replaced
//! like a damaged one, by a rename that needs nothing of what it holds, durably
//! and before anything is told. Where it cannot be replaced nothing is changed, so
//! that there is nothing to contradict if it can be read again.
//!
//! # Older agents
//!
//! write one copy at a time: the newest and the one before it are there then, and
//! a newest one that is lost takes the last change with it, although it was
//! acknowledged. A copy alone does not show that; the link does, if the change was
//! a switch: the recovery stops where `bin/logger` is what the copy that can be
//! read does not lead to and the other one cannot be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dockerlogger_manifest::Digest;
use serde::Deserialize;

use crate::engine::digest;
use crate::engine::state::{FORMAT, State};
use crate::os::files::{self, FileError, Files};

/// Bytes of a state file, at most.
const BYTES_MAX: u64 = 1 << 20;

/// What was found on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// Nothing was ever written.
    Absent,
    /// The newest copy that is whole.
    Valid(Box<State>, Copies),
    /// There are files, and none is whole.
    Lost {
        /// What is wrong with them.
        problem: String,
    },
    /// The newest copy that is whole is from a newer agent.
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
}

/// How the other copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Copies {
    /// The same.
    Both,
    /// Older, or not there yet: a write was interrupted, or it was an older agent's.
    Behind,
    /// Not what was written, or gone.
    Damaged {
        /// The file, and what is wrong with it.
        problem: String,
    },
    /// It cannot be read, and may be whole.
    Unreadable {
        /// The file, and what the operating system says.
        problem: String,
    },
}

/// The directory `state/`.
#[derive(Debug, Clone)]
pub(crate) struct StateStore {
    files: Arc<dyn Files>,
    directory: PathBuf,
}

impl StateStore {
    pub(crate) fn new(files: Arc<dyn Files>, directory: PathBuf) -> Self {
        Self { files, directory }
    }

    /// Reads both copies; the newest that is whole wins.
    ///
    /// # Errors
    /// When none is whole and one of them cannot be read.
    pub(crate) fn load(&self) -> Result<Loaded, FileError> {
        let mut newest: Option<(Header, State)> = None;
        let mut too_new: Option<(PathBuf, Header)> = None;
        let mut copies = Copies::Behind;
        let (mut problems, mut absent) = (Vec::new(), Vec::new());
        let mut unread = None;
        for path in [self.path(0), self.path(1)] {
            let bytes = match self.read(&path) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    absent.push(format!("{}: it is gone", path.display()));
                    continue;
                }
                Err(e) if !e.is_of_content() => {
                    unread.get_or_insert(e);
                    continue;
                }
                Err(e) => {
                    problems.push(format!("{e}: {}", e.source));
                    continue;
                }
            };
            match decode(&bytes) {
                Ok((header, Some(state))) => match &newest {
                    Some((_, other)) if *other == state => copies = Copies::Both,
                    Some((other, _)) if other.generation >= header.generation => {}
                    _ => newest = Some((header, state)),
                },
                Ok((header, None)) => too_new = Some((path, header)),
                Err(problem) => problems.push(format!("{}: {problem}", path.display())),
            }
        }
        let newest_generation = newest.as_ref().map_or(0, |(header, _)| header.generation);
        // The first write leaves one copy when it is interrupted; every later one, two.
        if newest_generation > 1 {
            problems.extend(absent);
        }
        let problem = problems.join("; ");
        Ok(match (newest, too_new, unread) {
            (_, Some((path, header)), _) if header.generation >= newest_generation => {
                Loaded::TooNew { path, found: header.format }
            }
            (Some((_, state)), _, Some(e)) => {
                let problem = format!("{e}: {}", e.source);
                Loaded::Valid(Box::new(state), Copies::Unreadable { problem })
            }
            (Some((_, state)), _, None) if problem.is_empty() => {
                Loaded::Valid(Box::new(state), copies)
            }
            (Some((_, state)), _, None) => {
                Loaded::Valid(Box::new(state), Copies::Damaged { problem })
            }
            (None, _, Some(e)) => return Err(e),
            (None, _, None) if problem.is_empty() => Loaded::Absent,
            (None, _, None) => Loaded::Lost { problem },
        })
    }

    /// Writes the next generation. Durable, in both copies, when it returns.
    pub(crate) fn save(&self, state: &mut State) -> Result<(), FileError> {
        state.generation = state.generation.saturating_add(1);
        state.format = FORMAT;
        let generation = state.generation;
        let first = self.path(generation);
        let text = encode(state).map_err(|e| FileError::new("encode", &first, e.into()))?;
        for path in [first, self.path(generation.wrapping_add(1))] {
            files::write_atomic(&*self.files, &path, text.as_bytes(), 0o600)?;
        }
        Ok(())
    }

    /// Replaces the copy that is not `state`, the one that was loaded. Both are durable
    /// when it returns.
    pub(crate) fn mirror(&self, state: &State) -> Result<(), FileError> {
        for path in [self.path(0), self.path(1)] {
            // What could not be read may speak now, and is not asked any more.
            let found = self.read(&path).ok().flatten().and_then(|bytes| decode(&bytes).ok());
            if found.is_none_or(|(_, found)| found.as_ref() != Some(state)) {
                let text = encode(state).map_err(|e| FileError::new("encode", &path, e.into()))?;
                files::write_atomic(&*self.files, &path, text.as_bytes(), 0o600)?;
            }
        }
        Ok(())
    }

    /// A copy, if there is one.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, FileError> {
        files::read(&*self.files, path, BYTES_MAX)
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.directory.join(if generation.is_multiple_of(2) { "a" } else { "b" })
    }
}

/// What every format has.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Header {
    format: u64,
    generation: u64,
}

pub(super) fn encode(state: &State) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(state)?;
    text.push('\n');
    let sum = digest::of(text.as_bytes());
    text.push_str(&format!("{SUM_PREFIX}{sum}\n"));
    Ok(text)
}

pub(super) const SUM_PREFIX: &str = "sha256 ";

/// The header, and the state unless it is of a newer format.
pub(super) fn decode(bytes: &[u8]) -> Result<(Header, Option<State>), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let body = text.strip_suffix('\n').ok_or("it is cut off")?;
    let (body, sum) = body.rsplit_once('\n').ok_or("it is cut off")?;
    let body = format!("{body}\n");
    let sum: Digest = sum
        .strip_prefix(SUM_PREFIX)
        .and_then(|sum| sum.parse().ok())
        .ok_or("its last line is not a digest")?;
    if digest::of(body.as_bytes()) != sum {
        return Err("its content does not match its digest".to_owned());
    }
    let header: Header = serde_json::from_str(&body).map_err(|e| e.to_string())?;
    if header.format > FORMAT {
        return Ok((header, None));
    }
    let state = serde_json::from_str(&body).map_err(|e| e.to_string())?;
    Ok((header, Some(state)))
}
