// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The system calls that the standard library has no safe form for, and the
//! clocks. Together with `ring/mapping` the only home of `unsafe`.
//!
//! Nothing here allocates, so that the reader may call all of it.

#![expect(unsafe_code, reason = "system calls; each has its argument beside it")]

mod guard;
mod last_words;
mod priority;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

pub(crate) use guard::guard;
pub(crate) use last_words::LastWords;
pub(crate) use last_words::forget as forget_last_words;
pub(crate) use priority::Ordinary;
pub(crate) use priority::raise as raise_priority;

/// A child process of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Child(libc::pid_t);

/// The two sides of a fork.
#[derive(Debug)]
pub(crate) enum Fork {
    Parent(Child),
    Child,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// A signal ended it.
    Killed,
}

/// What the reader is told through the signal pipe, one byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// SIGTERM or SIGINT.
    Terminate,
    /// SIGCHLD.
    ChildEnded,
    /// SIGUSR1: a report is wanted.
    Report,
}

/// One descriptor to wait for; a negative one is skipped.
pub(crate) const fn interest(fd: RawFd, events: i16) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}

/// Waits until one of `fds` is ready, for at most `timeout`, rounded up to
/// milliseconds; `None` waits without end. A signal ends the wait early.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    let millis = match timeout {
        None => -1,
        Some(timeout) => i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX),
    };
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(0);
    // SAFETY: pointer and count describe the slice, which outlives the call.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), count, millis) };
    match usize::try_from(ready) {
        Ok(ready) => Ok(ready),
        Err(_) => {
            for fd in fds.iter_mut() {
                fd.revents = 0;
            }
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
        }
    }
}

/// `read(2)`; 0 is the end of the stream.
pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes into the slice.
    let n = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// `write(2)`.
pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads at most `len` bytes of the slice.
    let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Closes a descriptor in a forked child, which ends without dropping anything.
pub(crate) fn close_inherited(fd: RawFd) {
    // SAFETY: callers pass descriptors that the child will not use again; what
    // owns them in the child is never dropped. -1 is refused.
    unsafe { libc::close(fd) };
}

/// Whether the descriptor is open.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD takes no argument and changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Whether the descriptor is open and may be written.
pub(crate) fn is_writable(fd: RawFd) -> bool {
    // SAFETY: F_GETFL takes no argument and changes nothing.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && matches!(flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
}

/// Whether two descriptors are open on the same file.
pub(crate) fn same_file(a: RawFd, b: RawFd) -> bool {
    let identity = |fd| {
        // SAFETY: a zeroed stat is a valid value of that plain structure.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills the structure it is given.
        let ok = unsafe { libc::fstat(fd, &raw mut stat) } == 0;
        ok.then_some((stat.st_dev, stat.st_ino))
    };
    identity(a).is_some_and(|id| Some(id) == identity(b))
}

/// A pipe whose ends neither block nor survive an exec: (read end, write end).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), flags) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were just opened and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Empties a non-blocking pipe. True when its writers are gone.
pub(crate) fn drain_pipe(pipe: RawFd) -> bool {
    let mut bytes = [0; 64];
    loop {
        match read(pipe, &mut bytes) {
            Ok(0) => return true,
            Ok(n) if n == bytes.len() => {}
            Ok(_) => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Forks. The child shares nothing with the reader but the ring and the pipes.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the reader has one thread, so the child's copy of every lock and
    // of the allocator is in a consistent state.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(Child(pid))),
    }
}

/// Ends this process now: no destructors, no exit handlers. For a forked child.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: does not return and touches no memory of ours.
    unsafe { libc::_exit(status) }
}

impl Child {
    /// How the child ended; `None` while it runs.
    pub(crate) fn try_wait(self) -> Option<Ended> {
        let mut status = 0;
        // SAFETY: the kernel writes one int.
        let pid = unsafe { libc::waitpid(self.0, &raw mut status, libc::WNOHANG) };
        if pid == 0 {
            return None;
        }
        if pid == self.0 && libc::WIFEXITED(status) {
            return Some(Ended::Exited(libc::WEXITSTATUS(status)));
        }
        let interrupted =
            pid < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
        (!interrupted).then_some(Ended::Killed)
    }

