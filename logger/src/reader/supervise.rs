// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One sender at a time: started, watched, started again.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use dockerlogger_manifest::status::StatusPage;

use crate::backoff::{Backoff, Delays};
use crate::driver::OnFailure;
use crate::links::Links;
use crate::os::{self, Child, Ended, Fork, Ordinary};
use crate::output;
use crate::ring::{Amount, Consumer, SinkState};
use crate::sender::{self, SenderEnd, Setup};
use crate::status;
use crate::suspects::Suspects;

/// Keeps a sender running.
#[derive(Debug)]
pub(super) struct Supervisor<'a> {
    setup: Setup<'a>,
    /// The senders' side of the ring. Ours only to hand to a child, and to look
    /// at when there is none.
    consumer: Consumer<'a>,
    links: Links,
    notices: (OwnedFd, OwnedFd),
    /// The container's streams, which a sender does not keep; -1: none.
    inherited: [i32; 2],
    /// How a sender is scheduled.
    ordinary: Ordinary,
    state: State,
    /// Writes a report; at most one at a time.
    reporter: Option<Child>,
    suspects: Suspects,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Running {
        child: Child,
        since_ns: u64,
        /// The ring's tail at its start.
        tail: u64,
    },
    /// None runs; the next one starts at this time.
    Due { at_ns: u64 },
    /// It died, and there shall be no other.
    Lost,
    /// It ended because everything is delivered and no more will come.
    Drained,
}

impl<'a> Supervisor<'a> {
    /// Opens the pipes and takes over the signals.
    pub(super) fn new(
        setup: Setup<'a>,
        consumer: Consumer<'a>,
        inherited: [i32; 2],
        ordinary: Ordinary,
    ) -> io::Result<Self> {
        let notices = os::pipe()?;
        os::notice_signals(&notices.1);
        Ok(Self {
            setup,
            consumer,
            links: Links::new()?,
            notices,
            inherited,
            ordinary,
            state: State::Due { at_ns: 0 },
            reporter: None,
            suspects: Suspects::default(),
            backoff: Backoff::new(RESPAWN, os::wall_ns()),
        })
    }

    pub(super) const fn links(&self) -> &Links {
        &self.links
    }

    /// Where signals arrive.
    pub(super) const fn notices(&self) -> &OwnedFd {
        &self.notices.0
    }

    /// When the next sender is to be started; `None` while one runs.
    pub(super) const fn spawn_due_ns(&self) -> Option<u64> {
        match self.state {
            State::Due { at_ns } => Some(at_ns),
            State::Running { .. } | State::Lost | State::Drained => None,
        }
    }

    /// Whether the sender has ended with everything delivered.
    pub(super) const fn is_drained(&self) -> bool {
        matches!(self.state, State::Drained)
    }

