// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Sources that break, lie, crawl, or stand behind something.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dockerlogger_manifest::Artifact;
use rustix::fs::{CWD, FileType, Mode};

use crate::engine::tests::node::{Node, assert_says, chain, check_settled, installed, now};
use crate::engine::tests::publisher::Recipe;
use crate::engine::tests::server::{Answer, Server};
use crate::engine::{Engine, EngineConfig, FailureKind, Outcome, Progress, Source};

/// A node that has 1.0.0, and the large 2.0.0 that it is offered.
async fn offered() -> (Node, Artifact, String) {
    let mut node = installed().await;
    let mut recipe = Recipe::new("2.0.0");
    recipe.padding = 400_000;
    let artifact = node.publisher.publish(&recipe);
    let path = node.publisher.target_path(&artifact.name);
    (node, artifact, path)
}

fn engine(node: &Node, change: impl FnOnce(&mut EngineConfig)) -> Engine {
    node.open_with(|config| {
        config.limits.resume_bytes_min = 1;
        change(config);
    })
}

fn partials(node: &Node) -> Vec<u64> {
    let entries = fs::read_dir(node.root.join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).collect()
}

/// Where the requests for a path began.
fn starts(server: &Server, path: &str) -> Vec<u64> {
    let asked = server.asked();
    asked.iter().filter(|asked| asked.path == path).map(|asked| asked.from).collect()
}

#[tokio::test]
async fn a_transfer_that_breaks_goes_on_where_it_broke() {
    for answer in [Answer::CutOff, Answer::Truncated, Answer::Status(503), Answer::Reset] {
        let (node, artifact, path) = offered().await;
        let server = Server::start(&node.publisher.directory, None);
        server.fail(&path, answer, 2);
        let mut told = Vec::new();
        let mut engine = engine(&node, |_| {});
        let mut tell = |sign: Progress| {
            if let Progress::Downloading { bytes, .. } = sign {
                told.push(bytes);
            }
        };
        engine.update(&server.source(), now(), &mut tell).await.unwrap();
        assert_eq!(node.logger_says(), "2.0.0", "{answer:?}");
        assert_eq!(told.last(), Some(&artifact.size));
        assert!(told.is_sorted(), "{told:?}");
        let starts = starts(&server, &path);
        let cuts = matches!(answer, Answer::CutOff | Answer::Truncated);
        let (half, quarter) =
            (artifact.size / 2, artifact.size / 2 + artifact.size.div_ceil(2) / 2);
        assert_eq!(starts, if cuts { [0, half, quarter] } else { [0, 0, 0] }, "{answer:?}");
        drop(engine);
        check_settled(&node.root);
    }
}

#[tokio::test]
async fn retries_are_few() {
    let (node, _, path) = offered().await;
    let server = Server::start(&node.publisher.directory, None);
    server.fail(&path, Answer::Reset, u32::MAX);
    let mut engine = engine(&node, |config| config.limits.retries = 2);
    let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Temporary);
    assert_eq!(starts(&server, &path), [0, 0, 0]);
}

#[tokio::test]
async fn the_next_update_goes_on_where_the_last_one_broke() {
    let (node, artifact, path) = offered().await;
    let server = Server::start(&node.publisher.directory, None);
    server.fail(&path, Answer::CutOff, 1);
    let no_retries = |config: &mut EngineConfig| config.limits.retries = 0;
    let mut first = engine(&node, no_retries);
    first.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
    drop(first);
    let half = artifact.size / 2;
    assert_eq!(partials(&node), [half]);

    // It is kept when the root is opened again; nothing else in tmp/ is.
    fs::write(node.root.join("tmp/partial-of-something"), "x").unwrap();
    let mut second = engine(&node, no_retries);
    assert_eq!(partials(&node), [half]);
    let mut resumed = None;
    let mut tell = |sign: Progress| {
        if let Progress::Resuming { bytes, .. } = sign {
            resumed = Some(bytes);
        }
    };
    second.update(&server.source(), now(), &mut tell).await.unwrap();
    assert_eq!(resumed, Some(half));
    assert_eq!(starts(&server, &path), [0, half]);
    assert_eq!(node.logger_says(), "2.0.0");
    drop(second);
    check_settled(&node.root);
}

