// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A repository in memory, whose next versions can be made as wrong as one
//! likes, and a client of it: trust store and refresh, without the rest of an engine.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::engine::Limits;
use crate::engine::digest;
use crate::engine::error::{FetchError, UpdateError};
use crate::engine::refresh::{Expiry, Present, Refresh};
use crate::engine::source::{Expect, Memory, Pieces, Repository};
use crate::engine::tests::node::{chain, now};
use crate::engine::tests::publisher::{FOREVER, Key};
use crate::engine::trust::Begin;
use crate::engine::trust_store::{TrustStore, Trusted};
use crate::os::RealFiles;

/// The roles that a root names.
const TOP: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

/// The repository.
pub(super) struct Simulator {
    /// What will be signed next, by role; the version is that of what was signed last.
    pub(super) roles: BTreeMap<String, Value>,
    /// Who signs what.
    pub(super) signers: BTreeMap<String, Vec<Key>>,
    /// What is published, by path.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// What was asked for since this was emptied, in order.
    pub(super) asked: Vec<String>,
    /// Whether metadata is pinned by length and hash as well as by version.
    pub(super) hashes: bool,
    keys: u8,
}

impl Simulator {
    /// All roles at version 1, each with a key of its own.
    pub(super) fn new() -> Self {
        let role = |kind: &str| json!({"_type": kind, "spec_version": "1.0.31", "version": 0, "expires": FOREVER});
        let mut roles: BTreeMap<String, Value> =
            TOP.map(|name| (name.to_owned(), role(name))).into();
        roles.get_mut("root").unwrap()["consistent_snapshot"] = true.into();
        let (signers, files, asked) = Default::default();
        let mut simulator = Self { roles, signers, files, asked, hashes: false, keys: 0 };
        for (name, field) in [("timestamp", "meta"), ("snapshot", "meta"), ("targets", "targets")] {
            simulator.role(name)[field] = json!({});
        }
        for name in TOP {
            simulator.role("root")["roles"][name] = json!({"keyids": [], "threshold": 1});
            let key = simulator.new_key();
            simulator.add_key(name, &key);
        }
        simulator.publish(&["root", "targets", "snapshot", "timestamp"]);
        simulator
    }

    /// What will be signed next as this role.
    pub(super) fn role(&mut self, name: &str) -> &mut Value {
        self.roles.get_mut(name).unwrap()
    }

    pub(super) fn new_key(&mut self) -> Key {
        self.keys += 1;
        Key::new(self.keys)
    }

    /// One more key for a role of the root, which signs with it.
    pub(super) fn add_key(&mut self, role: &str, key: &Key) {
        self.name_key(role, key);
        self.signers.entry(role.to_owned()).or_default().push(key.clone());
    }

    /// One more key for a role of the root.
    pub(super) fn name_key(&mut self, role: &str, key: &Key) {
        let root = self.role("root");
        root["keys"][key.id()] = key.description();
        root["roles"][role]["keyids"].as_array_mut().unwrap().push(key.id().into());
    }

    /// No key for a role of the root.
    pub(super) fn clear_keys(&mut self, role: &str) {
        self.role("root")["roles"][role]["keyids"] = json!([]);
        self.signers.remove(role);
    }

    pub(super) fn rotate_keys(&mut self, role: &str) {
        self.clear_keys(role);
        let key = self.new_key();
        self.add_key(role, &key);
    }

    /// A role that `delegator` trusts with `paths`, signed with a key of its own.
    pub(super) fn delegate(
        &mut self,
        delegator: &str,
        role: &str,
        terminating: bool,
        paths: &[&str],
    ) -> Key {
        let key = self.new_key();
        let delegations = &mut self.role(delegator)["delegations"];
        delegations["keys"][key.id()] = key.description();
        if delegations["roles"].is_null() {
            delegations["roles"] = json!([]);
        }
        delegations["roles"].as_array_mut().unwrap().push(json!({
            "name": role, "keyids": [key.id()], "threshold": 1, "terminating": terminating,
            "paths": paths,
        }));
        let fresh = json!({"_type": "targets", "spec_version": "1.0.31", "version": 0,
            "expires": FOREVER, "targets": {}});
        self.roles.entry(role.to_owned()).or_insert(fresh);
        self.signers.entry(role.to_owned()).or_default().push(key.clone());
        key
    }

    /// A target of a list, and its file.
    pub(super) fn add_artifact(&mut self, role: &str, name: &str, content: &[u8]) {
        let sha256 = digest::of(content).to_string();
        self.role(role)["targets"][name] =
            json!({"length": content.len(), "hashes": {"sha256": sha256}});
        let path = match name.rsplit_once('/') {
            Some((folder, file)) => format!("targets/{folder}/{sha256}.{file}"),
            None => format!("targets/{sha256}.{name}"),
        };
        self.files.insert(path, content.to_vec());
    }

