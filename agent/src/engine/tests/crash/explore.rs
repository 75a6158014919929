// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Cutting the power at every moment of a run, and at every moment of the
//! recovery from that, and judging every disk that may be left.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::engine::tests::crash::cut::Cut;
use crate::engine::tests::crash::disk::Disk;
use crate::engine::tests::crash::files::{ModelFiles, Rewrite};
use crate::engine::tests::crash::invariants::Told;
use crate::engine::tests::crash::random::Random;
use crate::engine::tests::crash::run::{Run, Tampering};
use crate::engine::tests::crash::scenario::{Action, Scenario};
use crate::os::Files;

mod copies;

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Random cuts at each moment, besides the three that are not random.
    pub(super) random: usize,
    /// Cuts inside the recovery from each disk.
    pub(super) nested: usize,
    /// At every how many moments the process dies without the power, and its successor goes on.
    pub(super) kill_every: usize,
}

/// What was tried and what came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    /// Moments at which the power was cut first.
    pub(super) moments: usize,
    /// Cuts, and what they may leave: every disk that was judged.
    pub(super) states: usize,
    /// Those among them that were cuts inside a recovery.
    pub(super) nested: usize,
    /// Disks that differ.
    pub(super) distinct: usize,
    /// What does not hold, with the first place where it was seen.
    pub(super) violations: BTreeMap<String, String>,
}

impl Report {
    pub(super) fn add(&mut self, other: &Self) {
        self.moments += other.moments;
        self.states += other.states;
        self.nested += other.nested;
        self.distinct += other.distinct;
        self.violations.extend(other.violations.clone());
    }
}

/// The mistake of an engine, made anew for each of its lives.
pub(super) type Mistake<'a> = &'a dyn Fn() -> Option<Rewrite>;

pub(super) struct Explorer<'a> {
    scenario: &'a Scenario,
    effort: Effort,
    mistake: Mistake<'a>,
    /// Stop at the first violation.
    hunting: bool,
    random: Random,
    /// Disks that were judged, with what was told, and whether to the end.
    seen: HashMap<([u8; 32], String), bool>,
    report: Report,
}

/// Cuts inside cuts, at most: one in the run, two in recoveries.
const DEPTH_MAX: usize = 2;

/// Tries everything and reports.
pub(super) fn explore(scenario: &Scenario, effort: Effort) -> Report {
    let mut explorer = Explorer::new(scenario, effort, &|| None, false);
    explorer.explore();
    explorer.report
}

/// Tries until the first violation.
pub(super) fn hunt(scenario: &Scenario, effort: Effort, mistake: Mistake<'_>) -> Report {
    let mut explorer = Explorer::new(scenario, effort, mistake, true);
    explorer.explore();
    explorer.report
}

impl<'a> Explorer<'a> {
    fn new(scenario: &'a Scenario, effort: Effort, mistake: Mistake<'a>, hunting: bool) -> Self {
        let (random, seen) = (Random::new(0x10_9931), HashMap::new());
        Self { scenario, effort, mistake, hunting, random, seen, report: Report::default() }
    }

    fn explore(&mut self) {
        let scenario = self.scenario;
        let run = self.run(scenario.disk.clone(), &scenario.told, scenario.action);
        if let Some(error) = &run.error {
            self.violated("the run fails", error);
        }
        self.report.moments = run.moments.len();
        for (number, moment) in run.moments.iter().enumerate() {
            if self.over() {
                break;
            }
            let place = format!("{}: before effect {number}, {}", scenario.name, moment.next);
            for cut in self.cuts() {
                let after = moment.disk.cut(cut);
                self.judge(
                    &after,
                    &moment.told,
                    &format!("{place}, {cut:?}"),
                    0,
                    cut == Cut::Nothing,
                );
            }
            if number % self.effort.kill_every == self.effort.kill_every - 1 {
                self.kill(&moment.disk, &moment.told, &format!("{place}, killed"));
            }
        }
        self.report.distinct = self.seen.len();
    }

    /// The process dies, the power stays: its successor sees what is not durable.
    fn kill(&mut self, disk: &Disk, told: &Told, place: &str) {
        let run = self.run(disk.clone(), told, self.scenario.action);
        if let Some(error) = &run.error {
            self.violated(place, error);
            return;
        }
        // Anywhere in the life of the successor, and surely at its end.
        let last = run.moments.len() - 1;
        for number in (0..=self.effort.nested.min(last))
            .map(|n| match n {
                0 => last,
                _ => self.random.below(last + 1),
            })
            .collect::<Vec<_>>()
        {
            let moment = &run.moments[number];
            let place = format!("{place}, then before effect {number}, {}", moment.next);
            for cut in [Cut::Nothing, Cut::Some(self.random.bits())] {
                self.judge(
                    &moment.disk.cut(cut),
                    &moment.told,
                    &format!("{place}, {cut:?}"),
                    1,
                    false,
                );
            }
        }
    }

