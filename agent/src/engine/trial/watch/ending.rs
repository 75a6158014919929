// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A logger that is gone, until it is known why.

use std::time::{Duration, Instant};

use dockerlogger_manifest::status::Life;

use crate::engine::trial::judge::Fault;
use crate::engine::trial::watch::logger::Logger;
use crate::os::processes::{ProcessTable, Seen};
use crate::os::zones::Zone;

/// How long a page may take to be read, and a zone to halt.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Companions that are remembered.
const COMPANIONS_MAX: usize = 16;

/// The exit status of a logger that refuses its configuration.
const EX_CONFIG: u16 = 78;

/// A logger that is gone.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) number: u32,
    pub(super) logger: Logger,
    noticed: Instant,
    /// Processes of its zone that were there before and still are, with their births.
    companions: Vec<(u32, u64)>,
}

impl Ending {
    pub(super) fn new(
        number: u32,
        logger: Logger,
        noticed: Instant,
        companions: impl Iterator<Item = (u32, Seen)>,
    ) -> Self {
        let companions = companions.map(|(number, seen)| (number, seen.birth));
        Self { number, logger, noticed, companions: companions.take(COMPANIONS_MAX).collect() }
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        !matches!(self.logger.life, None | Some(Life::Runs))
            || now.saturating_duration_since(self.noticed) >= GRACE
    }

    /// What its end says against the release.
    pub(super) fn fault(&self, table: &dyn ProcessTable, host: Option<Zone>) -> Option<Fault> {
        match self.logger.life {
            Some(Life::Failed { status: EX_CONFIG }) => Some(Fault::Refused),
            Some(Life::Failed { .. } | Life::Crashed { .. }) => Some(Fault::Failed),
            // Without a word. Outside of zones nobody is there to ask.
            None | Some(Life::Runs) if Some(self.logger.seen.zone) != host => {
                // Its zone lives on, or it ended before it was at work.
                let died = self.zone_lives(table) || self.logger.is_mute();
                died.then_some(Fault::Failed)
            }
            _ => None,
        }
    }

    /// Whether somebody of its zone outlived it.
    fn zone_lives(&self, table: &dyn ProcessTable) -> bool {
        let lives = |(number, birth): &(u32, u64)| {
            table.look(*number).is_some_and(|seen| seen.birth == *birth)
        };
        self.companions.iter().any(lives)
    }
}
