// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Running the engine over a model: from a disk and an action to every moment
//! of the run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dockerlogger_manifest::Digest;
use jiff::{SignedDuration, Timestamp};

use crate::engine::change::{Change, Which};
use crate::engine::core::Core;
use crate::engine::tests::crash::cut::Cut;
use crate::engine::tests::crash::disk::Disk;
use crate::engine::tests::crash::effect::Effect;
use crate::engine::tests::crash::explore::seam;
use crate::engine::tests::crash::files::{ModelFiles, With};
use crate::engine::tests::crash::invariants::{Rules, Told};
use crate::engine::tests::crash::run::{ReadProber, Run, Tampering};
use crate::engine::tests::node::{chain, now};
use crate::engine::tests::processes::{FAILING_LOOKS, Loggers, QUIET_LOOKS, Quiet, Steady, watch};
use crate::engine::tests::publisher::{Key, Publisher, Recipe, target};
use crate::engine::{EngineConfig, Outcome, Source};
use crate::os::Files;

const ROOT: &str = "/opt/docker";
const ANCHOR: &str = "/etc/anchor.json";

/// Where the state is.
pub(super) const COPIES: [&str; 2] = ["/opt/docker/state/a", "/opt/docker/state/b"];

/// What is asked of the engine once the root is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Check,
    /// A check of a source that withholds the newest targets.
    CheckInVain,
    Update,
    Rollback,
    Block,
    /// Lifts the block of release 2.0.0.
    Unblock,
    /// Watches a trial whose loggers all end at once.
    FailingTrial,
    /// Watches a trial in which a logger starts and goes on.
    PassingTrial,
    /// Watches a trial in which nothing happens.
    QuietTrial,
}

/// A disk, an action, and what may come of it.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) disk: Disk,
    pub(super) told: Told,
    pub(super) rules: Rules,
    pub(super) action: Action,
    /// What the clock says.
    now: Timestamp,
    /// Whether artifacts are kept until they are whole.
    resumes: bool,
    publisher: Publisher,
    _scratch: tempfile::TempDir,
}

impl Scenario {
    pub(super) fn config() -> EngineConfig {
        let (root, anchor) = (PathBuf::from(ROOT), PathBuf::from(ANCHOR));
        let mut config = EngineConfig::new(root, anchor, "stable".parse().unwrap(), target());
        config.retain = 2;
        config
    }

    /// Opens the root, does the action, and closes it. With trouble, the action
    /// is tried once more when the trouble is over.
    pub(super) fn run(&self, disk: Disk, told: &Told, action: Action, tampering: Tampering) -> Run {
        let troubled = tampering.trouble;
        let files = ModelFiles::new(disk, told.clone())
            .rewritten(tampering.rewrite)
            .troubled(tampering.trouble);
        let mut run = Run {
            moments: Vec::new(),
            error: None,
            done: false,
            view: None,
            failed: Vec::new(),
            tried_after: 0,
            said: Vec::new(),
            looks: Vec::new(),
        };
        let mut core = None;
        let lives = if troubled.is_some() { 2 } else { 1 };
        for _ in 0..lives {
            let mut warnings = Vec::new();
            let answer = self.live(&mut core, &files, action, &mut warnings);
            run.done = answer.is_ok();
            if let Some(trouble) = troubled.filter(|_| run.failed.is_empty()) {
                run.failed = files.failed();
                let tried = match trouble.with {
                    With::Effects => files.effects(),
                    With::Looks => files.looks().len(),
                };
                run.tried_after = tried.saturating_sub(trouble.at);
                run.said = warnings;
                run.said.extend(files.said());
            }
            if run.looks.is_empty() {
                run.looks = files.looks();
            }
            match answer {
                Ok(()) => break,
                Err(error) => run.error = run.error.or(Some(error)),
            }
            files.clone().troubled(None);
        }
        run.view = core.map(|core| core.subscribe().borrow().clone());
        run.moments = files.finish();
        run
    }

