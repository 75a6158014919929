// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What an expression can be worth.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::container::Container;
use super::container::DAEMON_NAME;
use super::container::created::Created;

/// Text as Go has it: any bytes.
pub(super) type Bytes = Arc<[u8]>;

/// A value; copies are cheap.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// No value: Go's nil, and what a map does not have.
    Nil,
    Bool(bool),
    Int(i64),
    /// A byte of a text, `uint8` in Go.
    Byte(u8),
    Float(f64),
    Text(Bytes),
    List(Arc<[Bytes]>),
    Map(Arc<BTreeMap<Bytes, Bytes>>),
    Time(Created),
    /// What the template is about: its fields, in Go's order.
    Container(Arc<[(&'static str, Value)]>),
}

impl Value {
    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(Arc::from(text.into()))
    }

    pub(super) fn list<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(|text| Arc::from(text.as_ref())).collect())
    }

    pub(super) fn map(map: &BTreeMap<String, String>) -> Self {
        let bytes = |text: &String| Arc::from(text.as_bytes());
        Self::Map(Arc::new(map.iter().map(|(key, value)| (bytes(key), bytes(value))).collect()))
    }

    /// The container, with the fields of Docker's type.
    pub(super) fn container(container: &Container) -> Self {
        let text = |text: &String| Self::text(text.as_bytes());
        Self::Container(Arc::from([
            ("Config", Self::map(&container.config)),
            ("ContainerID", text(&container.container_id)),
            ("ContainerName", text(&container.container_name)),
            ("ContainerEntrypoint", text(&container.entrypoint)),
            ("ContainerArgs", Self::list(&container.args)),
            ("ContainerImageID", text(&container.image_id)),
            ("ContainerImageName", text(&container.image_name)),
            ("ContainerCreated", Self::Time(container.created)),
            ("ContainerEnv", Self::list(&container.env)),
            ("ContainerLabels", Self::map(&container.labels)),
            ("LogPath", text(&container.log_path)),
            ("DaemonName", Self::text(DAEMON_NAME)),
        ]))
    }

    /// The type's name in Go, for messages and `%T`.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]string",
            Self::Map(_) => "map[string]string",
            Self::Time(_) => "time.Time",
            Self::Container(_) => "*logger.Info",
        }
    }

    /// Whether `if` takes it for true: not zero, not empty.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Time(_) | Self::Container(_) => true,
        }
    }

    /// About how many bytes a function has to look at.
    pub(super) fn size(&self) -> usize {
        const ELEMENT: usize = 16;
        match self {
            Self::Text(text) => text.len(),
            Self::List(list) => list.iter().map(|text| text.len() + ELEMENT).sum(),
            Self::Map(map) => {
                map.iter().map(|(key, value)| key.len() + value.len() + ELEMENT).sum()
            }
            Self::Container(fields) => fields.iter().map(|(_, value)| value.size() + ELEMENT).sum(),
            _ => ELEMENT,
        }
    }
}
