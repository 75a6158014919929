// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Everything this program prints, and its exit status.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the one place that prints")]

use std::path::Path;
use std::process::ExitCode;

use crate::bundle::Bundled;
use crate::package::Built;
use crate::publish::Published;
use crate::publish::maintain::Maintained;
use crate::root::NewKeys;
use crate::rotate::Signing;
use crate::show::Shown;
use crate::show::ShownRelease;

/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

/// Prints what clap has to say: help on standard output, a mistake on standard error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // When the terminal is gone there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Prints an error with its causes.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", chain(error));
    ExitCode::FAILURE
}

/// The messages of an error and its causes on one line. Some libraries repeat
/// the cause in their own message; what was said already is left out.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

pub(crate) fn keygen(made: &NewKeys) {
    for path in &made.root_keys {
        println!(
            "root key    {}   (keep offline; {} of {} sign)",
            path.display(),
            made.threshold,
            made.root_keys.len()
        );
    }
    for path in &made.online_keys {
        println!("online key  {}", path.display());
    }
    println!("anchor      {}   (for the nodes; expires {})", made.anchor.display(), made.expires);
}

pub(crate) fn build(built: &Built) {
    let release = &built.release;
    println!("built {} for {}: {}", release.version, built.target, built.artifact.display());
    if let Some(artifact) = release.targets.get(&built.target) {
        println!("{} bytes, sha256 {}", artifact.size, artifact.sha256);
    }
    let drivers: Vec<_> = release.drivers.iter().map(|driver| driver.name.as_str()).collect();
    println!("drivers: {}", drivers.join(" "));
}

pub(crate) fn publish(published: &Published) {
    let before = match &published.before {
        Some(before) => format!(", before it {before}"),
        None => String::new(),
    };
    println!("published {} on channel {}{before}", published.version, published.channel);
    for (role, version, expires) in &published.roles {
        println!("{role:<10} version {version}, expires {expires}");
    }
    println!("{} targets in the repository", published.targets);
    if let Some(expired) = published.root_expired {
        eprintln!("warning: the root expired at {expired}; nodes will refuse this repository");
    }
}

pub(crate) fn maintain(maintained: &Maintained) {
    println!("{}", maintained.done);
    for (role, version, expires) in &maintained.roles {
        println!("{role:<10} version {version}, expires {expires}");
    }
}

pub(crate) fn key(private: &Path, public: &Path) {
    println!("private key  {}   (stays on this machine)", private.display());
    println!("public key   {}   (for `rotate`)", public.display());
}

pub(crate) fn signing(signing: &Signing) {
    let (old, old_needed) = signing.old;
    let (new, new_needed) = signing.new;
    println!("{}: root version {}", signing.path.display(), signing.version);
    println!(
        "signed by {old} of {old_needed} keys of the root before, {new} of {new_needed} of its own"
    );
    let complete = u64::try_from(old).is_ok_and(|old| old >= old_needed)
        && u64::try_from(new).is_ok_and(|new| new >= new_needed);
    if complete {
        println!("complete: it can be adopted");
    }
}

pub(crate) fn bundle(bundled: &Bundled) {
    println!("{}: {} bytes, {} files", bundled.path.display(), bundled.size, bundled.files);
    for channel in &bundled.channels {
        println!("channel {} → {}", channel.name, channel.release);
    }
}

pub(crate) fn show(shown: &Shown, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(shown)?);
        return Ok(());
    }
    match &shown.trust_anchor {
        Some(path) => println!("verified with trust anchor {path}"),
        None => println!(
            "consistent; trust anchor not checked (its own first root was used, see --root)"
        ),
    }
    println!();
    println!("{:<10} {:>7}  {:<20}  {:<8}  keys", "ROLE", "VERSION", "EXPIRES", "SIGNERS");
    for role in &shown.roles {
        let keys: Vec<_> =
            role.keys.iter().map(|key| key.chars().take(8).collect::<String>()).collect();
        let signers = format!("{} of {}", role.threshold, role.keys.len());
        let expired = if role.expired { "  EXPIRED" } else { "" };
        let expires = role.expires.to_string();
        println!(
            "{:<10} {:>7}  {expires:<20}  {signers:<8}  {}{expired}",
            role.role,
            role.version,
            keys.join(" ")
        );
    }
    println!();
    println!("{:<32}  RELEASE", "CHANNEL");
    for channel in &shown.channels {
        let halted = if channel.halted { "  HALTED" } else { "" };
        println!("{:<32}  {}{halted}", channel.name.as_str(), channel.release);
    }
    for release in &shown.releases {
        println!();
        show_release(release);
    }
    for damage in &shown.damaged {
        println!();
        println!("DAMAGED {damage}");
    }
    Ok(())
}

fn show_release(release: &ShownRelease) {
    println!(
        "release {}  (commit {}, built {})",
        release.version, release.commit, release.built_at
    );
    println!("  drivers: {}", release.drivers.join(" "));
    for (target, artifact) in &release.targets {
        let absent = if artifact.present { "" } else { "  (file not here)" };
        println!(
            "  {:<28}  {:>10} bytes  {}{absent}",
            target.as_str(),
            artifact.size,
            artifact.sha256
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("no such file")
            .context("failed to open x: no such file")
            .context("refusing");
        assert_eq!(chain(&error), "refusing: failed to open x: no such file");
    }
}
