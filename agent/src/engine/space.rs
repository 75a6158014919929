// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Room on disk: asked for before anything is written, with numbers.

use dockerlogger_manifest::Version;

use crate::engine::error::UpdateError;
use crate::engine::layout::Layout;

/// Refuses unless `needed` bytes fit and `reserve` bytes remain.
pub(crate) fn check(
    layout: &Layout,
    version: &Version,
    needed: u64,
    reserve: u64,
) -> Result<(), UpdateError> {
    let available = layout.files.available(layout.root())?;
    if available >= needed.saturating_add(reserve) {
        return Ok(());
    }
    let (path, version) = (layout.root().to_owned(), version.clone());
    Err(UpdateError::Space { path, version, available, needed, reserve })
}
