// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `GET /explain`: why this node is on its release, and what it waits for.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::api::status::{damage, since};
use crate::api::{ApiState, Identity, stamp};
use crate::engine::{LastCheck, NodeView, Record};
use crate::service::Activity;

/// What a node waits for: a word for programs, and the rest of a sentence.
#[derive(Debug, PartialEq, Eq)]
struct Wait {
    what: &'static str,
    detail: String,
}

/// The explanation document. Pure. Also what `explain` prints where no agent runs.
pub fn explain(identity: &Identity, node: &NodeView, activity: Option<&Activity>) -> Value {
    let record = origin(node);
    let wait = wait(identity.config.source.is_some(), node, activity);
    let current = node.current.as_ref();
    json!({
        "sentence": format!("{}; {}", because(node, record), wait.detail),
        "release": current.map(|current| current.version.to_string()),
        "digest": current.map(|current| current.digest),
        "since": node.since.map(stamp),
        "damage": damage(node).map(|(_, damage)| since(json!(damage), damage.since)),
        "because": record,
        "waits_for": { "what": wait.what, "detail": wait.detail },
        "next_check_at": activity.and_then(|activity| activity.next_check_at).map(stamp),
    })
}

pub(super) async fn show(State(state): State<Arc<ApiState>>) -> Json<Value> {
    let activity = state.activity.borrow().clone();
    Json(explain(&state.identity, &state.node.borrow(), Some(&activity)))
}

/// The record of the change that made the current release current.
fn origin(node: &NodeView) -> Option<&Record> {
    let version = node.current.as_ref()?.version.to_string();
    let moves = ["update", "rollback", "repair", "trial-revert"];
    let mut newest = node.history.iter().rev();
    newest.find(|record| {
        moves.contains(&record.what.as_str()) && record.to.as_ref() == Some(&version)
    })
}

fn because(node: &NodeView, record: Option<&Record>) -> String {
    let Some(current) = &node.current else {
        return "no release is installed".to_owned();
    };
    let version = &current.version;
    let since = node.since.map(|since| format!(" since {}", stamp(since))).unwrap_or_default();
    let installed = match record {
        Some(record) => format!(
            "release {version} is installed{since} because {} ({} by {})",
            record.why, record.what, record.who
        ),
        None => format!("release {version} is installed{since}, and no record says why"),
    };
    match &current.damage {
        Some(damage) => {
            format!("{installed}; it {damage}, first seen at {}", stamp(damage.since))
        }
        None => installed,
    }
}

/// What has to happen before anything changes here, the strongest reason first.
fn wait(source: bool, node: &NodeView, activity: Option<&Activity>) -> Wait {
    let wait = |what, detail| Wait { what, detail };
    if let Some(hold) = &node.hold {
        return wait("repair", format!("it waits for an operator to repair its state: {hold}"));
    }
    if let Some(doing) = activity.and_then(|activity| activity.doing.as_ref()) {
        let so_far = doing.progress.as_ref().map(|sign| format!(", {sign}")).unwrap_or_default();
        let work = doing.work;
        return wait("work", format!("it waits for nothing: {work} is in progress{so_far}"));
    }
    // How an order went says nothing of what the node follows.
    let last_check = node.last_check.as_ref().filter(|check| !check.once);
    let failed = last_check.and_then(|check| Some((check, check.error.as_ref()?)));
    let failure = failed.map(|(check, error)| {
        let (at, passed_over) = (stamp(check.at), passed_over(check));
        format!("since that at {at} failed: {error}{passed_over}")
    });
    // No hold and no trial is in the way of a repair; a block is.
    if let (Some((version, _)), None) = (damage(node), &node.stands_in) {
        return match (source, failure) {
            (true, None) => {
                let detail =
                    format!("it waits for the next check to fetch release {version} again");
                wait("check", detail)
            }
            (true, Some(failure)) => {
                let detail = format!(
                    "it waits for the next check to succeed and to fetch release {version} again, \
                     {failure}"
                );
                wait("source", detail)
            }
            (false, _) => {
                let detail = format!(
                    "it waits for a bundle with release {version}, since no source is configured"
                );
                wait("bundle", detail)
            }
        };
    }
    if let Some(held) = &node.held {
        let (by, since) = (&held.by, stamp(held.since));
        let detail = format!(
            "it waits for an operator to release the hold of {by} since {since}: {}",
            held.reason
        );
        return wait("operator", detail);
    }
    if let Some(trial) = &node.trial {
        let (version, tally) = (&trial.version, trial.tally);
        let detail = format!(
            "it waits for the trial of release {version} to end: {} loggers started, {} died{}",
            tally.started,
            tally.died,
            node.unwatched.iter().map(|why| format!("; {why}")).collect::<String>()
        );
        return wait("trial", detail);
    }
    if let (Some(current), Some(stands_in)) = (&node.current, &node.stands_in) {
        let detail = format!(
            "it waits for a release that takes the place of {}: {stands_in}",
            current.version
        );
        return wait("release", detail);
    }
    if let Some(failure) = failure {
        return wait("source", format!("it waits for the next check to succeed, {failure}"));
    }
    if let Some(pinned) = &node.pinned {
        let (version, by) = (&pinned.version, &pinned.by);
        let current = node.current.as_ref().is_some_and(|current| current.version == *version);
        return if current {
            wait(
                "operator",
                format!("it waits for an operator to lift the pin to {version} of {by}"),
            )
        } else {
            wait(
                "check",
                format!(
                    "it waits for the next check to bring release {version}, to which {by} pinned it"
                ),
            )
        };
    }
    match (last_check, source) {
        (Some(check), true) => {
            let detail = format!(
                "it waits for channel {} to offer another release: at {} the answer was that {}{}",
                node.channel,
                stamp(check.at),
                check.outcome,
                passed_over(check)
            );
            wait("channel", detail)
        }
        (None, true) => wait("check", "it waits for the next check of its source".to_owned()),
        (_, false) => {
            let detail = "it waits for a bundle, since no source is configured".to_owned();
            wait("bundle", detail)
        }
    }
}

