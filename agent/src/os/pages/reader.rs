// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The thread that reads pages, and what becomes of one that a zone holds up.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Keeper, Pages, pages_of};
use crate::os::zones::{Roots, Zone};

/// Loggers whose pages are read at once, at most.
const LOGGERS_MAX: usize = 1024;

/// A zone that takes longer is left alone from then on.
const PATIENCE: Duration = Duration::from_secs(5);

/// Threads that wait in such zones, at most; then nothing is read any more.
const STUCK_MAX: usize = 16;

/// Reads pages beside whoever wants them.
#[derive(Debug)]
pub(crate) struct PageReader {
    roots: Arc<Roots>,
    open: fn(&Roots, Zone) -> Option<File>,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ends: Option<Ends>,
    stuck: BTreeSet<Zone>,
}

#[derive(Debug)]
struct Ends {
    questions: SyncSender<Vec<Keeper>>,
    answers: Receiver<Pages>,
    /// The zone that is being read, and since when.
    at: Arc<Mutex<Option<(Zone, Instant)>>>,
}

impl Default for PageReader {
    fn default() -> Self {
        Self {
            roots: Arc::default(),
            open: Roots::open,
            patience: PATIENCE,
            state: Mutex::default(),
        }
    }
}

impl PageReader {
    /// What has to be known of a zone before its pages can be found.
    pub(crate) fn roots(&self) -> &Roots {
        &self.roots
    }

    /// What was found since the last call, and a question for the next one.
    /// Never blocks. Nothing while an earlier question has no answer.
    pub(crate) fn look(&self, loggers: &[Keeper]) -> Pages {
        let mut state = lock(&self.state);
        let State { ends, stuck } = &mut *state;
        let held_up = ends.as_ref().and_then(|ends| *lock(&ends.at));
        if let Some((zone, since)) = held_up
            && since.elapsed() >= self.patience
        {
            // Its thread ends when the zone lets it go.
            stuck.insert(zone);
            *ends = None;
        }
        if ends.is_none() && stuck.len() < STUCK_MAX {
            *ends = start(Arc::clone(&self.roots), self.open);
        }
        let Some(ends) = ends else { return Pages::new() };
        let pages = ends.answers.try_recv().unwrap_or_default();
        let loggers = loggers.iter().filter(|logger| !stuck.contains(&logger.zone));
        match ends.questions.try_send(loggers.take(LOGGERS_MAX).copied().collect()) {
            // It is still busy; or it is gone.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => pages,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// None if there is no thread to be had: then there are no pages.
fn start(roots: Arc<Roots>, open: fn(&Roots, Zone) -> Option<File>) -> Option<Ends> {
    let (questions, asked) = sync_channel::<Vec<Keeper>>(1);
    let (answer, answers) = sync_channel(1);
    let at = Arc::default();
    let place = Arc::clone(&at);
    let read = move || {
        while let Ok(loggers) = asked.recv() {
            let pages = pages_of(&loggers, &mut |zone| {
                *lock(&place) = Some((zone, Instant::now()));
                open(&roots, zone)
            });
            *lock(&place) = None;
            if answer.send(pages).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("status-pages".to_owned());
    thread.spawn(read).ok().map(|_| Ends { questions, answers, at })
}

#[cfg(test)]
mod tests {
    use super::super::Heard;
    use super::*;

    #[test]
    fn who_asks_does_not_wait() {
        let reader = PageReader::default();
        let deadline = Instant::now() + Duration::from_secs(20);
        let keeper = Keeper { zone: Zone(0, 0), number: std::process::id() };
        // Nobody showed the way to that zone; that there are answers is seen by the
        // queue being free again and again.
        for _ in 0..100 {
            assert_eq!(reader.look(&[keeper]), Pages::new());
            assert!(Instant::now() < deadline);
        }
    }

    /// Zone 7 never answers.
    fn open(_: &Roots, zone: Zone) -> Option<File> {
        if zone.0 == 7 {
            loop {
                thread::park();
            }
        }
        File::open("/").ok()
    }

    #[test]
    fn a_zone_that_holds_the_reader_up_is_left_alone() {
        let patience = Duration::from_millis(50);
        let reader = PageReader { open, patience, ..PageReader::default() };
        let zones = [1, 7, 9].map(|zone| Keeper { zone: Zone(zone, 0), number: 0 });
        let deadline = Instant::now() + Duration::from_secs(20);
        let pages = loop {
            let pages = reader.look(&zones);
            if !pages.is_empty() {
                break pages;
            }
            assert!(Instant::now() < deadline, "{reader:?}");
            thread::yield_now();
        };
        assert!(pages.values().all(|heard| matches!(heard, Heard::Nothing { .. })));
        assert_eq!(pages.into_keys().collect::<Vec<_>>(), [zones[0], zones[2]]);
    }
}
