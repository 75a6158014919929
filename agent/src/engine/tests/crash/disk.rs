// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A disk in memory that promises less than any real one.
//!
//! - fsync of a file makes its bytes and its mode durable, not its name;
//! - fsync of a directory makes its entries durable, nothing below them;
//! - a rename is one operation on entries, durable after the fsync of the
//!   directory it goes to; durable, it implies that the old name is gone;
//! - at a cut, every other operation survives or does not, each by itself;
//! - bytes that were not synced are absent, whole, zero or torn after a cut;
//! - a failed fsync of a file loses its bytes: trying again does not help;
//! - a file may not be readable, until it is replaced or the medium recovers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::digest;
use crate::engine::tests::crash::cut::{Cut, left_of};
use crate::engine::tests::crash::effect::Effect;
use crate::engine::tests::crash::random::Random;
use crate::os::files::{FileKind, Stat};

pub(super) const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EINVAL: i32 = 22;
const ENOTEMPTY: i32 = 39;

type Id = usize;

#[derive(Debug, Clone)]
enum Node {
    File {
        bytes: Vec<u8>,
        mode: u32,
        durable: Vec<u8>,
        durable_mode: u32,
        /// An fsync failed.
        lost: bool,
        /// It cannot be read.
        hidden: bool,
    },
    Directory {
        mode: u32,
        entries: BTreeMap<String, Id>,
        durable: BTreeMap<String, Id>,
    },
    Link(PathBuf),
}

/// An operation on entries that no fsync has covered.
#[derive(Debug, Clone)]
enum Pending {
    Add { directory: Id, name: String, node: Id, from: Option<(Id, String)> },
    Remove { directory: Id, name: String, node: Id },
}

impl Pending {
    fn directory(&self) -> Id {
        match self {
            Self::Add { directory, .. } | Self::Remove { directory, .. } => *directory,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Disk {
    nodes: Vec<Arc<Node>>,
    pending: Vec<Pending>,
}

impl Disk {
    /// An empty disk.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Arc::new(directory(0o755))], pending: Vec::new() }
    }

    pub(super) fn apply(&mut self, effect: &Effect) -> io::Result<()> {
        match effect {
            Effect::MakeDir(path, mode) => self.add(path, directory(*mode)),
            Effect::Truncate(path) if self.find(path).is_some() => {
                self.change(path, |bytes, _| bytes.clear())
            }
            Effect::Create(path) | Effect::Truncate(path) => {
                let (bytes, durable) = (Vec::new(), Vec::new());
                let (mode, durable_mode) = (0o600, 0o600);
                let (lost, hidden) = (false, false);
                self.add(path, Node::File { bytes, mode, durable, durable_mode, lost, hidden })
            }
            Effect::Symlink(target, path) => self.add(path, Node::Link(target.clone())),
            Effect::Write(path, more) => {
                self.change(path, |bytes, _| bytes.extend_from_slice(more))
            }
            Effect::SetMode(path, mode) => self.change(path, |_, old| *old = *mode),
            Effect::SyncFile(path) => self.sync_file(path),
            Effect::SyncDir(path) => self.sync_dir(path),
            Effect::Rename(from, to) => self.rename(from, to),
            Effect::Unlink(path) => match self.find(path).map(|id| &*self.nodes[id]) {
                Some(Node::Directory { .. }) => Err(error(EINVAL)),
                Some(_) => self.remove(path),
                None => Err(error(ENOENT)),
            },
            Effect::RemoveDir(path) => match self.find(path).map(|id| &*self.nodes[id]) {
                Some(Node::Directory { entries, .. }) if entries.is_empty() => self.remove(path),
                Some(Node::Directory { .. }) => Err(error(ENOTEMPTY)),
                Some(_) => Err(error(ENOTDIR)),
                None => Err(error(ENOENT)),
            },
        }
    }

    /// An effect that fails after it was half done, if that is possible.
    pub(super) fn fail(&mut self, effect: &Effect) {
        match effect {
            Effect::Write(path, bytes) => {
                let half = bytes[..bytes.len() / 2].to_vec();
                let _ = self.apply(&Effect::Write(path.clone(), half));
            }
            Effect::SyncFile(path) => {
                if let Some(id) = self.find(path)
                    && let Node::File { lost, .. } = Arc::make_mut(&mut self.nodes[id])
                {
                    *lost = true;
                }
            }
            _ => {}
        }
    }

    pub(super) fn stat(&self, path: &Path) -> Option<Stat> {
        let stat = |kind, length, mode| Stat { kind, length, mode };
        Some(match &*self.nodes[self.find(path)?] {
            Node::File { bytes, mode, .. } => stat(FileKind::Regular, bytes.len() as u64, *mode),
            Node::Directory { mode, .. } => stat(FileKind::Directory, 0, *mode),
            Node::Link(target) => stat(FileKind::Symlink, target.as_os_str().len() as u64, 0o777),
        })
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.find(path).map(|id| &*self.nodes[id]) {
            Some(Node::File { hidden: true, .. }) => Err(error(EIO)),
            Some(Node::File { bytes, .. }) => Ok(bytes.clone()),
            Some(_) => Err(error(EINVAL)),
            None => Err(error(ENOENT)),
        }
    }

    pub(super) fn read_link(&self, path: &Path) -> Option<PathBuf> {
        match &*self.nodes[self.find(path)?] {
            Node::Link(target) => Some(target.clone()),
            _ => None,
        }
    }

    /// Names in a directory, sorted.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        match self.find(path).map(|id| &*self.nodes[id]) {
            Some(Node::Directory { entries, .. }) => Ok(entries.keys().cloned().collect()),
            Some(_) => Err(error(ENOTDIR)),
            None => Err(error(ENOENT)),
        }
    }

