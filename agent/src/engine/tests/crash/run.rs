// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What goes into a run of the engine over a model, and what comes of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dockerlogger_manifest::Release;

use crate::engine::error::ProbeError;
use crate::engine::probe::Prober;
use crate::engine::tests::crash::files::{Moment, Rewrite, Trouble};
use crate::engine::view::NodeView;
use crate::os::Files;

/// One life of an engine.
pub(super) struct Run {
    pub(super) moments: Vec<Moment>,
    /// The first answer that was an error.
    pub(super) error: Option<String>,
    /// Whether the last answer was none.
    pub(super) done: bool,
    pub(super) view: Option<NodeView>,
    /// What effects were refused.
    pub(super) failed: Vec<PathBuf>,
    /// Effects and looks between the first refused one and the answer.
    pub(super) tried_after: usize,
    /// What the first answer said besides: notes and warnings.
    pub(super) said: Vec<String>,
    /// What was looked at until then, in order.
    pub(super) looks: Vec<PathBuf>,
}

impl Run {
    pub(super) fn end(&self) -> &Moment {
        self.moments.last().unwrap()
    }
}

/// What goes wrong in a run.
#[derive(Default)]
pub(super) struct Tampering {
    pub(super) rewrite: Option<Rewrite>,
    pub(super) trouble: Option<Trouble>,
}

/// A logger that is not run: that it can be read is proof enough here.
#[derive(Debug)]
pub(super) struct ReadProber(pub(super) Arc<dyn Files>);

impl Prober for ReadProber {
    fn prove(&self, logger: &Path, _: &Release, _: Duration) -> Result<(), ProbeError> {
        match self.0.open(logger) {
            Ok(_) => Ok(()),
            Err(e) => {
                let command = logger.display().to_string();
                Err(ProbeError::Start { command, source: e.source })
            }
        }
    }
}
