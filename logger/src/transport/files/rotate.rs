// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Making room for a new file: every older one gets the next number.

use super::dir::Dir;
use super::{FilesError, step};
use crate::driver::LogFiles;

/// Moves the current file to `.1`, `.1` to `.2` and so on, up to the first number
/// that is free; if none is, the oldest file goes. With one file at most, that is
/// the current one.
///
/// No step overwrites anything, so that it may end after any of them: a number
/// that became free is where the next rotation stops moving.
pub(super) fn rotate(place: &LogFiles, dir: &Dir) -> Result<(), FilesError> {
    let failed = |source| step("rotate", place, source);
    let Some(last) = place.max_files.checked_sub(1).filter(|&last| last > 0) else {
        return dir.remove(&place.name).map_err(failed);
    };
    let mut free = 1;
    while free <= last && is_taken(place, dir, free).map_err(failed)? {
        free += 1;
    }
    if free > last {
        free = last;
        for name in [plain(place, last), compressed(place, last)] {
            dir.remove(&name).map_err(failed)?;
        }
    }
    for n in (1..free).rev() {
        dir.rename_if_there(&compressed(place, n), &compressed(place, n + 1)).map_err(failed)?;
        dir.rename_if_there(&plain(place, n), &plain(place, n + 1)).map_err(failed)?;
    }
    dir.rename_if_there(&place.name, &plain(place, 1)).map_err(failed)
}

/// Whether there is a file of this number.
pub(super) fn is_taken(place: &LogFiles, dir: &Dir, n: u64) -> std::io::Result<bool> {
    Ok(dir.exists(&plain(place, n))? || dir.exists(&compressed(place, n))?)
}

pub(super) fn plain(place: &LogFiles, n: u64) -> String {
    format!("{}.{n}", place.name)
}

pub(super) fn compressed(place: &LogFiles, n: u64) -> String {
    format!("{}.{n}.gz", place.name)
}