#[tokio::test]
async fn what_is_kept_is_not_believed() {
    // What a power cut may leave: zeros, the file of another length, all of it wrong.
    for length in [1000, u64::MAX] {
        let (node, artifact, path) = offered().await;
        let kept = node.root.join("tmp").join(format!("partial-{}", artifact.sha256));
        fs::write(&kept, vec![0; usize::try_from(length.min(artifact.size)).unwrap()]).unwrap();
        let server = Server::start(&node.publisher.directory, None);
        let mut engine = engine(&node, |_| {});
        engine.update(&server.source(), now(), &mut |_| {}).await.unwrap();
        assert_eq!(node.logger_says(), "2.0.0");
        // All of the bytes were there: none was asked for before they proved wrong.
        let expected: &[u64] = if length == u64::MAX { &[0] } else { &[1000, 0] };
        assert_eq!(starts(&server, &path), expected);
        drop(engine);
        check_settled(&node.root);
    }
    // Longer than it can be, and of another artifact.
    let (node, artifact, path) = offered().await;
    let tmp = node.root.join("tmp");
    let server = Server::start(&node.publisher.directory, None);
    let mut engine = engine(&node, |_| {});
    let long = usize::try_from(artifact.size).unwrap() + 1;
    fs::write(tmp.join(format!("partial-{}", artifact.sha256)), vec![0; long]).unwrap();
    fs::write(tmp.join(format!("partial-{}", "ab".repeat(32))), "x").unwrap();
    engine.update(&server.source(), now(), &mut |_| {}).await.unwrap();
    assert_eq!(starts(&server, &path), [0]);
    assert_eq!(partials(&node), [0; 0]);
}

#[tokio::test]
async fn servers_without_ranges_or_with_wrong_ones_cost_time_only() {
    for (answer, requests) in
        [(Answer::NoRanges, 1), (Answer::WrongRange, 2), (Answer::Status(416), 2)]
    {
        let (node, artifact, path) = offered().await;
        let packed = fs::read(node.publisher.directory.join(&path)).unwrap();
        let kept = node.root.join("tmp").join(format!("partial-{}", artifact.sha256));
        fs::write(&kept, &packed[..1000]).unwrap();
        let server = Server::start(&node.publisher.directory, None);
        server.fail(&path, answer, 1);
        let mut engine = engine(&node, |_| {});
        engine.update(&server.source(), now(), &mut |_| {}).await.unwrap();
        assert_eq!(node.logger_says(), "2.0.0", "{answer:?}");
        assert_eq!(starts(&server, &path), [1000, 0][..requests], "{answer:?}");
    }
}

#[tokio::test]
async fn a_crawl_is_cut_and_what_came_is_kept() {
    let (node, _, path) = offered().await;
    let server = Server::start(&node.publisher.directory, None);
    server.fail(&path, Answer::Trickle, u32::MAX);
    let mut engine = engine(&node, |config| config.limits.speed_window = Duration::from_secs(1));
    let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Temporary);
    assert_says(&chain(&error), &["slower than 1024 bytes a second for 1 seconds"]);
    assert_eq!(starts(&server, &path), [0], "a crawl is not asked for again");
    assert!(partials(&node)[0] > 0);
}

#[tokio::test]
async fn mirrors_are_tried_in_order_and_a_liar_is_named() {
    let (node, artifact, path) = offered().await;
    let stale = node.scratch.path().join("stale");
    crate::engine::tests::node::copy_tree(&node.publisher.directory, &stale);
    let good = Server::start(&node.publisher.directory, None);
    let liar = Server::start(&node.publisher.directory, Some((path.clone(), Answer::Flipped)));
    let timestamp = "metadata/timestamp.json".to_owned();
    let forger = Server::start(&node.publisher.directory, Some((timestamp, Answer::Flipped)));
    let half_dead = Server::start(&node.publisher.directory, Some((path.clone(), Answer::CutOff)));
    let dead = { Server::start(&stale, None).source() };
    let sources =
        vec![dead.clone(), forger.source(), liar.source(), half_dead.source(), good.source()];
    let mut engine = engine(&node, |config| config.limits.retries = 0);
    let mut told = Vec::new();
    let mut tell = |sign: Progress| {
        if let Progress::PassedOver(passed) = sign {
            told.push(passed.source);
        }
    };
    let source = Source::Mirrors(sources.clone());
    let outcome = engine.update(&source, now(), &mut tell).await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
    let expected: Vec<String> = sources[..4].iter().map(Source::shown).collect();
    assert_eq!(told, expected);
    let Outcome::Moved { warnings, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    let passed = engine.view().last_check.unwrap().passed_over;
    let kinds: Vec<FailureKind> = passed.iter().map(|passed| passed.kind).collect();
    use FailureKind::{Refused, Temporary};
    assert_eq!(kinds, [Temporary, Refused, Refused, Temporary]);
    assert_says(&passed[1].why, &["refused timestamp metadata from http://127.0.0.1:"]);
    assert_says(&passed[2].why, &["refused the artifact"]);
    // The last one gave what the one before it did not.
    assert_eq!(starts(&good, &path), [artifact.size / 2]);

    // The first that works is enough, and who asks for one source gets that one.
    let source = Source::Mirrors(vec![good.source(), forger.source()]);
    forger.asked();
    engine.update(&source, now(), &mut |_| {}).await.unwrap();
    assert_eq!((forger.asked(), engine.view().last_check.unwrap().passed_over), (vec![], vec![]));
    let error = engine.update(&dead, now(), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Temporary);
}

#[tokio::test]
async fn when_all_mirrors_fail_each_is_named() {
    let (node, ..) = offered().await;
    let absent = |name: &str| Source::Directory(node.scratch.path().join(name));
    let mut engine = engine(&node, |_| {});
    let source = Source::Mirrors(vec![absent("a"), absent("b")]);
    let error = engine.update(&source, now(), &mut |_| {}).await.unwrap_err();
    assert_says(&chain(&error), &["/b", "cannot fetch metadata/2.root.json"]);
    let check = engine.view().last_check.unwrap();
    assert_says(&check.passed_over[0].source, &["/a"]);
    assert_eq!(check.passed_over.len(), 1);
    engine.plan(&source, now()).await.unwrap_err();
    assert_eq!(engine.view().last_check.unwrap().passed_over, check.passed_over);
    assert_eq!(node.logger_says(), "1.0.0");
}

#[tokio::test]
async fn nobody_waits_for_what_is_no_file() {
    let (node, ..) = offered().await;
    let fifo = |path: &Path| {
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0).unwrap();
    };
    let (bundle, timestamp) = (
        node.scratch.path().join("bundle.tar"),
        node.publisher.directory.join("metadata/timestamp.json"),
    );
    fs::remove_file(&timestamp).unwrap();
    for (path, source) in [(&timestamp, node.source()), (&bundle, Source::Bundle(bundle.clone()))] {
        fifo(path);
        let mut engine = engine(&node, |_| {});
        let mut ignore = |_| {};
        let update = engine.update(&source, now(), &mut ignore);
        let updated = tokio::time::timeout(Duration::from_secs(20), update).await;
        // Whoever waits there may go.
        drop(File::options().read(true).write(true).open(path));
        let error = updated.unwrap().unwrap_err();
        assert_says(&chain(&error), &["not a regular file"]);
        assert_eq!(node.logger_says(), "1.0.0");
    }
}

