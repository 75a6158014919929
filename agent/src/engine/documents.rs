// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The signed documents: parsed, and checked against each other. Pure.

use std::path::{Component, Path};

use dockerlogger_manifest::{Artifact, Channel, ChannelName, Release, Target, Version};

use crate::engine::layout::{LOGGER, RELEASE};
use crate::engine::trust::TargetPin;

/// Files of one artifact, at most.
const FILES_MAX: usize = 256;

/// Parses a channel and sees that it is the one that was asked for.
pub(crate) fn parse_channel(bytes: &[u8], name: &ChannelName) -> Result<Channel, String> {
    check_format(bytes, Channel::FORMAT)?;
    let channel: Channel = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if channel.name != *name {
        return Err(format!("it says it is channel {}", channel.name));
    }
    Ok(channel)
}

/// Parses a release and sees that it is the one that is wanted.
pub(crate) fn parse_release(bytes: &[u8], wanted: &Version) -> Result<Release, String> {
    check_format(bytes, Release::FORMAT)?;
    let release: Release = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if release.version != *wanted {
        return Err(format!("it says it is release {}, not {wanted}", release.version));
    }
    Ok(release)
}

/// Sees that the artifact is what the repository lists and can be unpacked
/// into a directory of its own.
pub(crate) fn check_artifact(
    release: &Release,
    target: &Target,
    artifact: &Artifact,
    pin: Option<TargetPin>,
    bytes_max: u64,
) -> Result<(), String> {
    let name = Artifact::file_name(&release.version, target);
    if artifact.name != name {
        return Err(format!("its artifact for {target} is named {}, not {name}", artifact.name));
    }
    let pin = pin.ok_or_else(|| format!("the repository does not list {name} by its SHA-256"))?;
    if (pin.length, pin.sha256) != (artifact.size, artifact.sha256) {
        return Err(format!(
            "it says {name} has {} bytes and digest {}, the repository says {} and {}",
            artifact.size, artifact.sha256, pin.length, pin.sha256
        ));
    }
    let unpacked = artifact.unpacked_size().unwrap_or(u64::MAX);
    if artifact.size > bytes_max || unpacked > bytes_max {
        return Err(format!(
            "{name} has {} bytes packed and {unpacked} unpacked, {bytes_max} are allowed",
            artifact.size
        ));
    }
    check_files(artifact)
}

fn check_files(artifact: &Artifact) -> Result<(), String> {
    if artifact.files.len() > FILES_MAX {
        return Err(format!("it lists {} files, {FILES_MAX} are allowed", artifact.files.len()));
    }
    let mut seen = std::collections::BTreeSet::new();
    for file in &artifact.files {
        let path = &file.path;
        let plain = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)))
            && path.split('/').all(|part| !part.is_empty() && part != ".")
            && path.len() <= 255
            && !path.chars().any(char::is_control);
        if !plain || path == RELEASE || !seen.insert(path) {
            return Err(format!("it lists a file \"{}\"", path.escape_default()));
        }
        if file.mode & !0o755 != 0 || file.mode & 0o400 == 0 {
            return Err(format!(
                "it lists \"{path}\" with mode {:o}; only reading and running are allowed to others",
                file.mode
            ));
        }
    }
    let runnable =
        artifact.files.iter().any(|file| file.path == LOGGER && file.mode & 0o111 == 0o111);
    if runnable { Ok(()) } else { Err(format!("it lists no \"{LOGGER}\" that all may run")) }
}

/// A newer format may mean what this agent cannot know.
fn check_format(bytes: &[u8], known: u32) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Header {
        format: u32,
    }
    let header: Header = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    match header.format {
        1.. if header.format <= known => Ok(()),
        format => Err(format!("it has format {format}, this agent knows 1 to {known}")),
    }
}
