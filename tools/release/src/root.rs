// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The trust anchor: the first root, which says whose signatures count.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use aws_lc_rs::rand::SystemRandom;
use jiff::Timestamp;
use tough::editor::signed::SignedRole;
use tough::key_source::KeySource;
use tough::schema::KeyHolder;
use tough::schema::RoleKeys;
use tough::schema::RoleType;
use tough::schema::Root;

use crate::cli::KeygenOptions;
use crate::cli::Under;
use crate::files;
use crate::files::FileError;
use crate::keys::KeyError;
use crate::keys::SigningKey;
use crate::lifetime::LifetimeRangeError;

/// The version of the TUF specification our metadata follows.
pub(crate) const SPEC_VERSION: &str = "1.0.0";
/// The file name of the trust anchor, in the key directory and in a repository.
pub(crate) const ANCHOR: &str = "1.root.json";

/// What `keygen` made.
#[derive(Debug)]
pub(crate) struct NewKeys {
    /// The private keys for offline media.
    pub(crate) root_keys: Vec<PathBuf>,
    /// The private keys publishing needs.
    pub(crate) online_keys: Vec<PathBuf>,
    /// The trust anchor nodes are given.
    pub(crate) anchor: PathBuf,
    /// How many root keys have to sign the next root.
    pub(crate) threshold: u32,
    /// When the root expires.
    pub(crate) expires: Timestamp,
}

