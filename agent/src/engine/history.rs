// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The audit history: who changed what, why, from what to what, written down
//! before it is changed.
//!
//! `history/current` and `history/previous` hold a JSON record a line, oldest
//! first. A record is added by replacing `current` as a whole, so that no cut
//! leaves half a line; at `GENERATION_BYTES` it becomes `previous` and a new
//! one begins. The newest records are therefore always there, and the two
//! files together stay small. `history/last_check` is how the last check went.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use dockerlogger_manifest::{Digest, Extra};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::view::LastCheck;
use crate::os::files::{self, FileError, Files};

/// Bytes of one generation, at most; about 200 records.
const GENERATION_BYTES: usize = 64 << 10;

/// Bytes of any file here, at most; more is not ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A user at the command line, without a running agent.
    Cli {
        /// The user id of the process.
        uid: u32,
        /// The name the user's environment claims.
        user: Option<String>,
    },
    /// The process at the other end of the command socket.
    Socket {
        /// Its user id, as the kernel says; none where the kernel does not.
        uid: Option<u32>,
    },
    /// The clock.
    Poll,
    /// The agent itself: a repair, or the end of a trial.
    Agent,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cli { uid, user: Some(user) } => write!(f, "cli uid {uid} ({user})"),
            Self::Cli { uid, user: None } => write!(f, "cli uid {uid}"),
            Self::Socket { uid: Some(uid) } => write!(f, "socket uid {uid}"),
            Self::Socket { uid: None } => f.write_str("socket"),
            Self::Poll => f.write_str("poll"),
            Self::Agent => f.write_str("agent"),
        }
    }
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A release is installed.
    Update,
    /// The previous release comes back.
    Rollback,
    /// What an interruption left is put in order.
    Repair,
    /// The current release is found damaged, and no other can take its place.
    Damaged,
    /// A release failed its trial; the previous one comes back.
    TrialRevert,
    /// A release failed its trial and is blocked; it stays, for want of another one.
    TrialFailed,
    /// A release passed its trial. If loggers started, it is what can be gone back to.
    TrialPassed,
    /// The change on record before failed; a repair may still complete it.
    Failed,
    /// Expired metadata is taken this once.
    AllowExpired,
    /// A new root of trust is believed.
    NewRoot,
    /// Versions that replaced keys have signed are floors no more.
    LiftFloors,
    /// The node is to keep what it has.
    Hold,
    /// The node follows its channel again.
    ReleaseHold,
    /// The node is to have one release.
    Pin,
    /// The node follows its channel again.
    Unpin,
    /// Something is not to be installed.
    Block,
    /// Something may be installed again.
    Unblock,
}

impl Action {
    /// The word in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Rollback => "rollback",
            Self::Repair => "repair",
            Self::Damaged => "damaged",
            Self::TrialRevert => "trial-revert",
            Self::TrialFailed => "trial-failed",
            Self::TrialPassed => "trial-passed",
            Self::Failed => "failed",
            Self::AllowExpired => "allow-expired",
            Self::NewRoot => "new-root",
            Self::LiftFloors => "lift-floors",
            Self::Hold => "hold",
            Self::ReleaseHold => "release-hold",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Block => "block",
            Self::Unblock => "unblock",
        }
    }
}

/// A change that is about to be made.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) what: Action,
    pub(crate) why: String,
    /// What is true before, for a person: a version, mostly.
    pub(crate) from: Option<String>,
    /// What will be true.
    pub(crate) to: Option<String>,
    /// The artifact it is about.
    pub(crate) digest: Option<Digest>,
}

/// One record of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Rises by one with each record.
    pub seq: u64,
    /// When the change was begun.
    pub at: Timestamp,
    /// Who asked for it: `poll`, `agent`, `socket uid 0`, `cli uid 0 (alice)`.
    pub who: String,
    /// What was done, in a word.
    pub what: String,
    /// The reason.
    pub why: String,
    /// What was true before.
    pub from: Option<String>,
    /// What was to be true after.
    pub to: Option<String>,
    /// The artifact it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What newer agents wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The directory `history/`.
#[derive(Debug)]
pub(crate) struct History {
    files: Arc<dyn Files>,
    directory: PathBuf,
    /// The content of `current`.
    newest: Vec<u8>,
    records: Arc<Vec<Record>>,
    /// What could not be read, in words.
    problems: Vec<String>,
    /// The newest records are not known: nothing may be written over them.
    unread: bool,
}

