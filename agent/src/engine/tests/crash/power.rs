// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Real power cuts: the engine on an ext4 image, which is shut down in the
//! middle of its work, mounted again, and judged by the same invariants.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dockerlogger_manifest::Digest;
use tokio::sync::watch;

use crate::engine::core::Core;
use crate::engine::tests::crash::invariants::{Rules, Told};
use crate::engine::tests::crash::long;
use crate::engine::tests::crash::os::shut_down;
use crate::engine::tests::crash::random::Random;
use crate::engine::tests::crash::scenario::{Action, ReadProber};
use crate::engine::tests::node::{chain, now};
use crate::engine::tests::publisher::{Key, Publisher, Recipe, target};
use crate::engine::view::NodeView;
use crate::engine::{EngineConfig, Source};
use crate::os::files::{FileError, Files, NewFile, RealFiles, Stat};

/// What a cut leaves: everything; the journal; what was synced.
const FLAGS: [u32; 3] = [0, 1, 2];

/// Real files until the power is cut before an effect.
#[derive(Debug, Clone)]
struct CutFiles {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mount: PathBuf,
    at: usize,
    flag: u32,
    effects: AtomicUsize,
    dead: AtomicBool,
    told: Mutex<Told>,
    view: Mutex<Option<watch::Receiver<NodeView>>>,
}

