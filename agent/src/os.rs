// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The edge to the operating system: files, the lock, child processes.
//!
//! The engine changes the disk only through [`Files`], so that a test can
//! stop it after any single effect and a model can take the disk's place.

pub(crate) mod apart;
pub(crate) mod confine;
pub(crate) mod files;
pub(crate) mod lock;
pub(crate) mod pages;
mod place;
pub(crate) mod process;
pub(crate) mod processes;
mod write_back;
pub(crate) mod zones;

pub use files::FileError;
pub(crate) use files::Files;
pub(crate) use files::RealFiles;
