// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What an operator or the clock can ask for, and how it is told what became of it.
//!
//! The running agent and the command line without one do the same work through [`perform`]; over
//! the socket its [`Event`]s travel as lines of JSON.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Change, Decision, Engine, FailureKind, Outcome, Plan, Progress, Source};
use crate::report::chain;

/// A piece of work for the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Bring this node to what the source offers.
    Update(Source),
    /// The same, and take metadata although it has expired.
    UpdateExpired(Source),
    /// Say what an update would do.
    Plan(Source),
    /// Go back to the previous release.
    Rollback,
    /// Lay down or lift a hold, a pin or a block.
    Change(Change),
}

impl Work {
    /// In a word, for logs and status pages.
    pub fn name(&self) -> &'static str {
        match self {
            Work::Update(_) | Work::UpdateExpired(_) => "update",
            Work::Plan(_) => "plan",
            Work::Rollback => "rollback",
            Work::Change(_) => "change",
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Change(change) => change.fmt(f),
            other => f.write_str(other.name()),
        }
    }
}

/// What is told about a piece of work: any number of `progress`, then exactly one of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A sign of life.
    Progress {
        /// For a person.
        text: String,
        /// For a program.
        detail: Value,
    },
    /// What an update would do.
    Planned {
        /// For a person, a line each.
        lines: Vec<String>,
        /// For a program.
        plan: Value,
    },
    /// It is done, and durable.
    Done {
        /// For a person, a line each.
        lines: Vec<String>,
        /// For a program.
        result: Value,
    },
    /// It was not done; what was installed before still is.
    Failed {
        /// The chain of causes.
        text: String,
        /// What to do about it.
        kind: FailureKind,
    },
}

/// Does `work` and returns how it ended; everything on the way there goes to `emit`.
pub async fn perform(
    engine: &mut Engine,
    work: &Work,
    now: Timestamp,
    emit: &mut (dyn FnMut(Event) + Send),
) -> Event {
    match work {
        Work::Plan(source) => match engine.plan(source, now).await {
            Ok(plan) => Event::Planned { lines: plan_lines(&plan), plan: json(&plan) },
            Err(error) => Event::failed(&error, error.kind()),
        },
        Work::Update(source) | Work::UpdateExpired(source) => {
            let allow_expired = matches!(work, Work::UpdateExpired(_));
            let mut tell = |progress: Progress| {
                emit(Event::Progress { text: progress_text(&progress), detail: json(&progress) });
            };
            let updated = engine.update_unless_expired(source, allow_expired, now, &mut tell);
            match updated.await {
                Ok(outcome) => Event::done(&outcome),
                Err(error) => Event::failed(&error, error.kind()),
            }
        }
        Work::Change(change) => match engine.change(change.clone(), now).await {
            Ok(changed) => {
                Event::Done { lines: vec![changed.text.clone()], result: json(&changed) }
            }
            Err(error) => Event::failed(&error, error.kind()),
        },
        Work::Rollback => match engine.rollback(now).await {
            Ok(outcome) => Event::done(&outcome),
            Err(error) => Event::failed(&error, error.kind()),
        },
    }
}

impl Event {
    /// Whether nothing follows it.
    pub fn is_last(&self) -> bool {
        !matches!(self, Event::Progress { .. })
    }

    fn done(outcome: &Outcome) -> Event {
        Event::Done { lines: outcome_lines(outcome), result: json(outcome) }
    }

    fn failed(error: &(dyn std::error::Error + 'static), kind: FailureKind) -> Event {
        Event::Failed { text: chain(error).to_string(), kind }
    }
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn progress_text(progress: &Progress) -> String {
    match progress {
        Progress::Checking => "asking the source".to_owned(),
        Progress::Decided(plan) => decision_text(&plan.decision),
        Progress::Step(step) => step.to_string(),
        Progress::PassedOver(passed) => passed.to_string(),
        Progress::Resuming { bytes, total } => {
            format!("{bytes} of {total} bytes are here already")
        }
        Progress::Downloading { bytes, total } => format!("fetched {bytes} of {total} bytes"),
    }
}

fn decision_text(decision: &Decision) -> String {
    match decision {
        Decision::Stay(reason) => format!("nothing to do: {reason}"),
        Decision::Move(target) => match &target.from {
            Some(from) => format!("release {from} is to become {}", target.to),
            None => format!("release {} is to be installed", target.to),
        },
    }
}

fn plan_lines(plan: &Plan) -> Vec<String> {
    let mut lines = vec![decision_text(&plan.decision)];
    lines.extend(plan.steps.iter().map(|step| format!("  would {step}")));
    lines.extend(plan.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines
}

fn outcome_lines(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Stayed(reason) => vec![format!("nothing changed: {reason}")],
        Outcome::Moved { from, to, warnings } => {
            let mut lines = vec![match from {
                Some(from) => format!("release {from} became {to}"),
                None => format!("release {to} is installed"),
            }];
            lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
            lines
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Reason, Step};

    fn version(text: &str) -> dockerlogger_manifest::Version {
        text.parse().unwrap()
    }

    #[test]
    fn events_survive_the_socket() {
        let reason = Reason::AlreadyInstalled { version: version("1.0.0") };
        let moved = Outcome::Moved {
            from: Some(version("1.0.0")),
            to: version("1.1.0"),
            warnings: vec!["old metadata".to_owned()],
        };
        let mut events = vec![
            Event::done(&moved),
            Event::done(&Outcome::Stayed(reason)),
            Event::Progress {
                text: progress_text(&Progress::Downloading { bytes: 1, total: 2 }),
                detail: json(&Progress::Downloading { bytes: 1, total: 2 }),
            },
        ];
        for kind in [FailureKind::Refused, FailureKind::Temporary, FailureKind::Local] {
            events.push(Event::failed(&std::io::Error::other("no"), kind));
        }
        for event in events {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
            assert_eq!(event.is_last(), !matches!(event, Event::Progress { .. }));
        }
        assert!(
            serde_json::from_str::<Event>(r#"{"event":"failed","text":"","kind":"odd"}"#).is_err()
        );
    }

    #[test]
    fn people_get_sentences() {
        let reason = Reason::AlreadyInstalled { version: version("1.0.0") };
        assert_eq!(
            outcome_lines(&Outcome::Stayed(reason.clone())),
            ["nothing changed: release 1.0.0 is installed"]
        );
        let moved = |from: Option<&str>| Outcome::Moved {
            from: from.map(version),
            to: version("1.1.0"),
            warnings: Vec::new(),
        };
        assert_eq!(outcome_lines(&moved(None)), ["release 1.1.0 is installed"]);
        assert_eq!(outcome_lines(&moved(Some("1.0.0"))), ["release 1.0.0 became 1.1.0"]);
        let plan = Plan {
            decision: Decision::Stay(reason),
            steps: vec![Step::Probe { version: version("1.1.0") }],
            warnings: vec!["the clock is odd".to_owned()],
        };
        assert_eq!(
            plan_lines(&plan),
            [
                "nothing to do: release 1.0.0 is installed",
                "  would run the logger: is it release 1.1.0?",
                "warning: the clock is odd",
            ]
        );
    }
}
