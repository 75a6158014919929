// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Who the container is: what Docker's drivers are told about it.

use std::collections::BTreeMap;

use crate::attributes::AttributesError;
use crate::attributes::extra_attributes;

pub mod created;

use self::created::Created;

/// What Docker calls the daemon; `{{.DaemonName}}`.
pub const DAEMON_NAME: &str = "docker";
/// Length of an id in its short form, bytes.
pub const SHORT_ID_BYTES: usize = 12;

/// The container's identity as it was at start: plain facts, and the forms that
/// Docker derives from them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// All log options, as given.
    pub config: BTreeMap<String, String>,
    /// The whole id.
    pub container_id: String,
    /// The name as given: Docker's has a leading `/`, Triton's has not.
    pub container_name: String,
    /// `argv[0]` of the container's program.
    pub entrypoint: String,
    /// The rest of its arguments.
    pub args: Vec<String>,
    /// The image's id, `sha256:…` in Docker.
    pub image_id: String,
    /// The image's reference as the user wrote it.
    pub image_name: String,
    /// When the container was created.
    pub created: Created,
    /// `KEY=value`, in order, as given.
    pub env: Vec<String>,
    /// Labels of image and container.
    pub labels: BTreeMap<String, String>,
    /// The log file, for drivers that have one.
    pub log_path: String,
    /// The node name of the system this runs in: in a zone, the container's.
    pub hostname: String,
}

impl Container {
    /// The short id: without a `sha256:`-like prefix, at most 12 bytes.
    #[must_use]
    pub fn id(&self) -> &str {
        short_id(&self.container_id)
    }

    /// The whole id.
    #[must_use]
    pub fn full_id(&self) -> &str {
        &self.container_id
    }

    /// The name without one leading `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.container_name.strip_prefix('/').unwrap_or(&self.container_name)
    }

    /// The image's short id, in the form of [`Container::id`].
    #[must_use]
    pub fn short_image_id(&self) -> &str {
        short_id(&self.image_id)
    }

    /// Entrypoint and arguments, one space between them and no quotes.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = self.entrypoint.clone();
        for arg in &self.args {
            command.push(' ');
            command.push_str(arg);
        }
        command
    }

    /// The same container with every control character in what it says of itself
    /// replaced: what goes into a line of text must not end it. A byte stays a
    /// byte, so that lengths do.
    #[must_use]
    pub fn harmless(self) -> Self {
        let one = |text: String| text.chars().map(harmless_char).collect::<String>();
        let all = |list: Vec<String>| list.into_iter().map(one).collect();
        Self {
            config: self.config,
            container_id: one(self.container_id),
            container_name: one(self.container_name),
            entrypoint: one(self.entrypoint),
            args: all(self.args),
            image_id: one(self.image_id),
            image_name: one(self.image_name),
            created: self.created,
            env: all(self.env),
            labels: self.labels.into_iter().map(|(key, value)| (one(key), one(value))).collect(),
            log_path: self.log_path,
            hostname: one(self.hostname),
        }
    }

    /// The attributes that the options `labels`, `labels-regex`, `env` and
    /// `env-regex` select.
    ///
    /// # Errors
    ///
    /// A regular expression that is none, named with its option.
    pub fn extra_attributes(&self) -> Result<BTreeMap<String, String>, AttributesError> {
        extra_attributes(&self.config, &self.labels, &self.env)
    }
}

fn harmless_char(c: char) -> char {
    if c.is_ascii_control() { '_' } else { c }
}

/// The byte, or what stands for a control character.
pub(crate) const fn harmless(byte: u8) -> u8 {
    if byte.is_ascii_control() { b'_' } else { byte }
}

/// What follows the first `:`, at most 12 bytes of it; never part of a character.
pub(crate) fn short_id(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, digest)| digest);
    let end = (0..=SHORT_ID_BYTES.min(id.len())).rev().find(|&end| id.is_char_boundary(end));
    &id[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_values_are_those_of_docker() {
        let container = Container {
            container_id: "4f1c0e8f5a5d4c5e9b1a2f3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70".into(),
            container_name: "//web".into(),
            entrypoint: "/docker-entrypoint.sh".into(),
            args: vec!["nginx".into(), "-g".into(), "daemon off;".into()],
            image_id: "sha256:9c7a54a9a43cca042823d".into(),
            ..Container::default()
        };
        assert_eq!(container.id(), "4f1c0e8f5a5d");
        assert_eq!(container.name(), "/web", "one slash only");
        assert_eq!(container.short_image_id(), "9c7a54a9a43c");
        assert_eq!(container.command(), "/docker-entrypoint.sh nginx -g daemon off;");
    }

    #[test]
    fn short_is_at_most_twelve_bytes_after_the_first_colon() {
        for (id, expected) in [
            ("", ""),
            ("abc", "abc"),
            ("a:b:c", "b:c"),
            ("0123456789abcdef", "0123456789ab"),
            ("sha256:", ""),
            ("01234567890é", "01234567890"),
        ] {
            assert_eq!(short_id(id), expected, "{id}");
        }
    }
}
