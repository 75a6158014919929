// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The demo: the whole main job in one run, told in a few lines, with every line of two containers counted.
//!
//! | module | what |
//! |---|---|
//! | `options` | the command line |
//! | `show` | everything that is printed |
//! | `story` | what happens, in order |
//! | `container` | one container and the account of its lines |

mod container;
mod options;
mod show;
mod story;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::os::Interrupts;
use crate::until::try_until;
use options::Parsed;
use show::Show;

/// Set by Ctrl-C or SIGTERM.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The longest the demo waits for one thing.
const LIMIT: Duration = Duration::from_secs(30);

/// The longest that agent and server stay up.
const STAY_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Exit status for a wrong command line.
const EX_USAGE: u8 = 64;
/// Exit status after Ctrl-C.
const INTERRUPT: u8 = 130;

/// Tells the story; exit status 0 only when every count is right.
pub fn main(arguments: Vec<String>) -> ExitCode {
    let show = Show::new();
    let options = match options::parse(arguments) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Help(text)) => {
            show.plain(&text);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            show.error(&why);
            return ExitCode::from(EX_USAGE);
        }
    };
    let interrupts = Interrupts::hold();
    std::thread::spawn(move || {
        interrupts.wait();
        INTERRUPTED.store(true, Ordering::Relaxed);
    });
    // A panic is a wait in vain or a broken harness; its text is the message, without the place in the source.
    std::panic::set_hook(Box::new(|_| {}));
    match catch_unwind(AssertUnwindSafe(|| story::tell(&options, &show))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(panic) if panic.is::<Interrupted>() => {
            show.plain("interrupted; everything is stopped and removed");
            ExitCode::from(INTERRUPT)
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            show.error(
                text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("the demo stopped"),
            );
            ExitCode::FAILURE
        }
    }
}

/// Unwinds the story, so that everything it started is stopped.
struct Interrupted;

/// As [`try_until`], and over at once after Ctrl-C.
fn wait<T, E>(limit: Duration, mut look: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    try_until(limit, || {
        check_interrupt();
        look()
    })
}

fn check_interrupt() {
    if INTERRUPTED.load(Ordering::Relaxed) {
        std::panic::resume_unwind(Box::new(Interrupted));
    }
}

/// Returns at Ctrl-C.
fn wait_for_interrupt() {
    let _ = wait(STAY_LIMIT, || Err::<(), ()>(()));
}
