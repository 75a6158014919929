// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Real power cuts: the engine on an ext4 image, which is shut down in the
//! middle of its work, mounted again, and judged by the same invariants.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dockerlogger_manifest::Digest;

use crate::engine::core::Core;
use crate::engine::tests::crash::invariants::{Rules, Told};
use crate::engine::tests::crash::long;
use crate::engine::tests::crash::random::Random;
use crate::engine::tests::crash::run::ReadProber;
use crate::engine::tests::crash::scenario::Action;
use crate::engine::tests::node::{chain, now};
use crate::engine::tests::publisher::{Key, Publisher, Recipe, target};
use crate::engine::view::NodeView;
use crate::engine::{EngineConfig, Source};
use crate::os::Files;
use crate::os::files::RealFiles;

use files::CutFiles;
use medium::Medium;

mod files;
mod medium;

/// What a cut leaves: everything; the journal; what was synced.
const FLAGS: [u32; 3] = [0, 1, 2];

struct Bench {
    medium: Medium,
    publisher: Publisher,
    told: Told,
    rules: Rules,
}

/// How one life ended.
struct Life {
    told: Told,
    cut: bool,
    view: Option<NodeView>,
    error: Option<String>,
}

impl Bench {
    fn new(scratch: &Path) -> Result<Self, String> {
        let medium = Medium::new(scratch)?;
        let publisher = Publisher::new(&scratch.join("repository"));
        let root = medium.mount.join("docker");
        let rules = Rules::new(root, publisher.anchor());
        Ok(Self { medium, publisher, told: Told::default(), rules })
    }

    /// One life of an engine, until it is done or the power is cut.
    fn live(&self, action: Action, told: &Told, at: usize, flag: u32) -> Life {
        let files = CutFiles::new(&self.medium.mount, at, flag, told);
        let seam: Arc<dyn Files> = Arc::new(files.clone());
        let channel = "stable".parse().unwrap();
        let (root, anchor) = (self.rules.root.clone(), self.publisher.anchor());
        let mut config = EngineConfig::new(root, anchor, channel, target());
        config.retain = 2;
        let mut view = None;
        let error = match Core::open(config, Arc::clone(&seam), now()) {
            Err(e) => Some(chain(&e)),
            Ok(mut core) => {
                core.prober = Arc::new(ReadProber(seam));
                files.watch(core.subscribe());
                let source = Source::Directory(self.publisher.directory.clone());
                let answer = match action {
                    Action::Update => {
                        core.update(&source, now(), &mut |_| {}).map(drop).map_err(|e| chain(&e))
                    }
                    Action::Rollback => core.rollback(now()).map(drop).map_err(|e| chain(&e)),
                    // The rest is for the model.
                    _ => Ok(()),
                };
                view = Some(core.subscribe().borrow().clone());
                answer.err()
            }
        };
        let (told, cut) = files.finish();
        Life { told, cut, view, error }
    }

    fn install(&mut self, version: &str) -> Digest {
        let digest = self.publisher.publish(&Recipe::new(version)).sha256;
        self.rules.goal = Some(digest);
        let life = self.live(Action::Update, &self.told, usize::MAX, 0);
        assert_eq!(life.error, None);
        (self.told, self.rules.before) = (life.told, Some(digest));
        digest
    }

    fn judge(&mut self, told: &Told) -> Result<Told, String> {
        let files: Arc<dyn Files> = Arc::new(RealFiles);
        self.rules.always(&files, told).map_err(|e| format!("before recovery: {e}"))?;
        let mut told = told.clone();
        for time in ["recovery", "second recovery"] {
            let life = self.live(Action::Nothing, &told, usize::MAX, 0);
            let view = life.view.ok_or_else(|| format!("{time} failed: {:?}", life.error))?;
            let settled = self.rules.settled(&files, &told, &view);
            settled.map_err(|problem| format!("after {time}: {problem}"))?;
            told = life.told;
        }
        Ok(told)
    }

    /// Cuts the power before the effect `at`, perhaps once more in the
    /// recovery. None if there is no such effect.
    fn cut(&mut self, action: Action, at: usize, flag: u32, again: Option<usize>) -> Option<usize> {
        self.medium.restore();
        let life = self.live(action, &self.told.clone(), at, flag);
        if !life.cut {
            assert_eq!(life.error, None);
            return None;
        }
        self.medium.remount();
        let mut told = life.told;
        let mut cuts = 1;
        if let Some(again) = again {
            let recovery = self.live(Action::Nothing, &told, again, flag);
            told = recovery.told;
            cuts += usize::from(recovery.cut);
            self.medium.remount();
        }
        let judged = self.judge(&told);
        assert!(judged.is_ok(), "effect {at}, flag {flag}, again {again:?}: {judged:?}");
        Some(cuts)
    }
}

/// Brings a bench to where a scenario begins; answers what is done next.
type Prepare = fn(&mut Bench) -> Action;

/// Every effect of one scenario, or as many as the quick version allows.
fn cut_everywhere(name: &str, prepare: Prepare) -> Option<usize> {
    let scratch = tempfile::tempdir().unwrap();
    let mut bench = match Bench::new(scratch.path()) {
        Ok(bench) => bench,
        Err(why) => {
            // Past the capture of output: a test that did nothing must be seen.
            let line = format!("SKIPPED: no real power cuts, no ext4 can be mounted here: {why}\n");
            io::stderr().write_all(line.as_bytes()).unwrap();
            return None;
        }
    };
    let action = prepare(&mut bench);
    bench.medium.keep();
    let mut random = Random::new(7);
    let (mut cuts, step) = (0, if long() { 1 } else { 24 });
    for at in (0..).step_by(step) {
        let mut hit = false;
        let flags = if long() { &FLAGS[..] } else { &FLAGS[2..] };
        for flag in flags {
            let nested = [None, Some(random.below(16))];
            for again in nested {
                if let Some(count) = bench.cut(action, at, *flag, again) {
                    cuts += count;
                    hit = true;
                }
            }
        }
        if !hit {
            break;
        }
    }
    println!("{name:<30} {cuts:>5} power cuts, 0 violations");
    Some(cuts)
}

#[test]
fn real_power_cuts_break_nothing() {
    let started = Instant::now();
    let mut cuts = 0;
    let scenarios: [(&str, Prepare); 4] = [
        ("first install", |bench| {
            bench.rules.goal = Some(bench.publisher.publish(&Recipe::new("1.0.0")).sha256);
            Action::Update
        }),
        ("update with collection", |bench| {
            bench.install("1.0.0");
            bench.install("2.0.0");
            bench.rules.goal = Some(bench.publisher.publish(&Recipe::new("3.0.0")).sha256);
            Action::Update
        }),
        ("update with new keys", |bench| {
            bench.install("1.0.0");
            bench.publisher.rotate(Key::new(11), Key::new(12));
            bench.rules.goal = Some(bench.publisher.publish(&Recipe::new("2.0.0")).sha256);
            Action::Update
        }),
        ("rollback", |bench| {
            let first = bench.install("1.0.0");
            bench.install("2.0.0");
            bench.rules.goal = Some(first);
            Action::Rollback
        }),
    ];
    for (name, prepare) in scenarios {
        match cut_everywhere(name, prepare) {
            Some(count) => cuts += count,
            None => return,
        }
    }
    println!("{cuts} real power cuts in {:.1} s", started.elapsed().as_secs_f64());
    assert!(cuts >= if long() { 1000 } else { 30 }, "only {cuts} cuts");
}
