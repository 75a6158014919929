// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The update engine: fetch, verify, stage, probe, switch, confirm, roll back.
//!
//! One [`Engine`] owns one install root for as long as it lives:
//!
//! ```text
//! <root>/lock                    held while the engine lives; names the process
//! <root>/state/{a,b}             what is installed, two copies of the same
//! <root>/trust/                  the metadata accepted last: floors that never fall
//! <root>/history/                who changed what and why; how the last check went
//! <root>/tmp/                    staging; emptied whenever the root is opened
//! <root>/store/<sha256>/         complete, verified releases: logger, release.json
//! <root>/bin/logger              -> ../store/<sha256>/logger, the only commit point
//! ```
//!
//! An update is: refresh the metadata and make it durable, gather facts,
//! decide ([`policy`], pure), plan ([`plan`], pure), execute. After any
//! interruption [`Engine::open`] looks at what is on disk and repairs it.
//!
//! Invariants: nobody acts on unverified bytes; `bin/logger` resolves to a
//! complete tree at every instant once there was one; what it names is the
//! current or the pending release of the state; no accepted version falls.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dockerlogger_manifest::{ChannelName, Target, Version, limits};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::os::processes::Proc;
use crate::os::{Files, RealFiles};

pub mod change;
mod core;
mod digest;
mod documents;
pub mod error;
mod execute;
pub mod history;
mod interrupt;
mod layout;
mod partial;
pub mod plan;
pub mod policy;
mod probe;
mod reactor;
mod recover;
mod refresh;
mod refusals;
pub mod source;
mod space;
mod stage;
mod state;
mod survey;
pub mod trial;
mod trust;
mod trust_store;
pub mod view;

use core::{Check, Core};

pub use change::{Change, ChangeError, Changed, Which};
pub use core::trial::TrialEnd;
pub use error::{FailureKind, FileError, OpenError, RollbackError, UpdateError};
pub use history::{Actor, Record};
pub use interrupt::Interrupt;
pub use plan::{Plan, Step};
pub use policy::{Decision, Reason};
pub use source::{ParseProxyError, Proxy, Source};
pub use survey::survey;
pub use trial::{Tally, Trial};
pub use view::{
    Barred, Blocked, Damage, DamageKind, Held, Installed, LastCheck, NodeView, Offered, PassedOver,
    Pinned, StandsIn, TrustVersions,
};

/// What an engine needs to know.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The install root; created if absent. All of it on one file system.
    pub root: PathBuf,
    /// The `root.json` that trust starts from. Read at the first check, so
    /// that a node without releases to fetch needs none.
    pub trust_anchor: PathBuf,
    /// The channel to follow.
    pub channel: ChannelName,
    /// The platform to install for.
    pub target: Target,
    /// Bytes that must stay free after staging. Default 64 MiB.
    pub reserve_bytes: u64,
    /// Releases kept in the store, the current and the previous one included.
    /// Default 2, which is the least.
    pub retain: usize,
    /// How long the loggers of a new release are watched. Default 60 s; zero:
    /// they are not.
    pub trial: Duration,
    /// What the node follows; what is named for one update is none of it. Default: nothing.
    pub source: Option<Source>,
    /// What http(s) sources are reached through. Default: nothing.
    pub proxy: Option<Proxy>,
    /// Bounds on what a source may send.
    pub limits: Limits,
}

impl EngineConfig {
    /// Documented default of `reserve_bytes`.
    pub const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

    /// Documented default of `trial`.
    pub const TRIAL: Duration = Duration::from_secs(60);

    /// Documented default of `retain`.
    pub const RETAIN: usize = 2;

    /// A configuration with every default.
    pub fn new(root: PathBuf, trust_anchor: PathBuf, channel: ChannelName, target: Target) -> Self {
        let (reserve_bytes, retain) = (Self::RESERVE_BYTES, Self::RETAIN);
        let (trial, limits) = (Self::TRIAL, Limits::default());
        let (source, proxy) = (None, None);
        Self {
            root,
            trust_anchor,
            channel,
            target,
            reserve_bytes,
            retain,
            trial,
            source,
            proxy,
            limits,
        }
    }
}

