// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A process that runs a release.

use std::time::{Duration, Instant};

use dockerlogger_manifest::status::{Life, StatusPage};

use crate::engine::trial::Tally;
use crate::engine::trial::judge::{Age, Side};
use crate::os::pages::Heard;
use crate::os::processes::Seen;

/// An account is judged when nothing moved in it for so long: counters of one
/// page are read a moment apart.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// So much may lie between the start of a logger and the look that finds it.
const SLACK: Duration = Duration::from_secs(1);

/// A process that runs a release.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logger {
    pub(super) seen: Seen,
    pub(super) side: Side,
    /// It is the child of another one.
    pub(super) sender: bool,
    /// Why it ended, or that it runs; none as long as its page was not seen.
    pub(super) life: Option<Life>,
    /// Senders of this reader that were gone at this look, and may just be before it.
    pub(super) bereaved: u64,
    /// As the judge knows it.
    pub(super) age: Age,
    /// It was seen from its start.
    since_start: bool,
    first_seen: Instant,
    /// There is a place for its page, and no page.
    without_page: bool,
    /// Senders that it outlived.
    lost: u64,
    /// Of them, and of those that its page tells of, how many are in the tally.
    counted: u64,
    told: Option<Told>,
    losing: Losing,
    blamed: bool,
}

/// Whether its account does not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Losing {
    No,
    Found,
    Counted,
}

/// What a reader's page has said so far.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// Restarts of its sender before it was watched.
    restarts_before: u64,
    /// Since.
    restarts: u64,
    account: Account,
    /// Since when the account is what it is.
    since: Instant,
}

/// The sums of a page's account, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Account {
    read: u64,
    /// Delivered, dropped for a cause, or held: at most so much is accounted for.
    explained: u64,
}

impl Account {
    fn of(page: &StatusPage) -> Self {
        let dropped: u64 = page.dropped.values().fold(0, |sum, one| sum.saturating_add(one.bytes));
        let explained = page.delivered.bytes.saturating_add(dropped);
        // With the headers that the ring has of its own: in the logger's favour.
        Self { read: page.read.bytes, explained: explained.saturating_add(page.ring.held) }
    }
}

impl Logger {
    pub(super) fn new(
        seen: Seen,
        side: Side,
        sender: bool,
        since_start: bool,
        first_seen: Instant,
    ) -> Self {
        Self {
            seen,
            side,
            sender,
            life: None,
            bereaved: 0,
            age: Age::ZERO,
            since_start,
            first_seen,
            without_page: false,
            lost: 0,
            counted: 0,
            told: None,
            losing: Losing::No,
            blamed: false,
        }
    }

    /// It was seen to live one look longer than those senders. At its end, the one
    /// goes a moment before the other.
    pub(super) fn mourn(&mut self) {
        self.lost += std::mem::take(&mut self.bereaved);
    }

    /// Since when it is known.
    pub(super) fn life_until(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.first_seen)
    }

    /// Takes in what was found of its page.
    pub(super) fn hear(&mut self, heard: &Heard, now: Instant) {
        let page = match heard {
            Heard::Page(page) => page,
            Heard::Nothing { newest } => {
                // A page that is not older than this logger has taken the place of its own.
                let age = self.life_until(now) + SLACK;
                self.without_page = newest.is_none_or(|newest| newest > age);
                return;
            }
        };
        self.life = Some(page.life);
        let (restarts, account) = (page.sender_restarts, Account::of(page));
        let restarts_before = if self.since_start { 0 } else { restarts };
        let told =
            self.told.get_or_insert(Told { restarts_before, restarts: 0, account, since: now });
        if told.account != account {
            (told.account, told.since) = (account, now);
        }
        told.restarts = restarts.saturating_sub(told.restarts_before);
        let settled = now.saturating_duration_since(told.since) >= SETTLED;
        if settled && account.read > account.explained && self.losing == Losing::No {
            self.losing = Losing::Found;
        }
    }

    /// Adds what is new to the tally; true when that is the first thing that speaks
    /// against this logger.
    pub(super) fn count(&mut self, tally: &mut Tally) -> bool {
        let gone = self.told.map_or(0, |told| told.restarts).max(self.lost);
        let lost = gone.saturating_sub(self.counted);
        self.counted = self.counted.max(gone);
        let losing = self.losing == Losing::Found;
        if losing {
            self.losing = Losing::Counted;
        }
        if lost == 0 && !losing {
            return false;
        }
        if self.side == Side::OnTrial {
            let lost = u32::try_from(lost).unwrap_or(u32::MAX);
            tally.senders_lost = tally.senders_lost.saturating_add(lost);
            tally.losing += u32::from(losing);
        }
        !std::mem::replace(&mut self.blamed, true)
    }

    /// Whether something spoke against it while it ran.
    pub(super) const fn is_blamed(&self) -> bool {
        self.blamed
    }

    /// Whether it ended before it had a page, which is the first thing it makes.
    pub(super) const fn is_mute(&self) -> bool {
        self.life.is_none() && self.without_page && self.since_start
    }
}
