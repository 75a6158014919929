// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Whether what was seen proves that a release is bad. Pure.
//!
//! Every owner of containers has one voice, however many zones or loggers he has:
//! root in a container can kill his own loggers and write what he likes on their
//! pages, as often as he likes. He is against the release when a tenth of his
//! loggers failed, each counted once. That is asked of all loggers, then of those
//! alone that became a second old, two seconds, four …: a release that kills at
//! the age of fifteen seconds harms no container that ends before. Then:
//!
//! - three owners have to be against it, and a tenth of those whose loggers
//!   became so old;
//! - where only one or two owners had loggers start, both have to be, each with
//!   three loggers that failed; one is enough only if nobody else has any logger
//!   on this node;
//! - the share has to be more than twice that of the owners whose loggers of
//!   releases before fail at the same time, one of them not counted: what kills
//!   those too is not the release;
//! - a configuration that is refused may be the customer's mistake, so it counts
//!   where more than half of the owners are against the release because of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::trial::Tally;
use crate::os::zones::Owner;

/// As many owners against a release prove a fault.
pub(super) const OWNERS_MIN: usize = 3;

/// As many failed loggers of an owner are no accident.
pub(super) const REPEATED: u32 = 3;

/// One in so many of an owner's loggers, and of the owners.
const SHARE: usize = 10;

/// Which release a logger runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The one on trial.
    OnTrial,
    /// One before it.
    Before,
}

/// What speaks against a logger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It died, lost a sender, or loses lines.
    Failed,
    /// It refused its configuration.
    Refused,
}

/// How old a logger became: nothing, or 2ⁿ⁻¹ seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age(usize);

/// Ages that are told apart: the last one is more than half an hour.
const AGES: usize = 13;

impl Age {
    /// Of a logger that was just seen.
    pub(super) const ZERO: Self = Self(0);

    pub(super) fn of(life: Duration) -> Self {
        let bits = u64::BITS - life.as_secs().leading_zeros();
        Self(usize::try_from(bits).unwrap_or(0).min(AGES - 1))
    }

    /// The one after it.
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// An owner's loggers.
#[derive(Debug, Clone, Copy, Default)]
struct Loggers {
    /// By each age that they reached.
    reached: [u32; AGES],
    /// By the age at which they did.
    failed: [u32; AGES],
    refused: [u32; AGES],
}

impl Loggers {
    /// Those that failed of those that became so old.
    fn failures(&self, age: usize, faults: Faults) -> u32 {
        let since = |counts: &[u32; AGES]| counts.iter().skip(age).sum::<u32>();
        match faults {
            Faults::Failures => since(&self.failed),
            Faults::All => since(&self.failed) + since(&self.refused),
        }
    }

    /// The same, if it is enough of them to speak against the release.
    fn against(&self, age: usize, faults: Faults) -> Option<u32> {
        let failures = self.failures(age, faults);
        let share = u32::try_from(SHARE).unwrap_or(u32::MAX);
        (failures > 0 && failures.saturating_mul(share) >= self.reached[age]).then_some(failures)
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faults {
    Failures,
    /// Refused configurations too.
    All,
}

/// What is known of every owner.
#[derive(Debug, Default)]
pub(super) struct Judge {
    on_trial: BTreeMap<Owner, Loggers>,
    before: BTreeMap<Owner, Loggers>,
}

impl Judge {
    /// A logger reached this age; to be called for one after the other.
    pub(super) fn saw(&mut self, owner: &Owner, side: Side, age: Age) {
        self.loggers(owner, side).reached[age.0] += 1;
    }

    /// A logger that was seen failed at this age; to be called once for each.
    pub(super) fn blame(&mut self, owner: &Owner, side: Side, age: Age, fault: Fault) {
        let loggers = self.loggers(owner, side);
        match fault {
            Fault::Failed => loggers.failed[age.0] += 1,
            Fault::Refused => loggers.refused[age.0] += 1,
        }
    }

    fn loggers(&mut self, owner: &Owner, side: Side) -> &mut Loggers {
        let owners = match side {
            Side::OnTrial => &mut self.on_trial,
            Side::Before => &mut self.before,
        };
        owners.entry(owner.clone()).or_default()
    }

    /// What is wrong with the release, if that is proven. `tally` is for the words.
    pub(super) fn verdict(&self, tally: Tally) -> Option<String> {
        let (against, all) = (0..AGES).find_map(|age| self.proven(age))?;
        let Tally { started, senders_lost, losing, died, refused, .. } = tally;
        let counts = [
            (died, "loggers died"),
            (senders_lost, "senders died"),
            (losing, "loggers lost lines that they account for nowhere"),
            (refused, "loggers refused their configuration"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        let counts = counts.join(", ");
        Some(format!(
            "it failed containers of {against} of {all} owners in its trial: \
             of {started} loggers started, {counts}"
        ))
    }

    /// How many owners of how many are against the release, if that is enough, by
    /// those of their loggers that became so old.
    fn proven(&self, age: usize) -> Option<(usize, usize)> {
        let all = self.on_trial.values().filter(|loggers| loggers.reached[age] > 0).count();
        let failing = self.against(age, Faults::Failures);
        if self.proves(&failing, all) {
            return Some((failing.len(), all));
        }
        let refusing = self.against(age, Faults::All);
        let most = refusing.len() * 2 > all;
        (most && self.proves(&refusing, all)).then_some((refusing.len(), all))
    }

    /// The faults of each owner who is against the release.
    fn against(&self, age: usize, faults: Faults) -> Vec<u32> {
        self.on_trial.values().filter_map(|loggers| loggers.against(age, faults)).collect()
    }

    /// Whether so many of `all` owners prove that the release is bad.
    fn proves(&self, against: &[u32], all: usize) -> bool {
        let (owners, count) = (self.on_trial.len(), against.len());
        let alone = owners == 1 && self.before.keys().all(|one| self.on_trial.contains_key(one));
        let enough = if owners < OWNERS_MIN {
            let wanted = if alone { 1 } else { 2 };
            count >= wanted && against.iter().all(|faults| *faults >= REPEATED)
        } else {
            count >= OWNERS_MIN && count * SHARE >= all
        };
        let before = self.before.values();
        let dying = before.filter(|loggers| loggers.against(0, Faults::Failures).is_some()).count();
        let dying = dying.saturating_sub(1);
        enough && (dying == 0 || count * self.before.len() > 2 * dying * all)
    }
}

#[cfg(test)]
mod tests;
