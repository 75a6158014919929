// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `json-file`.

use super::{FIRST, option};
use crate::{DriverSpec, Extra, OptionKind, Runs};

pub(super) fn spec() -> DriverSpec {
    DriverSpec {
        name: "json-file".to_owned(),
        summary: "The platform writes the container's output to a file that `docker logs` reads."
            .to_owned(),
        runs: Runs::Platform,
        since: FIRST.to_owned(),
        options: vec![
            option(
                "max-size",
                OptionKind::SizeDecimal,
                "Size in bytes at which the platform rotates the file.",
            )
            .bounds(1, u64::MAX)
            .accepted(&["a size such as 10m; k, m and g are powers of 1000"]),
            option(
                "max-file",
                OptionKind::PositiveInteger,
                "Accepted as in Docker; the platform keeps rotated files by its own rule.",
            )
            .bounds(1, u64::MAX),
        ],
        extra: Extra::new(),
    }
}
