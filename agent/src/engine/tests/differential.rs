// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Two verifiers on the same inputs, good ones and mutated ones: neither
//! panics, both take the same, refuse the same, and then trust the same. What one
//! takes and the other cannot read is listed here, form by form; a form that is
//! not on the list is a disagreement.
//!
//! Bytes are mutated as they are, which mostly breaks a signature; and fields
//! are mutated and signed anew with the right keys, which gets behind it; in
//! part what is above pins them, which gets behind the hashes as well.
//! `DOCKERLOGGER_MUTATIONS` says how many inputs there are; default 2000.

use std::io::Write;

use serde_json::{Value, json};

use crate::engine::digest;
use crate::engine::error::TrustError;
use crate::engine::tests::node::{Node, now};
use crate::engine::tests::publisher::{Key, Publisher, Recipe};
use crate::engine::tests::tough_verifier::ToughVerifier;
use crate::engine::trust::{
    self, Edge, Freshness, SearchError, TARGETS, TufVerifier, Verifier, VerifyError,
};

/// What `sigstore-tuf` takes and `tough` cannot read, by the latter's words. Besides: a field
/// that is given twice, of which the last one counts.
const FORMS_OF_OURS: [(&str, &str); 11] = [
    ("it is not in normal form", "what is signed has another canonical form once it is understood"),
    ("Invalid hex string: ", "a signature or a hash that is no hex: it verifies nothing"),
    ("Invalid key ID ", "an identifier that is not the key's hash: the declared one counts"),
    ("expected a nonzero u", "a pin on version 0, which no file has, or a threshold of 0"),
    ("unknown variant `", "a key of another type or scheme: it verifies nothing"),
    ("missing field `sha256`", "hashes without SHA-256: no file is found by them"),
    ("missing field `hashes`", "a target without hashes: it is not found"),
    ("missing field `roles`", "delegations to nobody"),
    ("missing field `keyids`", "a delegation without keys: nobody can sign"),
    (
        "missing field `terminating`",
        "a delegation that does not say whether it terminates: it does not",
    ),
    ("expected a boolean", "the same, said in another type"),
];

/// What `tough` takes and `sigstore-tuf` cannot read.
const FORMS_OF_THEIRS: [(&str, &str); 1] =
    [("invalid type: map, expected a string", "a hash of another kind that is no text")];

/// Whether one may refuse for this reason what the other takes.
fn listed(problem: &str, forms: &[(&str, &str)]) -> bool {
    forms.iter().any(|(form, _)| problem.contains(form))
}

/// JSON that says less once it is read.
fn gives_a_field_twice(bytes: &[u8]) -> bool {
    let dense = |bytes: &[u8]| bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
    let read = serde_json::from_slice::<Value>(bytes).and_then(|read| serde_json::to_vec(&read));
    read.is_ok_and(|read| dense(&read) < dense(bytes))
}

/// Inputs of a short run.
const MUTATIONS: u64 = 2000;

/// One step of a refresh.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Root,
    Timestamp,
    Snapshot,
    Targets,
    Delegated,
}

const STEPS: [Step; 5] =
    [Step::Root, Step::Timestamp, Step::Snapshot, Step::Targets, Step::Delegated];

/// The role of the last step.
const DELEGATED: &str = "beta";

/// What became of a step, as far as a node acts on it.
#[derive(Debug, PartialEq)]
enum Verdict {
    Taken(Option<Freshness>),
    Expired,
    /// It breaks a rule: signatures, versions, pins.
    Refused,
    /// It is not in a form that this library reads.
    Form(String),
}

fn verdict<T>(
    result: Result<T, VerifyError>,
    freshness: impl Fn(T) -> Option<Freshness>,
) -> Verdict {
    match result {
        Ok(value) => Verdict::Taken(freshness(value)),
        Err(VerifyError::Expired { .. }) => Verdict::Expired,
        Err(VerifyError::Refused(TrustError::Malformed(problem))) => Verdict::Form(problem),
        Err(VerifyError::Refused(_)) => Verdict::Refused,
    }
}

