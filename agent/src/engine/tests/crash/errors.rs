// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A disk that answers with errors: full, over quota, broken, read-only at
//! every effect; broken, closed or with something gone at every look. Once or
//! for good.

use std::path::Path;

use rustix::io::Errno;

use crate::engine::tests::crash::cut::Cut;
use crate::engine::tests::crash::disk::Disk;
use crate::engine::tests::crash::explore::seam;
use crate::engine::tests::crash::files::{Trouble, With};
use crate::engine::tests::crash::long;
use crate::engine::tests::crash::run::{Run, Tampering};
use crate::engine::tests::crash::scenario::{Action, COPIES, Scenario};

/// Effects after the first failure: tidying up, and one look at the disk.
const EFFECTS_AFTER_MAX: usize = 96;

/// Looks after the first failure: all of the disk, and once more.
const LOOKS_AFTER_MAX: usize = 400;

#[test]
fn an_error_at_any_effect_leaves_the_old_release_and_a_next_try() {
    let codes = [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::ROFS];
    let (injected, reported) = inject_all(With::Effects, &codes, |run| run.moments.len());
    println!("{injected} errors injected, {reported} reported as failures, the rest as warnings");
    assert!(injected >= 150, "{injected}");
}

#[test]
fn an_error_at_any_look_leaves_the_old_release_and_a_next_try() {
    let codes = [Errno::IO, Errno::ACCESS, Errno::NOENT];
    let (injected, reported) = inject_all(With::Looks, &codes, |run| run.looks.len());
    println!(
        "{injected} errors injected into looks, {reported} reported as failures, the rest as notes"
    );
    assert!(injected >= 150, "{injected}");
}

/// The quick version of the test above may miss these few.
#[test]
fn what_came_of_a_download_and_cannot_be_read_is_not_tried_again() {
    let scenario = Scenario::resumption();
    let (disk, told) = (scenario.disk.clone(), &scenario.told);
    let quiet = scenario.run(disk, told, scenario.action, Tampering::default());
    let mut injected = 0;
    for (at, path) in quiet.looks.iter().enumerate() {
        if path.to_string_lossy().contains("/tmp/partial-") {
            let code = Errno::IO.raw_os_error();
            let trouble = Trouble { with: With::Looks, at, code, lasting: false, only: None };
            let reported = inject(&scenario, &scenario.disk, trouble).unwrap();
            assert_eq!(reported, Some(true), "look {at}");
            injected += 1;
        }
    }
    assert!(injected >= 3, "asked for, opened, read: {injected}");
}

/// Of one copy of the state, for a moment or whatever is done to it: the agent goes
/// on with the other one, at once, and says so.
#[test]
fn one_copy_of_the_state_that_cannot_be_read_is_no_reason_to_stop() {
    let codes = [Errno::IO, Errno::ACCESS, Errno::NOENT];
    let mut injected = 0;
    for scenario in Scenario::all() {
        let (disk, told) = (scenario.disk.clone(), &scenario.told);
        let quiet = scenario.run(disk, told, scenario.action, Tampering::default());
        // Before the first write nothing says that there is a state at all.
        let written = |copy: &&str| scenario.disk.stat(Path::new(copy)).is_some();
        for copy in COPIES.into_iter().filter(written) {
            let looks = quiet.looks.iter().enumerate();
            for (at, _) in looks.filter(|(_, path)| *path == Path::new(copy)) {
                let turn = at % codes.len();
                for code in if long() { &codes[..] } else { &codes[turn..=turn] } {
                    for lasting in [false, true] {
                        let (with, code, only) = (With::Looks, code.raw_os_error(), Some(copy));
                        let trouble = Trouble { with, at, code, lasting, only };
                        match inject(&scenario, &scenario.disk, trouble) {
                            Ok(Some(false)) => injected += 1,
                            // There is no such look with this code.
                            Ok(None) => {}
                            other => panic!("{}: {trouble:?}: {other:?}", scenario.name),
                        }
                    }
                }
            }
        }
    }
    println!(
        "{injected} errors injected into looks at one copy of the state, none of them in the way"
    );
    assert!(injected >= 150, "{injected}");
}

