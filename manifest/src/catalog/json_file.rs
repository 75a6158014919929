// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `json-file`.

use super::common::{generic, placed_attributes};
use super::{FIRST, example, option, route};
use crate::{Carrier, DriverSpec, Extra, OptionKind, OptionSpec, Runs};

/// The directory of the file where none is given: there in every zone.
pub const JSON_FILE_DIR: &str = "/var/log";

pub(super) fn spec() -> DriverSpec {
    let mut options = vec![
        option("max-size", OptionKind::SizeDecimal, "Size in bytes at which the file is rotated; without it, never by the logger, and by the platform at its own limit.")
            .bounds(1, u64::MAX)
            .accepted(&["a size such as 10m; k, m and g are powers of 1000"]),
        option("max-file", OptionKind::PositiveInteger, "How many files there are at most, the current one included; the platform takes it and keeps rotated files by its own rule. Without effect unless max-size is given.")
            .default("1")
            .bounds(1, u64::MAX),
    ];
    let attributes = placed_attributes("attributes of every line").into_iter().map(|option| {
        match option.name.as_str() {
            // Without the option there is none.
            "tag" => OptionSpec {
                default: None,
                help: "The attribute tag of every line.".to_owned(),
                ..option
            },
            _ => option,
        }
    });
    let in_zone = [
        option("compress", OptionKind::Boolean, "Whether rotated files are compressed with gzip; asks for max-size and a max-file of at least 2.")
            .default("false")
            .accepted(&["true", "false"]),
        option("json-file-dir", OptionKind::Path, "The directory of the file, which is named by the container's full id and -json.log.")
            .default(JSON_FILE_DIR)
            .accepted(&["an absolute path of a directory"])
            .extension(),
    ];
    options.extend(
        in_zone.into_iter().chain(attributes).chain(generic()).map(|option| option.in_zone()),
    );
    DriverSpec {
        name: "json-file".to_owned(),
        summary: "Each line goes to a file as one JSON object; on Triton the platform writes it, and `docker logs` reads it.".to_owned(),
        runs: Runs::Both,
        since: FIRST.to_owned(),
        example: example(&[
            "max-size=10m",
            "max-file=3",
            "labels=com.example.team",
            "json-file-dir=/var/log/containers",
        ]),
        routes: vec![route(
            Carrier::File,
            &["json-file-dir={FOLDER}", "max-size=64m", "max-file=2"],
        )],
        options,
        extra: Extra::new(),
    }
}