    fn live(
        &self,
        life: &mut Option<Core>,
        files: &ModelFiles,
        action: Action,
        warnings: &mut Vec<String>,
    ) -> Result<(), String> {
        let core = match life {
            Some(core) => core,
            None => {
                let seam: Arc<dyn Files> = Arc::new(files.clone());
                let mut config = Self::config();
                if self.resumes {
                    (config.limits.resume_bytes_min, config.limits.resume_local) = (1, true);
                }
                let mut core =
                    Core::open(config, Arc::clone(&seam), self.now).map_err(|e| chain(&e))?;
                core.prober = Arc::new(ReadProber(seam));
                files.watch(core.subscribe());
                life.insert(core)
            }
        };
        let source = Source::Directory(self.publisher.directory.clone());
        match action {
            Action::Nothing => Ok(()),
            Action::Check => {
                let plan = core.plan(&source, self.now).map_err(|e| chain(&e))?;
                *warnings = plan.warnings;
                Ok(())
            }
            Action::CheckInVain => match core.plan(&source, self.now) {
                Err(e) => match chain(&e) {
                    error if error.contains("cannot fetch metadata/2.targets.json") => Ok(()),
                    error => Err(error),
                },
                Ok(_) => Err("the targets were there".to_owned()),
            },
            Action::Update => {
                let updated = core.update(&source, self.now, &mut |_| {});
                match updated.map_err(|e| chain(&e))? {
                    Outcome::Moved { warnings: said, .. } => {
                        *warnings = said;
                        Ok(())
                    }
                    Outcome::Stayed(_) if self.at_goal(files) => Ok(()),
                    Outcome::Stayed(reason) => Err(format!("stayed: {reason}")),
                }
            }
            // A second rollback would go forward again.
            Action::Rollback if self.at_goal(files) => Ok(()),
            Action::Rollback => core.rollback(self.now).map(drop).map_err(|e| chain(&e)),
            Action::FailingTrial | Action::PassingTrial | Action::QuietTrial
                if core.subscribe().borrow().trial.is_none() =>
            {
                Ok(())
            }
            Action::FailingTrial => {
                watch(core, &Loggers::default(), FAILING_LOOKS, Duration::from_secs(1)).map(drop)
            }
            Action::PassingTrial => {
                watch(core, &Steady::default(), QUIET_LOOKS, Duration::from_secs(1)).map(drop)
            }
            Action::QuietTrial => {
                watch(core, &Quiet, QUIET_LOOKS, Duration::from_secs(1)).map(drop)
            }
            Action::Block => {
                let what = Which::Version("9.0.0".parse().unwrap());
                let change = Change::Block { what, reason: None };
                core.change(&change, self.now).map(drop).map_err(|e| chain(&e))
            }
            Action::Unblock => {
                let what = Which::Version("2.0.0".parse().unwrap());
                let change = Change::Unblock { what };
                core.change(&change, self.now).map(drop).map_err(|e| chain(&e))
            }
        }
    }

    fn at_goal(&self, files: &ModelFiles) -> bool {
        self.rules.goal.is_some() && self.rules.current_on(&seam(&files.disk())) == self.rules.goal
    }

    /// Nothing installed yet; the next action is what `new` leads to.
    fn empty(name: &'static str, action: Action) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let publisher = Publisher::new(&scratch.path().join("repository"));
        let mut disk = Disk::new();
        let anchor = publisher.read("metadata/1.root.json");
        for effect in [
            Effect::MakeDir("/opt".into(), 0o755),
            Effect::MakeDir("/etc".into(), 0o755),
            Effect::Create(ANCHOR.into()),
            Effect::Write(ANCHOR.into(), anchor),
        ] {
            disk.apply(&effect).unwrap();
        }
        let rules = Rules::new(ROOT.into(), ANCHOR.into());
        Self {
            name,
            disk: disk.cut(Cut::Everything),
            told: Told::default(),
            rules,
            action,
            now: now(),
            resumes: false,
            publisher,
            _scratch: scratch,
        }
    }

    /// Publishes a release and makes it the goal.
    fn publish(&mut self, version: &str) -> Digest {
        let digest = self.publisher.publish(&Recipe::new(version)).sha256;
        self.rules.goal = Some(digest);
        digest
    }

    /// Publishes, installs, and watches to the end of the trial.
    fn install(&mut self, version: &str) -> Digest {
        let digest = self.install_untried(version);
        self.go_through(Action::PassingTrial);
        assert_eq!(self.told.trial, None);
        digest
    }

