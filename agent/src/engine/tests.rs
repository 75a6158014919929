// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The engine as a whole, against repositories that are signed here.

mod audit;
mod clock;
mod conformance;
mod copies;
mod crash;
mod damaged;
mod differential;
mod disturbed;
mod faults;
mod fetch;
mod floors;
mod formats;
mod full_disk;
mod hostile;
mod interruptions;
mod interrupts;
mod node;
pub(super) mod processes;
mod publisher;
mod refusals;
mod refused_again;
mod rollbacks;
mod server;
mod small_disk;
mod survey;
mod tough_verifier;
mod trials;
mod unreadable;
mod updates;
mod wishes;
