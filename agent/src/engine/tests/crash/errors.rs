// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A disk that answers with errors: full, over quota, broken, read-only; at
//! every effect, once or for good.

use rustix::io::Errno;

use crate::engine::tests::crash::cut::Cut;
use crate::engine::tests::crash::explore::seam;
use crate::engine::tests::crash::files::Trouble;
use crate::engine::tests::crash::long;
use crate::engine::tests::crash::scenario::{Action, Scenario, Tampering};

/// Effects after the first failure: tidying up, and one look at the disk.
const EFFECTS_AFTER_MAX: usize = 64;

#[test]
fn an_error_at_any_effect_leaves_the_old_release_and_a_next_try() {
    let codes = [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::ROFS].map(Errno::raw_os_error);
    let (mut injected, mut reported) = (0, 0);
    for scenario in Scenario::all() {
        // Neighbours differ little, and the quick version has little time.
        for at in (0..).step_by(if long() { 1 } else { 5 }) {
            // Every code at every effect, or one of them in turn.
            let chosen = if long() { &codes[..] } else { &codes[at % 4..=at % 4] };
            let mut hit = false;
            for code in chosen {
                for lasting in [false, true] {
                    let trouble = Trouble { at, code: *code, lasting };
                    match inject(&scenario, trouble) {
                        Ok(Some(error)) => {
                            hit = true;
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
            if !hit {
                break;
            }
        }
    }
    println!("{injected} errors injected, {reported} reported as failures, the rest as warnings");
    assert!(injected >= 150, "{injected}");
}

/// None if there is no such effect; otherwise whether it was reported as an error.
fn inject(scenario: &Scenario, trouble: Trouble) -> Result<Option<bool>, String> {
    let tampering = Tampering { rewrite: None, trouble: Some(trouble) };
    let run = scenario.run(scenario.disk.clone(), &scenario.told, scenario.action, tampering);
    if run.failed.is_empty() {
        return Ok(None);
    }
    // What can be done without is not what the error is about.
    let named = |error: &str| run.failed.iter().any(|path| error.contains(path.to_str().unwrap()));
    if let Some(error) = run.error.as_ref().filter(|error| !named(error)) {
        return Err(format!("\"{error}\" names none of {:?}", run.failed));
    }
    if run.effects_after > EFFECTS_AFTER_MAX {
        return Err(format!("{} effects after the failure", run.effects_after));
    }
    // What there was runs on, whatever the engine did about the error.
    for moment in run.moments.iter().skip(trouble.at).step_by(5).chain([run.end()]) {
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
