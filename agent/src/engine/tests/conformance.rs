// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The cases of the TUF project's conformance suite
//! (<https://github.com/theupdateframework/tuf-conformance>, as of August
//! 2026), by its names, written anew and run over both verifiers.
//!
//! | its file | here | |
//! |---|---|---|
//! | `test_basic` | [`basic`] | all but `faketime`: the time is an argument here |
//! | `test_expiration` | [`basic`] | all |
//! | `test_file_download` | [`files`] | all but `artifact_cache`, which the specification does not ask for; of the hash algorithms SHA-256 alone counts |
//! | `test_keys` | [`keys`] | all; of the key types Ed25519, which `release` signs with, and ECDSA; RSA is refused |
//! | `test_quoting_issues` | [`delegations`] | all |
//! | `test_rollback` | [`rollback`] | all |
//! | `test_updater_delegation_graphs` | [`delegations`] | all |
//! | `test_updater_key_rotations` | [`keys`] | all |
//! | `test_static_repositories` | | not a matter of the specification: repositories that other tools made, in part without consistent snapshots, which nodes insist on. That what one library writes the other reads is tested with `release` |
//! | `test_repository_simulator` | | tests the suite itself |

use crate::engine::tests::node::{VERIFIERS, assert_says};
use crate::engine::trust::Begin;

mod basic;
mod delegations;
mod files;
mod keys;
mod rollback;
mod simulator;

use simulator::{Client, Simulator};

/// Runs a case over both verifiers.
fn each(case: impl Fn(Begin)) {
    for (_, begin) in VERIFIERS {
        case(begin);
    }
}

/// A repository and a client of it, for both verifiers.
fn scenes(case: impl Fn(&mut Simulator, &mut Client)) {
    each(|begin| {
        let mut simulator = Simulator::new();
        let mut client = Client::new(begin, &simulator);
        case(&mut simulator, &mut client);
    });
}

/// The refresh is refused in these words.
#[track_caller]
fn refuses(client: &Client, simulator: &mut Simulator, says: &[&str]) {
    match client.refresh(simulator) {
        Ok(trusted) => panic!("{:?} were taken", trusted.verifier.versions()),
        Err(refusal) => assert_says(&refusal, says),
    }
}