    /// Kills the child and waits for its end.
    pub(crate) fn kill(self) {
        // SAFETY: the pid is that of a child which has not been waited for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        let mut status = 0;
        // SAFETY: the kernel writes one int. The wait is short: SIGKILL was sent.
        unsafe { libc::waitpid(self.0, &raw mut status, 0) };
    }
}

/// The pipe end that the signal handler writes to; -1: none.
static NOTICE_PIPE: AtomicI32 = AtomicI32::new(-1);

/// Sends SIGTERM, SIGINT, SIGCHLD and SIGUSR1 as bytes to `pipe`, which must stay open.
pub(crate) fn notice_signals(pipe: &OwnedFd) {
    extern "C" fn note(signal: libc::c_int) {
        let byte = match signal {
            libc::SIGCHLD => [1],
            libc::SIGUSR1 => [2],
            _ => [0],
        };
        // The handler must leave errno as it was: it may run between a failed
        // call and the look at its reason.
        // SAFETY: errno is this thread's own.
        let errno = unsafe { *errno_location() };
        let _ = write(NOTICE_PIPE.load(Ordering::Relaxed), &byte);
        // SAFETY: as above.
        unsafe { *errno_location() = errno };
    }
    NOTICE_PIPE.store(pipe.as_raw_fd(), Ordering::Relaxed);
    let handler = note as extern "C" fn(libc::c_int);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD, libc::SIGUSR1] {
        set_handler(signal, handler as libc::sighandler_t);
    }
}

/// The end of this process ends the container: only what must end it does. What
/// is noticed later is ignored as well until [`notice_signals`].
pub(crate) fn ignore_stray_signals() {
    for signal in [
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGPOLL,
        libc::SIGXFSZ,
    ] {
        set_handler(signal, libc::SIG_IGN);
    }
}

/// Ends this process after `seconds`. For a forked child.
pub(crate) fn end_after(seconds: u32) {
    set_handler(libc::SIGALRM, libc::SIG_DFL);
    // SAFETY: takes a number and touches no memory of ours.
    unsafe { libc::alarm(seconds) };
}

/// For a forked sender: the reader decides about ends, signals do not.
pub(crate) fn ignore_signals() {
    set_handler(libc::SIGCHLD, libc::SIG_DFL);
    set_handler(libc::SIGTERM, libc::SIG_IGN);
    set_handler(libc::SIGINT, libc::SIG_IGN);
    set_handler(libc::SIGUSR1, libc::SIG_IGN);
    NOTICE_PIPE.store(-1, Ordering::Relaxed);
}

fn set_handler(signal: libc::c_int, handler: libc::sighandler_t) {
    // SAFETY: a zeroed sigaction is valid: empty mask, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    if signal == libc::SIGCHLD {
        action.sa_flags |= libc::SA_NOCLDSTOP;
    }
    // SAFETY: the handler only makes calls that are safe in a handler (write).
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

#[cfg(target_os = "linux")]
fn errno_location() -> *mut libc::c_int {
    // SAFETY: always valid for the calling thread.
    unsafe { libc::__errno_location() }
}

#[cfg(target_os = "illumos")]
fn errno_location() -> *mut libc::c_int {
    // SAFETY: always valid for the calling thread.
    unsafe { libc::___errno() }
}

/// The notices waiting in the signal pipe; true when each was seen.
pub(crate) fn notices(pipe: &OwnedFd) -> impl Iterator<Item = Notice> {
    let mut bytes = [0; 16];
    let n = read(pipe.as_raw_fd(), &mut bytes).unwrap_or(0);
    bytes.into_iter().take(n).map(|byte| match byte {
        0 => Notice::Terminate,
        1 => Notice::ChildEnded,
        _ => Notice::Report,
    })
}

/// Blocks of 64 KiB and more are the system's again when they are freed, and not
/// holes in the heap. For the sender, which lives long and has few pages.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn return_freed_memory() {
    for option in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: takes numbers only.
        unsafe { libc::mallopt(option, 64 << 10) };
    }
}

/// What was freed so far is the system's again, and not holes in the heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn trim_heap() {
    // SAFETY: takes a number only; nothing points into what is freed.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators have no such option.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) const fn return_freed_memory() {}

/// The same.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) const fn trim_heap() {}

