// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One stream at work: a thread that moves messages from the application's descriptor to the logger's.
//!
//! The application's end is a socket that keeps the boundaries of writes; the logger's end is a pipe whose unread bytes
//! are the stream head. One difference to the device: a single write above about 200 KiB is refused by the socket.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

use super::{Counts, Loss, MESSAGE_MAX, Pressure, Queues};

/// How often the stream head is looked at while messages wait for room there.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// Room of the pipe behind the stream head: one full head and the largest message, with much to spare.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 256 * 1024;

/// How a stream behaves.
#[derive(Debug, Clone, Copy)]
pub struct StreamOptions {
    /// What happens when the driver queue is full.
    pub pressure: Pressure,
    /// The first so many messages are lost: they came before the stream was joined to the logger.
    pub unjoined_messages: u64,
    /// A terminal is in front: NL becomes CR NL.
    pub tty: bool,
}

/// One stream between an application and a logger.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    control: PipeWriter,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queues: Queues,
    /// Everything that was not dropped, as the logger should read it.
    accepted: Vec<u8>,
    /// The end of the pipe where the stream head is filled; gone when the stream has ended.
    head: Option<PipeWriter>,
    /// Bytes put there.
    put: u64,
    /// Of them, those that nobody had read when it ended.
    left: u64,
}

impl State {
    fn put_at_head(&mut self, message: &[u8]) {
        let Some(pipe) = &mut self.head else { return };
        if pipe.write_all(message).is_ok() {
            self.put += message.len() as u64;
        }
    }

    fn end(&mut self) {
        self.queues.discard();
        if let Some(pipe) = self.head.take() {
            self.left = unread(&pipe) as u64;
        }
    }
}

impl Stream {
    /// Starts a stream; returns it with the application's and the logger's descriptors.
    ///
    /// # Errors
    /// When the kernel has no descriptors left.
    pub fn start(options: StreamOptions) -> io::Result<(Stream, OwnedFd, OwnedFd)> {
        let (inside, outside) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let (reader, writer) = io::pipe()?;
        #[cfg(target_os = "linux")]
        rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES)?;
        let (orders, control) = io::pipe()?;
        let state = State {
            queues: Queues::new(options.pressure),
            accepted: Vec::new(),
            head: Some(writer),
            put: 0,
            left: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let stream = Stream { shared: Arc::clone(&shared), control };
        thread::spawn(move || run(&shared, &inside, &orders, options));
        Ok((stream, outside, OwnedFd::from(reader)))
    }

    /// What became of everything the application wrote.
    pub fn counts(&self) -> Counts {
        self.shared.state.lock().unwrap().queues.counts()
    }

    /// Every byte that was not dropped, in the order of the stream.
    pub fn accepted(&self) -> Vec<u8> {
        self.shared.state.lock().unwrap().accepted.clone()
    }

    /// Bytes that the logger has read, whatever became of them and it.
    pub fn handed_over(&self) -> u64 {
        let state = self.shared.state.lock().unwrap();
        state.put - state.head.as_ref().map_or(state.left, |head| unread(head) as u64)
    }

    /// True when the logger has read everything that was accepted so far.
    pub fn settled(&self) -> bool {
        let state = self.shared.state.lock().unwrap();
        !state.queues.backlog() && state.head.as_ref().is_none_or(|head| unread(head) == 0)
    }

    /// Lets the logger read what is there and then see the end.
    pub fn close(&self) {
        let _ = (&self.control).write_all(b"c");
    }

    /// Ends at once: what is queued is gone.
    pub fn halt(&self) {
        let _ = (&self.control).write_all(b"h");
    }
}

