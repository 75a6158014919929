// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a container is started with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::zfd::Pressure;

/// What happens to the logger when the container's command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The zone halts: the logger is killed at once and what is in the streams is gone. What the platform does.
    Halt,
    /// The streams close; the logger may read and send what is left, and exits by itself.
    Close,
    /// `docker stop`: SIGTERM to the command alone, SIGKILL after `grace`, then as [`Ending::Halt`].
    Stop {
        /// How long the command may take to end.
        grace: Duration,
    },
}

/// A container to start.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// The logger's file.
    pub logger: PathBuf,
    /// The driver, `argv[1]` of the logger.
    pub driver: String,
    /// `DOCKERLOG_*` variables by name; one that is not here does not exist.
    pub variables: BTreeMap<String, String>,
    /// The container's command; `None`: the test writes the output itself.
    pub command: Option<Vec<String>>,
    /// Environment of the command.
    pub command_env: Vec<(String, String)>,
    /// Working directory of logger and command.
    pub workdir: PathBuf,
    /// One merged stream with CR NL instead of two.
    pub tty: bool,
    /// What the streams do when the logger does not keep up.
    pub pressure: Pressure,
    /// The first so many messages of each stream are lost, as when the command is faster than dockerinit's child.
    pub unjoined_messages: u64,
    /// What the command's end means.
    pub ending: Ending,
}

/// The container id of every simulated container, unless a test says otherwise.
pub const CONTAINER_ID: &str = "deadbeefcafe0123456789abcdef0123456789abcdef0123456789abcdef0123";

impl ContainerSpec {
    /// A container with all eight variables of the contract, without a terminal, with flow control, in `/`.
    pub fn new(logger: &Path, driver: &str, config: &[(&str, &str)]) -> Self {
        let config: serde_json::Map<String, serde_json::Value> =
            config.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let config = serde_json::Value::Object(config).to_string();
        let image_id = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let variables = [
            ("DOCKERLOG_CONFIG", config.as_str()),
            ("DOCKERLOG_CONTAINERID", CONTAINER_ID),
            ("DOCKERLOG_CONTAINERNAME", "/web-1"),
            ("DOCKERLOG_CREATETIME", "2026-01-02T03:04:05Z"),
            ("DOCKERLOG_IMAGEID", &image_id),
            ("DOCKERLOG_IMAGENAME", "registry.example.com/team/app:1.2"),
            ("DOCKERLOG_ENTRYPOINT", r#"["/bin/sh","-c"]"#),
            ("DOCKERLOG_CMD", r#"["while true; do date; done"]"#),
        ];
        Self {
            logger: logger.to_owned(),
            driver: driver.to_owned(),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            command: None,
            command_env: vec![("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())],
            workdir: PathBuf::from("/"),
            tty: false,
            pressure: Pressure::FlowControl,
            unjoined_messages: 0,
            ending: Ending::Close,
        }
    }

    /// The same container running a shell script.
    #[must_use]
    pub fn running(mut self, script: &str) -> Self {
        self.command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
        self
    }

    /// The same container with a `DOCKERLOG_*` variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same container without a `DOCKERLOG_*` variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// The logger's whole environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}
