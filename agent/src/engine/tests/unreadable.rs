// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A file that cannot be read, for a while or for good: it is not taken for
//! damaged, and not for absent.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dockerlogger_manifest::Digest;
use rustix::io::Errno;

use crate::engine::survey::survey_on;
use crate::engine::tests::disturbed::{Disturbance, Disturbed};
use crate::engine::tests::node::{Node, assert_says, chain, check_settled, now, on_trial_with};
use crate::engine::tests::processes::pass_trial;
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Change, DamageKind, Engine, Outcome};
use crate::os::files::FileError;

/// What cannot be opened, though it is there: paths that hold this text.
#[derive(Debug, Default)]
struct Unread {
    part: Mutex<Option<String>>,
    /// Whether nothing can be put in its place either.
    stuck: AtomicBool,
    /// Effects that were refused.
    refused: AtomicUsize,
}

impl Unread {
    fn set(&self, part: impl Into<String>) {
        *self.part.lock().unwrap() = Some(part.into());
    }

    fn clear(&self) {
        *self.part.lock().unwrap() = None;
    }
}

impl Disturbance for Unread {
    fn effect(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        let placed = doing == "rename a new version to" && self.look("open", path).is_err();
        if placed && self.stuck.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let closed = io::Error::from_raw_os_error(Errno::ROFS.raw_os_error());
            return Err(FileError::new(doing, path, closed));
        }
        // What is written anew can be read.
        if placed {
            self.clear();
        }
        Ok(())
    }

    fn look(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        let unread = self.part.lock().unwrap();
        if doing == "open"
            && unread.as_ref().is_some_and(|part| path.to_str().unwrap().contains(part))
        {
            let broken = io::Error::from_raw_os_error(Errno::IO.raw_os_error());
            return Err(FileError::new(doing, path, broken));
        }
        Ok(())
    }
}

/// A node with 2.0.0 after 1.0.0, closed; and the digests of both.
async fn node(files: &Disturbed<Unread>) -> (Node, [Digest; 2]) {
    let files = Arc::new(files.clone());
    let (node, engine, digests) = on_trial_with(files, &["1.0.0", "2.0.0"]).await;
    pass_trial(&engine).unwrap();
    (node, digests.try_into().unwrap())
}

fn open(node: &Node, files: &Disturbed<Unread>) -> Result<Engine, String> {
    node.open_on(&node.root, Arc::new(files.clone())).map_err(|e| chain(&e))
}

fn files() -> Disturbed<Unread> {
    Disturbed(Arc::default())
}

/// The copies of the state, byte for byte.
fn copies(node: &Node) -> [Vec<u8>; 2] {
    COPIES.map(|copy| fs::read(node.root.join(copy)).unwrap())
}

const COPIES: [&str; 2] = ["state/a", "state/b"];

/// A change that was written into `copy` alone: whoever asked for it was not answered.
async fn begin_a_change(node: &Node, copy: &str) -> [Vec<u8>; 2] {
    let before = copies(node);
    let block = Change::Block { what: "9.0.0".parse().unwrap(), reason: None };
    node.open().change(block, now()).await.unwrap();
    for (other, bytes) in COPIES.iter().zip(&before) {
        if *other != copy {
            fs::write(node.root.join(other), bytes).unwrap();
        }
    }
    before
}

#[tokio::test]
async fn a_copy_of_the_state_that_cannot_be_read_is_replaced_by_the_other() {
    for copy in COPIES {
        let files = files();
        let (mut node, [_, second]) = node(&files).await;
        let before = copies(&node);
        files.0.set(copy);
        let mut engine = open(&node, &files).unwrap();
        let view = engine.view();
        assert_eq!(view.current.as_ref().map(|current| current.digest), Some(second));
        assert_eq!((&view.hold, &view.notes), (&None, &Vec::new()));
        let [alarm] = view.alarms.as_slice() else { panic!("{:?}", view.alarms) };
        let says = ["one copy of the state could not be read", copy, "Input/output error"];
        assert_says(alarm, &says);
        assert_says(&view.history.last().unwrap().why, &says);
        assert_eq!(copies(&node), before, "it was made anew");
        // The agent goes on, and says it until it is restarted.
        node.publisher.publish(&Recipe::new("3.0.0"));
        engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
        assert_eq!(engine.view().alarms.len(), 1);
        drop(engine);
        assert_eq!(node.open().view().alarms, [""; 0]);
        assert_eq!(node.logger_says(), "3.0.0");
        check_settled(&node.root);
    }
}

