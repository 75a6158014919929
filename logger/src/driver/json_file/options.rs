// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the options of the json-file driver mean.

use std::collections::BTreeMap;

use dockerlogger_manifest::Normalized;
use dockerlogger_manifest::value::parse_size_decimal;

use super::Encoder;
use crate::driver::{ConfigError, Configure, Identity, LogFiles, Sink, is_true, rendered};
use crate::launch::Launch;
use crate::local_time::LocalTime;

/// The options of one container, checked.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) files: LogFiles,
    /// What every line has besides its text, by name.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Configure for Options {
    type Encoder = Encoder;

    /// Reads checked options.
    ///
    /// # Errors
    /// When files are to be compressed that are
    /// never rotated or kept, or tag and attributes cannot be rendered.
    fn parse(options: &Normalized, launch: &Launch, host: &[u8]) -> Result<Self, ConfigError> {
        let dir =
            options.get("json-file-dir").unwrap_or(dockerlogger_manifest::catalog::JSON_FILE_DIR);
        let max_bytes = options.get("max-size").and_then(|size| parse_size_decimal(size).ok());
        let max_files = options.get("max-file").and_then(|files| files.parse().ok()).unwrap_or(1);
        let compress = is_true(options, "compress");
        if compress && (max_bytes.is_none() || max_files < 2) {
            let why = "expected false unless max-size is given and max-file is at least 2";
            return Err(ConfigError::invalid(
                "compress",
                options.get("compress").unwrap_or_default(),
                why,
            ));
        }
        // No id leads out of the directory.
        let id: String =
            launch.container_id.chars().filter(char::is_ascii_alphanumeric).take(ID_MAX).collect();
        let files = LogFiles {
            dir: dir.to_owned(),
            name: format!("{id}-json.log"),
            max_bytes,
            max_files,
            compress,
        };
        let mut container = launch.container(host);
        let mut attributes = container.extra_attributes()?;
        if let Some(text) = options.get("tag") {
            container.log_path = files.path();
            let tag = rendered("tag", text, &container)?;
            if !tag.is_empty() {
                attributes.insert("tag".to_owned(), String::from_utf8_lossy(&tag).into_owned());
            }
        }
        Ok(Self { files, attributes })
    }

    fn sink(&self) -> Sink {
        Sink::Files(self.files.clone())
    }

    fn encoder(&self, _identity: &Identity, _local_time: LocalTime) -> Encoder {
        Encoder::new(self)
    }
}

/// Letters and digits of an id that go into a file's name.
const ID_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::normalize;

    fn parse(written: &[(&str, &str)], id: &str) -> Result<Options, String> {
        let options: BTreeMap<_, _> =
            written.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let launch = Launch {
            options: options.clone(),
            container_id: id.to_owned(),
            container_name: "/web".to_owned(),
            labels: BTreeMap::from([("tier".to_owned(), "front".to_owned())]),
            env: vec!["tier=back".to_owned(), "PATH=/bin".to_owned()],
            ..Launch::default()
        };
        normalize("json-file", &options)
            .and_then(|options| Options::parse(&options, &launch, b"host"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn where_the_lines_go() {
        let files = parse(&[], "deadbeefcafe0123").unwrap().files;
        assert_eq!(files.path(), "/var/log/deadbeefcafe0123-json.log");
        assert_eq!((files.max_bytes, files.max_files, files.compress), (None, 1, false));
        let written =
            [("max-size", "1.5k"), ("max-file", "3"), ("compress", "1"), ("json-file-dir", "/l")];
        let files = parse(&written, "../../etc/x").unwrap().files;
        assert_eq!(files.path(), "/l/etcx-json.log");
        assert_eq!((files.max_bytes, files.max_files, files.compress), (Some(1500), 3, true));
    }

    #[test]
    fn attributes_and_the_tag_over_them() {
        let attributes = |written| parse(written, "deadbeefcafe0123").unwrap().attributes;
        let shown = |attributes: BTreeMap<String, String>| format!("{attributes:?}");
        assert_eq!(shown(attributes(&[])), "{}");
        assert_eq!(shown(attributes(&[("labels", "tier")])), r#"{"tier": "front"}"#);
        assert_eq!(
            shown(attributes(&[("labels", "tier"), ("env-regex", "^t"), ("tag", "{{.Name}}")])),
            r#"{"tag": "web", "tier": "back"}"#
        );
        assert_eq!(
            shown(attributes(&[("tag", "{{.LogPath}}")])),
            r#"{"tag": "/var/log/deadbeefcafe0123-json.log"}"#
        );
        assert_eq!(shown(attributes(&[("tag", "{{if false}}x{{end}}")])), "{}");
    }

    #[test]
    fn refusals() {
        for (written, message) in [
            (
                &[("json-file-dir", "logs")][..],
                "log option \"json-file-dir\": \"logs\": expected an absolute path",
            ),
            (
                &[("compress", "true"), ("max-size", "1m")],
                "log option \"compress\": \"true\": expected false unless max-size is given and \
                 max-file is at least 2",
            ),
            (
                &[("compress", "true"), ("max-file", "2")],
                "log option \"compress\": \"true\": expected false unless max-size is given and \
                 max-file is at least 2",
            ),
            (
                &[("labels-regex", "(")],
                "log option \"labels-regex\": \"(\" is not a regular expression in RE2 syntax",
            ),
            (
                &[("max-size", "0")],
                "log option \"max-size\": \"0\": out of range, expected a size such as 10m; k, m and \
                 g are powers of 1000",
            ),
        ] {
            assert_eq!(parse(written, "x").unwrap_err(), message);
        }
        assert!(parse(&[("tag", "{{.X}}")], "x").is_err());
    }
}
