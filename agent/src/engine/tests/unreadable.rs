// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A file that cannot be read, for a while or for good: it is not taken for
//! damaged, and not for absent.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dockerlogger_manifest::Digest;
use rustix::io::Errno;

use crate::engine::tests::disturbed::{Disturbance, Disturbed};
use crate::engine::tests::node::{Node, chain, check_settled, now, on_trial_with};
use crate::engine::tests::processes::pass_trial;
use crate::engine::tests::publisher::Recipe;
use crate::engine::{Engine, Outcome};
use crate::os::files::FileError;

/// What cannot be opened, though it is there: paths that hold this text.
#[derive(Debug, Default)]
struct Unread(Mutex<Option<String>>);

impl Unread {
    fn set(&self, part: impl Into<String>) {
        *self.0.lock().unwrap() = Some(part.into());
    }

    fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Disturbance for Unread {
    fn effect(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        // What is written anew can be read.
        if doing == "rename a new version to" && self.look("open", path).is_err() {
            self.clear();
        }
        Ok(())
    }

    fn look(&self, doing: &'static str, path: &Path) -> Result<(), FileError> {
        let unread = self.0.lock().unwrap();
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

#[tokio::test]
async fn a_state_that_cannot_be_read_is_not_guessed_from_the_older_one() {
    let files = files();
    let (node, [_, second]) = node(&files).await;
    for generation in ["state/a", "state/b"] {
        files.0.set(generation);
        let error = open(&node, &files).unwrap_err();
        assert!(error.contains(generation) && error.contains("Input/output error"), "{error}");
        assert_eq!(node.logger_says(), "2.0.0");
    }
    files.0.clear();
    drop(open(&node, &files).unwrap());
    assert_eq!(check_settled(&node.root), Some(second));
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