/// Bounds on what a source may send and how long it may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one root. Default 512 KiB.
    pub root_bytes: u64,
    /// Bytes of the timestamp. Default 16 KiB.
    pub timestamp_bytes: u64,
    /// Bytes of the snapshot. Default 2 MiB.
    pub snapshot_bytes: u64,
    /// Bytes of the targets metadata. Default 8 MiB.
    pub targets_bytes: u64,
    /// Bytes of a channel or release document. Default 1 MiB.
    pub document_bytes: u64,
    /// Bytes of an artifact, packed and unpacked alike. Default 256 MiB.
    pub artifact_bytes: u64,
    /// Bytes of the file of an image. Default 512 MiB.
    pub image_bytes: u64,
    /// Artifacts from this size on are resumed after an update that failed: what
    /// came of them is kept in `tmp/`. Default 1 MiB.
    pub resume_bytes_min: u64,
    /// Whether that holds for directories and bundles as well. Default false: they
    /// are as near as `tmp/` is.
    pub resume_local: bool,
    /// Root versions followed in one check. Default 64.
    pub root_rotations: u32,
    /// Delegated roles asked for one target. Default 32.
    pub delegated_roles: u32,
    /// Base-2 logarithm of the zstd window. Default 27 (128 MiB).
    pub zstd_window_log: u32,
    /// Time to connect. Default 10 s.
    pub connect_timeout: Duration,
    /// Time to the first byte of an answer. Default 30 s.
    pub answer_timeout: Duration,
    /// A body must bring `bytes_per_sec_min` over each such window. Default 30 s.
    pub speed_window: Duration,
    /// See `speed_window`. Default 1024 bytes a second.
    pub bytes_per_sec_min: u64,
    /// How often a request that broke or was turned away is sent again before the
    /// next mirror, or the next poll, has its turn. Default 3.
    pub retries: u32,
    /// The first pause before that, ± 25 %; it doubles each time, to 5 s. Default 250 ms.
    pub retry_pause: Duration,
    /// Time for each run of the staged logger. Default 10 s.
    pub probe_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root_bytes: limits::ROOT_BYTES_MAX,
            timestamp_bytes: limits::TIMESTAMP_BYTES_MAX,
            snapshot_bytes: limits::SNAPSHOT_BYTES_MAX,
            targets_bytes: limits::TARGETS_BYTES_MAX,
            document_bytes: limits::DOCUMENT_BYTES_MAX,
            artifact_bytes: limits::ARTIFACT_BYTES_MAX,
            image_bytes: 512 << 20,
            resume_bytes_min: 1 << 20,
            resume_local: false,
            root_rotations: 64,
            delegated_roles: 32,
            zstd_window_log: 27,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            speed_window: Duration::from_secs(30),
            bytes_per_sec_min: 1024,
            retries: 3,
            retry_pause: Duration::from_millis(250),
            probe_timeout: Duration::from_secs(10),
        }
    }
}

/// How an update or a rollback that did not fail ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// `bin/logger` is another release now; it is durable.
    Moved {
        /// What it was, if anything.
        from: Option<Version>,
        /// What it is.
        to: Version,
        /// What an operator should know although it was not in the way.
        warnings: Vec<String>,
    },
    /// Nothing was changed.
    Stayed(Reason),
}

/// A sign of life from a running update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "progress", rename_all = "snake_case")]
pub enum Progress {
    /// The source is asked for its metadata.
    Checking,
    /// It was decided to move; what follows is the plan's steps.
    Decided(Box<Plan>),
    /// A step begins.
    Step(Step),
    /// A source failed, and the next one is asked.
    PassedOver(PassedOver),
    /// The artifact goes on from what came of it before.
    Resuming {
        /// Bytes that are here already.
        bytes: u64,
        /// The signed length.
        total: u64,
    },
    /// Bytes of the artifact taken so far.
    Downloading {
        /// Bytes so far; never falls.
        bytes: u64,
        /// The signed length.
        total: u64,
    },
}

/// The owner of one install root. Dropping it releases the lock.
///
/// Its work is blocking and runs on the blocking threads of a tokio runtime, which
/// the async methods need; what it waits for there it waits for by itself.
#[derive(Debug)]
pub struct Engine {
    core: Arc<Mutex<Core>>,
    view: watch::Receiver<NodeView>,
    actor: Actor,
    processes: Arc<Proc>,
    interrupt: Interrupt,
}

impl Engine {
    /// Takes the root: creates what is missing, locks it, repairs what an
    /// interruption left, removes litter. Blocks on the disk.
    pub fn open(config: EngineConfig) -> Result<Self, OpenError> {
        Self::open_on(config, Arc::new(RealFiles), Timestamp::now())
    }

    fn open_on(
        config: EngineConfig,
        files: Arc<dyn Files>,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let core = Core::open(config, files, now)?;
        let (view, interrupt) = (core.subscribe(), core.interrupt.clone());
        let (core, processes) = (Arc::new(Mutex::new(core)), Arc::default());
        Ok(Self { core, view, actor: Actor::Agent, processes, interrupt })
    }

