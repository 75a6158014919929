// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Seeing a root without touching it, for whoever only wants to know: no lock, no
//! repair, no file made. It takes no more than being allowed to read.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use dockerlogger_manifest::{Digest, Release};
use jiff::Timestamp;

use crate::engine::EngineConfig;
use crate::engine::error::OpenError;
use crate::engine::history::History;
use crate::engine::layout::{Layout, Link};
use crate::engine::recover::{self, Flaw, Found, Recovery};
use crate::engine::state::{Loaded, StateStore};
use crate::engine::trust_store::TrustStore;
use crate::engine::view::{Damage, NodeView};
use crate::os::{FileError, Files, RealFiles};

/// Looks at a root that is changed meanwhile, at most; the last one counts.
const LOOKS_MAX: usize = 5;

/// What a node has and what an engine would make of it: releases and wishes as they
/// are once it is opened, with a note for every repair that is still to be done.
pub fn survey(config: &EngineConfig, now: Timestamp) -> Result<NodeView, OpenError> {
    survey_on(Arc::new(RealFiles), config, now)
}

pub(super) fn survey_on(
    files: Arc<dyn Files>,
    config: &EngineConfig,
    now: Timestamp,
) -> Result<NodeView, OpenError> {
    let layout = Layout::new(Arc::clone(&files), config.root.clone());
    let mut view = NodeView::empty(config.channel.clone(), config.target.clone());
    // Nobody opened it yet, or not to the end: nothing was ever installed.
    for made in [layout.root(), &layout.store()] {
        if files.stat(made).map_err(OpenError::Look)?.is_none() {
            return Ok(view);
        }
    }
    check_access(&layout).map_err(OpenError::Look)?;
    let states = StateStore::new(Arc::clone(&files), layout.state());
    let mut found = find(&layout, &states, config).map_err(OpenError::Look)?;
    for _ in 1..LOOKS_MAX {
        let again = find(&layout, &states, config).map_err(OpenError::Look)?;
        let same = (&again.state, &again.link) == (&found.state, &found.link);
        found = again;
        if same {
            break;
        }
    }
    let mut recovery = recover::recover(&found, now);
    let startable = find_startable(&layout, &found.link, config, &mut recovery);
    let mut history = History::open(Arc::clone(&files), layout.history());
    let entries = found.entries.into_iter();
    let releases = entries.filter_map(|(digest, release)| Some((digest, release.ok()?)));
    let releases = releases.chain(startable).collect();
    let damage = recovery.damage.zip(recovery.state.current.as_ref()).map(|(damage, current)| {
        let since = history.damaged_since(&current.digest).unwrap_or(now);
        Damage { since, ..damage }
    });
    recovery.state.show(&releases, damage.as_ref(), &mut view);
    let (anchor, limits) = (config.trust_anchor.clone(), config.limits.clone());
    let trust = TrustStore::new(files, layout.trust(), anchor, limits);
    view.last_check = history.last_check();
    view.hold = recovery.hold;
    view.alarms.extend(recovery.alarm);
    let notes = recovery.notes.iter().map(|note| format!("the next start will say: {note}"));
    view.notes = notes.chain(history.problems().iter().cloned()).collect();
    view.trust = trust.load().ok().map(|trusted| trusted.verifier.versions());
    view.history = history.records();
    Ok(view)
}

/// What is on disk, as far as a repair depends on it.
pub(super) fn find(
    layout: &Layout,
    states: &StateStore,
    config: &EngineConfig,
) -> Result<Found, FileError> {
    let (mut entries, mut unread) = (BTreeMap::new(), BTreeMap::new());
    let mut strangers = Vec::new();
    for name in layout.files.list(&layout.store())? {
        let name = name.to_string_lossy().into_owned();
        match name.parse() {
            Ok(digest) => {
                let verified = match layout.verify(&digest, config.limits.document_bytes) {
                    Ok(verified) => verified.map_err(Flaw::Damaged),
                    Err(e) => {
                        let flaw = Flaw::Unreadable(format!("{e}: {}", e.source));
                        unread.insert(digest, e);
                        Err(flaw)
                    }
                };
                entries.insert(digest, verified);
            }
            Err(_) => strangers.push(name),
        }
    }
    let (state, link) = (states.load()?, layout.link()?);
    // What to make of the rest hangs on this one.
    let pivot = match (&state, &link) {
        (Loaded::Valid(state, _), _) => state.pending.as_ref().map(|pending| pending.digest),
        (Loaded::Absent, Link::To(digest)) => Some(*digest),
        _ => None,
    };
    if let Some(e) = pivot.and_then(|digest| unread.remove(&digest)) {
        return Err(e);
    }
    Ok(Found { state, link, entries, strangers, retain: config.retain })
}

/// Looks whether containers can start the current release although it is damaged: whether
/// `bin/logger` is the logger that was signed. Its manifest, if so.
pub(super) fn find_startable(
    layout: &Layout,
    link: &Link,
    config: &EngineConfig,
    recovery: &mut Recovery,
) -> Option<(Digest, Release)> {
    let damage = recovery.damage.as_mut()?;
    let digest = recovery.state.current.as_ref()?.digest;
    if *link != Link::To(digest) {
        return None;
    }
    match layout.startable(&digest, config.limits.document_bytes) {
        Ok(release) => {
            damage.startable = release.is_some();
            release.map(|release| (digest, release))
        }
        Err(e) => {
            let note = "whether its logger can be started is not known";
            recovery.notes.push(format!("{note}: {e}: {}", e.source));
            None
        }
    }
}

/// What may not be read is not damaged: an error that says so.
fn check_access(layout: &Layout) -> Result<(), FileError> {
    for directory in [layout.state(), layout.history()] {
        for name in list(layout, &directory)? {
            match layout.files.open(&directory.join(name)) {
                Err(e) if e.source.kind() == io::ErrorKind::PermissionDenied => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The names in a directory; none if nobody made it yet.
fn list(layout: &Layout, directory: &Path) -> Result<Vec<String>, FileError> {
    let names = match layout.files.list(directory) {
        Err(e) if e.source.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}
