// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A release that is installed and damaged, with no other to take its place: it is
//! shown as what it is, by the agent and without one, until it is fetched again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::engine::tests::node::{Node, assert_says, check_settled, now};
use crate::engine::tests::publisher::Recipe;
use crate::engine::{DamageKind, Engine, Installed, survey};
use crate::os::RealFiles;

/// What the medium does to a release.
struct Harm {
    done: fn(&Path),
    /// What is said of it.
    says: &'static str,
    /// Whether its logger is what was signed all the same.
    startable: bool,
}

const HARMS: [Harm; 6] = [
    Harm {
        done: |entry| rot(&entry.join("logger")),
        says: "logger is missing or has another length or mode",
        startable: false,
    },
    Harm {
        done: |entry| {
            let logger = entry.join("logger");
            let (bytes, mode) = (fs::read(&logger).unwrap(), fs::metadata(&logger).unwrap());
            let flipped: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
            fs::remove_file(&logger).unwrap();
            fs::write(&logger, flipped).unwrap();
            fs::set_permissions(&logger, mode.permissions()).unwrap();
        },
        says: "digest of logger is",
        startable: false,
    },
    Harm {
        done: |entry| fs::remove_file(entry.join("logger")).unwrap(),
        says: "logger is missing",
        startable: false,
    },
    Harm {
        done: |entry| rot(&entry.join("release.json")),
        says: "release.json is not a release manifest",
        startable: false,
    },
    Harm {
        done: |entry| fs::remove_dir_all(entry).unwrap(),
        says: "it is not there",
        startable: false,
    },
    Harm {
        done: |entry| {
            // A release of several files, of which one is gone.
            let path = entry.join("release.json");
            let mut release: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            for artifact in release["targets"].as_object_mut().unwrap().values_mut() {
                let mut other = artifact["files"][0].clone();
                other["path"] = json!("manual");
                artifact["files"].as_array_mut().unwrap().push(other);
            }
            fs::remove_file(&path).unwrap();
            fs::write(&path, release.to_string()).unwrap();
        },
        says: "manual is missing",
        startable: true,
    },
];

fn rot(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::write(path, "#!/bin/sh\necho rotten\n").unwrap();
}

/// Opens the root at some time.
fn open(node: &Node, at: Timestamp) -> Engine {
    Engine::open_on(node.config(&node.root), Arc::new(RealFiles), at).unwrap()
}

#[tokio::test]
async fn it_is_shown_with_what_is_wrong_and_since_when_until_it_is_fetched_again() {
    for harm in HARMS {
        let mut node = Node::new();
        let digest = node.publisher.publish(&Recipe::new("1.0.0")).sha256;
        node.update().await.unwrap();
        let entry: PathBuf = node.root.join("store").join(digest.to_string());
        (harm.done)(&entry);
        let check = |current: Option<Installed>, since: Timestamp| {
            let current = current.unwrap_or_else(|| panic!("{}: nothing is shown", harm.says));
            assert_eq!((current.version.to_string().as_str(), current.digest), ("1.0.0", digest));
            assert_eq!(current.drivers().is_some(), harm.startable, "{}", harm.says);
            let damage = current.damage.unwrap();
            assert_eq!(
                (damage.kind, damage.startable, damage.since),
                (DamageKind::Damaged, harm.startable, since),
                "{}",
                harm.says
            );
            assert_says(&damage.what, &[harm.says]);
        };
        let later = |minutes| now() + SignedDuration::from_mins(minutes);
        let look = |at| survey(&node.config(&node.root), at).unwrap().current;
        // Nobody has written it down yet.
        check(look(later(1)), later(1));
        let mut engine = open(&node, later(2));
        check(engine.view().current, later(2));
        let history = engine.view().history;
        let record = history.last().unwrap();
        assert_eq!((record.what.as_str(), record.who.as_str()), ("damaged", "agent"));
        assert_says(&record.why, &["release 1.0.0 is damaged", harm.says]);
        drop(engine);
        // It is on record: once, and every later look knows since when.
        check(look(later(3)), later(2));
        engine = open(&node, later(4));
        check(engine.view().current, later(2));
        assert_eq!(engine.view().history.len(), history.len());

        engine.update(&node.source(), later(5), &mut |_| {}).await.unwrap();
        let current = engine.view().current.unwrap();
        assert_eq!((&current.damage, current.drivers().is_some()), (&None, true));
        assert_eq!(node.logger_says(), "1.0.0");
        drop(engine);
        check_settled(&node.root);
        // Damaged once more, that is another matter.
        (harm.done)(&entry);
        check(open(&node, later(6)).view().current, later(6));
    }
}

#[tokio::test]
async fn where_it_cannot_be_written_down_the_process_knows_since_when() {
    let mut node = Node::new();
    let digest = node.publisher.publish(&Recipe::new("1.0.0")).sha256;
    node.update().await.unwrap();
    rot(&node.root.join(format!("store/{digest}/logger")));
    // A directory in the place of the history.
    fs::remove_file(node.root.join("history/current")).unwrap();
    fs::create_dir_all(node.root.join("history/current/x")).unwrap();
    let mut engine = open(&node, now());
    let notes = engine.view().notes.join("\n");
    assert_says(&notes, &["the damage is not in the history", "history/current"]);
    let later = now() + SignedDuration::from_mins(1);
    // Another look at the disk, by the same process.
    engine.core.lock().unwrap().unsettled = true;
    engine.rollback(later).await.unwrap_err();
    let damage = engine.view().current.unwrap().damage.unwrap();
    assert_eq!(damage.since, now());
}
