// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `GET /status`: the releases on this node, its last check, its health.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use dockerlogger_manifest::Version;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::{ApiState, Identity, stamp};
use crate::engine::{Blocked, Damage, FailureKind, Installed, LastCheck, NodeView, Source};
use crate::service::{Activity, Mount};

/// Whether an operator has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    state: HealthState,
    reasons: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum HealthState {
    Ok,
    Degraded,
}

impl Health {
    /// The health of `node`. Pure.
    pub fn of(node: &NodeView) -> Health {
        let mut reasons = Vec::new();
        if node.current.is_none() {
            reasons.push("no release is installed: only the platform's drivers work".to_owned());
        }
        if let (Some(current), Some(stands_in)) = (&node.current, &node.stands_in) {
            reasons.push(format!("release {} should not run: {stands_in}", current.version));
        }
        if let Some(Blocked { version, reason, .. }) = failed_and_offered(node) {
            reasons.push(format!(
                "the source offers release {version}, which is blocked on this node: {reason}"
            ));
        }
        if let Some((version, damage)) = damage(node) {
            let since = stamp(damage.since);
            // Of what is blocked it is said what an update brings instead.
            let remedy = match node.stands_in {
                None => ": the next update fetches it again",
                Some(_) => "",
            };
            reasons.push(format!("release {version} {damage}, first seen at {since}{remedy}"));
        }
        if let (Some(trial), Some(unwatched)) = (&node.trial, &node.unwatched) {
            let version = &trial.version;
            reasons.push(format!("the trial of release {version} does not go on: {unwatched}"));
        }
        if let Some(hold) = &node.hold {
            reasons.push(format!("changes are held: {hold}"));
        }
        reasons.extend(node.alarms.iter().cloned());
        if let Some(pending) = &node.pending {
            reasons.push(format!("the switch to release {} is not confirmed", pending.version));
        }
        // How an order went is told to whoever gave it: it says nothing of what the node follows.
        let check = node.last_check.as_ref().filter(|check| !check.once);
        if let Some(error) = check.and_then(|check| check.error.as_ref()) {
            reasons.push(format!("the last check failed: {error}"));
        }
        let passed_over = check.iter().flat_map(|check| &check.passed_over);
        // One that cannot be reached now is what mirrors are for; one that lies is not.
        let lying = passed_over.filter(|passed| passed.kind == FailureKind::Refused);
        reasons.extend(lying.map(|passed| format!("the source {passed}")));
        let state = if reasons.is_empty() { HealthState::Ok } else { HealthState::Degraded };
        Health { state, reasons }
    }

    /// The same, with what the zones do not see.
    fn with(mut self, mounts: &[Mount]) -> Health {
        for mount in mounts {
            if let Some(problem) = &mount.problem {
                let path = mount.path.display();
                self.state = HealthState::Degraded;
                self.reasons.push(format!(
                    "zones do not see what is installed: {path}: {problem}; see the mount service"
                ));
            }
        }
        self
    }
}

/// What is wrong with the current release on disk, and its version.
pub(super) fn damage(node: &NodeView) -> Option<(&Version, &Damage)> {
    let current = node.current.as_ref()?;
    Some((&current.version, current.damage.as_ref()?))
}

/// The release that failed its trial on this node, if its channel still names that one.
fn failed_and_offered(node: &NodeView) -> Option<&Blocked> {
    let offered = node.last_check.as_ref()?.offered.as_ref()?;
    // What runs all the same stands in for another one, which is said already.
    let runs = node.current.as_ref().is_some_and(|current| current.digest == offered.digest);
    let mut failed = node.blocked.iter().filter(|blocked| blocked.failed && !runs);
    failed.find(|blocked| blocked.digest == offered.digest)
}

/// The status document. `activity` is `None` where no agent runs.
pub fn status(identity: &Identity, node: &NodeView, activity: Option<&Activity>) -> Value {
    let config = &identity.config;
    let mut document = Map::new();
    let mut put = |key: &str, value: Value| drop(document.insert(key.to_owned(), value));
    put("agent", agent(identity));
    put("server", json!({ "hostname": identity.hostname }));
    put("root", config.root.display().to_string().into());
    let source = config.source.as_ref();
    put("source", json!(source.map(Source::shown)));
    put("mirrors", json!(config.shown_mirrors()));
    put("proxy", json!(config.proxy.as_ref().map(ToString::to_string)));
    put("channel", json!(node.channel));
    put("target", json!(node.target));
    put("current", json!(node.current.as_ref().map(installed)));
    put("since", json!(node.since.map(stamp)));
    put("previous", json!(node.previous.as_ref().map(installed)));
    put("pending", json!(node.pending.as_ref().map(installed)));
    put("blocked", json!(node.blocked));
    put(
        "barred",
        json!(
            node.barred.iter().map(|barred| since(json!(barred), barred.since)).collect::<Vec<_>>()
        ),
    );
    put("held", json!(node.held.as_ref().map(|held| since(json!(held), held.since))));
    put("pinned", json!(node.pinned.as_ref().map(|pinned| since(json!(pinned), pinned.since))));
    put("trial", json!(node.trial.as_ref().map(|trial| since(json!(trial), trial.since))));
    put("stands_in", json!(node.stands_in));
    put("trust", json!(node.trust));
    put("last_check", json!(node.last_check.as_ref().map(last_check)));
    put("activity", json!(activity.map(doing)));
    put("hold", json!(node.hold));
    put("notes", json!(node.notes));
    put("alarms", json!(node.alarms));
    let mounts = activity.map(|activity| activity.mounts.as_slice());
    put("mounts", json!(mounts));
    put("health", json!(Health::of(node).with(mounts.unwrap_or_default())));
    Value::Object(document)
}

/// A document whose `since` is shown like every other time.
pub(super) fn since(mut document: Value, since: jiff::Timestamp) -> Value {
    document["since"] = stamp(since).into();
    document
}

fn agent(identity: &Identity) -> Value {
    match identity.started {
        Some((at, instant)) => json!({
            "version": identity.version,
            "running": true,
            "pid": std::process::id(),
            "started_at": stamp(at),
            "uptime_secs": instant.elapsed().as_secs(),
            "listen": identity.config.listen,
        }),
        None => json!({ "version": identity.version, "running": false }),
    }
}

fn installed(installed: &Installed) -> Value {
    let release = installed.release.as_ref();
    let damage = installed.damage.as_ref();
    json!({
        "version": installed.version,
        "digest": installed.digest,
        "installed_at": stamp(installed.installed_at),
        "commit": release.map(|release| &release.commit),
        "built_at": release.map(|release| &release.built_at),
        "damage": damage.map(|damage| since(json!(damage), damage.since)),
    })
}

fn last_check(check: &LastCheck) -> Value {
    json!({
        "at": stamp(check.at),
        "outcome": check.outcome,
        "error": check.error,
        "kind": check.kind,
        "once": check.once,
        "passed_over": check.passed_over,
        "offered": check.offered,
    })
}

fn doing(activity: &Activity) -> Value {
    json!({
        "doing": activity.doing.as_ref().map(|doing| json!({
            "work": doing.work,
            "by": doing.by,
            "since": stamp(doing.since),
            "progress": doing.progress,
        })),
        "next_check_at": activity.next_check_at.map(stamp),
        "failures": activity.failures,
    })
}

pub(super) async fn show(State(state): State<Arc<ApiState>>) -> Json<Value> {
    let activity = state.activity.borrow().clone();
    Json(status(&state.identity, &state.node.borrow(), Some(&activity)))
}