fn take(verifier: &mut dyn Verifier, step: Step, bytes: &[u8]) -> Verdict {
    match step {
        Step::Root => verdict(verifier.update_root(bytes).map_err(VerifyError::Refused), |()| None),
        Step::Timestamp => verdict(verifier.update_timestamp(bytes, now()), Some),
        Step::Snapshot => verdict(verifier.update_snapshot(bytes, now()), |()| None),
        Step::Targets => verdict(verifier.update_targets(bytes, now()), |()| None),
        Step::Delegated => {
            let edge = Edge { delegator: TARGETS.to_owned(), role: DELEGATED.to_owned() };
            verdict(verifier.update_delegated(&edge, bytes, now()), |()| None)
        }
    }
}

/// Everything a node reads from a verifier; `None` where its library cannot read a delegation.
fn trusted(verifier: &dyn Verifier) -> Option<String> {
    let expiry = ["root", "timestamp", "snapshot", TARGETS, DELEGATED]
        .map(|role| verifier.check_expiry(role, now()).is_ok());
    let pins =
        [verifier.snapshot_pin(), verifier.targets_pin(TARGETS), verifier.targets_pin(DELEGATED)];
    let mut said = format!("{:?} {expiry:?} {pins:?}", verifier.versions());
    for name in ["channels/stable.json", "releases/2.0.0.json", "releases/1.0.0.json"] {
        for role in [TARGETS, DELEGATED] {
            let delegations = verifier.delegations(role, name).ok()?;
            said.push_str(&format!(" {:?} {delegations:?}", verifier.target(role, name)));
        }
    }
    Some(said)
}

/// Randomness that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % sides.max(1)
    }
}

/// The two sides after the same steps, and the files of the repository at two moments.
struct Scene {
    /// The two verifiers after none, one … all of the steps of the first publication.
    pairs: Vec<(TufVerifier, ToughVerifier)>,
    /// The files of the first and of the second publication, one for each step.
    files: [[Vec<u8>; 5]; 2],
}

impl Scene {
    fn new() -> Self {
        let mut node = Node::new();
        let publisher = &mut node.publisher;
        publisher.delegate(TARGETS, DELEGATED, &Key::new(30), &["releases/2.?.?.json", "x/*"]);
        publisher.publish(&Recipe::new("1.0.0"));
        let anchor = publisher.read("metadata/1.root.json");
        let read = |publisher: &Publisher, number: u32| {
            [
                publisher.read("metadata/2.root.json"),
                publisher.read("metadata/timestamp.json"),
                publisher.read(&format!("metadata/{number}.snapshot.json")),
                publisher.read(&format!("metadata/{number}.targets.json")),
                publisher.read(&format!("metadata/{number}.{DELEGATED}.json")),
            ]
        };
        publisher.rotate(Key::new(1), Key::new(2));
        let first = read(publisher, 1);
        publisher.list = DELEGATED.to_owned();
        publisher.publish(&Recipe::new("2.0.0"));
        let second = read(publisher, 2);

        let ours = TufVerifier::from_anchor(&anchor).unwrap();
        let theirs = ToughVerifier::from_anchor(&anchor).unwrap();
        let mut pairs = vec![(ours, theirs)];
        for (step, bytes) in STEPS.iter().zip(&first) {
            let (mut ours, mut theirs) = pairs.last().unwrap().clone();
            assert!(matches!(take(&mut ours, *step, bytes), Verdict::Taken(_)), "{step:?}");
            assert!(matches!(take(&mut theirs, *step, bytes), Verdict::Taken(_)), "{step:?}");
            pairs.push((ours, theirs));
        }
        Self { pairs, files: [first, second] }
    }