    /// The same, and leaves it on trial.
    fn install_untried(&mut self, version: &str) -> Digest {
        let digest = self.publish(version);
        self.go_through(Action::Update);
        self.rules.before = Some(digest);
        assert_eq!(self.told.trial, Some((digest, 0)));
        digest
    }

    /// Does something to its end, before the scenario begins.
    fn go_through(&mut self, action: Action) {
        let run = self.run(self.disk.clone(), &self.told, action, Tampering::default());
        assert!(run.done, "{:?}", run.error);
        self.disk = run.end().disk.cut(Cut::Everything);
        self.told = run.end().told.clone();
    }

    fn corrupt(&mut self, digest: Digest) {
        self.disk.corrupt(&Path::new(ROOT).join(format!("store/{digest}/logger")));
        self.rules.damaged = Some(digest);
    }

    pub(super) fn first_install() -> Self {
        let mut scenario = Self::empty("first install", Action::Update);
        scenario.publish("1.0.0");
        scenario
    }

    pub(super) fn check() -> Self {
        let mut scenario = Self::empty("check", Action::Check);
        let current = scenario.install("1.0.0");
        scenario.publish("2.0.0");
        scenario.rules.goal = Some(current);
        scenario.now += SignedDuration::from_hours(2);
        scenario
    }

    /// A mirror keeps to itself what the newest timestamp and snapshot name.
    pub(super) fn withheld() -> Self {
        let mut scenario = Self::check();
        (scenario.name, scenario.action) = ("check in vain", Action::CheckInVain);
        let directory = &scenario.publisher.directory;
        std::fs::remove_file(directory.join("metadata/2.targets.json")).unwrap();
        scenario
    }

    pub(super) fn update() -> Self {
        let mut scenario = Self::empty("update", Action::Update);
        scenario.install("1.0.0");
        scenario.publish("2.0.0");
        scenario
    }

    /// An update that goes on from what came of its artifact before.
    pub(super) fn resumption() -> Self {
        let mut scenario = Self::empty("update that was begun before", Action::Update);
        scenario.install("1.0.0");
        let digest = scenario.publish("2.0.0");
        scenario.resumes = true;
        let packed = scenario.publisher.artifact(&digest);
        let path = Path::new(ROOT).join(format!("tmp/partial-{digest}"));
        let half = packed[..packed.len() / 2].to_vec();
        for effect in [Effect::Create(path.clone()), Effect::Write(path, half)] {
            scenario.disk.apply(&effect).unwrap();
        }
        // Its name or its bytes may be lost at any time: nobody made them durable.
        scenario
    }

    /// Three releases: the first one is collected.
    pub(super) fn collection() -> Self {
        let mut scenario = Self::empty("update with collection", Action::Update);
        scenario.install("1.0.0");
        scenario.install("2.0.0");
        scenario.publish("3.0.0");
        scenario
    }

    /// Three releases, the second on trial: that one is collected.
    pub(super) fn update_on_trial() -> Self {
        let mut scenario = Self::empty("update during a trial", Action::Update);
        scenario.rules.refuge = Some(scenario.install("1.0.0"));
        scenario.install_untried("2.0.0");
        scenario.publish("3.0.0");
        scenario
    }

    /// Three releases, the second one never run by anybody: that one is collected.
    pub(super) fn update_after_quiet() -> Self {
        let mut scenario = Self::empty("update after a quiet trial", Action::Update);
        scenario.rules.refuge = Some(scenario.install("1.0.0"));
        scenario.install_untried("2.0.0");
        scenario.go_through(Action::QuietTrial);
        scenario.publish("3.0.0");
        scenario
    }

    pub(super) fn rotation() -> Self {
        let mut scenario = Self::empty("update with new keys", Action::Update);
        scenario.install("1.0.0");
        scenario.publisher.rotate(Key::new(11), Key::new(12));
        scenario.publish("2.0.0");
        scenario
    }

    /// A root that replaces no key.
    pub(super) fn renewal() -> Self {
        let mut scenario = Self::empty("update with a renewed root", Action::Update);
        scenario.install("1.0.0");
        scenario.publisher.rotate(Key::new(1), Key::new(2));
        scenario.publish("2.0.0");
        scenario
    }

