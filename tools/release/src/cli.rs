// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The command line: what the user may type, with examples.

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use dockerlogger_manifest::ChannelName;
use dockerlogger_manifest::Target;
use dockerlogger_manifest::Version;

use crate::lifetime::Lifetime;

const EXAMPLES: &str = "\
Examples:
  release keygen --keys keys
  release build --logger target/release/logger --target x86_64-unknown-linux-gnu \\
      --commit \"$(git rev-parse HEAD)\" --out out/1.2.0
  release publish --repo repo --keys keys --release out/1.2.0 --channel stable
  release bundle --repo repo --out dockerlogger-1.2.0.tar
  release show repo

Exit status: 0 done, 1 refused or failed, 64 wrong usage.";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  One root key, for a trial:
    release keygen --keys keys
  Five root keys of which any three sign, valid for a year:
    release keygen --keys keys --root-keys 5 --root-threshold 3 --root-expires 52w

Move root-*.pem to offline media afterwards: publishing needs only targets.pem,
snapshot.pem, timestamp.pem and 1.root.json. Nodes are given 1.root.json.";

const BUILD_EXAMPLES: &str = "\
Examples:
  For the platform of this machine (the binary is asked for version and drivers):
    release build --logger target/release/logger --target x86_64-unknown-linux-gnu \\
        --commit 4f2a91c --out out/1.2.0
  For another platform, into the same release:
    target/release/logger drivers --json > drivers.json
    release build --logger cross/logger --target x86_64-unknown-illumos \\
        --drivers drivers.json --version 1.2.0 --commit 4f2a91c --out out/1.2.0";

const PUBLISH_EXAMPLES: &str = "\
Examples:
  release publish --repo repo --keys keys --release out/1.2.0 --channel stable
  Metadata that has to be renewed every day:
    release publish --repo repo --keys keys --release out/1.2.0 --channel stable \\
        --expires-timestamp 1d
  To renew what is about to expire, publish the current release again.";

const BUNDLE_EXAMPLES: &str = "\
Examples:
  release bundle --repo repo --out dockerlogger-1.2.0.tar
  dockerlogger-agent install --bundle dockerlogger-1.2.0.tar     (on the node)";

const SHOW_EXAMPLES: &str = "\
Examples:
  release show repo
  release show dockerlogger-1.2.0.tar --root keys/1.root.json
  release show repo --json";

/// Builds, signs and publishes releases of the logger.
#[derive(Debug, Parser)]
#[command(name = "release", version, about, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Keygen(KeygenOptions),
    Build(BuildOptions),
    Publish(PublishOptions),
    Bundle(BundleOptions),
    Show(ShowOptions),
}

/// Make the signing keys and the trust anchor of a new repository.
#[derive(Debug, Args)]
#[command(after_help = KEYGEN_EXAMPLES)]
pub(crate) struct KeygenOptions {
    /// Directory for the keys; made with mode 0700. Existing keys are never overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: PathBuf,
    /// How many root keys to make.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) root_keys: u32,
    /// How many of them have to sign a new root; at most as many as there are.
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) root_threshold: u32,
    /// How long the root is valid: a number with s, m, h, d or w.
    #[arg(long, value_name = "DURATION", default_value = "730d")]
    pub(crate) root_expires: Lifetime,
}

/// Pack a logger for one platform and describe it in release.json.
///
/// Into a directory that already describes the same version for other
/// platforms, this one is added.
#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub(crate) struct BuildOptions {
    /// The logger binary.
    #[arg(long, value_name = "PATH")]
    pub(crate) logger: PathBuf,
    /// The platform it is for, as Rust names it.
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Target,
    /// What `logger drivers --json` of this version prints; needed for another platform.
    #[arg(long, value_name = "FILE")]
    pub(crate) drivers: Option<PathBuf>,
    /// Its version; needed for another platform.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<Version>,
    /// The source commit it was built from.
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: String,
    /// When it was built, RFC 3339; the default is now.
    #[arg(long, value_name = "TIME")]
    pub(crate) built_at: Option<jiff::Timestamp>,
    /// How hard to compress, 1-19; the digest of the artifact depends on it.
    #[arg(long, value_name = "N", default_value_t = 19, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub(crate) level: i32,
    /// Directory for the artifact and release.json.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Sign a release, add it to a repository and make it current on a channel.
///
/// What the repository already holds stays in it. A repository that does not
/// verify is not extended; a version is not published twice with other bytes.
#[derive(Debug, Args)]
#[command(after_help = PUBLISH_EXAMPLES)]
pub(crate) struct PublishOptions {
    /// The repository; made when it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: PathBuf,
    /// Directory with the online keys and 1.root.json.
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: PathBuf,
    /// Directory that `release build` wrote.
    #[arg(long, value_name = "DIR")]
    pub(crate) release: PathBuf,
    /// The channel that shall name this release: 1-32 of a-z, 0-9 and -.
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: ChannelName,
    #[command(flatten)]
    pub(crate) lifetimes: Lifetimes,
}

/// How long each signed role stays valid.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Lifetimes {
    /// How long the list of targets is valid: a number with s, m, h, d or w.
    #[arg(long = "expires-targets", value_name = "DURATION", default_value = "365d")]
    pub(crate) targets: Lifetime,
    /// How long the snapshot is valid.
    #[arg(long = "expires-snapshot", value_name = "DURATION", default_value = "90d")]
    pub(crate) snapshot: Lifetime,
    /// How long the timestamp is valid.
    #[arg(long = "expires-timestamp", value_name = "DURATION", default_value = "90d")]
    pub(crate) timestamp: Lifetime,
}

/// Put what a node needs to verify and install the current releases in one tar.
#[derive(Debug, Args)]
#[command(after_help = BUNDLE_EXAMPLES)]
pub(crate) struct BundleOptions {
    /// The repository.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: PathBuf,
    /// The bundle to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The trust anchor to verify with; the default is the repository's own first root.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
}

/// Verify a repository or bundle and print what is in it.
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowOptions {
    /// A repository directory or a bundle file.
    #[arg(value_name = "REPO_OR_BUNDLE")]
    pub(crate) source: PathBuf,
    /// The trust anchor to verify with; the default is the repository's own first root.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent_and_every_verb_has_examples() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        for verb in command.get_subcommands_mut() {
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{help}");
        }
    }
}
