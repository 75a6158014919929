// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a program that is run to see what it does may not do: be root, gain
//! privileges, fill the disk, eat the memory.
//!
//! | | |
//! |---|---|
//! | user and group | [ones of its own](DynamicUser), without supplementary groups, where the agent is root |
//! | Linux | no new privileges, so that set-uid programs are plain ones to it |
//! | illumos | of the basic privileges none over other users' processes, sessions and files |
//! | core files | none |
//! | a file | [`FILE_BYTES_MAX`] |
//! | address space | [`MEMORY_BYTES_MAX`] |
//! | processor time | [`CPU_SECS_MAX`] |
//! | descriptors | [`FILES_MAX`] |
//! | processes (Linux, as a user of its own) | [`PROCESSES_MAX`] |
//! | life | until its user is dropped; as the agent's user, what leaves the process group lives on |

#![expect(unsafe_code, reason = "privileges are dropped between fork and exec")]

mod dynamic_user;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::process::Command;

pub(crate) use dynamic_user::DynamicUser;

/// Bytes of a file it writes; a logger writes a status page of a few KiB.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;

/// Bytes of address space; a logger with TLS has a tenth of this.
const MEMORY_BYTES_MAX: u64 = 2 << 30;

/// Seconds of processor time.
const CPU_SECS_MAX: u64 = 60;

/// Open descriptors.
const FILES_MAX: u64 = 256;

/// Processes and threads.
#[cfg(target_os = "linux")]
const PROCESSES_MAX: u64 = 64;

/// Whether programs are run as another user than this one.
pub(crate) fn demotes() -> bool {
    rustix::process::geteuid().is_root() && dynamic_user::exist()
}

/// Has `command` start its program confined, as `user`.
pub(crate) fn confine(command: &mut Command, user: &DynamicUser) {
    #[cfg_attr(not(target_os = "linux"), expect(unused_mut, reason = "there is no such limit"))]
    let mut limits = vec![
        limit(Resource::Core, 0),
        limit(Resource::Fsize, FILE_BYTES_MAX),
        limit(Resource::As, MEMORY_BYTES_MAX),
        limit(Resource::Cpu, CPU_SECS_MAX),
        limit(Resource::Nofile, FILES_MAX),
    ];
    if let Some(id) = user.id() {
        // The standard library gives up the supplementary groups with this.
        command.uid(id).gid(id);
        #[cfg(target_os = "linux")]
        limits.push(limit(Resource::Nproc, PROCESSES_MAX));
    }
    #[cfg(target_os = "illumos")]
    let unneeded = illumos::Privileges::unneeded();
    let give_up = move || {
        for (resource, limit) in &limits {
            setrlimit(*resource, *limit)?;
        }
        #[cfg(target_os = "linux")]
        rustix::thread::set_no_new_privs(true)?;
        #[cfg(target_os = "illumos")]
        unneeded.give_up()?;
        Ok(())
    };
    // SAFETY: the closure makes system calls alone; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(give_up) };
}

/// A limit that is not above the one in force, which nobody could raise.
fn limit(resource: Resource, wanted: u64) -> (Resource, Rlimit) {
    let most = getrlimit(resource).maximum.map_or(wanted, |most| most.min(wanted));
    (resource, Rlimit { current: Some(most), maximum: Some(most) })
}

/// Privileges, as `setppriv(2)` and `priv_str_to_set(3C)` have them.
#[cfg(target_os = "illumos")]
mod illumos {
    use std::ffi::{c_char, c_int, c_void};
    use std::io;
    use std::ptr;

    /// Basic privileges that no logger needs: to see and signal processes of
    /// other sessions and users, and to link files of others.
    const UNNEEDED: &std::ffi::CStr = c"proc_session,proc_info,file_link_any";

    /// `PRIV_OFF` of `<sys/priv.h>`.
    const OFF: c_int = 1;

    unsafe extern "C" {
        fn priv_str_to_set(
            text: *const c_char,
            separator: *const c_char,
            end: *mut *const c_char,
        ) -> *mut c_void;
        fn priv_freeset(set: *mut c_void);
        fn setppriv(operation: c_int, which: *const c_char, set: *const c_void) -> c_int;
    }

    /// A set of privileges.
    pub(super) struct Privileges(Option<ptr::NonNull<c_void>>);

    // SAFETY: the set belongs to this value alone and is not changed after it was made.
    unsafe impl Send for Privileges {}
    // SAFETY: as above.
    unsafe impl Sync for Privileges {}

    impl Privileges {
        pub(super) fn unneeded() -> Self {
            // SAFETY: both texts end with NUL; the third argument may be null.
            let set = unsafe { priv_str_to_set(UNNEEDED.as_ptr(), c",".as_ptr(), ptr::null_mut()) };
            Self(ptr::NonNull::new(set))
        }

        /// Gives them up for this process and whatever it executes.
        pub(super) fn give_up(&self) -> io::Result<()> {
            let set = self.0.ok_or(io::ErrorKind::InvalidInput)?;
            for which in [c"Inheritable", c"Permitted", c"Limit"] {
                // SAFETY: `set` came from priv_str_to_set; the call copies it.
                if unsafe { setppriv(OFF, which.as_ptr(), set.as_ptr()) } != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        }
    }

    impl Drop for Privileges {
        fn drop(&mut self) {
            if let Some(set) = self.0 {
                // SAFETY: it came from priv_str_to_set and is given back once.
                unsafe { priv_freeset(set.as_ptr()) };
            }
        }
    }
}
