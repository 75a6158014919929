// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Interruption: a publish is a list of writes; whichever was the last one
//! done, a node sees the old repository or the new one, and the next publish works.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use tempfile::TempDir;

use super::verify::verify;
use super::*;
use crate::cli::At;
use crate::cli::BuildOptions;
use crate::cli::KeygenOptions;
use crate::cli::Lifetimes;
use crate::cli::Under;
use crate::package;
use crate::root;

struct Site {
    scratch: TempDir,
    now: Timestamp,
}

impl Site {
    async fn new() -> Self {
        let site = Self { scratch: tempfile::tempdir().unwrap(), now: Timestamp::now() };
        let options = KeygenOptions {
            keys: site.path("keys"),
            root_keys: 1,
            root_threshold: 1,
            root_expires: "1d".parse().unwrap(),
        };
        root::keygen(&options, site.now).await.unwrap();
        fs::write(site.path("drivers.json"), "[]").unwrap();
        for version in ["1.0.0", "1.1.0"] {
            fs::write(site.path("logger"), format!("the binary of {version}")).unwrap();
            let options = BuildOptions {
                logger: site.path("logger"),
                target: "sparcv9-sun-solaris".parse().unwrap(),
                drivers: Some(site.path("drivers.json")),
                version: Some(version.parse().unwrap()),
                commit: "c0ffee".to_owned(),
                built_at: None,
                level: 1,
                out: site.path(version),
            };
            package::build(&options, site.now).await.unwrap();
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn anchor(&self) -> PathBuf {
        self.path("keys").join(ANCHOR)
    }

    fn options(&self, repo: &Path, version: &str) -> PublishOptions {
        let lifetime = "1h".parse().unwrap();
        PublishOptions {
            at: At {
                repo: repo.to_owned(),
                keys: self.path("keys"),
                lifetimes: Lifetimes { targets: lifetime, snapshot: lifetime, timestamp: lifetime },
            },
            release: self.path(version),
            channel: "stable".parse().unwrap(),
            under: Under::default(),
        }
    }

    /// The writes that would publish a version.
    async fn plan(&self, repo: &Path, version: &str) -> Vec<PlannedWrite> {
        let options = self.options(repo, version);
        let layout = Layout::new(repo);
        let existing = existing(&layout, &self.anchor()).await.unwrap();
        let keys = OnlineKeys::load(&options.at.keys).unwrap();
        let request = Request::new(layout, self.anchor(), keys, options.at.lifetimes, self.now);
        let built = BuiltRelease::read(&options.release).unwrap();
        plan(&request, existing, built, &options.channel).await.unwrap().0
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn an_interrupted_publish_leaves_the_old_repository() {
    let site = Site::new().await;
    publish(&site.options(&site.path("repo"), "1.0.0"), site.now).await.unwrap();
    let old = verify(&site.anchor(), &site.path("repo"), site.now).unwrap();

    let count = site.plan(&site.path("repo"), "1.1.0").await.len();
    assert_eq!(count, 3 + 4, "artifact, release, channel; four roles");
    for done in 0..=count {
        let repo = site.path(&format!("after-{done}"));
        copy_tree(&site.path("repo"), &repo);
        let writes = site.plan(&repo, "1.1.0").await;
        writes[..done].iter().for_each(|write| write.execute().unwrap());
        // What a killed process leaves of the write it was at.
        fs::write(repo.join("metadata/.tmp-half"), "half").unwrap();

        let seen = verify(&site.anchor(), &repo, site.now).unwrap();
        assert_eq!(seen == old, done < count, "after write {done} of {count}");

        publish(&site.options(&repo, "1.1.0"), site.now).await.unwrap();
        let next = verify(&site.anchor(), &repo, site.now).unwrap();
        assert!(next.targets.contains_key("releases/1.0.0.json"));
        assert!(next.targets.contains_key("releases/1.1.0.json"));
        assert!(next.versions[0] > old.versions[0]);
        assert!(!repo.join("metadata/.tmp-half").exists(), "unfinished files are removed");
    }
}

#[tokio::test]
async fn only_the_timestamp_is_ever_replaced_and_it_comes_last() {
    let site = Site::new().await;
    let repo = site.path("repo");
    for version in ["1.0.0", "1.1.0"] {
        let writes = site.plan(&repo, version).await;
        let (last, rest) = writes.split_last().unwrap();
        assert_eq!(
            (last.path.clone(), last.kind),
            (repo.join("metadata/timestamp.json"), WriteKind::Replace)
        );
        assert!(rest.iter().all(|write| write.kind == WriteKind::New));
        publish(&site.options(&repo, version), site.now).await.unwrap();
    }
}

#[tokio::test]
async fn an_interrupted_first_publish_is_not_mistaken_for_an_empty_repository() {
    let site = Site::new().await;
    let writes = site.plan(&site.path("repo"), "1.0.0").await;
    for done in 0..writes.len() {
        let repo = site.path("repo");
        for directory in ["metadata", "targets/releases", "targets/channels"] {
            files::create_dir(&repo.join(directory)).unwrap();
        }
        writes[..done].iter().for_each(|write| write.execute().unwrap());
        let outcome = publish(&site.options(&repo, "1.0.0"), site.now).await;
        let signed = writes[..done].iter().any(|write| write.path.ends_with("1.targets.json"));
        match outcome {
            Ok(_) => assert!(!signed, "after write {done}"),
            Err(error) => {
                assert!(signed, "after write {done}: {error}");
                assert!(
                    error.to_string().contains("remove the directory to start a new repository"),
                    "{error}"
                );
            }
        }
        fs::remove_dir_all(&repo).unwrap();
    }
}

#[tokio::test]
async fn two_publishes_do_not_mix() {
    let site = Site::new().await;
    let repo = site.path("repo");
    fs::create_dir(&repo).unwrap();
    let held = lock(&Layout::new(&repo)).unwrap();
    let error = publish(&site.options(&repo, "1.0.0"), site.now).await.unwrap_err();
    assert!(error.to_string().starts_with("another publish is at work on repository"), "{error}");
    drop(held);
    publish(&site.options(&repo, "1.0.0"), site.now).await.unwrap();
}

#[tokio::test]
async fn nothing_is_signed_that_no_node_takes() {
    let site = Site::new().await;
    let repo = site.path("repo");
    let options = site.options(&repo, "1.0.0");
    let keys = OnlineKeys::load(&options.at.keys).unwrap();
    let lifetimes = options.at.lifetimes;
    let request = Request::new(Layout::new(&repo), site.anchor(), keys, lifetimes, site.now);
    let named = |length| NewTarget { name: "a".repeat(length), bytes: Vec::new() };
    assert!(request.sign(None, &[named(7 << 20)]).await.is_ok());
    let error = request.sign(None, &[named(8 << 20)]).await.err().unwrap().to_string();
    assert!(error.starts_with("the targets would have 838"), "{error}");
    assert!(error.ends_with("nodes take at most 8388608"), "{error}");

    let description = site.path("1.0.0").join(package::DESCRIPTION);
    let mut release = fs::read(&description).unwrap();
    release.resize(1 << 20, b' ');
    fs::write(&description, &release).unwrap();
    assert!(BuiltRelease::read(&options.release).is_ok());
    release.push(b' ');
    fs::write(&description, &release).unwrap();
    let error = BuiltRelease::read(&options.release).unwrap_err().to_string();
    assert!(error.ends_with("release.json is larger than 1048576 bytes"), "{error}");
}
