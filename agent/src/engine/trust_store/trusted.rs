// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is trusted at the moment: a verifier with its floors in place, and
//! what became of floors on the way there.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::damaged;
use crate::engine::error::{TrustError, UpdateError};
use crate::engine::trust::{self, Role, Verifier, VerifyError};

/// What was accepted before: a verifier with its floors in place.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) verifier: Box<dyn Verifier>,
    pub(crate) lower: Lower,
    /// The floors that new keys have lifted, as far as that is not on record.
    pub(crate) lifted: Vec<Lifted>,
    pub(crate) warnings: Vec<String>,
    /// The delegated roles that were asked.
    pub(crate) delegated: Vec<String>,
    /// The newest timestamp, while what it pins has not all come.
    pub(super) begun: Option<Begun>,
    /// The newest root that replaced keys of a role, by the role's name.
    replaced: BTreeMap<&'static str, u64>,
}

/// The bytes of the lower roles that the verifier holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lower {
    pub(crate) timestamp: Option<Vec<u8>>,
    pub(crate) snapshot: Option<Vec<u8>>,
    pub(crate) targets: Option<Vec<u8>>,
}

/// A floor that counts no longer.
#[derive(Debug)]
pub(crate) struct Lifted {
    pub(crate) role: Role,
    pub(crate) version: u64,
    /// In words.
    pub(crate) why: String,
}

/// A refresh that may not come to its end, by its timestamp. In the order in
/// which they were begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Begun {
    /// The root under which it was taken.
    pub(super) root: u64,
    /// Its version.
    pub(super) version: u64,
}

/// The roles below the root, in the order in which they are taken.
pub(super) const LOWER: [Role; 3] = [Role::Timestamp, Role::Snapshot, Role::Targets];

const ALL: [Role; 4] = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets];

impl Trusted {
    /// What begins with this root, of whose predecessors nothing is known.
    pub(super) fn new(verifier: Box<dyn Verifier>) -> Self {
        let replaced = match verifier.versions().root {
            0 | 1 => BTreeMap::new(),
            version => LOWER.map(|role| (role.name(), version)).into(),
        };
        let (lower, lifted, warnings, delegated, begun) = Default::default();
        Self { verifier, lower, lifted, warnings, delegated, begun, replaced }
    }

    /// Follows the root chain by exactly one version. Returns the roles whose keys it replaces.
    pub(crate) fn update_root(&mut self, bytes: &[u8]) -> Result<Vec<&'static str>, TrustError> {
        let before = ALL.map(|role| self.verifier.keys(role));
        self.verifier.update_root(bytes)?;
        let version = self.verifier.versions().root;
        let changed = ALL.into_iter().zip(before);
        let changed = changed.filter(|(role, before)| self.verifier.keys(*role) != *before);
        let names: Vec<&str> = changed.map(|(role, _)| role.name()).collect();
        self.replaced.extend(names.iter().map(|name| (*name, version)));
        Ok(names)
    }

    /// Whether a root after this one has replaced keys of the timestamp or of the snapshot. Then
    /// neither is a floor any more, whoever signed it (TUF specification, 5.3.11).
    pub(super) fn replaced_since(&self, root: u64) -> bool {
        [Role::Timestamp, Role::Snapshot]
            .iter()
            .any(|role| self.replaced.get(role.name()).is_some_and(|at| *at > root))
    }

    pub(super) fn feed(&mut self, role: Role, bytes: &[u8]) -> Result<(), VerifyError> {
        match role {
            Role::Root => self.update_root(bytes).map(drop).map_err(VerifyError::Refused),
            Role::Timestamp => self.verifier.update_timestamp(bytes, Timestamp::MIN).map(drop),
            Role::Snapshot => self.verifier.update_snapshot(bytes, Timestamp::MIN),
            Role::Targets => self.verifier.update_targets(bytes, Timestamp::MIN),
        }
    }

    /// Takes what is stored, whenever it expired; false if the role's keys were replaced,
    /// so that it is no floor. Replaces the bytes by those that verify.
    pub(super) fn take(
        &mut self,
        role: Role,
        path: &Path,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, UpdateError> {
        let mut taken = self.feed(role, bytes);
        // Agents before this one took what a mirror had added in the name of keys that did not
        // count then. The signatures that did are none of those.
        if let Err(VerifyError::Refused(TrustError::RepeatedSignature { .. })) = taken
            && let Some(plain) = trust::without_repeats(bytes)
        {
            taken = self.feed(role, &plain);
            *bytes = plain;
        }
        match taken {
            Ok(()) | Err(VerifyError::Expired { .. }) => Ok(true),
            Err(VerifyError::Refused(TrustError::Signature { .. }))
                if self.replaced.contains_key(role.name()) =>
            {
                let name = role.name();
                let why = format!(
                    "the keys of the {name} role were replaced; its stored version no longer counts"
                );
                self.lift(role, trust::version(bytes), why);
                Ok(false)
            }
            Err(VerifyError::Refused(source)) => Err(damaged(path, source)),
        }
    }

    /// A stored version sets no floor any more.
    pub(super) fn lift(&mut self, role: Role, version: u64, why: String) {
        self.warnings.push(why.clone());
        self.lifted.push(Lifted { role, version, why });
    }

    /// Whether all has come that the newest timestamp pins.
    pub(crate) fn is_whole(&self) -> bool {
        self.begun.is_none()
    }
}
