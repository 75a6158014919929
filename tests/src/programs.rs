// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Where the programs under test are.
//!
//! `cargo xtask test` builds them all and says where in `DOCKERLOGGER_BIN_DIR`; without it they are looked for beside
//! the running test, where `cargo build --workspace --bins` puts all but `logger-next`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the folder of the built programs.
const BIN_DIR: &str = "DOCKERLOGGER_BIN_DIR";

/// The logger of the version in the workspace.
pub fn logger() -> PathBuf {
    program("logger")
}

/// The same logger, calling itself [`NEXT_VERSION`].
pub fn logger_next() -> PathBuf {
    program("logger-next")
}

/// A logger whose copies are given a flaw, see [`crate::frail`].
pub fn frail_logger() -> PathBuf {
    program("frail-logger")
}

/// The logger whose reader dies when it allocates after its start.
pub fn logger_frozen() -> PathBuf {
    program("logger-frozen")
}

/// The release tool.
pub fn release() -> PathBuf {
    program("release")
}

/// The agent.
pub fn agent() -> PathBuf {
    program("dockerlogger-agent")
}

/// The version [`logger`] prints: that of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version [`logger_next`] prints.
pub const NEXT_VERSION: &str = "0.2.0";

/// The platform the programs were built for, as releases name it.
pub fn target() -> String {
    let arch = env::consts::ARCH;
    match env::consts::OS {
        "linux" if cfg!(target_env = "musl") => format!("{arch}-unknown-linux-musl"),
        "linux" => format!("{arch}-unknown-linux-gnu"),
        os => format!("{arch}-unknown-{os}"),
    }
}

/// The root of the source tree.
pub fn source_tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}

/// Copies a program so that it can be executed at once.
///
/// By another process: had this one the copy open for writing, a program started by another thread in that moment would
/// inherit the descriptor, and executing the copy would fail with "text file busy".
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--").args([from, to]).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "{} can be copied to {}",
        from.display(),
        to.display()
    );
}

fn program(name: &str) -> PathBuf {
    let folder = bin_dir();
    let file = folder.join(name);
    assert!(
        file.is_file(),
        "the program \"{name}\" is not in {}: `cargo xtask test` builds all programs and runs the tests",
        folder.display()
    );
    file
}

fn bin_dir() -> PathBuf {
    if let Some(folder) = env::var_os(BIN_DIR) {
        return PathBuf::from(folder);
    }
    let me = env::current_exe().expect("a running program has a file");
    let folder = me.parent().expect("a file is in a folder");
    // Tests are one folder below the programs.
    if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder).to_owned()
    } else {
        folder.to_owned()
    }
}