    /// Signs the next versions, in this order, and has the roles above name them.
    pub(super) fn publish(&mut self, names: &[&str]) {
        for name in names {
            let version = self.role(name)["version"].as_u64().unwrap() + 1;
            self.role(name)["version"] = version.into();
            let bytes = self.signed(name);
            let hashes = self.hashes;
            let pin = || match hashes {
                true => json!({"version": version, "length": bytes.len(),
                    "hashes": {"sha256": digest::of(&bytes)}}),
                false => json!({"version": version}),
            };
            match *name {
                "root" | "timestamp" => {}
                "snapshot" => self.role("timestamp")["meta"]["snapshot.json"] = pin(),
                list => self.role("snapshot")["meta"][format!("{list}.json")] = pin(),
            }
            self.files.insert(self.path(name), bytes);
        }
    }

    /// A role as it would be published.
    pub(super) fn signed(&self, name: &str) -> Vec<u8> {
        let signed = &self.roles[name];
        let signers = self.signers.get(name).into_iter().flatten();
        let signatures: Vec<Value> = signers.map(|key| key.signature(signed)).collect();
        serde_json::to_vec(&json!({"signed": signed, "signatures": signatures})).unwrap()
    }

    /// Where the version that was signed last is published.
    pub(super) fn path(&self, name: &str) -> String {
        if name == "timestamp" {
            return "metadata/timestamp.json".to_owned();
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let quote =
            |byte: u8| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
        let name_of_file: String = name.bytes().map(quote).collect();
        format!("metadata/{}.{name_of_file}.json", self.roles[name]["version"])
    }

    /// Changes what was published last as this role, without signing it again.
    pub(super) fn edit(&mut self, name: &str, change: impl Fn(&mut Value)) {
        let path = self.path(name);
        let mut file: Value = serde_json::from_slice(&self.files[&path]).unwrap();
        change(&mut file);
        self.files.insert(path, serde_json::to_vec(&file).unwrap());
    }
}

impl Repository for Simulator {
    fn open(&mut self, path: &str, _: Expect, _: u64) -> Result<Box<dyn Pieces>, FetchError> {
        self.asked.push(path.to_owned());
        let bytes = self.files.get(path).ok_or(FetchError::NotFound)?;
        Ok(Box::new(Cursor::new(bytes.clone())))
    }

    fn is_network(&self) -> bool {
        true
    }
}

/// A client with a trust store of its own.
pub(super) struct Client {
    pub(super) store: TrustStore,
    pub(super) now: Timestamp,
    folder: tempfile::TempDir,
}

impl Client {
    /// One that trusts the first root of the repository.
    pub(super) fn new(begin: Begin, simulator: &Simulator) -> Self {
        Self::trusting(begin, &simulator.files["metadata/1.root.json"])
    }

    pub(super) fn trusting(begin: Begin, root: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (anchor, trust) = (folder.path().join("anchor.json"), folder.path().join("trust"));
        std::fs::write(&anchor, root).unwrap();
        std::fs::create_dir(&trust).unwrap();
        let mut store = TrustStore::new(Arc::new(RealFiles), trust, anchor, Limits::default());
        store.verify_with(begin);
        Self { store, now: now(), folder }
    }

    pub(super) fn trust(&self) -> std::path::PathBuf {
        Path::join(self.folder.path(), "trust")
    }

    /// Refreshes; the chain of the refusal if there is one.
    pub(super) fn refresh(&self, simulator: &mut Simulator) -> Result<Trusted, String> {
        self.with(simulator, |refresh, store| refresh.run(store))
    }

    /// Refreshes and fetches files.
    pub(super) fn download(
        &self,
        simulator: &mut Simulator,
        names: &[&str],
    ) -> Result<Vec<Vec<u8>>, String> {
        self.with(simulator, |refresh, store| {
            let mut trusted = refresh.run(store)?;
            names.iter().map(|name| refresh.document(&mut trusted, name)).collect()
        })
    }

    /// The versions of root, timestamp, snapshot and targets that are floors on disk; 0: none.
    /// Of targets that did not come that is what the stored snapshot pins, while the suite
    /// looks at the file that is still there.
    pub(super) fn trusted(&self) -> [u64; 4] {
        let versions = self.store.load().unwrap().verifier.versions();
        [versions.root, versions.timestamp, versions.snapshot, versions.targets]
    }

    fn with<T>(
        &self,
        simulator: &mut Simulator,
        work: impl Fn(&mut Refresh<'_>, &TrustStore) -> Result<T, UpdateError>,
    ) -> Result<T, String> {
        let limits = Limits::default();
        let mut refresh = Refresh {
            repository: simulator,
            from: "the simulator".to_owned(),
            now: Present::new(self.now, None),
            expiry: Expiry::Refuse,
            limits: &limits,
            memory: &Memory::default(),
            record: &mut |_| Ok(()),
        };
        work(&mut refresh, &self.store).map_err(|error| chain(&error))
    }
}
