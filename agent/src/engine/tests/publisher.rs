// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A publisher for tests: signs repositories in memory and writes them out,
//! honest by default and hostile where a test asks for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dockerlogger_manifest::{Artifact, ArtifactFile, DriverSpec, Extra, Release, Runs, Target};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::engine::digest;
use crate::engine::trust::TARGETS;

pub(super) const FOREVER: &str = "2099-01-01T00:00:00Z";

/// A signing key.
#[derive(Clone)]
pub(super) struct Key {
    pair: std::sync::Arc<Ed25519KeyPair>,
}

impl Key {
    pub(super) fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        Self { pair: std::sync::Arc::new(pair) }
    }

    fn public(&self) -> String {
        self.pair.public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn id(&self) -> String {
        // As the specification computes it; one of the two verifiers insists.
        let bytes = sigstore_tuf::canonical_json::to_canonical_bytes(&self.description()).unwrap();
        digest::of(&bytes).to_string()
    }

    pub(super) fn description(&self) -> Value {
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": self.public()}})
    }

    pub(super) fn signature(&self, signed: &Value) -> Value {
        let bytes = sigstore_tuf::canonical_json::to_canonical_bytes(signed).unwrap();
        let signature = self.pair.sign(&bytes);
        let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"keyid": self.id(), "sig": hex})
    }
}

/// What a release is made of.
pub(super) struct Recipe {
    pub(super) version: String,
    /// What the logger says it is; the version unless a test wants a lie.
    pub(super) says: String,
    pub(super) target: Target,
    pub(super) drivers: Vec<DriverSpec>,
    /// Replaces the honest archive; the file list stays that of the honest one.
    pub(super) packed: Option<Vec<u8>>,
    /// Bytes at the end of the logger that mean nothing and do not compress well.
    pub(super) padding: usize,
    pub(super) extra: Extra,
}

impl Recipe {
    pub(super) fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            says: version.to_owned(),
            target: target(),
            drivers: drivers(),
            packed: None,
            padding: 0,
            extra: Extra::new(),
        }
    }
}

pub(super) fn target() -> Target {
    "x86_64-unknown-test".parse().unwrap()
}

pub(super) fn drivers() -> Vec<DriverSpec> {
    vec![DriverSpec {
        name: "fixture".to_owned(),
        summary: "sends to nobody".to_owned(),
        // One in the zone would be tried.
        runs: Runs::Platform,
        since: "1.0.0".to_owned(),
        example: Vec::new(),
        routes: Vec::new(),
        options: Vec::new(),
        extra: Extra::new(),
    }]
}

/// A logger as far as a probe can tell.
pub(super) fn logger_script(says: &str, drivers: &[DriverSpec]) -> Vec<u8> {
    let drivers = serde_json::to_string(drivers).unwrap();
    format!(
        "#!/bin/sh\ncase \"$1\" in version) echo {says};; drivers) echo '{drivers}';; *) exit 64;; esac\n"
    )
    .into_bytes()
}

/// A comment of so many bytes at the end of a script, always the same one.
fn padding(bytes: usize) -> Vec<u8> {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let letter = |_| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        b'!' + noise.to_le_bytes()[7] % 64
    };
    let comment: Vec<u8> = (0..bytes).map(letter).collect();
    if comment.is_empty() { comment } else { [b"exit\n#".to_vec(), comment].concat() }
}

/// One entry of an archive.
pub(super) struct TarEntry {
    pub(super) path: &'static str,
    pub(super) kind: tar::EntryType,
    pub(super) mode: u32,
    pub(super) content: Vec<u8>,
    pub(super) link: &'static str,
}

impl TarEntry {
    pub(super) fn file(path: &'static str, mode: u32, content: &[u8]) -> Self {
        let content = content.to_vec();
        Self { path, kind: tar::EntryType::Regular, mode, content, link: "" }
    }
}