impl History {
    /// Reads what is there. What cannot be read is reported and left out: a
    /// damaged history is no reason to stop.
    pub(crate) fn open(files: Arc<dyn Files>, directory: PathBuf) -> Self {
        let (newest, records, problems) = (Vec::new(), Arc::default(), Vec::new());
        let mut history = Self { files, directory, newest, records, problems, unread: false };
        // It is among the problems.
        let _ = history.load();
        history
    }

    /// # Errors
    /// When the newest records cannot be read. What is known of them stays.
    fn load(&mut self) -> Result<(), FileError> {
        self.problems.clear();
        let mut records = Vec::new();
        let mut unread = None;
        for name in [PREVIOUS, CURRENT] {
            let path = self.directory.join(name);
            let bytes = match files::read(&*self.files, &path, FILE_BYTES_MAX) {
                Ok(bytes) => bytes.unwrap_or_default(),
                Err(e) => {
                    self.problems.push(format!("{e}: {}", e.source));
                    if !e.is_of_content() {
                        unread = Some(e);
                    }
                    Vec::new()
                }
            };
            // Where the newest record is, the older file need not be read.
            if !bytes.is_empty() {
                unread = None;
            }
            let before = records.len();
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let mut bad = 0;
            for line in lines {
                match serde_json::from_slice::<Record>(line) {
                    Ok(record) => records.push(record),
                    Err(_) => bad += 1,
                }
            }
            if bad > 0 {
                self.problems.push(format!("{} lines of {} are damaged", bad, path.display()));
            }
            if name == CURRENT && unread.is_none() {
                self.newest = encode(&records[before..]);
            }
        }
        self.unread = unread.is_some();
        if !self.unread || self.records.is_empty() {
            self.records = Arc::new(records);
        }
        unread.map_or(Ok(()), Err)
    }

    /// What there is, oldest first.
    pub(crate) fn records(&self) -> Arc<Vec<Record>> {
        Arc::clone(&self.records)
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The number of the newest record; 0 without any.
    pub(crate) fn newest(&self) -> u64 {
        self.records.last().map_or(0, |record| record.seq)
    }

    /// Whether the newest record says this already.
    pub(crate) fn says(&self, entry: &Entry) -> bool {
        self.records.last().is_some_and(|record| {
            let Entry { what, why, from, to, digest } = entry;
            (record.what.as_str(), &record.why) == (what.name(), why)
                && (&record.from, &record.to, &record.digest) == (from, to, digest)
        })
    }

    /// When damage to a release was put on record, if it was not installed or gone back
    /// to since.
    pub(crate) fn damaged_since(&self, digest: &Digest) -> Option<Timestamp> {
        let damaged = Action::Damaged.name();
        let moves = [Action::Update, Action::Rollback, Action::TrialRevert].map(Action::name);
        let mut newest = self.records.iter().rev().filter(|it| it.digest == Some(*digest));
        let last = newest.find(|it| it.what == damaged || moves.contains(&it.what.as_str()))?;
        (last.what == damaged).then_some(last.at)
    }

    /// Adds a record. Durable when it returns.
    pub(crate) fn append(
        &mut self,
        entry: Entry,
        who: &Actor,
        at: Timestamp,
    ) -> Result<(), FileError> {
        if self.unread {
            self.load()?;
        }
        let seq = self.newest().saturating_add(1);
        let Entry { what, why, from, to, digest } = entry;
        let what = what.name().to_owned();
        let who = who.to_string();
        let record = Record { seq, at, who, what, why, from, to, digest, extra: Extra::new() };
        let added = self.add(&record);
        if added.is_err() {
            // What is on disk counts, except for the record itself: it may be
            // there to see and not be durable, and nobody may be told.
            let _ = self.load();
            let line = encode(std::slice::from_ref(&record));
            if self.newest.ends_with(&line) {
                self.newest.truncate(self.newest.len() - line.len());
                Arc::make_mut(&mut self.records).pop();
            }
        }
        added
    }

    fn add(&mut self, record: &Record) -> Result<(), FileError> {
        let current = self.directory.join(CURRENT);
        let line = encode(std::slice::from_ref(record));
        if !self.newest.is_empty() && self.newest.len() + line.len() > GENERATION_BYTES {
            self.files.rename(&current, &self.directory.join(PREVIOUS))?;
            self.files.sync_dir(&self.directory)?;
            self.load()?;
        }
        let mut content = self.newest.clone();
        content.extend_from_slice(&line);
        files::write_atomic(&*self.files, &current, &content, 0o600)?;
        self.newest = content;
        Arc::make_mut(&mut self.records).push(record.clone());
        Ok(())
    }

    /// How the last check went, if that is known.
    pub(crate) fn last_check(&mut self) -> Option<LastCheck> {
        let path = self.directory.join(LAST_CHECK);
        match files::read(&*self.files, &path, FILE_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes?).ok(),
            Err(e) => {
                self.problems.push(format!("{e}: {}", e.source));
                None
            }
        }
    }

