// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The agent on a node: installs, answers, refuses, and survives.

mod api;
mod clocks;
mod crash;
mod damage;
mod fixture;
mod formats;
mod hostile;
mod imgapi;
mod install;
mod keys;
mod orders;
mod proxy;
mod refusals;

pub(super) use fixture::publisher;