    /// Whether the sender has died and there will be no other.
    pub(super) const fn has_lost_sender(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// Starts a sender; when that fails, later.
    pub(super) fn spawn(&mut self, now_ns: u64) {
        // A sender that died waiting does not wait any more.
        self.consumer.handoff().forget_waiting();
        self.state = match os::fork() {
            Ok(Fork::Parent(child)) => {
                State::Running { child, since_ns: now_ns, tail: self.consumer.tail() }
            }
            Ok(Fork::Child) => os::exit_now(self.be_sender()),
            Err(_) => State::Due { at_ns: now_ns + self.backoff.next_ns() },
        };
    }

    /// Starts the next sender if it is time.
    pub(super) fn respawn_if_due(&mut self, now_ns: u64) {
        if self.spawn_due_ns().is_some_and(|at_ns| at_ns <= now_ns) {
            self.consumer.shared().sender_restarts.fetch_add(1, Ordering::Relaxed);
            self.spawn(now_ns);
        }
    }

    /// There is no time to lose: the next sender starts now, if none runs.
    pub(super) const fn bring_forward(&mut self) {
        if let State::Due { at_ns } = &mut self.state {
            *at_ns = 0;
        }
    }

    /// Has the status page written to the starter's log, by a child of its own:
    /// formatting is not for the reader, and a sender may be busy or gone.
    pub(super) fn report(&mut self) {
        if self.reporter.is_none()
            && let Ok(fork) = os::fork()
        {
            match fork {
                Fork::Parent(child) => self.reporter = Some(child),
                Fork::Child => os::exit_now(self.be_reporter()),
            }
        }
    }

    /// Looks whether a child has ended.
    pub(super) fn reap(&mut self, now_ns: u64) {
        self.reporter = self.reporter.filter(|child| child.try_wait().is_none());
        let State::Running { child, since_ns, tail } = self.state else { return };
        let Some(ended) = child.try_wait() else { return };
        self.consumer.shared().sender_pid.store(0, Ordering::Relaxed);
        let finished = self.consumer.handoff().is_finished();
        if finished && ended == Ended::Exited(0) {
            self.state = State::Drained;
            return;
        }
        self.show_committed();
        let reached = self.consumer.tail();
        let set_aside = self.suspects.note_death(self.consumer.shared().work(), reached);
        self.consumer.shared().set_work(None);
        let on_failure = self.setup.settings.generic.on_failure;
        self.consumer.shared().note_error(match on_failure {
            OnFailure::Restart => "the sending process died; another is started",
            OnFailure::Kill => "the sending process died; on-failure=kill ends the container",
            OnFailure::Ignore => {
                "the sending process died; on-failure=ignore: nothing is sent any more"
            }
        });
        // What gets on does not wait long.
        if set_aside || reached > tail || now_ns.saturating_sub(since_ns) >= STABLE_NS {
            self.backoff.reset();
        }
        self.state = match on_failure {
            OnFailure::Restart => State::Due { at_ns: now_ns + self.backoff.next_ns() },
            OnFailure::Kill | OnFailure::Ignore => {
                self.consumer.shared().set_sink(SinkState::Down);
                State::Lost
            }
        };
    }

    /// Ends the sender, whatever it does, and says what is left.
    pub(super) fn stop(&mut self) -> Amount {
        if let State::Running { child, .. } = self.state {
            child.kill();
            self.show_committed();
        }
        self.consumer.undelivered()
    }

    /// What the sender showed and had not committed when it died is not done.
    fn show_committed(&mut self) {
        let account = self.consumer.account();
        self.consumer.shared().show(&account);
    }

    /// A child is no reader: last words, signals, priority and streams are not for
    /// it.
    fn be_child(&self) {
        os::forget_last_words();
        os::ignore_signals();
        self.ordinary.restore();
        // A second holder of the streams would keep them open.
        for fd in self.inherited {
            os::close_inherited(fd);
        }
    }

    /// The life of a reporter, and its exit status.
    fn be_reporter(&self) -> i32 {
        self.be_child();
        os::end_after(REPORT_SECONDS_MAX);
        let Ok(page) = StatusPage::decode(&self.consumer.page()) else { return 1 };
        output::tell_starter(&status::json(&page));
        0
    }

    /// The life of a sender, and its exit status.
    fn be_sender(&mut self) -> i32 {
        self.be_child();
        os::return_freed_memory();
        let links = self.links.sender_ends();
        let (setup, suspects, consumer) = (self.setup, self.suspects, &mut self.consumer);
        // In a build that unwinds, a panic must not get into the reader's code.
        match catch_unwind(AssertUnwindSafe(|| sender::run(setup, suspects, consumer, &links))) {
            Ok(SenderEnd::Drained) => 0,
            Ok(SenderEnd::GaveUp) => 1,
            Err(_) => 70,
        }
    }
}

/// Between the death of a sender and the next one: doubling up to the cap.
const RESPAWN: Delays = Delays {
    first_ns: 100_000_000,
    short_ns: 100_000_000,
    short_failures: 0,
    long_ns: 10_000_000_000,
};

/// Who reads the starter's log may not.
const REPORT_SECONDS_MAX: u32 = 10;

/// A sender that lived this long makes the next death a first one.
const STABLE_NS: u64 = 10_000_000_000;
