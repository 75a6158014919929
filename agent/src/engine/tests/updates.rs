// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What an update does when all is well.

use std::fs;

use dockerlogger_manifest::Extra;
use serde_json::json;

use crate::api::Health;
use crate::engine::tests::node::{Node, check_settled, now};
use crate::engine::tests::processes::pass_trial;
use crate::engine::tests::publisher::{Key, Recipe};
use crate::engine::{Decision, Engine, OpenError, Outcome, Progress, Reason, Source, Step};

#[tokio::test]
async fn health_is_about_the_source_that_the_node_follows() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    let source = |path: &str| path.parse::<Source>().unwrap();
    let (mine, other) = (source("/mine"), source("/other"));
    let mirrors = |order: [&Source; 2]| Source::Mirrors(order.map(Clone::clone).to_vec());
    let cases = [
        (None, mine.clone(), true),
        (Some(mine.clone()), other.clone(), true),
        (Some(mine.clone()), mine.clone(), false),
        // Whichever of them is asked first.
        (Some(mirrors([&mine, &other])), mirrors([&other, &mine]), false),
        (Some(mirrors([&mine, &other])), mirrors([&mine, &source("/third")]), true),
    ];
    for (followed, asked, once) in cases {
        let mut engine = node.open_with(|config| config.source = followed);
        engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
        engine.update(&asked, now(), &mut |_| {}).await.unwrap_err();
        let view = engine.view();
        let health = serde_json::to_value(Health::of(&view)).unwrap();
        let check = view.last_check.unwrap();
        assert_eq!((check.once, check.error.is_some()), (once, true), "{asked}");
        let said = health["reasons"].to_string().contains("the last check failed");
        assert_eq!((said, health["state"] == "ok"), (!once, once), "{asked}: {health}");
        // The next process finds it.
        drop(engine);
        assert_eq!(node.open().view().last_check.unwrap().once, once);
    }
}

#[tokio::test]
async fn installs_the_first_release_and_then_the_next() {
    let mut node = Node::new();
    let first = node.publisher.publish(&Recipe::new("1.0.0"));
    let mut engine = node.open();
    assert_eq!(engine.view().current, None);

    let mut signs = Vec::new();
    let outcome = engine.update(&node.source(), now(), &mut |sign| signs.push(sign)).await.unwrap();
    let to = "1.0.0".parse().unwrap();
    assert_eq!(outcome, Outcome::Moved { from: None, to, warnings: Vec::new() });
    assert_eq!(node.logger_says(), "1.0.0");
    let view = engine.view();
    let current = view.current.unwrap();
    assert_eq!((current.digest, current.installed_at), (first.sha256, now()));
    assert_eq!(current.release.unwrap().drivers[0].name, "fixture");
    assert_eq!((view.previous, view.pending, view.since), (None, None, Some(now())));
    assert_eq!(view.last_check.unwrap().outcome, "installed release 1.0.0");
    assert!(matches!(signs[0], Progress::Checking));
    assert!(matches!(&signs[1], Progress::Decided(plan) if plan.steps.len() == 7));
    assert!(signs.contains(&Progress::Downloading { bytes: first.size, total: first.size }));
    assert_eq!(signs.last(), Some(&Progress::Step(Step::Collect)));

    node.publisher.publish(&Recipe::new("1.1.0"));
    let outcome = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    assert!(
        matches!(outcome, Outcome::Moved { from: Some(from), .. } if from.to_string() == "1.0.0")
    );
    assert_eq!(node.logger_says(), "1.1.0");
    assert_eq!(engine.view().previous.unwrap().digest, first.sha256);
    let trust = engine.view().trust.unwrap();
    assert_eq!((trust.root, trust.timestamp, trust.snapshot, trust.targets), (1, 2, 2, 2));

    // Only the current and the previous release are kept.
    pass_trial(&engine).unwrap();
    node.publisher.publish(&Recipe::new("1.2.0"));
    engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    assert!(!node.root.join("store").join(first.sha256.to_string()).exists());
    drop(engine);
    check_settled(&node.root);
    let link = fs::read_link(node.root.join("bin/logger")).unwrap();
    assert!(link.starts_with("../store"), "zones see the tree elsewhere: {}", link.display());

    // What was installed is known to whoever opens the root next.
    let view = node.open().view();
    assert_eq!(view.current.unwrap().version.to_string(), "1.2.0");
    assert_eq!(view.trust.unwrap().timestamp, 3);
    assert_eq!(view.notes, [""; 0]);
}

#[tokio::test]
async fn a_plan_changes_nothing_but_the_floors() {
    let mut node = Node::new();
    let artifact = node.publisher.publish(&Recipe::new("1.0.0"));
    let mut engine = node.open();
    let plan = engine.plan(&node.source(), now()).await.unwrap();
    assert!(matches!(&plan.decision, Decision::Move(target) if target.digest == artifact.sha256));
    let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    let sha = artifact.sha256;
    let needed = artifact.files[0].size + artifact.size + 2 * 1024 * 1024;
    assert_eq!(
        steps,
        [
            format!("check that {needed} bytes fit and 4096 remain"),
            format!(
                "fetch and unpack logger-1.0.0-x86_64-unknown-test.tar.zst ({} bytes, sha256 {sha})",
                artifact.size
            ),
            "run the logger: is it release 1.0.0?".to_owned(),
            format!("record the intent to switch to {sha}"),
            format!("switch bin/logger to {sha}"),
            "record release 1.0.0 as current".to_owned(),
            "remove releases that are no longer kept".to_owned(),
        ]
    );
    assert!(serde_json::to_string(&plan).unwrap().contains("\"step\":\"record_intent\""));
    assert_eq!(engine.view().trust.unwrap().timestamp, 1);
    assert_eq!(engine.view().current, None);
    drop(engine);
    assert_eq!(check_settled(&node.root), None);
}