#[tokio::test]
async fn what_only_the_copy_that_cannot_be_read_knew_is_given_up_for_good() {
    for copy in COPIES {
        let files = files();
        let (node, _) = node(&files).await;
        let before = begin_a_change(&node, copy).await;
        files.0.set(copy);
        let mut engine = open(&node, &files).unwrap();
        assert_eq!(engine.view().barred, []);
        assert_eq!(copies(&node), before, "that can be read again, and says what the other does");
        let hold = Change::Hold { reason: None };
        engine.change(hold, now()).await.unwrap();
        drop(engine);
        let view = node.open().view();
        assert_eq!((view.barred.len(), view.held.is_some()), (0, true));
    }
}

#[tokio::test]
async fn a_copy_that_can_be_neither_read_nor_replaced_stops_changes_and_nothing_else() {
    for copy in COPIES {
        let files = files();
        let (mut node, [_, second]) = node(&files).await;
        begin_a_change(&node, copy).await;
        let before = copies(&node);
        node.publisher.publish(&Recipe::new("3.0.0"));
        files.0.set(copy);
        files.0.stuck.store(true, Ordering::Relaxed);
        let mut engine = open(&node, &files).unwrap();
        let says = [copy, "Read-only file system"];
        for tries in 2..4 {
            let view = engine.view();
            assert_eq!(view.current.as_ref().map(|current| current.digest), Some(second));
            assert_says(view.hold.as_ref().unwrap(), &says);
            assert_says(&view.alarms[0], &[copy, "Input/output error"]);
            let error = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
            assert_says(&chain(&error), &says);
            assert_eq!(files.0.refused.load(Ordering::Relaxed), tries, "one try for each update");
        }
        // Once in the history, however often it is found.
        let repairs = engine.view().history.iter().filter(|record| record.what == "repair").count();
        assert_eq!(repairs, 1);
        assert_eq!(copies(&node), before);
        assert_eq!(node.logger_says(), "2.0.0");
        // Nothing was done meanwhile: what it knows is as good as if it had been read at once.
        files.0.clear();
        engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
        let view = engine.view();
        assert_eq!((view.hold, view.barred.len()), (None, 1));
        assert_eq!(node.logger_says(), "3.0.0");
        drop(engine);
        check_settled(&node.root);
    }
}

#[tokio::test]
async fn a_copy_that_the_link_contradicts_is_not_believed_until_the_other_can_be_read() {
    let files = files();
    let (mut node, [_, second]) = node(&files).await;
    // As an agent leaves it that writes one copy at a time: the older one does not know of the switch.
    let older = fs::read(node.root.join(COPIES[0])).unwrap();
    let third = node.publisher.publish(&Recipe::new("3.0.0")).sha256;
    node.update().await.unwrap();
    fs::write(node.root.join(COPIES[0]), older).unwrap();
    files.0.set(COPIES[1]);
    let mut engine = open(&node, &files).unwrap();
    let hold = engine.view().hold.unwrap();
    assert_says(&hold, &[COPIES[1], "Input/output error", &third.to_string()]);
    let error = engine.rollback(now()).await.unwrap_err();
    assert_says(&chain(&error), &[COPIES[1]]);
    files.0.clear();
    engine.rollback(now()).await.unwrap();
    drop(engine);
    assert_eq!(check_settled(&node.root), Some(second));
}