/// The keys or the trust anchor could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeygenError {
    /// More signatures are asked for than there are keys.
    #[error("a root threshold of {threshold} cannot be met with {keys} root key(s)")]
    Threshold {
        /// Signatures asked for.
        threshold: u32,
        /// Keys asked for.
        keys: u32,
    },
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The trust anchor could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It would expire in no year.
    #[error("failed to compute when the root expires")]
    Expires(#[source] LifetimeRangeError),
    /// The first root could not be signed.
    #[error("failed to sign the first root")]
    Sign(#[source] Box<tough::error::Error>),
    /// A public key has no identifier.
    #[error("failed to compute the identifier of a key")]
    KeyId(#[source] Box<tough::schema::Error>),
}

/// Makes all keys, then the trust anchor, which is signed by every root key.
pub(crate) async fn keygen(
    options: &KeygenOptions,
    now: Timestamp,
) -> Result<NewKeys, KeygenError> {
    let (keys, threshold) = (options.root_keys, options.root_threshold);
    if threshold > keys {
        return Err(KeygenError::Threshold { threshold, keys });
    }
    let expires = options.root_expires.end(now).map_err(KeygenError::Expires)?;
    let directory = &options.keys;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(files::doing("create directory", directory))?;

    let root_paths: Vec<_> = (1..=keys).map(|n| directory.join(format!("root-{n}.pem"))).collect();
    let online_paths = OnlineKeys::paths(directory);
    let anchor = directory.join(ANCHOR);
    let all = root_paths.iter().chain(&online_paths).chain([&anchor]);
    if let Some(path) = all.into_iter().find(|path| path.exists()) {
        return Err(KeyError::Exists { path: path.clone() }.into());
    }

    let root_keys =
        root_paths.iter().map(|path| SigningKey::generate(path)).collect::<Result<Vec<_>, _>>()?;
    let [targets, snapshot, timestamp] = &online_paths;
    let online = OnlineKeys {
        targets: Some(SigningKey::generate(targets)?),
        snapshot: SigningKey::generate(snapshot)?,
        timestamp: SigningKey::generate(timestamp)?,
        delegated: Vec::new(),
    };
    let root = first_root(&root_keys, &online, threshold, expires)?;
    let sources: Vec<_> = root_keys.iter().map(SigningKey::source).collect();
    let signed =
        SignedRole::new(root.clone(), &KeyHolder::Root(root), &sources, &SystemRandom::new())
            .await
            .map_err(|error| KeygenError::Sign(Box::new(error)))?;
    files::write_new(&anchor, signed.buffer())?;
    Ok(NewKeys {
        root_keys: root_paths,
        online_keys: online_paths.into(),
        anchor,
        threshold,
        expires,
    })
}

/// The keys that sign what changes with every release.
#[derive(Debug)]
pub(crate) struct OnlineKeys {
    /// None on a machine that only renews, or publishes under a delegated role.
    targets: Option<SigningKey>,
    snapshot: SigningKey,
    timestamp: SigningKey,
    /// The keys of a delegated role.
    delegated: Vec<SigningKey>,
}

impl OnlineKeys {
    /// Reads them from the key directory.
    pub(crate) fn load(directory: &Path) -> Result<Self, KeyError> {
        let [targets, _, _] = Self::paths(directory);
        Ok(Self { targets: Some(SigningKey::load(&targets)?), ..Self::load_frequent(directory)? })
    }

    /// Reads those of snapshot and timestamp alone.
    pub(crate) fn load_frequent(directory: &Path) -> Result<Self, KeyError> {
        let [_, snapshot, timestamp] = Self::paths(directory);
        let (snapshot, timestamp) = (SigningKey::load(&snapshot)?, SigningKey::load(&timestamp)?);
        Ok(Self { targets: None, snapshot, timestamp, delegated: Vec::new() })
    }

    /// Reads what is needed to publish under the targets or under another role.
    pub(crate) fn load_under(directory: &Path, under: &Under) -> Result<Self, KeyError> {
        match under.role {
            None => Self::load(directory),
            Some(_) => Self::load_frequent(directory)?.with_role(&under.role_key),
        }
    }

    /// Those of a delegated role as well.
    pub(crate) fn with_role(self, paths: &[PathBuf]) -> Result<Self, KeyError> {
        let delegated =
            paths.iter().map(|path| SigningKey::load(path)).collect::<Result<_, _>>()?;
        Ok(Self { delegated, ..self })
    }

    /// Whether the list of the targets themselves can be signed.
    pub(crate) fn sign_targets(&self) -> bool {
        self.targets.is_some()
    }

    /// As the editor takes them.
    pub(crate) fn sources(&self) -> Vec<Box<dyn KeySource>> {
        let rest = [&self.snapshot, &self.timestamp].into_iter().chain(&self.delegated);
        self.targets.iter().chain(rest).map(SigningKey::source).collect()
    }

    /// The first role of which the root does not name our key.
    pub(crate) fn foreign(&self, root: &Root) -> Option<&'static str> {
        let roles = [
            ("targets", RoleType::Targets, self.targets.as_ref()),
            ("snapshot", RoleType::Snapshot, Some(&self.snapshot)),
            ("timestamp", RoleType::Timestamp, Some(&self.timestamp)),
        ];
        let foreign =
            |key: &SigningKey, role| !root.keys(role).any(|public| *public == key.public());
        let mut roles = roles.into_iter();
        let foreign = roles.find(|(_, role, key)| key.is_some_and(|key| foreign(key, *role)));
        foreign.map(|(name, _, _)| name)
    }

    fn paths(directory: &Path) -> [PathBuf; 3] {
        ["targets.pem", "snapshot.pem", "timestamp.pem"].map(|name| directory.join(name))
    }
}

fn first_root(
    root_keys: &[SigningKey],
    online: &OnlineKeys,
    threshold: u32,
    expires: Timestamp,
) -> Result<Root, KeygenError> {
    let one = NonZeroU64::MIN;
    let mut root = Root {
        spec_version: SPEC_VERSION.to_owned(),
        consistent_snapshot: true,
        version: one,
        expires,
        keys: HashMap::new(),
        roles: HashMap::new(),
        _extra: HashMap::new(),
    };
    let root_threshold = NonZeroU64::new(threshold.into()).unwrap_or(one);
    let roles = [
        (RoleType::Root, root_keys, root_threshold),
        (RoleType::Targets, online.targets.as_slice(), one),
        (RoleType::Snapshot, std::slice::from_ref(&online.snapshot), one),
        (RoleType::Timestamp, std::slice::from_ref(&online.timestamp), one),
    ];
    for (role, keys, threshold) in roles {
        let mut keyids = Vec::new();
        for key in keys {
            let public = key.public();
            let keyid = public.key_id().map_err(|error| KeygenError::KeyId(Box::new(error)))?;
            keyids.push(keyid.clone());
            root.keys.insert(keyid, public);
        }
        root.roles.insert(role, RoleKeys { keyids, threshold, _extra: HashMap::new() });
    }
    Ok(root)
}