    /// What ends a check or an update that is under way, up to the intent to switch.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Whoever asks for what is done from now on; goes into the history.
    pub fn act_for(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// Refreshes the metadata, decides and plans; changes nothing but the
    /// trust floors. This is what a dry run shows.
    pub async fn plan(&mut self, source: &Source, now: Timestamp) -> Result<Plan, UpdateError> {
        let source = source.clone();
        let work = move |core: &mut Core| core.plan(&source, now);
        self.blocking(work).await.unwrap_or(Err(UpdateError::Abandoned))
    }

    /// Plans as [`Engine::plan`] does, then does it. When it returns
    /// [`Outcome::Moved`] the switch is durable. An error leaves what was
    /// installed as it was. Dropping the future does not stop the work: the
    /// update goes on to its end, and later calls wait for it.
    pub async fn update(
        &mut self,
        source: &Source,
        now: Timestamp,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Outcome, UpdateError> {
        self.update_unless_expired(source, false, now, progress).await
    }

    /// The same; with `allow_expired`, metadata past its expiry is a warning.
    /// No version floor is lifted by that, and it is on record.
    pub async fn update_unless_expired(
        &mut self,
        source: &Source,
        allow_expired: bool,
        now: Timestamp,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Outcome, UpdateError> {
        let source = source.clone();
        let (sender, mut receiver) = mpsc::channel(PROGRESS_MAX);
        let work = move |core: &mut Core| {
            let mut tell = |sign: Progress| {
                // Bytes may be skipped, steps may not; without a listener both are.
                match sign {
                    Progress::Downloading { .. } => drop(sender.try_send(sign)),
                    _ => drop(sender.blocking_send(sign)),
                }
            };
            let check = Check { source: &source, allow_expired, now };
            core.update_unless_expired(check, &mut tell)
        };
        let mut working = pin!(self.blocking(work));
        let updated = loop {
            tokio::select! {
                Some(sign) = receiver.recv() => progress(sign),
                updated = &mut working => break updated,
            }
        };
        while let Ok(sign) = receiver.try_recv() {
            progress(sign);
        }
        updated.unwrap_or(Err(UpdateError::Abandoned))
    }

    /// Switches to the previous release, unless that is blocked, and blocks the
    /// one it leaves. Where the previous release is the newer one and its block
    /// was lifted, it is probed and put on trial as by an update.
    pub async fn rollback(&mut self, now: Timestamp) -> Result<Outcome, RollbackError> {
        let work = move |core: &mut Core| core.rollback(now);
        self.blocking(work).await.unwrap_or(Err(RollbackError::Abandoned))
    }

    /// Looks at the loggers of the release on trial, and goes back to the one
    /// before if they fail. To be called several times a second while the view
    /// has a trial.
    pub async fn watch_trial(&mut self, now: Timestamp) -> Result<TrialEnd, RollbackError> {
        let processes = Arc::clone(&self.processes);
        let work = move |core: &mut Core| core.watch_trial(&*processes, Instant::now(), now);
        self.blocking(work).await.unwrap_or(Err(RollbackError::Abandoned))
    }

    /// Lays down or lifts a hold, a pin or a block. Durable when it returns.
    pub async fn change(&mut self, change: Change, now: Timestamp) -> Result<Changed, ChangeError> {
        let work = move |core: &mut Core| core.change(&change, now);
        self.blocking(work).await.unwrap_or(Err(ChangeError::Abandoned))
    }

    /// Whether the current release is on trial.
    pub fn on_trial(&self) -> bool {
        self.view.borrow().trial.is_some()
    }

    /// Whether a release may come by itself: not while the current one is on trial,
    /// unless that is damaged and has to be fetched again.
    pub fn may_be_moved(&self) -> bool {
        let view = self.view.borrow();
        let damaged = view.current.as_ref().is_some_and(|current| current.damage.is_some());
        view.trial.is_none() || damaged
    }

    /// What the node tells about itself, as of now.
    pub fn view(&self) -> NodeView {
        self.view.borrow().clone()
    }

    /// The same, for readers that live beside a running update: the value
    /// changes with every durable change.
    pub fn subscribe(&self) -> watch::Receiver<NodeView> {
        self.view.clone()
    }

    /// Runs blocking work on the core; none if it panicked.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Option<T> {
        let (core, actor) = (Arc::clone(&self.core), self.actor.clone());
        let task = tokio::task::spawn_blocking(move || {
            // A panic leaves the core as the disk may not be: look again.
            let mut core = core.lock().unwrap_or_else(|poisoned| {
                let mut core = poisoned.into_inner();
                core.unsettled = true;
                core
            });
            core.actor = actor;
            work(&mut core)
        });
        task.await.ok()
    }
}

/// Signs of life that wait for a slow listener.
const PROGRESS_MAX: usize = 64;

#[cfg(test)]
mod tests;
