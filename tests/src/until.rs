// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Waiting for a condition: polled, with a deadline, and with the last thing seen in the message.

use std::fmt::Debug;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

/// The deadline of a wait that should be over in well under a second: generous, so that only a fault reaches it.
pub const SOON: Duration = Duration::from_secs(20);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(3);

/// Looks until `look` gives `Ok`; the value of the last `Err` is in the panic message.
///
/// # Panics
/// When the limit is reached.
#[track_caller]
pub fn until<T, E: Debug>(what: &str, limit: Duration, look: impl FnMut() -> Result<T, E>) -> T {
    try_until(limit, look)
        .unwrap_or_else(|seen| panic!("waited {limit:?} in vain for {what}; last seen: {seen:?}"))
}

/// Looks until `look` gives `Ok`, or the limit is reached.
///
/// # Errors
/// What was seen last.
pub fn try_until<T, E>(limit: Duration, mut look: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if Instant::now() >= deadline => return Err(seen),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// The first line that comes out of a pipe, with its end; without, if the other side hangs up before.
///
/// # Errors
/// What came until the limit was reached.
pub(crate) fn first_line(limit: Duration, mut pipe: impl Read + AsFd) -> Result<String, String> {
    rustix::io::ioctl_fionbio(&pipe, true).expect("a pipe can be non-blocking");
    let (mut line, mut byte) = (Vec::new(), [0]);
    let ended = try_until(limit, || {
        loop {
            match pipe.read(&mut byte) {
                Ok(0) => return Ok(()),
                Ok(_) => line.push(byte[0]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(()),
                Err(e) => panic!("a pipe can be read: {e}"),
            }
            if byte == *b"\n" {
                return Ok(());
            }
        }
    });
    let line = String::from_utf8_lossy(&line).into_owned();
    if ended.is_ok() { Ok(line) } else { Err(line) }
}

/// Looks until `state` satisfies `wanted`, and returns it.
///
/// # Panics
/// When the limit is reached.
#[track_caller]
pub fn until_state<T: Debug>(
    what: &str,
    limit: Duration,
    mut state: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    until(what, limit, || {
        let state = state();
        if wanted(&state) { Ok(state) } else { Err(state) }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_line_is_waited_for_until_it_ends_or_the_limit_is_reached() {
        let (pipe, mut program) = std::io::pipe().unwrap();
        program.write_all(b"list").unwrap();
        let again = pipe.try_clone().unwrap();
        assert_eq!(first_line(Duration::ZERO, again), Err("list".to_owned()));
        program.write_all(b"ening\nand more").unwrap();
        let again = pipe.try_clone().unwrap();
        assert_eq!(first_line(SOON, again), Ok("ening\n".to_owned()));
        drop(program);
        assert_eq!(first_line(SOON, pipe), Ok("and more".to_owned()));
    }
}