#[tokio::test]
async fn a_poll_of_a_source_that_stands_still_is_two_small_requests() {
    let (mut node, ..) = offered().await;
    let server = Server::start(&node.publisher.directory, None);
    let mut engine = engine(&node, |_| {});
    engine.update(&server.source(), now(), &mut |_| {}).await.unwrap();
    server.asked();
    for _ in 0..2 {
        let stayed = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap();
        assert!(matches!(stayed, Outcome::Stayed(_)), "{stayed:?}");
        let asked: Vec<(String, u16)> =
            server.asked().into_iter().map(|asked| (asked.path, asked.status)).collect();
        let expected = [("metadata/2.root.json", 404), ("metadata/timestamp.json", 304)];
        assert_eq!(asked, expected.map(|(path, status)| (path.to_owned(), status)));
    }
    // A 304 to what was never asked so is no answer.
    server.fail("metadata/2.root.json", Answer::Status(304), 1);
    let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_says(&chain(&error), &["the server answered 304"]);
    // What changes is seen.
    node.publisher.publish(&Recipe::new("3.0.0"));
    engine.update(&server.source(), now(), &mut |_| {}).await.unwrap();
    assert_eq!(node.logger_says(), "3.0.0");
}

/// A proxy for tests that forwards whole requests. Gives the first lines and
/// credentials of what it was asked.
fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = forward(stream.unwrap(), &log);
        }
    });
    (address, asked)
}

fn forward(mut stream: TcpStream, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while reader.read_line(&mut head)? > 2 {}
    let first = head.lines().next().unwrap_or_default().to_owned();
    let secret = head.lines().find(|line| line.starts_with("proxy-authorization: ")).is_some();
    log.lock().unwrap().push(format!("{first}{}", if secret { " with a password" } else { "" }));
    let target = first.split(' ').nth(1).unwrap_or_default();
    let rest = target.strip_prefix("http://").unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut origin = TcpStream::connect(host)?;
    let fields = head.split_once("\r\n").map(|(_, fields)| fields).unwrap_or_default();
    origin.write_all(format!("GET /{path} HTTP/1.1\r\n{fields}").as_bytes())?;
    let mut answer = Vec::new();
    origin.read_to_end(&mut answer)?;
    stream.write_all(&answer)
}

#[tokio::test]
async fn a_proxy_is_used_where_one_is_configured() {
    let (node, ..) = offered().await;
    let server = Server::start(&node.publisher.directory, None);
    let (address, asked) = proxy();
    let secret = format!("http://node:secret@{address}");
    let mut engine = engine(&node, |config| {
        config.proxy = Some(secret.parse().unwrap());
        config.limits.retries = 0;
    });
    engine.update(&server.source(), now(), &mut |_| {}).await.unwrap();
    assert_eq!(node.logger_says(), "2.0.0");
    let root = format!("GET {}metadata/2.root.json HTTP/1.1 with a password", server.source());
    assert_eq!(asked.lock().unwrap()[0], root);
    assert_eq!(asked.lock().unwrap().len(), server.asked().len(), "nothing goes past it");

    server.fail("metadata/2.root.json", Answer::Status(407), 1);
    let error = engine.update(&server.source(), now(), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Temporary);
    assert_says(&chain(&error), &["the proxy asks for a user and a password"]);
}
