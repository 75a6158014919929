// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Runs cases: interleaved over the programs, the first round thrown away.

use super::cases::{CASES, Case, Repeat};
use super::output::progress;
use super::report::Results;
use super::subject::{Role, Subject};

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rounds that count; one more is run before them and thrown away.
    pub runs: usize,
    /// A few seconds per case.
    pub size: Size,
    /// Only cases whose name holds one of these; empty: all.
    pub filters: Vec<String>,
    /// What is compared, in the order of each round; the first is the logger.
    pub subjects: Vec<Subject>,
    /// One line of [`super::generator::lines`] as the logger sends it.
    pub frame: Vec<u8>,
}

/// How large the cases are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// For figures that are worth keeping.
    Full,
    /// For a look, and for a test of the bench itself.
    Quick,
}

impl Size {
    /// The first in full, the second when quick.
    pub fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Size::Full => full,
            Size::Quick => quick,
        }
    }
}

/// What a case is told.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// What is measured now.
    pub subject: &'a Subject,
    /// The logger.
    pub logger: &'a Subject,
    /// How large.
    pub size: Size,
    /// One line as the logger sends it.
    pub frame: &'a [u8],
}

impl Plan {
    /// Runs every case that is asked for.
    pub fn run(&self) -> Results {
        let mut results = Results::default();
        let wanted: Vec<&Case> = CASES.iter().filter(|case| self.wants(case)).collect();
        for (idx, case) in wanted.iter().enumerate() {
            self.run_case(case, &format!("[{}/{}]", idx + 1, wanted.len()), &mut results);
        }
        results
    }

    fn wants(&self, case: &Case) -> bool {
        let named = self.filters.iter().any(|filter| case.name.contains(filter.as_str()));
        named || self.filters.is_empty()
    }

    fn run_case(&self, case: &Case, position: &str, results: &mut Results) {
        let (warm_ups, runs) = match case.repeat {
            Repeat::Rounds => (1, self.runs),
            Repeat::Once => (0, 1),
        };
        for round in 0..warm_ups + runs {
            for subject in &self.subjects {
                if matches!(subject.role, Role::Limit | Role::Floor)
                    && !case.beside.contains(&subject.role)
                {
                    continue;
                }
                let what = if round < warm_ups {
                    "warm-up".to_owned()
                } else {
                    format!("run {}", round - warm_ups + 1)
                };
                progress(&format!("{position} {}: {}, {what}", case.name, subject.role));
                let setup = Setup {
                    subject,
                    logger: &self.subjects[0],
                    size: self.size,
                    frame: &self.frame,
                };
                let figures = case.measure(&setup);
                if round >= warm_ups {
                    results.add(case, subject.role, figures);
                }
            }
        }
    }
}
