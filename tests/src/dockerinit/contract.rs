// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the platform does when the logger, or the container's command, ends.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use super::Ending;
use crate::process::Process;
use crate::zfd::Stream;

/// Which of the two ended.
#[derive(Debug)]
pub(super) enum Ended {
    Logger,
    Init,
}

/// What the platform's process contract and zone do when one of the two ends.
pub(super) struct Contract {
    pub(super) logger: Process,
    pub(super) init: Option<Process>,
    pub(super) streams: Arc<Vec<Stream>>,
    pub(super) ending: Arc<Mutex<Ending>>,
}

impl Contract {
    /// Waits for one of the two.
    pub(super) fn supervise(self, ended: &Receiver<Ended>) {
        match ended.recv() {
            Ok(Ended::Logger) => {
                if let Some(init) = &self.init {
                    init.kill_group();
                }
                end_zone(Ending::Halt, &self.logger, &self.streams);
            }
            Ok(Ended::Init) => {
                if let Some(init) = &self.init {
                    init.kill_group();
                }
                let how = *self.ending.lock().unwrap();
                end_zone(how, &self.logger, &self.streams);
            }
            Err(_) => {}
        }
    }
}

/// Ends the zone: what the logger may still read depends on how.
pub(super) fn end_zone(how: Ending, logger: &Process, streams: &[Stream]) {
    match how {
        Ending::Halt | Ending::Stop { .. } => {
            logger.kill_group();
            streams.iter().for_each(Stream::halt);
        }
        Ending::Close => streams.iter().for_each(Stream::close),
    }
}