    /// Judges one disk: before recovery, after it, after another one, and
    /// after cuts inside it.
    fn judge(&mut self, disk: &Disk, told: &Told, place: &str, depth: usize, to_the_end: bool) {
        self.report.states += 1;
        if depth > 0 {
            self.report.nested += 1;
        }
        let seen = self.seen.entry((disk.fingerprint(), format!("{told:?}")));
        let judged = matches!(&seen, Entry::Occupied(so_far) if *so_far.get() || !to_the_end);
        *seen.or_default() |= to_the_end;
        if judged || self.over() {
            return;
        }
        let rules = &self.scenario.rules;
        if let Err(problem) = rules.always(&seam(disk), told) {
            self.violated(place, &format!("before recovery: {problem}"));
            return;
        }
        let first = self.run(disk.clone(), told, Action::Nothing);
        if let Err(problem) = self.settled(&first, told) {
            self.violated(place, &problem);
            return;
        }
        let end = first.end();
        let second = self.run(end.disk.clone(), &end.told, Action::Nothing);
        let same = second.end().disk.fingerprint() == end.disk.fingerprint();
        let notes = second.view.as_ref().map(|view| view.notes.clone()).unwrap_or_default();
        // A release that is damaged and cannot be replaced is said every time.
        let quiet = notes.is_empty() || rules.damaged.is_some();
        if let Err(problem) = self.settled(&second, &end.told) {
            self.violated(place, &format!("second recovery: {problem}"));
        } else if !same || !quiet {
            self.violated(place, &format!("I9: the second recovery changed something: {notes:?}"));
        }
        if to_the_end {
            self.lose_a_copy(disk, told, place);
            self.hide_a_copy(disk, told, place);
            let again = self.run(end.disk.clone(), &end.told, self.scenario.action);
            if !again.done {
                self.violated(place, &format!("the next try fails: {:?}", again.error));
            }
        }
        if depth < DEPTH_MAX {
            let moments = first.moments.len();
            let mut chosen: Vec<usize> =
                (0..self.effort.nested).map(|_| self.random.below(moments)).collect();
            if to_the_end {
                chosen.extend(0..moments);
            }
            self.nested(&first, &chosen, place, depth);
        }
    }

    fn nested(&mut self, recovery: &Run, moments: &[usize], place: &str, depth: usize) {
        for number in moments {
            let moment = &recovery.moments[*number];
            let cut = match self.random.below(4) {
                0 => Cut::Nothing,
                1 => Cut::Names,
                _ => Cut::Some(self.random.bits()),
            };
            let place = format!("{place}; in recovery before {}, {cut:?}", moment.next);
            self.judge(&moment.disk.cut(cut), &moment.told, &place, depth + 1, false);
        }
    }

    fn settled(&self, run: &Run, told: &Told) -> Result<(), String> {
        match (&run.error, &run.view) {
            (None, Some(view)) => {
                let after = self.scenario.rules.settled(&seam(&run.end().disk), told, view);
                after.map_err(|problem| format!("after recovery: {problem}"))
            }
            (error, _) => Err(format!("recovery failed: {error:?}")),
        }
    }

    fn run(&self, disk: Disk, told: &Told, action: Action) -> Run {
        let tampering = Tampering { rewrite: (self.mistake)(), trouble: None };
        self.scenario.run(disk, told, action, tampering)
    }

    fn cuts(&mut self) -> Vec<Cut> {
        let mut cuts = vec![Cut::Nothing, Cut::Everything, Cut::Names];
        cuts.extend((0..self.effort.random).map(|_| Cut::Some(self.random.bits())));
        cuts
    }

    fn over(&self) -> bool {
        self.hunting && !self.report.violations.is_empty()
    }

    fn violated(&mut self, place: &str, problem: &str) {
        // Digests and numbers make the same mistake look like many.
        let kind: String = problem.chars().filter(|c| !c.is_ascii_digit()).take(70).collect();
        self.report.violations.entry(kind).or_insert_with(|| format!("{place}: {problem}"));
    }
}

/// A disk for reading.
pub(super) fn seam(disk: &Disk) -> Arc<dyn Files> {
    Arc::new(ModelFiles::new(disk.clone(), Told::default()))
}
