// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Loggers with a chosen version and a chosen flaw: copies of the program `frail-logger` with both written into them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::programs;

/// What stands before version and flaw in the program.
const MARK: &[u8] = b"frail-logger:0.0.0:healthy.";

/// Bytes that the flaw may take.
const FLAW_BYTES_MAX: usize = 21;

/// Makes the logger of `version` (five characters) that has `flaw`: `healthy`, or
///
/// | what a probe can see | |
/// |---|---|
/// | `crashes` | aborts at once |
/// | `deaf` | delivers nothing |
/// | `wrong-drivers` | names other drivers than it told the publisher |
/// | `routeless` | declares nothing to try its driver on |
///
/// | what it cannot | |
/// |---|---|
/// | `crashes-later` | aborts before it has a page, unless it is a probe |
/// | `dies-after-ms-N` | aborts after so long |
/// | `dies-with-tls` | aborts when it is to send to `tcp+tls://` |
/// | `sender-dies-tls` | the same, in a child that it starts anew |
/// | `loses` | reads, delivers nothing, and says so on its status page |
///
/// With root's privileges, a logger has a root of its own, as in a zone: a folder beside the status page, one for each
/// container's id. Its page is there.
///
/// # Panics
/// When the program is not what it should be, or version or flaw do not fit.
pub fn make(folder: &Path, version: &str, flaw: &str) -> PathBuf {
    assert!(version.len() == 5 && flaw.len() <= FLAW_BYTES_MAX, "{version} {flaw} fit");
    let mut program = fs::read(programs::frail_logger()).expect("the program can be read");
    let found = program.windows(MARK.len()).position(|bytes| bytes == MARK);
    let at = found.expect("the program has its traits in it");
    let traits = format!("frail-logger:{version}:{flaw:.<FLAW_BYTES_MAX$}");
    program[at..at + traits.len()].copy_from_slice(traits.as_bytes());
    let (written, file) =
        (folder.join(format!("frail-{version}.written")), folder.join(format!("frail-{version}")));
    fs::write(&written, program).expect("a scratch file can be written");
    fs::set_permissions(&written, fs::Permissions::from_mode(0o755))
        .expect("a scratch file can be made executable");
    programs::copy(&written, &file);
    file
}
