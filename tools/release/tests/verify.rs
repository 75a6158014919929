// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Reads a repository as a node does, with another library than the one that wrote it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::Digest;
use sha2::Sha256;
use sigstore_tuf::TrustedMetadataSet;

/// What a node sees of a repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Version of the timestamp, of the snapshot and of the targets.
    pub(crate) versions: [u64; 3],
    /// Every target, its bytes compared with what was signed.
    pub(crate) targets: BTreeMap<String, Vec<u8>>,
}

/// Verifies from the trust anchor to the last byte of every target.
pub(crate) fn verify(anchor: &Path, repo: &Path, now: jiff::Timestamp) -> Result<View, String> {
    let metadata = repo.join("metadata");
    let read =
        |name: &str| fs::read(metadata.join(name)).map_err(|error| format!("{name}: {error}"));
    let failed = |error: sigstore_tuf::Error| error.to_string();

    let anchor = fs::read(anchor).map_err(|error| error.to_string())?;
    let mut trusted = TrustedMetadataSet::from_root(&anchor).map_err(failed)?;
    while let Ok(next) = read(&format!("{}.root.json", trusted.root().version + 1)) {
        trusted.update_root(&next).map_err(failed)?;
    }
    trusted.check_root_expired(now).map_err(failed)?;
    trusted.update_timestamp(&read("timestamp.json")?, now).map_err(failed)?;
    let timestamp = trusted.timestamp().ok_or("no timestamp")?;
    let (timestamp_version, snapshot_version) =
        (timestamp.version, timestamp.snapshot_meta().ok_or("no snapshot in it")?.version);
    trusted
        .update_snapshot(&read(&format!("{snapshot_version}.snapshot.json"))?, now)
        .map_err(failed)?;
    let snapshot = trusted.snapshot().ok_or("no snapshot")?;
    let targets_version = snapshot.meta.get("targets.json").ok_or("no targets in it")?.version;
    trusted
        .update_targets(&read(&format!("{targets_version}.targets.json"))?, now)
        .map_err(failed)?;
    let top = trusted.targets_role("targets").ok_or("no targets")?.clone();
    let mut listed = top.targets.clone();
    for role in top.delegations.iter().flat_map(|delegations| &delegations.roles) {
        let pin = trusted
            .snapshot()
            .and_then(|snapshot| snapshot.meta.get(&format!("{}.json", role.name)));
        let Some(version) = pin.map(|pin| pin.version) else { continue };
        let bytes = read(&format!("{version}.{}.json", role.name))?;
        let list =
            trusted.update_delegated_targets(&bytes, &role.name, "targets", now).map_err(failed)?;
        for (name, target) in &list.targets {
            if role.matches_path(name).map_err(failed)? {
                listed.entry(name.clone()).or_insert_with(|| target.clone());
            }
        }
    }

    let mut contents = BTreeMap::new();
    for (name, target) in &listed {
        let hash = &target.hashes["sha256"];
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let path = repo.join("targets").join(folder).join(format!("{hash}.{file}"));
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let got: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if got != *hash || u64::try_from(bytes.len()) != Ok(target.length) {
            return Err(format!("{name} is not what was signed"));
        }
        contents.insert(name.clone(), bytes);
    }
    Ok(View { versions: [timestamp_version, snapshot_version, targets_version], targets: contents })
}