/// Asks a zfd log stream to stop the container's writes instead of dropping them
/// when it is full. A descriptor that is no such stream refuses, which is no
/// harm: its writers wait by themselves.
#[cfg(target_os = "illumos")]
pub(crate) fn set_flow_control(stream: RawFd) {
    /// `ZFD_MUX_FLOWCON` of `sys/zfd.h`; takes 0 or 1 by value.
    const ZFD_MUX_FLOWCON: libc::c_int = 0x5A66_6404;
    const ON: libc::c_int = 1;
    // SAFETY: takes a number; another driver refuses the request as unknown.
    unsafe { libc::ioctl(stream, ZFD_MUX_FLOWCON, ON) };
}

/// Asks for back-pressure; pipes always have it.
#[cfg(not(target_os = "illumos"))]
pub(crate) const fn set_flow_control(_stream: RawFd) {}

/// Nanoseconds since 1970, UTC.
pub(crate) fn wall_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// Nanoseconds of a clock that is never set.
pub(crate) fn mono_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure; both clocks exist everywhere.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000) + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// The node name of this zone or machine, cut at 255 bytes.
pub(crate) fn hostname() -> Vec<u8> {
    let mut name = [0_u8; 256];
    // SAFETY: one byte less than the array is offered, so it stays terminated.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    name.into_iter().take_while(|&byte| byte != 0).collect()
}

/// The number of a network interface of this zone; `None`: it has none of that name.
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let mut text = [0; 32];
    text.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    let name = CStr::from_bytes_until_nul(&text).ok()?;
    // SAFETY: it is read up to its end, and not kept.
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|&index| index != 0)
}

/// Bytes of a TCP socket that its peer has not acknowledged; `None` where the
/// system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn unacknowledged(socket: RawFd) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (which has the number of TIOCOUTQ) writes one int.
    let ok = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut bytes) } == 0;
    ok.then(|| u64::try_from(bytes).unwrap_or(0))
}

/// Bytes of a TCP socket that its peer has not acknowledged; illumos does not say.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unacknowledged(_socket: RawFd) -> Option<u64> {
    None
}

/// How much more a TCP socket's peer said that it can hold; `None` where the system
/// does not say.
#[cfg(target_os = "linux")]
pub(crate) fn peer_room(socket: RawFd) -> Option<u64> {
    /// Of `tcp_info` up to `tcpi_snd_wnd`, which came with Linux 5.4, in words.
    const WORDS: usize = 58;
    let mut info = [0_u32; WORDS];
    let size = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
    let mut filled = size;
    // SAFETY: the kernel writes at most `filled` bytes into the array, and how many.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut filled,
        )
    };
    (result == 0 && filled == size).then(|| info[WORDS - 1].into())
}

/// How much more a TCP socket's peer said that it can hold; illumos does not say.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn peer_room(_socket: RawFd) -> Option<u64> {
    None
}

/// Asks the kernel to probe a silent peer: after 30 s where that can be set.
pub(crate) fn keep_alive(socket: RawFd) {
    set_option(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
    #[cfg(target_os = "linux")]
    for (option, value) in
        [(libc::TCP_KEEPIDLE, 30), (libc::TCP_KEEPINTVL, 10), (libc::TCP_KEEPCNT, 3)]
    {
        set_option(socket, libc::IPPROTO_TCP, option, value);
    }
}

/// Limits what the kernel takes before it says that a socket is full.
pub(crate) fn set_send_buffer(socket: RawFd, bytes: i32) {
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes);
}

fn set_option(socket: RawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: pointer and size describe one int that outlives the call.
    unsafe { libc::setsockopt(socket, level, option, (&raw const value).cast(), size) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_reports_bytes_and_then_its_end() {
        let (reader, writer) = pipe().unwrap();
        assert!(!drain_pipe(reader.as_raw_fd()));
        assert_eq!(write(writer.as_raw_fd(), b"abc").unwrap(), 3);
        let mut fds = [interest(reader.as_raw_fd(), libc::POLLIN), interest(-1, libc::POLLIN)];
        assert_eq!(poll(&mut fds, None).unwrap(), 1);
        drop(writer);
        assert!(!drain_pipe(reader.as_raw_fd()));
        assert!(drain_pipe(reader.as_raw_fd()));
    }

    #[test]
    fn writable_and_same_file() {
        let (reader, writer) = pipe().unwrap();
        assert!(!is_writable(reader.as_raw_fd()));
        assert!(is_writable(writer.as_raw_fd()));
        assert!(!is_writable(-1));
        assert!(same_file(reader.as_raw_fd(), writer.as_raw_fd()));
        assert!(!same_file(-1, -1));
    }
}