impl CutFiles {
    fn new(mount: &Path, at: usize, flag: u32, told: &Told) -> Self {
        let shared = Shared {
            mount: mount.to_owned(),
            at,
            flag,
            effects: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            told: Mutex::new(told.clone()),
            view: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    fn watch(&self, view: watch::Receiver<NodeView>) {
        *self.shared.view.lock().unwrap() = Some(view);
        self.shared.hear();
    }

    /// What was told before the cut, and whether there was one.
    fn finish(&self) -> (Told, bool) {
        if !self.shared.dead.load(Ordering::Relaxed) {
            self.shared.hear();
        }
        (self.shared.told.lock().unwrap().clone(), self.shared.dead.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn hear(&self) {
        if let Some(view) = &*self.view.lock().unwrap() {
            self.told.lock().unwrap().hear(&view.borrow());
        }
    }

    fn effect(&self, path: &Path) -> Result<(), FileError> {
        self.look(path)?;
        if self.effects.fetch_add(1, Ordering::Relaxed) != self.at {
            return Ok(());
        }
        self.hear();
        self.dead.store(true, Ordering::Relaxed);
        shut_down(&self.mount, self.flag).unwrap();
        self.look(path)
    }

    fn look(&self, path: &Path) -> Result<(), FileError> {
        if !self.dead.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(FileError::new("reach", path, io::Error::other("the power is off")))
    }
}

struct CutNewFile {
    file: Box<dyn NewFile>,
    path: PathBuf,
    shared: Arc<Shared>,
}

impl NewFile for CutNewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        // In two halves, so that a cut falls into the middle as well.
        let (one, two) = bytes.split_at(bytes.len() / 2);
        self.shared.effect(&self.path)?;
        self.file.write(one)?;
        self.shared.effect(&self.path)?;
        self.file.write(two)
    }

    fn set_mode(&mut self, mode: u32) -> Result<(), FileError> {
        self.shared.effect(&self.path)?;
        self.file.set_mode(mode)
    }

    fn sync(&mut self) -> Result<(), FileError> {
        self.shared.effect(&self.path)?;
        self.file.sync()
    }
}

impl Files for CutFiles {
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.make_dir(path, mode)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn NewFile>, FileError> {
        self.shared.effect(path)?;
        let (file, path) = (RealFiles.create(path)?, path.to_owned());
        Ok(Box::new(CutNewFile { file, path, shared: Arc::clone(&self.shared) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.shared.effect(to)?;
        RealFiles.rename(from, to)
    }

    fn symlink(&self, target: &Path, path: &Path) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.symlink(target, path)
    }

    fn unlink(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.unlink(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FileError> {
        self.shared.effect(path)?;
        RealFiles.sync_dir(path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FileError> {
        self.shared.look(path)?;
        RealFiles.open(path)
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, FileError> {
        self.shared.look(path)?;
        RealFiles.stat(path)
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>, FileError> {
        self.shared.look(path)?;
        RealFiles.read_link(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, FileError> {
        self.shared.look(path)?;
        RealFiles.list(path)
    }

    fn available(&self, _: &Path) -> Result<u64, FileError> {
        Ok(1 << 40)
    }
}

fn program(name: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(name).args(arguments).output();
    let output = output.map_err(|e| format!("{name} does not start: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} {}: {}", arguments.join(" "), said.trim()))
}

/// An ext4 image, mounted or not.
struct Medium {
    image: PathBuf,
    base: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

impl Medium {
    /// A fresh file system; the error says why there can be none here.
    fn new(scratch: &Path) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount".to_owned());
        }
        let place = |name: &str| scratch.join(name);
        let mut medium = Self {
            image: place("image"),
            base: place("base"),
            mount: place("mount"),
            mounted: false,
        };
        fs::create_dir(&medium.mount).map_err(|e| e.to_string())?;
        let image = fs::File::create(&medium.image).map_err(|e| e.to_string())?;
        image.set_len(8 << 20).map_err(|e| e.to_string())?;
        let image = medium.image.to_str().unwrap();
        program("mkfs.ext4", &["-q", "-F", "-b", "1024", "-J", "size=1", image])?;
        medium.mount()?;
        Ok(medium)
    }

    fn mount(&mut self) -> Result<(), String> {
        let (image, mount) = (self.image.to_str().unwrap(), self.mount.to_str().unwrap());
        program("mount", &["-t", "ext4", "-o", "loop", image, mount])?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) {
        // A child of another test, forked and not yet exec'd, holds what is open here.
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(problem) = program("umount", &[self.mount.to_str().unwrap()]) {
            assert!(Instant::now() < deadline, "{problem}");
            std::thread::yield_now();
        }
        self.mounted = false;
    }

    fn remount(&mut self) {
        self.unmount();
        self.mount().unwrap();
    }

    /// What is on it now is what [`Medium::restore`] brings back.
    fn keep(&mut self) {
        self.unmount();
        fs::copy(&self.image, &self.base).unwrap();
        self.mount().unwrap();
    }

    fn restore(&mut self) {
        self.unmount();
        fs::copy(&self.base, &self.image).unwrap();
        self.mount().unwrap();
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if self.mounted {
            // Too late to do anything about it.
            let _ = program("umount", &["-l", self.mount.to_str().unwrap()]);
        }
    }
}

struct Bench {
    medium: Medium,
    publisher: Publisher,
    runtime: tokio::runtime::Runtime,
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let root = medium.mount.join("docker");
        let rules = Rules { root, before: None, goal: None, wished: None, damaged: None };
        Ok(Self { medium, publisher, runtime, told: Told::default(), rules })
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
                    Action::Nothing | Action::Check | Action::Block => Ok(()),
                    Action::Update => core
                        .update(&source, now(), self.runtime.handle(), &mut |_| {})
                        .map(drop)
                        .map_err(|e| chain(&e)),
                    Action::Rollback => core.rollback(now()).map(drop).map_err(|e| chain(&e)),
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

/// Every effect of one scenario, or as many as the quick version allows.
fn cut_everywhere(name: &str, prepare: impl Fn(&mut Bench) -> Action) -> Option<usize> {
    let scratch = tempfile::tempdir().unwrap();
    let mut bench = match Bench::new(scratch.path()) {
        Ok(bench) => bench,
        Err(why) => {
            println!("SKIPPED: no real power cuts, because no ext4 can be mounted here: {why}");
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
    let scenarios: [(&str, fn(&mut Bench) -> Action); 4] = [
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