#[tokio::test]
async fn stays_where_it_is_when_there_is_nothing_to_do() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    node.update().await.unwrap();
    let installed = Reason::AlreadyInstalled { version: "1.0.0".parse().unwrap() };
    assert_eq!(node.update().await.unwrap(), Outcome::Stayed(installed));

    node.publisher.add_release(&Recipe::new("2.0.0"));
    node.publisher.point_channel("2.0.0", true);
    node.publisher.sign();
    let stayed = node.update().await.unwrap();
    assert!(matches!(&stayed, Outcome::Stayed(Reason::Halted { .. })), "{stayed:?}");
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn follows_rotated_keys_and_keeps_them() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    node.update().await.unwrap();
    node.publisher.rotate(Key::new(11), Key::new(12));
    node.publisher.rotate(Key::new(21), Key::new(22));
    node.publisher.publish(&Recipe::new("1.1.0"));
    let outcome = node.update().await.unwrap();
    let Outcome::Moved { warnings, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the keys of the timestamp role were replaced"), "{warnings:?}");
    assert_eq!(node.open().view().trust.unwrap().root, 3);

    // The stored chain is enough: the source needs no old roots any more.
    fs::remove_file(node.publisher.directory.join("metadata/2.root.json")).unwrap();
    node.update().await.unwrap();
}

#[tokio::test]
async fn keeps_fields_it_does_not_know() {
    let mut node = Node::new();
    let mut recipe = Recipe::new("1.0.0");
    recipe.extra = Extra::from_iter([("health".to_owned(), json!({"window": "5m"}))]);
    recipe.drivers[0].extra.insert("batching".to_owned(), json!(true));
    node.publisher.publish(&recipe);
    node.update().await.unwrap();
    let release = node.open().view().current.unwrap().release.unwrap();
    assert_eq!(release.extra, recipe.extra);
    assert_eq!(release.drivers, recipe.drivers);
}

#[tokio::test]
async fn a_bundle_that_was_carried_here_may_have_expired_and_one_that_is_polled_may_not() {
    let mut node = Node::new();
    node.publisher.expires.insert("timestamp", "2026-01-01T00:00:00Z");
    node.publisher.publish(&Recipe::new("1.0.0"));
    let path = node.scratch.path().join("release.tar");
    node.publisher.bundle(&path);
    let source: Source = path.to_str().unwrap().parse().unwrap();
    let refused = "Refused: timestamp metadata from ";
    assert!(node.refused_from(&source).await.starts_with(refused));
    let mirrors = Source::Mirrors(vec![source.clone()]);
    assert!(node.refused_from(&mirrors).await.starts_with(refused));
    let source = source.for_this_once();
    let outcome = node.open().update(&source, now(), &mut |_| {}).await.unwrap();
    let Outcome::Moved { warnings, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        warnings,
        ["timestamp metadata expired at 2026-01-01T00:00:00Z; this node's clock says \
          2026-06-01T12:00:00Z"]
    );
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn one_engine_a_root() {
    let node = Node::new();
    let engine = node.open();
    let error = Engine::open(node.config(&node.root)).unwrap_err();
    let lock = node.root.join("lock");
    assert!(matches!(&error, OpenError::Locked { pid, .. } if *pid == Some(std::process::id())));
    let pid = std::process::id();
    assert_eq!(error.to_string(), format!("{} is locked by process {pid}", lock.display()));
    drop(engine);
    node.open();
}

#[tokio::test]
async fn a_view_can_be_watched_while_an_update_runs() {
    let mut node = Node::new();
    node.publisher.publish(&Recipe::new("1.0.0"));
    let mut engine = node.open();
    let watched = engine.subscribe();
    let mut seen = Vec::new();
    let mut look = |sign: Progress| {
        if matches!(sign, Progress::Step(Step::Collect)) {
            seen.push(watched.borrow().current.is_some());
        }
    };
    engine.update(&node.source(), now(), &mut look).await.unwrap();
    assert_eq!(seen, [true]);
}

#[tokio::test]
async fn damage_on_disk_is_found_and_repaired() {
    let mut node = Node::new();
    let first = node.publisher.publish(&Recipe::new("1.0.0"));
    node.update().await.unwrap();
    let logger = node.root.join("store").join(first.sha256.to_string()).join("logger");
    fs::remove_file(&logger).unwrap();
    fs::write(&logger, "#!/bin/sh\necho rotten\n").unwrap();
    let mut engine = node.open();
    let notes = engine.view().notes;
    assert!(notes[0].starts_with("release 1.0.0 is damaged ("), "{notes:?}");
    assert!(engine.view().current.unwrap().damage.is_some());
    // The same release is installed again, in place of the damaged one.
    let outcome = engine.update(&node.source(), now(), &mut |_| {}).await.unwrap();
    assert!(matches!(outcome, Outcome::Moved { .. }), "{outcome:?}");
    drop(engine);
    check_settled(&node.root);
    assert_eq!(node.logger_says(), "1.0.0");
    assert_eq!(node.open().view().previous, None);

    // Where there is a previous release, it takes over at once.
    let second = node.publisher.publish(&Recipe::new("2.0.0"));
    node.update().await.unwrap();
    fs::remove_dir_all(node.root.join("store").join(second.sha256.to_string())).unwrap();
    let notes = node.open().view().notes;
    assert!(notes[0].ends_with("went back to release 1.0.0"), "{notes:?}");
    assert_eq!(node.logger_says(), "1.0.0");
    check_settled(&node.root);
    node.update().await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
}