fn run(shared: &Shared, inside: &OwnedFd, mut orders: &PipeReader, options: StreamOptions) {
    let mut closing = false;
    // The application closed its end. The logger must not see that: the device gives it no end of file.
    let mut app_gone = false;
    let mut buffer = vec![0; 4 * MESSAGE_MAX];
    let mut unjoined = options.unjoined_messages;
    loop {
        let (stopped, backlog) = {
            let mut state = shared.state.lock().unwrap();
            move_on(&mut state);
            (state.queues.stopped(), state.queues.backlog())
        };
        if closing && !backlog && (app_gone || !readable(inside)) {
            break;
        }
        let listen = !stopped && !app_gone;
        let limit = if closing || backlog { Some(LOOK_EVERY) } else { None };
        match wait(shared, listen.then_some(inside), orders, limit) {
            Ready::Order => {
                let mut order = [0];
                match orders.read(&mut order) {
                    Ok(1) if order == *b"c" => closing = true,
                    _ => break,
                }
            }
            Ready::Message => match recv(inside, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) if hung_up(inside) => app_gone = true,
                Ok((length, _)) if options.tty => {
                    take(shared, &with_carriage_returns(&buffer[..length]), &mut unjoined);
                }
                Ok((length, _)) => take(shared, &buffer[..length], &mut unjoined),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(_) => app_gone = true,
            },
            Ready::Nothing => {}
        }
    }
    shared.state.lock().unwrap().end();
}

/// Moves messages to the stream head, and notices when nobody reads there any more.
fn move_on(state: &mut State) {
    let Some(pipe) = &state.head else { return };
    if readers_gone(pipe) {
        state.end();
        return;
    }
    for message in state.queues.service(unread(pipe)) {
        state.put_at_head(&message);
    }
}

/// One message of the application, in pieces of at most 64 KiB.
fn take(shared: &Shared, message: &[u8], unjoined: &mut u64) {
    let mut state = shared.state.lock().unwrap();
    for piece in message.chunks(MESSAGE_MAX) {
        let State { queues, accepted, head, .. } = &mut *state;
        let Some(pipe) = head else {
            queues.lose(piece.len(), Loss::NoReader);
            continue;
        };
        if *unjoined > 0 {
            *unjoined -= 1;
            queues.lose(piece.len(), Loss::Unjoined);
            continue;
        }
        let dropped = queues.counts().dropped;
        let direct = queues.write(piece.to_vec(), unread(pipe));
        if queues.counts().dropped == dropped {
            accepted.extend_from_slice(piece);
        }
        if let Some(piece) = direct {
            state.put_at_head(&piece);
        }
    }
}

enum Ready {
    Order,
    Message,
    Nothing,
}

/// Waits for an order, for a message when `inside` is given, for the end of the logger, or for the limit.
fn wait(
    shared: &Shared,
    inside: Option<&OwnedFd>,
    orders: &PipeReader,
    limit: Option<Duration>,
) -> Ready {
    // The pipe is duplicated so that the lock is not held while waiting.
    let head = shared.state.lock().unwrap().head.as_ref().and_then(|head| head.try_clone().ok());
    let mut fds = vec![PollFd::new(orders, PollFlags::IN)];
    fds.extend(inside.map(|inside| PollFd::new(inside, PollFlags::IN)));
    fds.extend(head.as_ref().map(|head| PollFd::new(head, PollFlags::empty())));
    let limit = limit.map(|limit| Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() });
    if poll(&mut fds, limit.as_ref()).is_err() {
        return Ready::Nothing;
    }
    if !fds[0].revents().is_empty() {
        Ready::Order
    } else if inside.is_some() && !fds[1].revents().is_empty() {
        Ready::Message
    } else {
        Ready::Nothing
    }
}

/// Bytes at the stream head that the logger has not read.
fn unread(pipe: &PipeWriter) -> usize {
    rustix::io::ioctl_fionread(pipe).ok().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
}

fn readers_gone(pipe: &PipeWriter) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default())).is_ok()
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

fn readable(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::IN)
}

/// True when the application's end is closed (an empty message alone looks the same to `recv`).
fn hung_up(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

/// What the terminal's line discipline makes of output.
fn with_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    for byte in bytes {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

/// Writes one message to the application's end of a stream.
///
/// # Errors
/// When the stream has ended.
pub fn write_message(app: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    send(app, bytes, SendFlags::NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests;