    /// What has to be taken before a file of the step `step`, so that what is
    /// above it pins these very bytes.
    fn pinning(&self, step: Step, bytes: &[u8]) -> Vec<(Step, Vec<u8>)> {
        let mut steps = Vec::new();
        let mut pinned = (step, bytes.to_vec());
        loop {
            let (name, above) = match pinned.0 {
                Step::Root | Step::Timestamp => break,
                Step::Snapshot => ("snapshot.json", Step::Timestamp),
                Step::Targets => ("targets.json", Step::Snapshot),
                Step::Delegated => ("beta.json", Step::Snapshot),
            };
            let file: Value = serde_json::from_slice(&pinned.1).unwrap_or_default();
            let version = file["signed"]["version"].as_u64().unwrap_or(1).max(1);
            let mut file: Value = serde_json::from_slice(&self.files[0][above as usize]).unwrap();
            file["signed"]["version"] = 50.into();
            file["signed"]["meta"][name] = json!({"version": version, "length": pinned.1.len(),
                "hashes": {"sha256": digest::of(&pinned.1)}});
            file["signatures"] = json!([Key::new(2).signature(&file["signed"])]);
            pinned = (above, serde_json::to_vec(&file).unwrap());
            steps.insert(0, pinned.clone());
        }
        if step == Step::Delegated {
            steps.push((Step::Targets, self.files[0][Step::Targets as usize].clone()));
        }
        steps
    }

    /// A file that is wrong somewhere.
    fn mutated(&self, dice: &mut Dice, step: Step) -> Vec<u8> {
        let bytes = self.files[dice.roll(2)][step as usize].clone();
        match dice.roll(4) {
            0 => flip(bytes, dice),
            1 => cut_or_repeat(bytes, dice),
            _ => {
                let mut file: Value = serde_json::from_slice(&bytes).unwrap();
                for _ in 0..=dice.roll(2) {
                    mutate(&mut file["signed"], dice, 0);
                }
                let keys = match step {
                    Step::Root => [1, 2],
                    Step::Delegated => [30, 2],
                    _ => [2, 1],
                };
                let [key, other] = keys.map(Key::new);
                let mut signatures = vec![key.signature(&file["signed"])];
                match dice.roll(8) {
                    0 => signatures.push(other.signature(&file["signed"])),
                    1 => signatures.push(signatures[0].clone()),
                    2 => signatures.clear(),
                    _ => {}
                }
                file["signatures"] = signatures.into();
                serde_json::to_vec(&file).unwrap()
            }
        }
    }
}

fn flip(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(bytes.len());
        bytes[at] ^= 1 << dice.roll(8);
    }
    bytes
}

fn cut_or_repeat(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let (from, length) = (dice.roll(bytes.len()), dice.roll(64));
    let to = (from + length).min(bytes.len());
    let part = bytes[from..to].to_vec();
    match dice.roll(3) {
        0 => bytes.truncate(from),
        1 => drop(bytes.drain(from..to)),
        _ => drop(bytes.splice(from..from, part)),
    }
    bytes
}

/// Changes one thing somewhere in a document.
fn mutate(value: &mut Value, dice: &mut Dice, depth: usize) {
    let descend = depth < 5 && dice.roll(4) > 0;
    match value {
        Value::Object(fields) if descend && !fields.is_empty() => {
            let at = dice.roll(fields.len());
            if let Some(field) = fields.values_mut().nth(at) {
                return mutate(field, dice, depth + 1);
            }
        }
        Value::Array(items) if descend && !items.is_empty() => {
            let at = dice.roll(items.len());
            return mutate(&mut items[at], dice, depth + 1);
        }
        _ => {}
    }
    match value {
        Value::Object(fields) => match dice.roll(3) {
            0 => {
                let key = fields.keys().nth(dice.roll(fields.len())).cloned();
                key.map(|key| fields.remove(&key));
            }
            1 => drop(fields.insert("novel".to_owned(), json!({"a": [1, null, "\u{e9}\n"]}))),
            _ => *value = Value::Null,
        },
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or(0);
            let others =
                [number.saturating_add(1), number.saturating_sub(1), 0, u64::MAX, number / 2];
            *value = others[dice.roll(others.len())].into();
        }
        Value::String(text) => {
            let others = [
                String::new(),
                format!("{text}x"),
                text.to_uppercase(),
                "2020-01-01T00:00:00Z".to_owned(),
                "2099-01-01T00:00:00Z".to_owned(),
                "ab".repeat(32),
                text.chars().rev().collect(),
            ];
            *value = others[dice.roll(others.len())].clone().into();
        }
        Value::Bool(flag) => *value = (!*flag).into(),
        Value::Array(items) => match dice.roll(2) {
            0 => items.clear(),
            _ => items.extend(items.clone()),
        },
        Value::Null => *value = 1.into(),
    }
}

