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

use crate::delegate::PathPattern;
use crate::delegate::RoleName;
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
  To renew what is about to expire, see `release renew`.";

const RENEW_EXAMPLES: &str = "\
Examples:
  From a timer, on a machine that has snapshot.pem, timestamp.pem and 1.root.json:
    release renew --repo repo --keys keys --expires-timestamp 7d
  The targets too, where their key is:
    release renew --repo repo --keys keys --targets";

const CHANNEL_EXAMPLES: &str = "\
Examples:
  release halt --repo repo --keys keys --channel stable
  release resume --repo repo --keys keys --channel stable

Nodes of a halted channel keep what they have. Publishing on it resumes it.";

const REVOKE_EXAMPLES: &str = "\
Examples:
  release revoke --repo repo --keys keys --version 1.2.0

The release is no longer listed: no node installs it, pinned ones neither. Nodes
that have it keep it until their channel names another. A channel that names it
has to be given another release first. Published under the same version again, it
is listed again.";

const ROTATE_EXAMPLES: &str = "\
Examples:
  Replace one of three root keys (all that count from now on are named):
    release key --out root-4.pem
    release rotate --root repo/metadata/1.root.json --out 2.root.json \\
        --root-key root-2.pem.pub --root-key root-3.pem.pub --root-key root-4.pem.pub
  Replace a leaked online key:
    release key --out new/timestamp.pem
    release rotate --root repo/metadata/1.root.json --out 2.root.json \\
        --timestamp new/timestamp.pem.pub
  Only a later expiry:
    release rotate --root repo/metadata/1.root.json --out 2.root.json --renew
  Then, on the machine of each key holder, and at last where it is published:
    release sign --root 1.root.json --file 2.root.json --key root-1.pem
    release adopt --repo repo --keys keys --root 2.root.json";

const DELEGATE_EXAMPLES: &str = "\
Examples:
  The holder of the new role makes a key; its public half goes to the targets' machine:
    release key --out beta.pem
    release delegate --repo repo --keys keys --role beta --key beta.pem.pub \\
        --paths channels/beta.json 'releases/2.*.json' 'logger-2.*'
  Then, with snapshot.pem and timestamp.pem alone in keys:
    release publish --repo repo --keys keys --release out/2.0.0 --channel beta \\
        --role beta --role-key beta.pem
  To end it:
    release delegate --repo repo --keys keys --role beta --remove";

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
    Renew(RenewOptions),
    Halt(ChannelOptions),
    Resume(ChannelOptions),
    Revoke(RevokeOptions),
    Delegate(DelegateOptions),
    Key(KeyOptions),
    Rotate(RotateOptions),
    Sign(SignOptions),
    Adopt(AdoptOptions),
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
/// The repository is made when it does not exist.
/// What the repository already holds stays in it. A repository that does not
/// verify is not extended; a version is not published twice with other bytes.
#[derive(Debug, Args)]
#[command(after_help = PUBLISH_EXAMPLES)]
pub(crate) struct PublishOptions {
    #[command(flatten)]
    pub(crate) at: At,
    /// Directory that `release build` wrote.
    #[arg(long, value_name = "DIR")]
    pub(crate) release: PathBuf,
    /// The channel that shall name this release: 1-32 of a-z, 0-9 and -.
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: ChannelName,
    #[command(flatten)]
    pub(crate) under: Under,
}

/// Sign the timestamp and the snapshot anew, before they expire.
#[derive(Debug, Args)]
#[command(after_help = RENEW_EXAMPLES)]
pub(crate) struct RenewOptions {
    #[command(flatten)]
    pub(crate) at: At,
    /// The targets as well; needs targets.pem.
    #[arg(long = "targets")]
    pub(crate) with_targets: bool,
    #[command(flatten)]
    pub(crate) under: Under,
}

/// Stop a channel (halt) or let it go on (resume).
#[derive(Debug, Args)]
#[command(after_help = CHANNEL_EXAMPLES)]
pub(crate) struct ChannelOptions {
    #[command(flatten)]
    pub(crate) at: At,
    /// The channel.
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: ChannelName,
    #[command(flatten)]
    pub(crate) under: Under,
}

/// Take a release out of the repository.
#[derive(Debug, Args)]
#[command(after_help = REVOKE_EXAMPLES)]
pub(crate) struct RevokeOptions {
    #[command(flatten)]
    pub(crate) at: At,
    /// The release.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Version,
    #[command(flatten)]
    pub(crate) under: Under,
}