/// A plain tar archive, written without the checks of the tar crate.
pub(super) fn archive(entries: &[TarEntry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.as_old_mut().linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_size(u64::try_from(entry.content.len()).unwrap());
        header.set_cksum();
        builder.append(&header, &entry.content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn pack(entries: &[TarEntry]) -> Vec<u8> {
    zstd::encode_all(&archive(entries)[..], 1).unwrap()
}

/// A repository in a directory, and the keys it is signed with.
pub(super) struct Publisher {
    pub(super) directory: PathBuf,
    root_version: u64,
    pub(super) version: u64,
    root: Key,
    pub(super) online: Key,
    /// Further keys of the lower roles, from the next root on; how many of all must sign.
    pub(super) others: Vec<Key>,
    pub(super) threshold: usize,
    /// How many of the keys of the lower roles do sign; all unless a test wants fewer.
    pub(super) signing: usize,
    lists: BTreeMap<String, List>,
    /// What the snapshot says of the lists.
    pub(super) pins: BTreeMap<String, Value>,
    /// The list that targets are added to.
    pub(super) list: String,
    pub(super) expires: BTreeMap<&'static str, &'static str>,
}

/// A list of targets.
#[derive(Default)]
struct List {
    /// Who signs it; none: the online keys do.
    key: Option<Key>,
    targets: BTreeMap<String, Value>,
    delegations: Option<Value>,
}

impl Publisher {
    pub(super) fn new(directory: &Path) -> Self {
        for folder in ["metadata", "targets/releases", "targets/channels"] {
            fs::create_dir_all(directory.join(folder)).unwrap();
        }
        let mut publisher = Self {
            directory: directory.to_owned(),
            root_version: 0,
            version: 0,
            root: Key::new(1),
            online: Key::new(2),
            others: Vec::new(),
            threshold: 1,
            signing: usize::MAX,
            lists: BTreeMap::new(),
            pins: BTreeMap::new(),
            list: TARGETS.to_owned(),
            expires: BTreeMap::new(),
        };
        publisher.rotate(Key::new(1), Key::new(2));
        publisher
    }

    pub(super) fn anchor(&self) -> PathBuf {
        self.directory.join("metadata/1.root.json")
    }

    /// Signs the next root, with the keys it replaces and its own.
    pub(super) fn rotate(&mut self, root: Key, online: Key) {
        self.root_version += 1;
        let role = |keys: &[&Key], threshold: usize| {
            let ids: Vec<String> = keys.iter().map(|key| key.id()).collect();
            json!({"keyids": ids, "threshold": threshold})
        };
        let lower: Vec<&Key> = std::iter::once(&online).chain(&self.others).collect();
        let mut keys = serde_json::Map::new();
        keys.insert(root.id(), root.description());
        keys.extend(lower.iter().map(|key| (key.id(), key.description())));
        let signed = json!({
            "_type": "root", "spec_version": "1.0.0", "version": self.root_version,
            "expires": self.expiry("root"), "consistent_snapshot": true, "keys": keys,
            "roles": {
                "root": role(&[&root], 1), "timestamp": role(&lower, self.threshold),
                "snapshot": role(&lower, self.threshold), "targets": role(&lower, self.threshold),
            },
        });
        let mut signatures = vec![root.signature(&signed)];
        if self.root.id() != root.id() {
            signatures.push(self.root.signature(&signed));
        }
        let root_file = json!({"signed": signed, "signatures": signatures});
        let name = format!("metadata/{}.root.json", self.root_version);
        self.write(&name, &serde_json::to_vec_pretty(&root_file).unwrap());
        (self.root, self.online) = (root, online);
    }

    /// The bytes of an artifact.
    pub(super) fn artifact(&self, digest: &dockerlogger_manifest::Digest) -> Vec<u8> {
        let digest = digest.to_string();
        let entries = fs::read_dir(self.directory.join("targets")).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        let named =
            |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&digest);
        fs::read(paths.find(named).unwrap()).unwrap()
    }

    /// Adds a release, points the channel at it, and signs.
    pub(super) fn publish(&mut self, recipe: &Recipe) -> Artifact {
        let artifact = self.add_release(recipe);
        self.point_channel(&recipe.version, false);
        self.sign();
        artifact
    }

    pub(super) fn add_release(&mut self, recipe: &Recipe) -> Artifact {
        let mut logger = logger_script(&recipe.says, &recipe.drivers);
        logger.extend(padding(recipe.padding));
        let honest = || pack(&[TarEntry::file("logger", 0o555, &logger)]);
        let packed = recipe.packed.clone().unwrap_or_else(honest);
        let version = recipe.version.parse().unwrap();
        let artifact = Artifact {
            name: Artifact::file_name(&version, &recipe.target),
            size: u64::try_from(packed.len()).unwrap(),
            sha256: digest::of(&packed),
            files: vec![ArtifactFile {
                path: "logger".to_owned(),
                size: u64::try_from(logger.len()).unwrap(),
                sha256: digest::of(&logger),
                mode: 0o555,
                extra: Extra::new(),
            }],
            extra: Extra::new(),
        };
        let release = Release {
            format: 1,
            version: version.clone(),
            commit: "0123abc".to_owned(),
            built_at: "2026-05-01T00:00:00Z".to_owned(),
            drivers: recipe.drivers.clone(),
            targets: BTreeMap::from([(recipe.target.clone(), artifact.clone())]),
            extra: recipe.extra.clone(),
        };
        self.add_target(&artifact.name, &packed);
        let release = serde_json::to_vec(&release).unwrap();
        self.add_target(&Release::target_name(&version), &release);
        artifact
    }

    pub(super) fn point_channel(&mut self, version: &str, halted: bool) {
        let channel = json!({
            "format": 1, "name": "stable", "release": version, "halted": halted, "waves": []
        });
        self.add_target("channels/stable.json", &serde_json::to_vec(&channel).unwrap());
    }

    pub(super) fn add_target(&mut self, name: &str, content: &[u8]) {
        let sha256 = digest::of(content);
        let length = content.len();
        let pin = json!({"length": length, "hashes": {"sha256": sha256}});
        self.list(&self.list.clone()).targets.insert(name.to_owned(), pin);
        self.write(&hashed(name, &sha256.to_string()), content);
    }

    /// Where a target's file lies.
    pub(super) fn target_path(&self, name: &str) -> String {
        // The list that the root vouches for speaks first.
        let lists = self.lists.get(TARGETS).into_iter().chain(self.lists.values());
        let pin = lists.filter_map(|list| list.targets.get(name)).next().unwrap();
        hashed(name, pin["hashes"]["sha256"].as_str().unwrap())
    }

    /// Signs targets, snapshot and timestamp anew, each with the next version.
    pub(super) fn sign(&mut self) {
        self.version += 1;
        let version = self.version;
        self.list(TARGETS);
        let names: Vec<String> = self.lists.keys().cloned().collect();
        let pins =
            names.iter().map(|name| (format!("{name}.json"), self.sign_list(version, name, None)));
        self.pins = pins.collect();
        self.sign_snapshot(version, &self.pins.clone());
    }

    /// Signs one list, by another key than its own if there is one. Returns what pins it.
    pub(super) fn sign_list(&self, version: u64, name: &str, key: Option<&Key>) -> Value {
        let list = &self.lists[name];
        let mut content = json!({"targets": list.targets});
        if let Some(delegations) = &list.delegations {
            content["delegations"] = delegations.clone();
        }
        let bytes = self.signed(name, version, key.or(list.key.as_ref()), content);
        self.write(&format!("metadata/{version}.{name}.json"), &bytes);
        pin(version, &bytes)
    }

    /// Signs a snapshot with these pins, and a timestamp over it.
    pub(super) fn sign_snapshot(&self, version: u64, pins: &BTreeMap<String, Value>) {
        let snapshot = self.signed("snapshot", version, None, json!({"meta": pins}));
        self.write(&format!("metadata/{version}.snapshot.json"), &snapshot);
        self.sign_timestamp(version, version);
    }

    /// Signs a timestamp over a snapshot that there is.
    pub(super) fn sign_timestamp(&self, version: u64, snapshot: u64) {
        let bytes = self.read(&format!("metadata/{snapshot}.snapshot.json"));
        let meta = json!({"snapshot.json": pin(snapshot, &bytes)});
        let timestamp = self.signed("timestamp", version, None, json!({"meta": meta}));
        self.write("metadata/timestamp.json", &timestamp);
    }

    /// Takes a target off its list.
    pub(super) fn unlist(&mut self, name: &str) {
        self.lists.values_mut().for_each(|list| drop(list.targets.remove(name)));
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.join(name)).unwrap()
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.directory.join(name), content).unwrap();
    }

    /// The whole repository as one tar file.
    pub(super) fn bundle(&self, path: &Path) {
        let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
        for folder in ["metadata", "targets"] {
            builder.append_dir_all(folder, self.directory.join(folder)).unwrap();
        }
        builder.finish().unwrap();
    }

    /// Has a list of targets trust another one, signed by `key`, with what `paths` say.
    pub(super) fn delegate(&mut self, delegator: &str, role: &str, key: &Key, paths: &[&str]) {
        let none = || json!({"keys": {}, "roles": []});
        let delegations = self.list(delegator).delegations.get_or_insert_with(none);
        delegations["keys"][key.id()] = key.description();
        delegations["roles"].as_array_mut().unwrap().push(json!({
            "name": role, "keyids": [key.id()], "threshold": 1, "terminating": false, "paths": paths
        }));
        if role != TARGETS {
            self.list(role).key = Some(key.clone());
        }
    }

    fn list(&mut self, name: &str) -> &mut List {
        self.lists.entry(name.to_owned()).or_default()
    }

    fn signed(&self, name: &str, version: u64, key: Option<&Key>, content: Value) -> Vec<u8> {
        let kind = if ["snapshot", "timestamp"].contains(&name) { name } else { TARGETS };
        let mut signed = json!({
            "_type": kind, "spec_version": "1.0.0", "version": version,
            "expires": self.expiry(name), "x-unknown": {"kept": true},
        });
        signed.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        let online = || std::iter::once(&self.online).chain(&self.others).take(self.signing);
        let keys: Vec<&Key> = key.map_or_else(|| online().collect(), |key| vec![key]);
        let signatures: Vec<Value> = keys.iter().map(|key| key.signature(&signed)).collect();
        serde_json::to_vec(&json!({"signed": signed, "signatures": signatures})).unwrap()
    }

    fn expiry(&self, role: &str) -> &'static str {
        self.expires.get(role).unwrap_or(&FOREVER)
    }
}

/// How the role above speaks of a file.
fn pin(version: u64, bytes: &[u8]) -> Value {
    let sha256 = digest::of(bytes);
    json!({"version": version, "length": bytes.len(), "hashes": {"sha256": sha256}})
}

fn hashed(name: &str, sha256: &str) -> String {
    match name.rsplit_once('/') {
        Some((folder, file)) => format!("targets/{folder}/{sha256}.{file}"),
        None => format!("targets/{sha256}.{name}"),
    }
}