    /// Writes down how the last check went.
    pub(crate) fn save_last_check(&self, check: &LastCheck) -> Result<(), FileError> {
        let path = self.directory.join(LAST_CHECK);
        let bytes =
            serde_json::to_vec(check).map_err(|e| FileError::new("encode", &path, e.into()))?;
        files::write_atomic(&*self.files, &path, &bytes, 0o600)
    }
}

const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";
const LAST_CHECK: &str = "last_check";

fn encode(records: &[Record]) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        // A record is plain data: it always has a form in JSON.
        lines.extend(serde_json::to_vec(record).unwrap_or_default());
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::os::RealFiles;

    fn open(directory: &std::path::Path) -> History {
        History::open(Arc::new(RealFiles), directory.to_owned())
    }

    fn entry(why: String) -> Entry {
        let (from, to) = (Some("1.0.0".to_owned()), Some("1.1.0".to_owned()));
        Entry { what: Action::Update, why, from, to, digest: None }
    }

    #[test]
    fn what_is_appended_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let mut history = open(directory.path());
        assert!(history.records().is_empty());
        let who = Actor::Cli { uid: 7, user: Some("alice".to_owned()) };
        history.append(entry("why not".to_owned()), &who, Timestamp::UNIX_EPOCH).unwrap();
        history.append(entry("again".to_owned()), &Actor::Poll, Timestamp::UNIX_EPOCH).unwrap();
        let read = open(directory.path());
        assert_eq!(read.records(), history.records());
        assert_eq!(read.problems(), [""; 0]);
        let told: Vec<(u64, &str)> =
            history.records.iter().map(|r| (r.seq, r.who.as_str())).collect();
        assert_eq!(told, [(1, "cli uid 7 (alice)"), (2, "poll")]);
    }

    #[test]
    fn two_generations_are_kept_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let mut history = open(directory.path());
        let why = "x".repeat(8 << 10);
        for _ in 0..40 {
            history.append(entry(why.clone()), &Actor::Agent, Timestamp::UNIX_EPOCH).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [CURRENT, PREVIOUS]);
        for name in names {
            let length = fs::metadata(directory.path().join(name)).unwrap().len();
            assert!(length <= GENERATION_BYTES as u64, "{length}");
        }
        let records = open(directory.path()).records();
        assert_eq!(records, history.records());
        assert_eq!(records.last().unwrap().seq, 40);
        assert!(records.len() >= 8 && records.len() <= 16, "{}", records.len());
        assert!(records.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    }

    #[test]
    fn damage_costs_the_damaged_lines_only() {
        let directory = tempfile::tempdir().unwrap();
        let mut history = open(directory.path());
        for number in 0..3 {
            let why = format!("number {number}");
            history.append(entry(why), &Actor::Poll, Timestamp::UNIX_EPOCH).unwrap();
        }
        let path = directory.path().join(CURRENT);
        let text = fs::read_to_string(&path).unwrap().replacen("\"seq\":2", "\"seq\":?", 1);
        fs::write(&path, text).unwrap();
        let mut history = open(directory.path());
        assert_eq!(history.problems().len(), 1);
        let seqs: Vec<u64> = history.records().iter().map(|record| record.seq).collect();
        assert_eq!(seqs, [1, 3]);
        history.append(entry("next".to_owned()), &Actor::Poll, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(open(directory.path()).records().last().unwrap().seq, 4);
    }

    #[test]
    fn fields_of_newer_agents_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let line = r#"{"seq":1,"at":"2026-01-01T00:00:00Z","who":"poll","what":"dance","why":"","from":null,"to":null,"tune":"polka"}"#;
        fs::write(directory.path().join(CURRENT), format!("{line}\n")).unwrap();
        let mut history = open(directory.path());
        assert_eq!(history.records()[0].extra["tune"], "polka");
        history.append(entry(String::new()), &Actor::Poll, Timestamp::UNIX_EPOCH).unwrap();
        let text = fs::read_to_string(directory.path().join(CURRENT)).unwrap();
        assert!(text.contains("polka"), "{text}");
    }
}
