// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `release`: builds, signs and publishes releases of the logger.
//!
//! A release leaves the build machine in four steps, each a verb:
//!
//! ```text
//! keygen ─> KEYS/{root-N,targets,snapshot,timestamp}.pem, KEYS/1.root.json (the trust anchor)
//! build  ─> DIR/{logger-VERSION-TARGET.tar.zst,release.json}
//! publish(KEYS, DIR) ─> REPO/{metadata,targets}/…   a tree of static files (TUF)
//! bundle(REPO) ─> one tar for a site without network
//! ```
//!
//! Between releases: `renew`, `halt`, `resume`, `revoke`; and for new keys `key`,
//! `rotate`, `sign`, `adopt`.
//!
//! Invariants: nothing is added to a repository that does not verify from the
//! trust anchor; a published file is never overwritten with other bytes;
//! `timestamp.json` is written last, so that an interrupted publish leaves the
//! repository as it was; a private key is never read from a file that others
//! may read.

mod bundle;
mod cli;
mod delegate;
mod files;
mod keys;
mod lifetime;
mod output;
mod package;
mod publish;
mod repository;
mod root;
mod rotate;
mod show;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::cli::Verb;
use crate::publish::maintain;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    match run(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::failure(&error),
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match verb {
            Verb::Keygen(options) => output::keygen(&root::keygen(&options, now).await?),
            Verb::Build(options) => output::build(&package::build(&options, now).await?),
            Verb::Publish(options) => output::publish(&publish::publish(&options, now).await?),
            Verb::Renew(options) => output::maintain(&maintain::renew(&options, now).await?),
            Verb::Halt(options) => {
                output::maintain(&maintain::set_halted(&options, true, now).await?);
            }
            Verb::Resume(options) => {
                output::maintain(&maintain::set_halted(&options, false, now).await?);
            }
            Verb::Revoke(options) => output::maintain(&maintain::revoke(&options, now).await?),
            Verb::Delegate(options) => {
                output::maintain(&maintain::delegate(&options, now).await?);
            }
            Verb::Key(options) => output::key(&options.out, &rotate::key(&options)?),
            Verb::Rotate(options) => output::signing(&rotate::rotate(&options, now)?),
            Verb::Sign(options) => output::signing(&rotate::sign(&options)?),
            Verb::Adopt(options) => output::maintain(&maintain::adopt(&options, now).await?),
            Verb::Bundle(options) => output::bundle(&bundle::bundle(&options).await?),
            Verb::Show(options) => {
                let shown = show::show(&options, now).await?;
                output::show(&shown, options.json)?;
                shown.intact(&options.source)?;
            }
        }
        Ok(())
    })
}
