// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Type-checking for the platform that all of this runs on.
//!
//! Nothing is linked, so no illumos system and no cross compiler is needed. C
//! code that crates bring along is not compiled: a script that leaves empty
//! object files stands in for the compiler. What this proves is that our Rust
//! and that of our dependencies names only what exists on illumos.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, output, run, say, target_dir};

const TARGET: &str = "x86_64-unknown-illumos";

/// Debian's compiler, whose package brings the standard library's source.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Checks every crate.
pub(crate) fn check() -> Result<()> {
    let target_dir = target_dir().join("illumos");
    let compiler = stand_in_compiler(&target_dir)?;
    let mut check = cargo(&["check", "--workspace", "--target", TARGET, "--target-dir"]);
    check.arg(&target_dir);
    for tool in ["CC", "CXX", "AR"] {
        check.env(format!("{tool}_{}", TARGET.replace('-', "_")), &compiler);
    }
    say("check-illumos: types only; C code is replaced by empty objects, nothing is linked");
    if rustup_has_target() {
        say(&format!("check-illumos: with rustup's standard library for {TARGET}"));
    } else {
        let version = debian_rustc_with_source()?;
        say(&format!("check-illumos: with {version} of Debian and -Zbuild-std"));
        // The compiler is a released one; only building std from source asks for this.
        check.arg("-Zbuild-std").env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
        // rustup would put its own toolchain's libraries in the way.
        check.env_remove("RUSTUP_TOOLCHAIN");
    }
    run(&mut check)?;
    say(&format!("check-illumos: every crate passes for {TARGET}"));
    Ok(())
}

fn rustup_has_target() -> bool {
    output(Command::new("rustup").args(["target", "list", "--installed"]))
        .is_ok_and(|installed| installed.lines().any(|line| line.trim() == TARGET))
}

/// The version of Debian's compiler, when its source is there too.
fn debian_rustc_with_source() -> Result<String> {
    let advice = "install Debian's packages rustc-web and rust-web-src, or run \
                  `rustup target add x86_64-unknown-illumos` where rustup can fetch";
    let version = output(Command::new(DEBIAN_RUSTC).arg("--version"));
    let version = version.with_context(|| advice.to_owned())?;
    let sysroot = output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]))?;
    let source = Path::new(&sysroot).join("lib/rustlib/src/rust/library/std");
    if !source.exists() {
        bail!("no standard library source at {}: {advice}", source.display());
    }
    Ok(version)
}

/// A "compiler" and "archiver" that creates the file named after `-o`.
fn stand_in_compiler(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("empty-object");
    let script = "#!/bin/sh\n\
                  while [ $# -gt 0 ]; do case \"$1\" in -o) : > \"$2\"; shift;; esac; shift; done\n";
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, script))
        .and_then(|()| std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)))
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}
