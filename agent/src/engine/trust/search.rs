// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Which list of targets speaks for a target: the search of the TUF
//! specification, 5.6.7, over whatever verifier and source there is.
//!
//! Invariants: every role on the way to an answer is vouched for by the role it
//! was reached through; a role is visited once and at most `roles_max` are; what
//! comes after a terminating delegation is not asked. What cannot be fetched or
//! does not verify ends the search: a later role must not speak in its place.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Edge, MetaPin, TARGETS, TargetPin, Verifier, VerifyError};
use crate::engine::error::TrustError;

/// A search without an answer. `E`: metadata could not be had.
#[derive(Debug)]
pub(crate) enum SearchError<E> {
    /// The list of a delegated role could not be had.
    Fetch(E),
    /// The list of a role is not to be trusted, or what it says of others.
    Role {
        /// The role.
        role: String,
        /// Why not.
        source: VerifyError,
    },
}

/// Looks a target up, beginning with the targets that the root vouches for.
/// `fetch` brings the list of a delegated role, as the snapshot pins it.
pub(crate) fn search<E>(
    verifier: &mut dyn Verifier,
    target: &str,
    now: Timestamp,
    roles_max: u32,
    mut fetch: impl FnMut(&str, MetaPin) -> Result<Vec<u8>, E>,
) -> Result<Option<TargetPin>, SearchError<E>> {
    // A stack: what is to be visited next is last.
    let mut ahead: Vec<Edge> = Vec::new();
    let mut visited = BTreeSet::from([TARGETS.to_owned()]);
    let mut role = TARGETS.to_owned();
    let mut left = roles_max;
    loop {
        if let Some(pin) = verifier.target(&role, target) {
            return Ok(Some(pin));
        }
        let refused = |role: &str, source| {
            let (role, source) = (role.to_owned(), VerifyError::Refused(source));
            SearchError::Role { role, source }
        };
        let mut covering = verifier.delegations(&role, target).map_err(|e| refused(&role, e))?;
        if let Some(last) = covering.iter().position(|delegation| delegation.terminating) {
            covering.truncate(last + 1);
            ahead.clear();
        }
        let edges =
            covering.into_iter().map(|next| Edge { delegator: role.clone(), role: next.role });
        ahead.extend(edges.rev());
        let next = loop {
            match ahead.pop() {
                Some(edge) if visited.contains(&edge.role) => {}
                other => break other,
            }
        };
        let Some(edge) = next else { return Ok(None) };
        if left == 0 {
            let problem =
                format!("the search for {target} has visited {roles_max} roles before it");
            return Err(refused(&edge.role, TrustError::Malformed(problem)));
        }
        left -= 1;
        visited.insert(edge.role.clone());
        let unverified = |source| SearchError::Role { role: edge.role.clone(), source };
        if !verifier.check_delegated(&edge, now).map_err(unverified)? {
            let Some(pin) = verifier.targets_pin(&edge.role) else {
                let problem = format!("{} delegates to it, the snapshot lacks it", edge.delegator);
                return Err(refused(&edge.role, TrustError::Malformed(problem)));
            };
            let bytes = fetch(&edge.role, pin).map_err(SearchError::Fetch)?;
            verifier.update_delegated(&edge, &bytes, now).map_err(unverified)?;
        }
        role = edge.role;
    }
}