    pub(super) fn rollback() -> Self {
        let mut scenario = Self::empty("rollback", Action::Rollback);
        let first = scenario.install("1.0.0");
        scenario.install("2.0.0");
        scenario.rules.goal = Some(first);
        scenario
    }

    /// A rollback, then forward again.
    pub(super) fn return_to_newer() -> Self {
        let mut scenario = Self::rollback();
        let (first, second) = (scenario.rules.goal, scenario.rules.before);
        scenario.go_through(Action::Rollback);
        scenario.go_through(Action::Unblock);
        scenario.name = "rollback of a rollback";
        (scenario.rules.before, scenario.rules.goal) = (first, second);
        scenario
    }

    /// An operator blocks a version.
    pub(super) fn block() -> Self {
        let mut scenario = Self::empty("block", Action::Block);
        let current = scenario.install("1.0.0");
        scenario.rules.goal = Some(current);
        let run =
            scenario.run(scenario.disk.clone(), &scenario.told, Action::Block, <_>::default());
        scenario.rules.wished = Some(run.end().told.wishes.clone());
        assert_ne!(scenario.rules.wished.as_ref(), Some(&scenario.told.wishes));
        scenario
    }

    /// A new release fails its trial.
    pub(super) fn failing_trial() -> Self {
        let mut scenario = Self::empty("trial that fails", Action::FailingTrial);
        let first = scenario.install("1.0.0");
        scenario.install_untried("2.0.0");
        scenario.rules.goal = Some(first);
        scenario
    }

    /// The first release fails its trial: it is blocked, and stays.
    pub(super) fn failing_first_trial() -> Self {
        let mut scenario = Self::empty("trial that fails for good", Action::FailingTrial);
        scenario.install_untried("1.0.0");
        scenario.rules.trial_ends = true;
        scenario
    }

    /// A new release passes its trial.
    pub(super) fn passing_trial() -> Self {
        let mut scenario = Self::empty("trial that passes", Action::PassingTrial);
        scenario.install("1.0.0");
        scenario.install_untried("2.0.0");
        scenario.rules.trial_ends = true;
        scenario
    }

    /// The trial of a new release sees no logger.
    pub(super) fn quiet_trial() -> Self {
        let mut scenario = Self::empty("trial that sees nothing", Action::QuietTrial);
        scenario.rules.refuge = Some(scenario.install("1.0.0"));
        scenario.install_untried("2.0.0");
        scenario.rules.trial_ends = true;
        scenario
    }

    /// The medium lost the current release; the previous one is whole.
    pub(super) fn fall_back() -> Self {
        let mut scenario = Self::empty("repair by the previous release", Action::Nothing);
        let first = scenario.install("1.0.0");
        let second = scenario.install("2.0.0");
        scenario.rules.goal = Some(first);
        scenario.corrupt(second);
        scenario
    }

    /// The medium lost the current release, and the other one is blocked.
    pub(super) fn stand_in() -> Self {
        let mut scenario = Self::empty("repair of what a failed one stands in for", Action::Update);
        let first = scenario.install("1.0.0");
        let second = scenario.install_untried("2.0.0");
        scenario.go_through(Action::FailingTrial);
        assert!(scenario.told.blocked.contains(&second));
        (scenario.rules.before, scenario.rules.goal) = (Some(first), Some(first));
        scenario.rules.stand_in = Some(second);
        scenario.corrupt(first);
        // What was told of it was true until then.
        scenario.told.current = None;
        scenario
    }

    /// The medium lost the only release.
    pub(super) fn reinstall() -> Self {
        let mut scenario = Self::empty("repair by an update", Action::Update);
        let only = scenario.install("1.0.0");
        scenario.corrupt(only);
        scenario
    }

    pub(super) fn all() -> Vec<Self> {
        vec![
            Self::first_install(),
            Self::check(),
            Self::withheld(),
            Self::update(),
            Self::resumption(),
            Self::rotation(),
            Self::renewal(),
            Self::collection(),
            Self::update_on_trial(),
            Self::update_after_quiet(),
            Self::rollback(),
            Self::return_to_newer(),
            Self::block(),
            Self::failing_trial(),
            Self::failing_first_trial(),
            Self::passing_trial(),
            Self::quiet_trial(),
            Self::fall_back(),
            Self::stand_in(),
            Self::reinstall(),
        ]
    }
}
