// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Orders that come while other work is in progress: which of them ends that, which comes next.
//!
//! | in progress | is ended by |
//! |---|---|
//! | what the clock asked for | any order |
//! | an update or a plan of an operator | a change (hold, pin, block …) and a rollback |
//! | a change, a rollback | nothing: they are short |
//!
//! Ended means: at once while the source is asked or sends, before the next step else, and not at all
//! once the intent to switch is written down. What came of an artifact is kept.

use std::collections::VecDeque;

use serde_json::json;

use crate::service::{Doing, ORDERS_MAX, Order};
use crate::work::{Event, Work};

/// What may end what: the greater one the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// What the clock asks for.
    Clock,
    /// What takes its time.
    Long,
    /// What is short, and may be meant to end what takes its time.
    Short,
}

impl Urgency {
    /// Of an order; of the clock's work without one.
    pub(super) fn of(order: Option<&Order>) -> Self {
        match order.map(|order| &order.work) {
            None => Self::Clock,
            Some(Work::Update(_) | Work::UpdateExpired(_) | Work::Plan(_)) => Self::Long,
            Some(Work::Rollback | Work::Change(_)) => Self::Short,
        }
    }
}

/// Orders that were taken and not begun.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<Order>);

impl Waiting {
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < ORDERS_MAX
    }

    /// Takes an order and tells its client what it waits for. `ends`: that is being ended for it.
    pub(super) fn push(&mut self, order: Order, doing: Option<&Doing>, ends: bool) {
        if let Some(doing) = doing {
            let verb = if ends { "ending" } else { "waiting for" };
            let Doing { work, by, since, progress } = doing;
            let so_far = progress.as_ref().map(|sign| format!(": {sign}")).unwrap_or_default();
            let text = format!("{verb} the {work} of {by} since {since:.3}{so_far}");
            let detail = json!({
                "progress": "waiting",
                "ends": ends,
                "for": { "work": work, "by": by, "since": format!("{since:.3}"), "progress": progress },
            });
            // A client that does not read is not waited for.
            drop(order.events.try_send(Event::Progress { text, detail }));
        }
        self.0.push_back(order);
    }

    /// The most urgent one; of those, the one that came first.
    pub(super) fn next(&mut self) -> Option<Order> {
        let short = |order: &Order| Urgency::of(Some(order)) == Urgency::Short;
        let at = self.0.iter().position(short).unwrap_or(0);
        self.0.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::sync::mpsc;

    use super::*;
    use crate::engine::{Actor, Change};

    fn order(work: Work) -> (Order, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(1);
        (Order { work, actor: Actor::Socket { uid: Some(0) }, events }, receiver)
    }

    fn update() -> Work {
        Work::Update("/srv/repo".parse().unwrap())
    }

    fn hold() -> Work {
        Work::Change(Change::Hold { reason: None })
    }

    #[test]
    fn short_work_ends_long_work_and_any_order_ends_the_clocks() {
        let of = |work| Urgency::of(Some(&order(work).0));
        let plan = Work::Plan("/srv/repo".parse().unwrap());
        let (clock, long, short) = (Urgency::of(None), of(update()), of(hold()));
        assert!(clock < long && long < short);
        assert_eq!((of(plan), of(Work::Rollback)), (long, short));
    }

    #[test]
    fn short_work_comes_first_and_the_rest_in_its_order() {
        let mut waiting = Waiting::default();
        let mut clients = Vec::new();
        for work in [update(), hold(), Work::Rollback] {
            assert!(waiting.has_room());
            let (order, client) = order(work);
            waiting.push(order, None, false);
            clients.push(client);
        }
        let next: Vec<Work> = std::iter::from_fn(|| Some(waiting.next()?.work)).collect();
        assert_eq!(next, [hold(), Work::Rollback, update()]);
    }

    #[test]
    fn whoever_waits_is_told_what_for() {
        let doing = Doing {
            work: "update",
            by: "poll".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            progress: Some("fetched 1 of 2 bytes".to_owned()),
        };
        let told = |ends| {
            let (order, mut client) = order(hold());
            Waiting::default().push(order, Some(&doing), ends);
            match client.try_recv().unwrap() {
                Event::Progress { text, detail } => (text, detail["for"]["progress"].clone()),
                other => panic!("{other:?}"),
            }
        };
        let what = "the update of poll since 1970-01-01T00:00:00.000Z: fetched 1 of 2 bytes";
        let sign = json!("fetched 1 of 2 bytes");
        assert_eq!(told(true), (format!("ending {what}"), sign.clone()));
        assert_eq!(told(false), (format!("waiting for {what}"), sign));
    }
}