    /// The disk after the power was cut and came back: everything on it is durable.
    pub(super) fn cut(&self, cut: Cut) -> Self {
        let mut random = Random::new(match cut {
            Cut::Some(seed) => seed,
            _ => 0,
        });
        let mut disk = self.clone();
        for pending in std::mem::take(&mut disk.pending) {
            let survives = match cut {
                Cut::Nothing => false,
                Cut::Everything | Cut::Names => true,
                Cut::Some(_) => random.coin(),
            };
            if survives {
                disk.settle(&pending);
            }
        }
        let mut after = Self { nodes: Vec::new(), pending: Vec::new() };
        disk.survivor(0, cut, &mut random, &mut after);
        after
    }

    /// A digest of everything that can be seen.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut text = Vec::new();
        self.describe(0, &mut text);
        *digest::of(&text).as_bytes()
    }

    /// Changes the bytes of a file, durably and behind everybody's back.
    pub(super) fn corrupt(&mut self, path: &Path) {
        let id = self.find(path).unwrap();
        let Node::File { bytes, durable, .. } = Arc::make_mut(&mut self.nodes[id]) else {
            panic!("{} is no file", path.display());
        };
        match bytes.first_mut() {
            Some(first) => *first ^= 0xff,
            None => bytes.push(0xff),
        }
        durable.clone_from(bytes);
    }

    /// A file cannot be read any more.
    pub(super) fn hide(&mut self, path: &Path) {
        let id = self.find(path).unwrap();
        if let Node::File { hidden, .. } = Arc::make_mut(&mut self.nodes[id]) {
            *hidden = true;
        }
    }

    /// Every file can be read again.
    pub(super) fn recover(&mut self) {
        for node in &mut self.nodes {
            if matches!(**node, Node::File { hidden: true, .. })
                && let Node::File { hidden, .. } = Arc::make_mut(node)
            {
                *hidden = false;
            }
        }
    }

    fn find(&self, path: &Path) -> Option<Id> {
        let mut id = 0;
        for name in path.to_str()?.split('/').filter(|name| !name.is_empty()) {
            match &*self.nodes[id] {
                Node::Directory { entries, .. } => id = *entries.get(name)?,
                _ => return None,
            }
        }
        Some(id)
    }

    /// The directory above a path, and the last name.
    fn above(&self, path: &Path) -> io::Result<(Id, String)> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(error(EINVAL));
        };
        let id = self.find(above).ok_or_else(|| error(ENOENT))?;
        match &*self.nodes[id] {
            Node::Directory { .. } => Ok((id, name.to_str().unwrap().to_owned())),
            _ => Err(error(ENOTDIR)),
        }
    }

    fn entries(&mut self, id: Id) -> &mut BTreeMap<String, Id> {
        match Arc::make_mut(&mut self.nodes[id]) {
            Node::Directory { entries, .. } => entries,
            _ => unreachable!("asked for above only"),
        }
    }

    fn durable_entries(&mut self, id: Id) -> &mut BTreeMap<String, Id> {
        match Arc::make_mut(&mut self.nodes[id]) {
            Node::Directory { durable, .. } => durable,
            _ => unreachable!("asked for directories only"),
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let (directory, name) = self.above(path)?;
        if self.find(path).is_some() {
            return Err(error(EEXIST));
        }
        self.nodes.push(Arc::new(node));
        let node = self.nodes.len() - 1;
        self.entries(directory).insert(name.clone(), node);
        self.pending.push(Pending::Add { directory, name, node, from: None });
        Ok(())
    }

    fn change(
        &mut self,
        path: &Path,
        change: impl FnOnce(&mut Vec<u8>, &mut u32),
    ) -> io::Result<()> {
        let id = self.find(path).ok_or_else(|| error(ENOENT))?;
        match Arc::make_mut(&mut self.nodes[id]) {
            Node::File { bytes, mode, .. } => {
                change(bytes, mode);
                Ok(())
            }
            _ => Err(error(EINVAL)),
        }
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.above(path)?;
        let node = self.entries(directory).remove(&name).ok_or_else(|| error(ENOENT))?;
        self.pending.push(Pending::Remove { directory, name, node });
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, old) = self.above(from)?;
        let (directory, name) = self.above(to)?;
        if let Some(replaced) = self.find(to)
            && let Node::Directory { entries, .. } = &*self.nodes[replaced]
            && !entries.is_empty()
        {
            return Err(error(ENOTEMPTY));
        }
        let node = self.entries(source).remove(&old).ok_or_else(|| error(ENOENT))?;
        self.entries(directory).insert(name.clone(), node);
        self.pending.push(Pending::Add { directory, name, node, from: Some((source, old)) });
        Ok(())
    }

    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path).ok_or_else(|| error(ENOENT))?;
        match Arc::make_mut(&mut self.nodes[id]) {
            Node::File { bytes, mode, durable, durable_mode, lost, .. } => {
                if !*lost {
                    durable.clone_from(bytes);
                    *durable_mode = *mode;
                }
                Ok(())
            }
            _ => Err(error(EINVAL)),
        }
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path).ok_or_else(|| error(ENOENT))?;
        let mut left = Vec::new();
        let mut gone = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            if pending.directory() != id {
                left.push(pending);
                continue;
            }
            self.settle(&pending);
            if let Pending::Add { node, from: Some((directory, name)), .. } = pending {
                gone.push((directory, name, node));
            }
        }
        // A durable rename implies that the old name is gone, even if it was never durable.
        left.retain(|pending| match pending {
            Pending::Add { directory, name, node, .. } => {
                !gone.contains(&(*directory, name.clone(), *node))
            }
            Pending::Remove { .. } => true,
        });
        self.pending = left;
        Ok(())
    }

    /// Makes one operation durable.
    fn settle(&mut self, pending: &Pending) {
        match pending {
            Pending::Add { directory, name, node, from } => {
                self.durable_entries(*directory).insert(name.clone(), *node);
                if let Some((directory, name)) = from {
                    let entries = self.durable_entries(*directory);
                    if entries.get(name) == Some(node) {
                        entries.remove(name);
                    }
                }
            }
            Pending::Remove { directory, name, node } => {
                let entries = self.durable_entries(*directory);
                if entries.get(name) == Some(node) {
                    entries.remove(name);
                }
            }
        }
    }

    fn survivor(&self, id: Id, cut: Cut, random: &mut Random, after: &mut Self) -> Id {
        let place = after.nodes.len();
        after.nodes.push(Arc::clone(&self.nodes[id]));
        match &*self.nodes[id] {
            Node::Link(_) => {}
            Node::File { bytes, mode, durable, durable_mode, hidden, .. } => {
                if (bytes, mode) != (durable, durable_mode) {
                    let bytes = left_of(bytes, durable, cut, random);
                    let newer = match cut {
                        Cut::Everything => true,
                        Cut::Nothing | Cut::Names => false,
                        Cut::Some(_) => random.coin(),
                    };
                    let mode = if newer { *mode } else { *durable_mode };
                    let (durable, durable_mode) = (bytes.clone(), mode);
                    let (lost, hidden) = (false, *hidden);
                    let file = Node::File { bytes, mode, durable, durable_mode, lost, hidden };
                    after.nodes[place] = Arc::new(file);
                }
            }
            Node::Directory { mode, durable, .. } => {
                let children: BTreeMap<String, Id> = durable
                    .iter()
                    .map(|(name, id)| (name.clone(), self.survivor(*id, cut, random, after)))
                    .collect();
                let entries = children.clone();
                let node = Node::Directory { mode: *mode, entries, durable: children };
                after.nodes[place] = Arc::new(node);
            }
        }
        place
    }

    fn describe(&self, id: Id, text: &mut Vec<u8>) {
        match &*self.nodes[id] {
            Node::File { bytes, mode, hidden, .. } => {
                text.extend(format!("f {mode:o} {hidden} {} ", bytes.len()).as_bytes());
                text.extend(bytes);
            }
            Node::Link(target) => text.extend(format!("l {} ", target.display()).as_bytes()),
            Node::Directory { mode, entries, .. } => {
                text.extend(format!("d {mode:o} {} ", entries.len()).as_bytes());
                for (name, id) in entries {
                    text.extend(format!("{name} ").as_bytes());
                    self.describe(*id, text);
                }
            }
        }
    }
}

fn directory(mode: u32) -> Node {
    Node::Directory { mode, entries: BTreeMap::new(), durable: BTreeMap::new() }
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

mod tests;