/// The sources that failed before another one was asked, as the end of a sentence.
fn passed_over(check: &LastCheck) -> String {
    check.passed_over.iter().map(|passed| format!("; {passed}")).collect()
}

#[cfg(test)]
mod tests {
    use dockerlogger_manifest::{Extra, Target};
    use jiff::Timestamp;

    use super::*;
    use crate::engine::{FailureKind, Held, PassedOver, Pinned, StandsIn};

    fn node() -> NodeView {
        NodeView::empty("stable".parse().unwrap(), Target::of_this_build())
    }

    fn check(outcome: &str, error: Option<&str>) -> Option<LastCheck> {
        let (outcome, error) = (outcome.to_owned(), error.map(str::to_owned));
        let (at, passed_over) = (Timestamp::UNIX_EPOCH, Vec::new());
        let (kind, once, offered) = (None, false, None);
        Some(LastCheck { at, outcome, error, kind, once, passed_over, offered })
    }

    #[test]
    fn the_strongest_reason_is_told() {
        let (by, since) = ("socket uid 0".to_owned(), Timestamp::UNIX_EPOCH);
        let mut node = node();
        assert_eq!(wait(false, &node, None).what, "bundle");
        assert_eq!(wait(true, &node, None).what, "check");
        node.last_check = check("release 1.0.0 is installed", None);
        let told = wait(true, &node, None);
        assert_eq!(told.what, "channel");
        assert!(told.detail.ends_with("the answer was that release 1.0.0 is installed"));
        node.pinned = Some(Pinned {
            version: "1.0.0".parse().unwrap(),
            by: by.clone(),
            since,
            extra: Extra::new(),
        });
        assert_eq!(wait(true, &node, None).what, "check");
        node.last_check = check("", Some("no route"));
        assert_eq!(wait(true, &node, None).what, "source");
        node.stands_in = Some(StandsIn { why: "it leaks".to_owned(), wanted: None });
        assert_eq!(wait(true, &node, None).what, "source", "there is no release that stands in");
        node.held = Some(Held { reason: "freeze".to_owned(), by, since, extra: Extra::new() });
        let told = wait(true, &node, None);
        assert_eq!(told.what, "operator");
        assert!(told.detail.ends_with("of socket uid 0 since 1970-01-01T00:00:00.000Z: freeze"));
        node.hold = Some("the state is lost".to_owned());
        assert_eq!(wait(true, &node, None).what, "repair");
    }

    #[test]
    fn how_an_order_went_is_not_waited_for() {
        let mut node = node();
        node.last_check = check("", Some("no such file"));
        assert_eq!(wait(true, &node, None).what, "source");
        node.last_check.as_mut().unwrap().once = true;
        assert_eq!(wait(true, &node, None).what, "check");
        assert_eq!(wait(false, &node, None).what, "bundle");
    }

    #[test]
    fn sources_that_were_passed_over_are_named_with_their_reason() {
        let mut node = node();
        let passed = PassedOver {
            source: "http://liar/".to_owned(),
            why: "refused timestamp metadata".to_owned(),
            kind: FailureKind::Refused,
        };
        node.last_check = check("release 1.0.0 is installed", None);
        node.last_check.as_mut().unwrap().passed_over.push(passed);
        let told = wait(true, &node, None);
        let end = "is installed; http://liar/ was passed over: refused timestamp metadata";
        assert!(told.detail.ends_with(end), "{}", told.detail);
    }

    #[test]
    fn a_node_without_a_release_says_so() {
        assert_eq!(because(&node(), None), "no release is installed");
    }
}
