// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A channel: the signed document that names the release its nodes should run.

use serde::{Deserialize, Serialize};

use crate::{ChannelName, Extra, Version};

/// What the nodes that follow a channel should run: the signed target
/// `channels/NAME.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The format of this document; this code writes [`Channel::FORMAT`].
    pub format: u32,
    /// Its name; must be the one it was asked for.
    pub name: ChannelName,
    /// The release its nodes should run.
    pub release: Version,
    /// While true nobody moves, whatever `release` says.
    #[serde(default)]
    pub halted: bool,
    /// Fields of a newer format.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Channel {
    /// The format this code writes and fully understands.
    pub const FORMAT: u32 = 1;

    /// The name under which this channel is signed.
    pub fn target_name(name: &ChannelName) -> String {
        format!("channels/{name}.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_kept() {
        let text = r#"{"format":2,"name":"stable","release":"1.2.0","halted":false,"waves":[{"percent":1}]}"#;
        let channel: Channel = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&channel).unwrap(), text);
    }
}
