// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A disk that is filled by others while a release is on trial.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::engine::tests::disturbed::{Disturbance, Disturbed};
use crate::engine::tests::node::{Node, chain, check_settled, now, on_trial_with};
use crate::engine::tests::processes::{Loggers, Quiet, fail_trial};
use crate::engine::{Engine, TrialEnd};
use crate::os::files::{FileError, Files, NewFile, RealFiles};
use crate::os::processes::ProcessTable;

/// So many bytes are left; what is removed makes room.
#[derive(Debug)]
struct Room {
    bytes: AtomicU64,
    /// Files opened for reading so far.
    reads: AtomicUsize,
    /// Whether what is removed makes room.
    returns: bool,
}

impl Room {
    fn new(returns: bool) -> Disturbed<Self> {
        let (bytes, reads) = (AtomicU64::new(u64::MAX), AtomicUsize::new(0));
        Disturbed(Arc::new(Self { bytes, reads, returns }))
    }

    fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Disturbance for Room {
    fn effect(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        let free = self.bytes.load(Ordering::Relaxed);
        if doing == "remove" && self.returns {
            let removed = RealFiles.stat(path)?.map_or(0, |stat| stat.length);
            self.set(free.saturating_add(removed));
        }
        Ok(())
    }

    fn look(&self, _: &'static str, _: &Path) -> Result<(), FileError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, file: &mut dyn NewFile, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let free = self.bytes.load(Ordering::Relaxed);
        let wanted = u64::try_from(bytes.len()).unwrap();
        match free.checked_sub(wanted) {
            Some(rest) => {
                self.set(rest);
                file.write(bytes)
            }
            None => {
                let full = io::Error::from_raw_os_error(Errno::NOSPC.raw_os_error());
                Err(FileError::new("write", path, full))
            }
        }
    }
}

/// A node on which release 2.0.0 is on trial after 1.0.0.
async fn on_trial(files: &Disturbed<Room>) -> (Node, Engine) {
    let files = Arc::new(files.clone());
    let (node, engine, _) = on_trial_with(files, &["1.0.0", "2.0.0"]).await;
    (node, engine)
}

fn look(engine: &Engine, table: &dyn ProcessTable, clock: Instant) -> Result<TrialEnd, String> {
    let mut core = engine.core.lock().unwrap();
    core.watch_trial(table, clock, now()).map_err(|e| chain(&e))
}

#[tokio::test]
async fn a_release_that_fails_on_a_full_disk_is_left() {
    let files = Room::new(true);
    let (node, engine) = on_trial(&files).await;
    let (table, began) = (Loggers::default(), Instant::now());
    assert_eq!(look(&engine, &table, began), Ok(TrialEnd::Running));
    // The disk was in the way for a moment only: what was set aside is so again.
    engine.core.lock().unwrap().unsettled = true;
    assert_eq!(look(&engine, &Quiet, began), Ok(TrialEnd::Running));
    assert!(node.root.join("tmp/reserve").exists());
    files.0.set(0);
    let ends =
        [1, 2, 3, 4].map(|second| look(&engine, &table, began + Duration::from_secs(second)));
    let error = ends.iter().find_map(|end| end.as_ref().err()).unwrap();
    assert!(error.contains("No space left on device") && error.contains("root/"), "{error}");
    let reverted = |end: &&Result<TrialEnd, String>| matches!(end, Ok(TrialEnd::Reverted { .. }));
    assert!(ends.iter().find(reverted).is_some(), "{ends:?}");
    assert_eq!(node.logger_says(), "1.0.0");
    drop(engine);
    assert_eq!(check_settled(&node.root), node.open().view().current.map(|one| one.digest));
}

#[tokio::test]
async fn a_disk_that_stays_full_is_left_alone_for_longer_and_longer() {
    let files = Room::new(false);
    let (node, engine) = on_trial(&files).await;
    let (table, began) = (Loggers::default(), Instant::now());
    assert_eq!(look(&engine, &table, began), Ok(TrialEnd::Running));
    files.0.set(0);
    let (mut failed, reads) = (0, files.0.reads.load(Ordering::Relaxed));
    for look_number in 1..=3000 {
        let clock = began + Duration::from_millis(100) * look_number;
        failed += usize::from(look(&engine, &table, clock).is_err());
    }
    // An operator is told, and not of what is over.
    let told = engine.view().unwatched.unwrap();
    assert!(told.contains("No space left on device") && told.contains("root/"), "{told}");
    // Five minutes: after 1, 2, 4 … 32, 60, 60, 60 s.
    assert!((8..=12).contains(&failed), "{failed}");
    let reads = files.0.reads.load(Ordering::Relaxed) - reads;
    assert!(reads < failed * 100, "{reads} looks at the disk, {failed} failures");
    assert!(engine.on_trial());
    // What was seen meanwhile is not forgotten.
    files.0.set(u64::MAX);
    let end = look(&engine, &table, began + Duration::from_secs(400));
    assert!(matches!(end, Ok(TrialEnd::Reverted { .. })), "{end:?}");
    assert_eq!(engine.view().unwatched, None);
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn what_is_set_aside_is_given_back() {
    let files = Room::new(true);
    let (node, mut engine) = on_trial(&files).await;
    let reserve = node.root.join("tmp/reserve");
    let (table, began) = (Loggers::default(), Instant::now());
    assert_eq!(look(&engine, &table, began), Ok(TrialEnd::Running));
    assert!(std::fs::metadata(&reserve).unwrap().len() >= 128 << 10);
    engine.rollback(now()).await.unwrap();
    assert!(!reserve.exists());
    // No room for it is no reason for anything.
    engine
        .change(crate::engine::Change::Unblock { what: "2.0.0".parse().unwrap() }, now())
        .await
        .unwrap();
    engine.rollback(now()).await.unwrap();
    files.0.set(64 << 10);
    let end = fail_trial(&engine).unwrap();
    assert!(matches!(end, TrialEnd::Reverted { .. }), "{end:?}");
    assert!(!reserve.exists());
}
