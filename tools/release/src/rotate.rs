// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The next root: written unsigned by `rotate`, signed by `sign` on as many
//! machines as there are key holders, published by `adopt`.
//!
//! ```text
//! key ─> NAME.pem, NAME.pem.pub       rotate(N.root.json, *.pub) ─> N+1.root.json, no signatures
//! sign(N+1.root.json, root-1.pem) … sign(N+1.root.json, root-3.pem) ─> adopt(repo)
//! ```
//!
//! Only the file with the public metadata travels; a private key never leaves
//! its machine. Order and number of signatures do not matter: what counts is
//! that the threshold of the old root and that of the new one are both met.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::Key;
use tough::schema::{Role, RoleKeys, RoleType, Root, Signature, Signed};

use crate::cli::{KeyOptions, RotateOptions, SignOptions};
use crate::files::{self, FileError};
use crate::keys::{KeyError, SigningKey};
use crate::lifetime::LifetimeRangeError;
use crate::repository::MAX_ROOT_BYTES;

/// The next root could not be made or signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotateError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file is neither a root nor one that is being made.
    #[error("{} is not root metadata", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// A file is no public key.
    #[error("{} is neither a private key (.pem) nor a public one (.pem.pub)", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// More signatures are asked for than there are keys.
    #[error("a root threshold of {threshold} cannot be met with {keys} root key(s)")]
    Threshold {
        /// Signatures asked for.
        threshold: u64,
        /// Keys there are.
        keys: usize,
    },
    /// Nothing would change.
    #[error("nothing to rotate: name a key, a threshold or a new expiry")]
    Nothing,
    /// It would expire in no year, or no version is left.
    #[error("failed to compute when the root expires")]
    Expires(#[source] LifetimeRangeError),
    /// The key signs for neither root.
    #[error("{} is a root key of neither version {} nor version {new}", path.display(), new - 1)]
    Stranger {
        /// The key.
        path: PathBuf,
        /// The version of the new root.
        new: u64,
    },
    /// The two roots do not follow each other.
    #[error("{} is version {new}, which does not follow version {old}", path.display())]
    Gap {
        /// The new root.
        path: PathBuf,
        /// The version of the old one.
        old: u64,
        /// Its version.
        new: u64,
    },
    /// The canonical form or the identifier of a key could not be computed.
    #[error("failed to compute what is to be signed")]
    Canonical(#[source] Box<tough::schema::Error>),
}

/// How far the signing of a root is.
#[derive(Debug)]
pub(crate) struct Signing {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its version.
    pub(crate) version: u64,
    /// Signatures that count for the old root, and how many it needs.
    pub(crate) old: (usize, u64),
    /// The same for the new one.
    pub(crate) new: (usize, u64),
}

/// Makes one key, and its public half beside it.
pub(crate) fn key(options: &KeyOptions) -> Result<PathBuf, RotateError> {
    let public = public_path(&options.out);
    if public.exists() {
        return Err(KeyError::Exists { path: public }.into());
    }
    let key = SigningKey::generate(&options.out)?;
    files::write_new(&public, &json(&key.public()))?;
    Ok(public)
}

/// Writes the next root, without any signature.
pub(crate) fn rotate(options: &RotateOptions, now: Timestamp) -> Result<Signing, RotateError> {
    let old = read_root(&options.root)?;
    let mut root = old.signed.clone();
    let next = root.version.checked_add(1).unwrap_or(NonZeroU64::MAX);
    root.version = next;
    root.expires = options.root_expires.end(now).map_err(RotateError::Expires)?;
    let single = |key: &Option<PathBuf>| key.iter().cloned().collect::<Vec<_>>();
    let replaced = [
        (RoleType::Root, options.root_key.clone()),
        (RoleType::Targets, single(&options.targets)),
        (RoleType::Snapshot, single(&options.snapshot)),
        (RoleType::Timestamp, single(&options.timestamp)),
    ];
    let renewed = options.renew || options.root_threshold.is_some();
    if !renewed && replaced.iter().all(|(_, keys)| keys.is_empty()) {
        return Err(RotateError::Nothing);
    }
    for (role, paths) in replaced.into_iter().filter(|(_, paths)| !paths.is_empty()) {
        let mut keyids = Vec::new();
        for path in &paths {
            let key = public_key(path)?;
            let keyid = key.key_id().map_err(canonical)?;
            root.keys.insert(keyid.clone(), key);
            if !keyids.contains(&keyid) {
                keyids.push(keyid);
            }
        }
        let threshold = root.roles.get(&role).map_or(NonZeroU64::MIN, |keys| keys.threshold);
        root.roles.insert(role, RoleKeys { keyids, threshold, _extra: Default::default() });
    }
    if let Some(keys) = root.roles.get_mut(&RoleType::Root) {
        let threshold = options.root_threshold.and_then(|n| NonZeroU64::new(n.into()));
        keys.threshold = threshold.unwrap_or(keys.threshold);
        let (threshold, keys) = (keys.threshold.get(), keys.keyids.len());
        if usize::try_from(threshold).is_ok_and(|threshold| threshold > keys) {
            return Err(RotateError::Threshold { threshold, keys });
        }
    }
    // A key that no role names any more has no business here.
    let named: Vec<_> = root.roles.values().flat_map(|role| role.keyids.clone()).collect();
    root.keys.retain(|keyid, _| named.contains(keyid));
    let unsigned = Signed { signed: root, signatures: Vec::new() };
    files::write_new(&options.out, &json(&unsigned))?;
    Ok(signing(&options.out, &old.signed, &unsigned))
}

/// Adds signatures to the next root.
pub(crate) fn sign(options: &SignOptions) -> Result<Signing, RotateError> {
    let old = read_root(&options.root)?.signed;
    let mut new = read_root(&options.file)?;
    follows(&options.file, &old, &new.signed)?;
    let message = new.signed.canonical_form().map_err(canonical)?;
    for path in &options.keys {
        let key = SigningKey::load(path)?;
        let keyid = key.public().key_id().map_err(canonical)?;
        let counts = |root: &Root| keyids(root).contains(&keyid);
        if !counts(&old) && !counts(&new.signed) {
            let new = new.signed.version.get();
            return Err(RotateError::Stranger { path: path.clone(), new });
        }
        new.signatures.retain(|signature| signature.keyid != keyid);
        new.signatures.push(Signature { keyid, sig: key.signature(&message).into() });
    }
    files::replace(&options.file, &json(&new))?;
    Ok(signing(&options.file, &old, &new))
}

/// Sees that the new root is one version above the old one.
pub(crate) fn follows(path: &Path, old: &Root, new: &Root) -> Result<(), RotateError> {
    let (old, new) = (old.version.get(), new.version.get());
    if old.checked_add(1) == Some(new) {
        return Ok(());
    }
    Err(RotateError::Gap { path: path.to_owned(), old, new })
}

/// How many signatures are good, and how many are needed.
pub(crate) fn signing(path: &Path, old: &Root, new: &Signed<Root>) -> Signing {
    let good = |root: &Root| {
        let threshold = root.roles.get(&RoleType::Root).map_or(1, |role| role.threshold.get());
        // The library verifies whole roles: one signature at a time, with a threshold of one.
        let mut alone = root.clone();
        if let Some(role) = alone.roles.get_mut(&RoleType::Root) {
            role.threshold = NonZeroU64::MIN;
        }
        let counts = |signature: &&Signature| {
            let signatures = vec![(*signature).clone()];
            alone.verify_role(&Signed { signed: new.signed.clone(), signatures }).is_ok()
        };
        (new.signatures.iter().filter(counts).count(), threshold)
    };
    let version = new.signed.version.get();
    Signing { path: path.to_owned(), version, old: good(old), new: good(&new.signed) }
}

/// A root, with as many signatures as it has.
pub(crate) fn read_root(path: &Path) -> Result<Signed<Root>, RotateError> {
    serde_json::from_slice(&files::read(path, MAX_ROOT_BYTES)?)
        .map_err(|source| RotateError::Root { path: path.to_owned(), source })
}

fn keyids(root: &Root) -> &[Decoded<Hex>] {
    root.roles.get(&RoleType::Root).map_or(&[], |role| &role.keyids)
}

/// The public half, from a file with it or from a private key.
pub(crate) fn public_key(path: &Path) -> Result<Key, RotateError> {
    if path.extension().is_some_and(|extension| extension == "pem") {
        return Ok(SigningKey::load(path)?.public());
    }
    serde_json::from_slice(&files::read(path, MAX_ROOT_BYTES)?)
        .map_err(|source| RotateError::PublicKey { path: path.to_owned(), source })
}

fn public_path(private: &Path) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "metadata has text keys")]
    let mut bytes = serde_json::to_vec_pretty(value).expect("metadata can be written as JSON");
    bytes.push(b'\n');
    bytes
}

fn canonical(error: tough::schema::Error) -> RotateError {
    RotateError::Canonical(Box::new(error))
}