#[test]
fn two_verifiers_agree_on_what_is_published() {
    let scene = Scene::new();
    let (mut ours, mut theirs) = scene.pairs.last().unwrap().clone();
    assert_eq!(trusted(&ours), trusted(&theirs));
    for step in &STEPS[1..] {
        let bytes = &scene.files[1][*step as usize];
        let taken = take(&mut ours, *step, bytes);
        assert!(matches!(taken, Verdict::Taken(_)), "{step:?}");
        assert_eq!(take(&mut theirs, *step, bytes), taken);
        assert_eq!(trusted(&ours), trusted(&theirs));
    }
    let searched = |verifier: &mut dyn Verifier| {
        let fetch = |_: &str, _| Err::<Vec<u8>, _>(());
        let found = trust::search(verifier, "releases/2.0.0.json", now(), 1, fetch);
        found.map_err(|error| matches!(error, SearchError::Fetch(()))).unwrap()
    };
    assert!(searched(&mut ours).is_some());
    assert_eq!(searched(&mut ours), searched(&mut theirs));
}

#[test]
fn two_verifiers_agree_on_what_is_mutated() {
    let scene = Scene::new();
    let wanted = std::env::var("DOCKERLOGGER_MUTATIONS").ok();
    let mutations = wanted.and_then(|text| text.parse().ok()).unwrap_or(MUTATIONS);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut taken, mut forms, mut disagreements) = (0_u64, 0_u64, Vec::new());
    for number in 0..mutations {
        // Half of them after everything else.
        let done = dice.roll(2 * scene.pairs.len()).min(scene.pairs.len() - 1);
        let (mut ours, mut theirs) = scene.pairs[done].clone();
        // Mostly the step that comes next, or one of the last few again.
        let step = match dice.roll(4) {
            0 => STEPS[dice.roll(STEPS.len())],
            _ => STEPS[(done.saturating_sub(dice.roll(4))).min(STEPS.len() - 1)],
        };
        let bytes = scene.mutated(&mut dice, step);
        if dice.roll(2) == 0 && done == STEPS.len() {
            for (step, bytes) in scene.pinning(step, &bytes) {
                let here = take(&mut ours, step, &bytes);
                assert_eq!(here, take(&mut theirs, step, &bytes), "{number} {step:?}");
            }
        }
        let (here, there) = (take(&mut ours, step, &bytes), take(&mut theirs, step, &bytes));
        taken += u64::from(matches!(here, Verdict::Taken(_)));
        let (sees, other_sees) = (trusted(&ours), trusted(&theirs));
        let agreed = match (&here, &there) {
            (Verdict::Taken(_), Verdict::Form(problem)) => {
                forms += 1;
                listed(problem, &FORMS_OF_OURS) || gives_a_field_twice(&bytes)
            }
            (Verdict::Form(problem), Verdict::Taken(_)) => {
                forms += 1;
                listed(problem, &FORMS_OF_THEIRS)
            }
            // Taken by neither is agreement, whatever each of them says first.
            (Verdict::Form(_), _) | (_, Verdict::Form(_)) => sees == other_sees,
            (here, there) => here == there && sees == other_sees,
        };
        if !agreed {
            let file = String::from_utf8_lossy(&bytes).into_owned();
            disagreements.push(format!("{number} {step:?}: {here:?} {there:?}: {file}"));
        }
    }
    let shown: Vec<String> =
        disagreements.iter().map(|text| text.chars().take(330).collect()).collect();
    assert!(shown.is_empty(), "{} of {mutations}: {shown:#?}", shown.len());
    assert!(taken > mutations / 100, "only {taken} of {mutations} mutations were taken at all");
    // Shown with `--nocapture`: what the run was worth.
    let _ = writeln!(
        std::io::stderr(),
        "{mutations} mutations: {taken} taken, {forms} in a listed form that one library alone reads, 0 disagreements"
    );
}
