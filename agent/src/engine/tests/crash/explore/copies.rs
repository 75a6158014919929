// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One copy of the state is damaged besides, or cannot be read: for good, for a
//! while, or for one look.

use std::path::Path;

use rustix::io::Errno;

use crate::engine::tests::crash::cut::Cut;
use crate::engine::tests::crash::disk::Disk;
use crate::engine::tests::crash::explore::Explorer;
use crate::engine::tests::crash::files::{Trouble, With};
use crate::engine::tests::crash::invariants::Told;
use crate::engine::tests::crash::run::{Run, Tampering};
use crate::engine::tests::crash::scenario::{Action, COPIES};
use crate::engine::view::NodeView;

impl Explorer<'_> {
    /// The medium loses one copy: whatever was told is in the other one.
    pub(super) fn lose_a_copy(&mut self, disk: &Disk, told: &Told, place: &str) {
        for copy in self.copies(disk) {
            let mut damaged = disk.clone();
            damaged.corrupt(Path::new(copy));
            let run = self.run(damaged, told, Action::Nothing);
            if let Err(problem) = self.alarmed(&run, told) {
                self.violated(place, &format!("{copy} lost: {problem}"));
            }
        }
    }

    /// One copy cannot be read: the engine goes on with the other one, and what it
    /// told then stands, whether the copy can be read again or not.
    pub(super) fn hide_a_copy(&mut self, disk: &Disk, told: &Told, place: &str) {
        for copy in self.copies(disk) {
            let mut hidden = disk.clone();
            hidden.hide(Path::new(copy));
            let checked =
                self.hidden(hidden, told).and_then(|()| self.overlooked(disk, told, copy));
            if let Err(problem) = checked {
                self.violated(place, &format!("{copy} cannot be read: {problem}"));
            }
        }
    }

    fn hidden(&mut self, disk: Disk, told: &Told) -> Result<(), String> {
        let acted = self.run(disk.clone(), told, self.scenario.action);
        if !acted.done {
            return Err(format!("the agent does not go on: {:?}", acted.error));
        }
        // A wrong engine is to be caught by what it does to the state.
        if !self.hunting {
            self.outlived(&acted, acted.moments.len() - 1)?;
        }
        let run = self.run(disk, told, Action::Nothing);
        self.alarmed(&run, told)?;
        let mut chosen: Vec<usize> =
            (0..run.moments.len()).filter(|number| run.moments[*number].speaks).collect();
        for _ in 0..self.effort.nested {
            chosen.push(self.random.below(run.moments.len()));
        }
        chosen.into_iter().try_for_each(|number| self.outlived(&run, number))
    }

    /// The power is cut at a moment of `run`. What was told until then is true, whether
    /// everything can be read again or not; and if it was told by this run, nothing else is.
    fn outlived(&mut self, run: &Run, number: usize) -> Result<(), String> {
        let moment = &run.moments[number];
        for recovers in [false, true] {
            let mut disk = moment.disk.cut(Cut::Nothing);
            if recovers {
                disk.recover();
            }
            self.report.states += 1;
            let next = self.run(disk, &moment.told, Action::Nothing);
            let place = format!("cut before {}, readable: {recovers}", moment.next);
            self.settled(&next, &moment.told).map_err(|problem| format!("{place}: {problem}"))?;
            if moment.speaks && shown(&next) != shown(run) {
                let (told, found) = (shown(run), shown(&next));
                return Err(format!("{place}: {told:?} was told, {found:?} is true"));
            }
        }
        Ok(())
    }

    /// One look at the copy fails, any of them.
    fn overlooked(&mut self, disk: &Disk, told: &Told, copy: &'static str) -> Result<(), String> {
        let quiet = self.run(disk.clone(), told, Action::Nothing);
        let looks = quiet.looks.iter().enumerate().filter(|(_, path)| *path == Path::new(copy));
        let looks: Vec<usize> = looks.map(|(number, _)| number).collect();
        let at = looks[self.random.below(looks.len())];
        let (code, lasting, only) = (Errno::IO.raw_os_error(), false, None);
        let trouble = Some(Trouble { with: With::Looks, at, code, lasting, only });
        let tampering = Tampering { rewrite: (self.mistake)(), trouble };
        let run = self.scenario.run(disk.clone(), told, Action::Nothing, tampering);
        self.settled(&run, told)?;
        self.outlived(&run, run.moments.len() - 1)
            .map_err(|problem| format!("by look {at} alone: {problem}"))
    }

    /// Where the copies of the state are, if both are there: before the first write is done
    /// there is one, and nothing was told yet.
    fn copies(&self, disk: &Disk) -> Vec<&'static str> {
        let complete = COPIES.iter().all(|copy| disk.stat(Path::new(copy)).is_some());
        if complete { COPIES.to_vec() } else { Vec::new() }
    }

    fn alarmed(&self, run: &Run, told: &Told) -> Result<(), String> {
        self.settled(run, told)?;
        match run.view.as_ref().is_some_and(|view| !view.alarms.is_empty()) {
            true => Ok(()),
            false => Err("it is not said".to_owned()),
        }
    }
}

/// What an engine tells of releases and wishes.
fn shown(run: &Run) -> Option<String> {
    let NodeView { current, previous, pending, blocked, barred, held, pinned, trial, .. } =
        run.view.as_ref()?;
    let digests = [current, previous, pending].map(|slot| slot.as_ref().map(|slot| slot.digest));
    Some(format!("{digests:?} {blocked:?} {barred:?} {held:?} {pinned:?} {trial:?}"))
}
