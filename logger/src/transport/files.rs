// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Frames in a file that is rotated by size.
//!
//! ```text
//! DIR/NAME          the current file, locked by whoever writes it
//! DIR/NAME.1[.gz]   the one before it, and so on up to max-file - 1
//! DIR/NAME.tmp      a compressed file that is not complete
//! ```
//!
//! Taken is what the kernel took of whole frames. A file only ever holds whole
//! frames: what was written of another is cut off, at once or when the file is
//! opened again. No file is truncated to make room, and none is removed but the
//! oldest: a rotation is a row of renames from the oldest to the newest, and
//! where it fails the current file goes on. Compressing is done by a thread, so
//! that it holds up no frames; the next rotation waits for it, which bounds the
//! disk space. A plain file is removed when the compressed one is complete, on
//! disk and has its name.
//!
//! A file or directory that is gone, replaced, full or read-only is a sink that
//! is down: frames wait, and the file is opened or made again.

mod compress;
mod current;
mod dir;
mod rotate;
#[cfg(test)]
mod tests;

use std::io;
use std::thread::JoinHandle;

use super::{Haste, Progress, Wait, until};
use crate::backoff::{Backoff, Delays};
use crate::driver::LogFiles;
use crate::os;
use crate::report::report;
use crate::ring::{Shared, SinkState};
use crate::window::Window;

use current::Current;
use dir::Dir;

/// The files of one container.
#[derive(Debug)]
pub(crate) struct Files {
    place: LogFiles,
    /// `None`: open it when there is something to write.
    current: Option<Current>,
    /// Not before this time.
    retry_ns: u64,
    /// When the last attempt failed.
    failed_ns: u64,
    backoff: Backoff,
    /// A rotation that failed is not tried again before this time.
    rotate_ns: u64,
    compressing: Option<JoinHandle<Result<(), FilesError>>>,
    #[cfg(test)]
    faults: dir::Faults,
}

/// What went wrong with the files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// A step failed.
    #[error("cannot {doing} {path}")]
    Step {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else has the name.
    #[error("{path} is not a plain file")]
    Strange {
        /// The file.
        path: String,
    },
    /// Somebody else writes it.
    #[error("another logger writes {path}")]
    Busy {
        /// The file.
        path: String,
    },
}

/// How far writing got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Frames were written.
    Written,
    /// Files have to be compressed before there is room for another.
    Compressing,
}

impl Files {
    pub(super) fn new(place: LogFiles, seed: u64) -> Self {
        Self {
            place,
            current: None,
            retry_ns: 0,
            failed_ns: 0,
            backoff: Backoff::new(Delays::SINK, seed),
            rotate_ns: 0,
            compressing: None,
            #[cfg(test)]
            faults: dir::Faults::default(),
        }
    }

    /// Whether nothing is being compressed.
    pub(super) fn is_settled(&self) -> bool {
        self.compressing.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(super) fn drive(
        &mut self,
        window: &mut Window,
        shared: &Shared,
        haste: Haste,
        now_ns: u64,
    ) -> Progress {
        self.note_compressed(shared);
        let mut wait = Wait { socket: None, until_ns: None };
        let retry_ns = haste.retry_ns(self.retry_ns, self.failed_ns);
        while window.unsent_bytes() > 0 {
            if self.current.is_none() && now_ns < retry_ns {
                wait = until(retry_ns);
                break;
            }
            match self.step(window, shared, now_ns) {
                Ok(Step::Written) => {
                    self.backoff.reset();
                    shared.set_sink(SinkState::Up);
                }
                Ok(Step::Compressing) => {
                    wait = until(now_ns + LOOK_NS);
                    break;
                }
                Err(error) => {
                    shared.note_error(&report(&error));
                    shared.set_sink(SinkState::Down);
                    self.current = None;
                    let now_ns = os::mono_ns().max(now_ns);
                    self.failed_ns = now_ns;
                    self.retry_ns = now_ns + self.backoff.next_ns();
                    wait = until(self.retry_ns);
                    break;
                }
            }
        }
        if haste == Haste::Hurried && wait.until_ns.is_none() && !self.is_settled() {
            wait = until(now_ns + LOOK_NS);
        }
        Progress::new(window.take(window.cursor(), now_ns), wait)
    }

    /// Writes frames up to where the file is to be rotated.
    fn step(
        &mut self,
        window: &mut Window,
        shared: &Shared,
        now_ns: u64,
    ) -> Result<Step, FilesError> {
        let mut current = self.current.take();
        let mut current = match current.take_if(|current| current.is_named(&self.place, now_ns)) {
            Some(current) => current,
            None => {
                let current = Current::open(&self.place, self.dir()?)?;
                self.compress(current.dir(), shared);
                current
            }
        };
        if self.is_full(&current) && now_ns >= self.rotate_ns {
            if !self.is_settled() {
                self.current = Some(current);
                return Ok(Step::Compressing);
            }
            match rotate::rotate(&self.place, current.dir()) {
                Ok(()) => {
                    self.compress(current.dir(), shared);
                    current = Current::open(&self.place, self.dir()?)?;
                }
                // Better a file that is too large than lines that are lost.
                Err(error) => {
                    shared.note_error(&report(&error));
                    self.rotate_ns = now_ns + ROTATE_AGAIN_NS;
                }
            }
        }
        let max_bytes = self.place.max_bytes.filter(|&max| current.bytes() < max);
        let room = max_bytes.map_or(u64::MAX, |max| max - current.bytes());
        let (written, outcome) =
            current.write(window.unsent_frames(room), |n| window.whole_frames(n));
        window.sent(written, now_ns);
        outcome.map_err(|source| step("write", &self.place, source))?;
        self.current = Some(current);
        Ok(Step::Written)
    }

    fn is_full(&self, current: &Current) -> bool {
        self.place.max_bytes.is_some_and(|max| current.bytes() >= max)
    }

    fn dir(&self) -> Result<Dir, FilesError> {
        let dir = Dir::open(&self.place.dir).map_err(|source| FilesError::Step {
            doing: "open the directory",
            path: self.place.dir.clone(),
            source,
        })?;
        #[cfg(test)]
        let dir = dir.with_faults(self.faults.clone());
        Ok(dir)
    }

    /// Compresses what was rotated and is not compressed, off this thread.
    fn compress(&mut self, dir: &Dir, shared: &Shared) {
        if !self.place.compress || !self.is_settled() {
            return;
        }
        self.note_compressed(shared);
        let place = self.place.clone();
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let started = dir
            .try_clone()
            .and_then(|dir| thread.spawn(move || compress::compress_all(&place, &dir)));
        match started {
            Ok(thread) => self.compressing = Some(thread),
            Err(source) => {
                let error = step("start to compress the files beside", &self.place, source);
                shared.note_error(&report(&error));
            }
        }
    }

    /// Keeps what came of the last compression. What could not be compressed is
    /// tried again at the next rotation.
    fn note_compressed(&mut self, shared: &Shared) {
        if let Some(thread) = self.compressing.take_if(|thread| thread.is_finished())
            && let Ok(Err(error)) = thread.join()
        {
            shared.note_error(&report(&error));
        }
    }
}

/// A step with the current file that failed.
fn step(doing: &'static str, place: &LogFiles, source: io::Error) -> FilesError {
    FilesError::Step { doing, path: place.path(), source }
}

/// How long to wait before looking again whether files are compressed.
const LOOK_NS: u64 = 5_000_000;

/// After a rotation that failed.
const ROTATE_AGAIN_NS: u64 = 1_000_000_000;

/// What the thread that compresses needs, and more.
const STACK_BYTES: usize = 256 << 10;
