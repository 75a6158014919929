// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Starts a program with exactly the descriptors, environment and arguments given, and nothing else.
//!
//! The launch contract of the platform names descriptors 0 to 4, and a program must not find a sixth one. The standard
//! library can neither place descriptors 3 and 4 nor keep its own error pipe out of their way, so the fork is made here.

#![expect(unsafe_code, reason = "fork and exec with chosen descriptor numbers have no safe form")]

use std::ffi::{CString, OsStr};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Pid;

/// Highest number of descriptors a launch may place.
const DESCRIPTORS_MAX: usize = 8;

/// Sources are first copied to this number or above, so that placing one never overwrites another.
const DESCRIPTORS_ABOVE: libc::c_int = 32;

/// The status of a child that could not execute its program (the platform's `ERR_EXEC_FAILED`).
const EXEC_FAILED: libc::c_int = 3;

/// One program to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The file to execute; no search path is used.
    pub program: &'a Path,
    /// All arguments, `argv[0]` included.
    pub argv: &'a [String],
    /// The whole environment.
    pub env: &'a [(String, String)],
    /// Working directory.
    pub cwd: &'a Path,
    /// Descriptor `n` of the program is a copy of the `n`-th entry. At most eight.
    pub fds: &'a [BorrowedFd<'a>],
}

/// Starts the program as the leader of a process group of its own, and returns when it has been executed.
///
/// # Errors
/// The reason why the program could not be executed; no process is left then.
pub fn launch(launch: &Launch<'_>) -> io::Result<Pid> {
    assert!(
        launch.fds.len() <= DESCRIPTORS_MAX,
        "at most {DESCRIPTORS_MAX} descriptors can be placed"
    );
    let program = c_string(launch.program.as_os_str());
    let cwd = c_string(launch.cwd.as_os_str());
    let argv: Vec<CString> = launch.argv.iter().map(|arg| c_string(OsStr::new(arg))).collect();
    let env: Vec<CString> = launch
        .env
        .iter()
        .map(|(name, value)| c_string(OsStr::new(&format!("{name}={value}"))))
        .collect();
    let argv = null_terminated(&argv);
    let env = null_terminated(&env);
    let mut sources = [-1; DESCRIPTORS_MAX];
    for (slot, fd) in sources.iter_mut().zip(launch.fds) {
        *slot = fd.as_raw_fd();
    }
    let (mut report, reporter) = io::pipe()?;

    // SAFETY: the child runs only `exec_child`, which makes nothing but async-signal-safe calls on memory
    // prepared above; the parent continues as if nothing had happened.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        // SAFETY: we are in the child; all pointers outlive the call, which does not return.
        0 => unsafe {
            exec_child(
                program.as_ptr(),
                argv.as_ptr(),
                env.as_ptr(),
                cwd.as_ptr(),
                &sources,
                launch.fds.len(),
                reporter.as_raw_fd(),
            )
        },
        pid => pid,
    };
    drop(reporter);
    let pid = Pid::from_raw(pid).expect("fork returns a positive process id in the parent");
    let mut errno = [0u8; 4];
    match report.read_exact(&mut errno) {
        // The pipe closed at exec: the program runs.
        Err(_) => Ok(pid),
        Ok(()) => {
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
        }
    }
}

/// The child's half: place descriptors, enter the directory, execute. Never returns.
///
/// # Safety
/// Only for the child of a fork; every pointer must be a NUL-terminated string or a null-terminated array of them.
unsafe fn exec_child(
    program: *const libc::c_char,
    argv: *const *const libc::c_char,
    env: *const *const libc::c_char,
    cwd: *const libc::c_char,
    sources: &[RawFd; DESCRIPTORS_MAX],
    count: usize,
    reporter: RawFd,
) -> ! {
    let mut raised = [-1; DESCRIPTORS_MAX];
    // SAFETY: plain system calls on integers, and on pointers the caller vouches for.
    unsafe {
        let reporter = libc::fcntl(reporter, libc::F_DUPFD_CLOEXEC, DESCRIPTORS_ABOVE);
        libc::setpgid(0, 0);
        // What the Rust runtime and the test harness changed must not reach the program.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        for (slot, source) in raised.iter_mut().zip(sources).take(count) {
            *slot = libc::fcntl(*source, libc::F_DUPFD_CLOEXEC, DESCRIPTORS_ABOVE);
        }
        let mut target: RawFd = 0;
        for source in raised.iter().take(count) {
            libc::dup2(*source, target);
            target += 1;
        }
        close_from_at_exec(target);
        if libc::chdir(cwd) == 0 {
            libc::execve(program, argv, env);
        }
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO).to_ne_bytes();
        libc::write(reporter, errno.as_ptr().cast(), errno.len());
        libc::_exit(EXEC_FAILED)
    }
}

/// Marks every descriptor from `first` up as closed at exec.
#[cfg(target_os = "linux")]
fn close_from_at_exec(first: RawFd) {
    // SAFETY: marks descriptors of this process; no memory is involved.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// Marks every descriptor from `first` up as closed at exec.
#[cfg(not(target_os = "linux"))]
fn close_from_at_exec(first: RawFd) {
    for fd in first..1024 {
        // SAFETY: marks one descriptor of this process; a number that is not open is refused by the kernel.
        unsafe {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

/// Puts this process before every other, and its memory out of the reach of the pager; where that is refused, nothing
/// changes.
pub fn run_first() {
    // SAFETY: takes numbers only.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    #[cfg(target_os = "linux")]
    {
        // SAFETY: takes numbers only.
        let sched_priority = unsafe { libc::sched_get_priority_max(libc::SCHED_FIFO) };
        let highest = libc::sched_param { sched_priority };
        // SAFETY: reads a structure that is ours; 0 is the calling process.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const highest) };
    }
}

/// Processor time of this process so far, user and system, threads that have ended included.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes a structure that is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let (secs, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
}

/// SIGINT and SIGTERM, held back from every thread started later.
#[derive(Debug)]
pub struct Interrupts(());

impl Interrupts {
    /// Holds both signals back; call it before any thread is started.
    pub fn hold() -> Interrupts {
        let set = interrupt_set();
        // SAFETY: the set is initialised and outlives the call.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        Interrupts(())
    }

    /// Waits for one of them.
    pub fn wait(&self) {
        let set = interrupt_set();
        let mut signal = 0;
        // SAFETY: both pointers are to initialised values of this frame.
        unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    }
}

fn interrupt_set() -> libc::sigset_t {
    // SAFETY: a signal set is plain data, and made valid by `sigemptyset` before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        set
    }
}

fn c_string(text: &OsStr) -> CString {
    CString::new(text.as_bytes()).expect("the harness passes no text with a NUL byte to a program")
}

fn null_terminated(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