/// Make one key, with its public half beside it.
#[derive(Debug, Args)]
#[command(after_help = ROTATE_EXAMPLES)]
pub(crate) struct KeyOptions {
    /// The private key, mode 0600; the public one gets the same name and .pub.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Write the next root, unsigned: other keys, another threshold, a later expiry.
///
/// A key is a public one (.pem.pub) or, where it is at hand, a private one (.pem).
#[derive(Debug, Args)]
#[command(after_help = ROTATE_EXAMPLES)]
pub(crate) struct RotateOptions {
    /// The root in force.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
    /// The next one, which is written.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// A root key; all that shall count have to be named.
    #[arg(long, value_name = "KEY")]
    pub(crate) root_key: Vec<PathBuf>,
    /// How many of them have to sign.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) root_threshold: Option<u32>,
    /// The key of the targets.
    #[arg(long, value_name = "KEY")]
    pub(crate) targets: Option<PathBuf>,
    /// The key of the snapshot.
    #[arg(long, value_name = "KEY")]
    pub(crate) snapshot: Option<PathBuf>,
    /// The key of the timestamp.
    #[arg(long, value_name = "KEY")]
    pub(crate) timestamp: Option<PathBuf>,
    /// The same keys, a later expiry.
    #[arg(long)]
    pub(crate) renew: bool,
    /// How long it is valid: a number with s, m, h, d or w.
    #[arg(long, value_name = "DURATION", default_value = "730d")]
    pub(crate) root_expires: Lifetime,
}

/// Add signatures to the next root.
#[derive(Debug, Args)]
#[command(after_help = ROTATE_EXAMPLES)]
pub(crate) struct SignOptions {
    /// The root in force.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
    /// The next one.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// A root key of either.
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
}

/// Publish the next root, and sign everything below it with the keys it names.
#[derive(Debug, Args)]
#[command(after_help = ROTATE_EXAMPLES)]
pub(crate) struct AdoptOptions {
    #[command(flatten)]
    pub(crate) at: At,
    /// The next root, signed by enough keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
}

/// Which repository is changed, with which keys.
#[derive(Debug, Clone, Args)]
pub(crate) struct At {
    /// The repository.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: PathBuf,
    /// Directory with 1.root.json and the online keys that are needed.
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: PathBuf,
    #[command(flatten)]
    pub(crate) lifetimes: Lifetimes,
}

/// Under which role: the targets, or one that they delegate to.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Under {
    /// A delegated role, in place of the targets; targets.pem is not needed then.
    #[arg(long, value_name = "ROLE", requires = "role_key")]
    pub(crate) role: Option<RoleName>,
    /// A key of that role; as many as have to sign.
    #[arg(long, value_name = "FILE", requires = "role")]
    pub(crate) role_key: Vec<PathBuf>,
}

/// Trust another role with some of the targets, or no longer.
///
/// For a role that there is, keys and paths are replaced. What it has published
/// has to be signed by the new keys then: name enough of them with --role-key.
#[derive(Debug, Args)]
#[command(after_help = DELEGATE_EXAMPLES)]
pub(crate) struct DelegateOptions {
    #[command(flatten)]
    pub(crate) at: At,
    /// The role: 1-32 of a-z, 0-9 and -.
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: RoleName,
    /// Names that it may list: * and ? stand for characters other than /.
    #[arg(long, value_name = "PATTERN", num_args = 1.., required_unless_present = "remove")]
    pub(crate) paths: Vec<PathPattern>,
    /// A key of the role, public (.pem.pub) or private (.pem); all that shall count.
    #[arg(long, value_name = "KEY", required_unless_present = "remove")]
    pub(crate) key: Vec<PathBuf>,
    /// How many of them have to sign.
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) threshold: u32,
    /// What it may list and does not is looked for nowhere else.
    #[arg(long)]
    pub(crate) terminating: bool,
    /// A private key of the role, to sign its list in the same step.
    #[arg(long, value_name = "FILE")]
    pub(crate) role_key: Vec<PathBuf>,
    /// Trust it no longer.
    #[arg(long, conflicts_with_all = ["paths", "key", "terminating", "role_key"])]
    pub(crate) remove: bool,
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