/// Nor can it be replaced, for a while: nothing is changed, and that is said; then all is well.
#[test]
fn one_copy_of_the_state_that_can_be_neither_read_nor_replaced_changes_nothing() {
    let codes = [Errno::NOSPC, Errno::IO, Errno::ROFS];
    let mut injected = 0;
    for scenario in Scenario::all() {
        let written = |copy: &&str| scenario.disk.stat(Path::new(copy)).is_some();
        for copy in COPIES.into_iter().filter(written) {
            let new = if copy == COPIES[0] { NEW_A } else { NEW_B };
            let mut disk = scenario.disk.clone();
            disk.hide(Path::new(copy));
            for code in codes {
                let (with, code, only) = (With::Effects, code.raw_os_error(), Some(new));
                let trouble = Trouble { with, at: 0, code, lasting: true, only };
                match inject(&scenario, &disk, trouble) {
                    // Who asks for nothing is not refused anything.
                    Ok(Some(refused)) if refused == (scenario.action != Action::Nothing) => {
                        injected += 1;
                    }
                    other => panic!("{}: {trouble:?}: {other:?}", scenario.name),
                }
            }
        }
    }
    println!("{injected} times a copy of the state could be neither read nor replaced");
    assert!(injected >= 90, "{injected}");
}

const NEW_A: &str = "/opt/docker/state/.new-a";
const NEW_B: &str = "/opt/docker/state/.new-b";

/// Every code at every effect or look of every scenario, once and for good; in
/// the quick version one of the codes at every few. How many were injected, and
/// how many of these were answered by an error.
fn inject_all(with: With, codes: &[Errno], count: fn(&Run) -> usize) -> (usize, usize) {
    let (mut injected, mut reported) = (0, 0);
    for scenario in Scenario::all() {
        let quiet = scenario.run(
            scenario.disk.clone(),
            &scenario.told,
            scenario.action,
            Tampering::default(),
        );
        // Neighbours differ little, and the quick version has little time.
        for at in (0..count(&quiet)).step_by(if long() { 1 } else { 5 }) {
            let turn = at % codes.len();
            let chosen = if long() { codes } else { &codes[turn..=turn] };
            for code in chosen {
                for lasting in [false, true] {
                    let code = code.raw_os_error();
                    let trouble = Trouble { with, at, code, lasting, only: None };
                    match inject(&scenario, &scenario.disk, trouble) {
                        Ok(Some(error)) => {
                            injected += 1;
                            reported += usize::from(error);
                        }
                        Ok(None) => {}
                        Err(problem) => {
                            panic!("{}: {trouble:?}: {problem}", scenario.name);
                        }
                    }
                }
            }
        }
    }
    (injected, reported)
}

/// None if there is no such effect or look; otherwise whether it was reported as an error.
fn inject(scenario: &Scenario, disk: &Disk, trouble: Trouble) -> Result<Option<bool>, String> {
    let tampering = Tampering { rewrite: None, trouble: Some(trouble) };
    let run = scenario.run(disk.clone(), &scenario.told, scenario.action, tampering);
    if run.failed.is_empty() {
        return Ok(None);
    }
    // What can be done without is not what the error is about.
    let named = |error: &str| run.failed.iter().any(|path| error.contains(path.to_str().unwrap()));
    if let Some(error) = run.error.as_ref().filter(|error| !named(error)) {
        return Err(format!("\"{error}\" names none of {:?}", run.failed));
    }
    let (tried_after_max, moment_first) = match trouble.with {
        With::Effects => (EFFECTS_AFTER_MAX, trouble.at),
        With::Looks => (LOOKS_AFTER_MAX, 0),
    };
    // Nobody needs to know of litter; of what cannot be read, everybody does.
    let silent = run.error.is_none() && !run.said.iter().any(|said| named(said));
    if silent && trouble.with == With::Looks {
        return Err(format!("nothing is said of {:?}, but {:?}", run.failed, run.said));
    }
    if run.tried_after > tried_after_max {
        return Err(format!("{} tries after the failure", run.tried_after));
    }
    // What there was runs on, whatever the engine did about the error.
    for moment in run.moments.iter().skip(moment_first).step_by(5).chain([run.end()]) {
        let holds = scenario.rules.always(&seam(&moment.disk), &moment.told);
        holds.map_err(|problem| format!("{problem} (before {})", moment.next))?;
    }
    if !run.done {
        return Err(format!("the next try fails: first {:?}", run.error));
    }
    let end = run.end();
    scenario.rules.always(&seam(&end.disk), &end.told)?;
    // And what was told after the trouble outlives a restart and a cut.
    for cut in [Cut::Everything, Cut::Nothing, Cut::Some(u64::try_from(trouble.at).unwrap())] {
        let disk = end.disk.cut(cut);
        scenario.rules.always(&seam(&disk), &end.told).map_err(|e| format!("{cut:?}: {e}"))?;
        let opened = scenario.run(disk, &end.told, Action::Nothing, Tampering::default());
        let view = opened.view.as_ref().ok_or_else(|| format!("{cut:?}: {:?}", opened.error))?;
        let settled = scenario.rules.settled(&seam(&opened.end().disk), &end.told, view);
        settled.map_err(|e| format!("{cut:?}: {e}"))?;
    }
    Ok(Some(run.error.is_some()))
}
