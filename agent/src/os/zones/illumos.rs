// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What illumos knows of a zone by its number.

#![expect(unsafe_code, reason = "the C library asks the kernel about zones")]

use std::ffi::{OsString, c_int, c_void};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::{Owner, Zone, config};

/// `<sys/zone.h>`: the zone's root, seen from the global zone; its name.
const ZONE_ATTR_ROOT: c_int = 1;
const ZONE_ATTR_NAME: c_int = 2;

unsafe extern "C" {
    /// Returns the length with the final zero, or -1.
    fn zone_getattr(zone: c_int, attribute: c_int, value: *mut c_void, size: usize) -> isize;
}

/// The global zone.
pub(crate) fn host() -> Option<Zone> {
    Some(Zone(0, 0))
}

/// Zones that are gone already are of one owner together: nobody becomes many by
/// being quick.
pub(crate) fn owner(zone: Zone) -> Owner {
    let Some(name) = text(zone, ZONE_ATTR_NAME) else { return Owner("unknown".to_owned()) };
    let name = name.to_string_lossy().into_owned();
    let config = std::fs::read_to_string(format!("/etc/zones/{name}.xml")).unwrap_or_default();
    Owner(config::owner(&config).map_or(name, str::to_owned))
}

/// Where its files are.
pub(super) fn root(zone: Zone) -> Option<PathBuf> {
    text(zone, ZONE_ATTR_ROOT).map(PathBuf::from)
}

fn text(zone: Zone, attribute: c_int) -> Option<OsString> {
    let number = c_int::try_from(zone.0).ok()?;
    let mut value = vec![0_u8; 1024];
    // SAFETY: the kernel writes at most `size` bytes to the start of the vector.
    let length = unsafe { zone_getattr(number, attribute, value.as_mut_ptr().cast(), value.len()) };
    let length = usize::try_from(length).ok()?;
    value.truncate(length);
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    value.truncate(end);
    (!value.is_empty()).then(|| OsString::from_vec(value))
}
