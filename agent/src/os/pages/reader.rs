// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The thread that reads pages, and what becomes of one that a zone holds up.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Keeper, Pages, pages_of};
use crate::os::zones::{Roots, Zone};

/// Loggers whose pages are read at once, at most.
const LOGGERS_MAX: usize = 1024;

/// A zone that takes longer is left alone. Less than a logger's end is looked into, so
/// that one zone does not hide the ends in another.
const PATIENCE: Duration = Duration::from_secs(1);

/// For how long, at least, and until the thread that waits there has come back.
const REST: Duration = Duration::from_secs(60);

/// Threads that wait in such zones, at most; with one more nothing is read any more.
const STUCK_MAX: usize = 64;

/// Bytes of a thread's stack: a page and the names of a path.
const STACK_BYTES: usize = 256 << 10;

/// Reads pages beside whoever wants them.
#[derive(Debug)]
pub(crate) struct PageReader {
    roots: Arc<Roots>,
    open: fn(&Roots, Zone) -> Option<File>,
    patience: Duration,
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ends: Option<Ends>,
    /// Zones that are left alone: since when, and the thread that waits there.
    stuck: BTreeMap<Zone, (Instant, JoinHandle<()>)>,
    /// So many threads wait that there are no pages.
    blind: bool,
}

#[derive(Debug)]
struct Ends {
    questions: SyncSender<Vec<Keeper>>,
    answers: Receiver<Pages>,
    /// The zone that is being read, and since when.
    at: Arc<Mutex<Option<(Zone, Instant)>>>,
    thread: JoinHandle<()>,
}

impl Default for PageReader {
    fn default() -> Self {
        Self {
            roots: Arc::default(),
            open: Roots::open,
            patience: PATIENCE,
            rest: REST,
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
        let State { ends, stuck, blind } = &mut *state;
        stuck.retain(|_, (since, thread)| since.elapsed() < self.rest || !thread.is_finished());
        let held_up = ends.as_ref().and_then(|ends| *lock(&ends.at));
        if let Some((zone, since)) = held_up
            && since.elapsed() >= self.patience
            && let Some(Ends { thread, .. }) = ends.take()
        {
            // It ends when the zone lets it go: nobody hears its answer.
            stuck.insert(zone, (since, thread));
        }
        let waiting = stuck.values().filter(|(_, thread)| !thread.is_finished()).count();
        let full = ends.is_none() && waiting >= STUCK_MAX;
        if full && !std::mem::replace(blind, full) {
            tracing::error!(
                zones = waiting,
                "zones hold the reader of status pages up; none is read"
            );
        }
        *blind = full;
        if ends.is_none() && !full {
            *ends = start(Arc::clone(&self.roots), self.open);
        }
        let Some(ends) = ends else { return Pages::new() };
        let pages = ends.answers.try_recv().unwrap_or_default();
        let loggers = loggers.iter().filter(|logger| !stuck.contains_key(&logger.zone));
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
    let thread = thread::Builder::new().name("status-pages".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(read).ok().map(|thread| Ends { questions, answers, at, thread })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

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

    /// Set: zone 7 answers.
    static FREE: AtomicBool = AtomicBool::new(false);

    fn open(_: &Roots, zone: Zone) -> Option<File> {
        while zone.0 == 7 && !FREE.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(1));
        }
        File::open("/").ok()
    }

    #[test]
    fn a_zone_that_holds_the_reader_up_is_left_alone_as_long_as_it_does() {
        let (patience, rest) = (Duration::from_millis(50), Duration::ZERO);
        let reader = PageReader { open, patience, rest, ..PageReader::default() };
        let zones = [1, 7, 9].map(|zone| Keeper { zone: Zone(zone, 0), number: 0 });
        let deadline = Instant::now() + Duration::from_secs(20);
        let found = |wanted: &[Keeper]| loop {
            let pages = reader.look(&zones);
            assert!(pages.values().all(|heard| matches!(heard, Heard::Nothing { .. })));
            if pages.into_keys().eq(wanted.iter().copied()) {
                break;
            }
            assert!(Instant::now() < deadline, "{wanted:?}: {reader:?}");
            thread::yield_now();
        };
        found(&[zones[0], zones[2]]);
        FREE.store(true, Ordering::Relaxed);
        found(&zones);
    }
}