#[tokio::test]
async fn a_state_of_which_no_copy_can_be_read_stops_the_agent_and_nothing_else() {
    let files = files();
    let (node, [_, second]) = node(&files).await;
    let mut trouble = vec![("state/", None)];
    // One cannot be read, and the other one is damaged or gone.
    trouble.extend([("state/a", Some("state/b")), ("state/b", Some("state/a"))]);
    for (unread, damaged) in trouble {
        let damaged = damaged.map(|copy| node.root.join(copy));
        for content in [Some("x"), None] {
            let whole = damaged.as_ref().map(|path| fs::read(path).unwrap());
            match (&damaged, content) {
                (Some(path), Some(content)) => fs::write(path, content).unwrap(),
                (Some(path), None) => fs::remove_file(path).unwrap(),
                (None, _) => {}
            }
            files.0.set(unread);
            let error = open(&node, &files).unwrap_err();
            assert_says(&error, &[unread, "Input/output error"]);
            assert_eq!(node.logger_says(), "2.0.0");
            files.0.clear();
            if let (Some(path), Some(whole)) = (&damaged, whole) {
                fs::write(path, whole).unwrap();
            }
        }
    }
    drop(open(&node, &files).unwrap());
    assert_eq!(check_settled(&node.root), Some(second));
}

#[tokio::test]
async fn whoever_only_looks_is_told_of_the_copy_and_leaves_it() {
    let files = files();
    let (node, [_, second]) = node(&files).await;
    for copy in COPIES {
        files.0.set(copy);
        let view = survey_on(Arc::new(files.clone()), &node.config(&node.root), now()).unwrap();
        assert_eq!(view.current.map(|current| current.digest), Some(second));
        assert_says(&view.alarms.join("\n"), &["could not be read", copy]);
        assert!(open(&node, &files).unwrap().view().alarms[0].contains(copy), "it was not touched");
    }
}

#[tokio::test]
async fn a_history_that_cannot_be_read_is_not_written_over() {
    let files = files();
    let (mut node, _) = node(&files).await;
    let before = node.open().view().history.len();
    assert!(before > 2);
    node.publisher.publish(&Recipe::new("3.0.0"));
    files.0.set("history/current");
    let mut engine = open(&node, &files).unwrap();
    let notes = engine.view().notes;
    assert!(notes.iter().any(|note| note.contains("history/current")), "{notes:?}");
    let error = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap_err();
    assert!(chain(&error).contains("history/current"), "{}", chain(&error));
    assert_eq!(node.logger_says(), "2.0.0");

    // The same engine, once it can be read.
    files.0.clear();
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    let records = engine.view().history;
    assert!(records.len() > before, "{} records of {before}", records.len());
    assert!(records.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
}

#[tokio::test]
async fn a_current_release_that_cannot_be_read_stays_and_is_fetched_again() {
    let files = files();
    let (node, [_, second]) = node(&files).await;
    files.0.set(format!("store/{second}/logger"));
    let mut engine = open(&node, &files).unwrap();
    let notes = engine.view().notes;
    assert!(notes.iter().any(|note| note.contains("release 2.0.0 stays")), "{notes:?}");
    assert_eq!(node.logger_says(), "2.0.0");
    let current = engine.view().current.unwrap();
    assert_eq!((current.version.to_string().as_str(), current.drivers()), ("2.0.0", None));
    let damage = current.damage.unwrap();
    assert_eq!((damage.kind, damage.startable), (DamageKind::Unreadable, false));
    assert_says(&damage.what, &["logger", "Input/output error"]);
    let updated = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    let Outcome::Moved { to, warnings, .. } = updated else { panic!("{updated:?}") };
    assert_eq!(to.to_string(), "2.0.0");
    assert!(warnings.iter().any(|warning| warning.contains("it is fetched again")), "{warnings:?}");
    drop(engine);
    assert_eq!(check_settled(&node.root), Some(second));

    // Only for a moment: nothing is fetched.
    files.0.set(format!("store/{second}/logger"));
    let mut engine = open(&node, &files).unwrap();
    files.0.clear();
    let updated = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    assert!(matches!(updated, Outcome::Stayed(_)), "{updated:?}");
    assert_eq!(engine.view().notes, [""; 0]);
    assert_eq!(engine.view().current.unwrap().damage, None);
}

#[tokio::test]
async fn a_release_to_go_back_to_that_cannot_be_read_is_not_collected() {
    let files = files();
    let (node, [first, _]) = node(&files).await;
    files.0.set(format!("store/{first}/"));
    let mut engine = open(&node, &files).unwrap();
    let error = chain(&engine.rollback(now()).await.unwrap_err());
    assert!(error.contains(&format!("store/{first}/")), "{error}");
    files.0.clear();
    engine.rollback(now()).await.unwrap();
    assert_eq!(node.logger_says(), "1.0.0");
}
