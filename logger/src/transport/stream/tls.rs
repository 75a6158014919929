// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A TLS connection, 1.2 or 1.3, over TCP.
//!
//! The kernel counts bytes as they are on the wire. Marks lead back from there to
//! the bytes that were given to us: one for each TLS record.
//!
//! From TLS 1.3 on, a server looks at the client's certificate only after the
//! client may send already, and throws away what came before it refuses. To a
//! server that asks for one, nothing is sent before it has shown that it does not.

mod config;
mod error;
mod marks;
mod verify;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ProtocolVersion};

pub(super) use error::TlsError;

use super::connection::Unacknowledged;
use crate::driver::TlsSettings;
use crate::os;
use config::Config;
use marks::Marks;

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct Tls {
    socket: TcpStream,
    session: ClientConnection,
    /// Encrypted, and from `flushed` on not yet with the kernel.
    outgoing: Vec<u8>,
    flushed: usize,
    /// Bytes that the kernel took since the handshake.
    on_wire: u64,
    marks: Marks,
    /// When the server may be believed to want us; `None`: it has shown it.
    accepts_at: Option<Instant>,
}

impl Tls {
    /// Shakes hands over `socket`, which does not block.
    pub(super) fn connect(
        socket: TcpStream,
        host: &str,
        settings: &TlsSettings,
    ) -> Result<Self, TlsError> {
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let host = if host.is_empty() { "localhost" } else { host };
        let name = ServerName::try_from(host)
            .map_err(|_| TlsError::Name { host: host.to_owned() })?
            .to_owned();
        let Config { client, asked } = Config::load(settings)?;
        let mut session = ClientConnection::new(client, name).map_err(TlsError::session)?;
        // What is given to it is taken from it at once.
        session.set_buffer_limit(None);
        let mut socket = socket;
        shake_hands(&mut session, &mut socket, deadline)?;
        let accepted = session.protocol_version() == Some(ProtocolVersion::TLSv1_2)
            || !asked.get()
            || session.tls13_tickets_received() > 0;
        Ok(Self {
            socket,
            session,
            outgoing: Vec::new(),
            flushed: 0,
            on_wire: 0,
            marks: Marks::default(),
            accepts_at: (!accepted).then(|| Instant::now() + ACCEPTANCE_TIMEOUT),
        })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// How long it may take until the server may be sent to; `None`: it may.
    pub(super) fn accepts_in(&self) -> Option<Duration> {
        let left = self.accepts_at?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Whether something waits for room in the kernel.
    pub(super) const fn is_pending(&self) -> bool {
        self.flushed < self.outgoing.len()
    }

    /// Takes as much of `bytes` as makes one write to the socket.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.is_pending() {
            return Err(ErrorKind::WouldBlock.into());
        }
        for record in bytes.chunks(RECORD_BYTES) {
            self.session.writer().write_all(record)?;
            self.collect()?;
            self.marks.push(self.encrypted(), record.len());
        }
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    /// Hands over to the kernel what is pending: how many bytes of it.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        if !self.is_pending() {
            return Ok(0);
        }
        let pending = self.outgoing.get(self.flushed..).unwrap_or_default();
        let n = self.socket.write(pending)?;
        self.flushed += n;
        self.on_wire += n as u64;
        if !self.is_pending() {
            self.outgoing.clear();
            self.flushed = 0;
        }
        Ok(n)
    }

    /// What the peer said; 0: it says no more.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Its kernel closed for it: that is no orderly end.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, TlsError::Cut));
                }
                result => return result,
            }
            self.session.read_tls(&mut self.socket)?;
            let processed = self.session.process_new_packets();
            self.collect()?;
            if let Err(error) = processed {
                // It may want to know why.
                let _ = self.flush();
                return Err(io::Error::new(ErrorKind::InvalidData, TlsError::session(error)));
            }
            self.accepts_at = None;
        }
    }

    /// Of what was taken: how many of the last bytes the peer's kernel may not
    /// have.
    pub(super) fn unacknowledged(&mut self) -> Unacknowledged {
        let on_way = os::unacknowledged(self.fd());
        let arrived = self.on_wire.saturating_sub(on_way.unwrap_or(0));
        let behind = self.marks.behind(arrived);
        if on_way.is_some() {
            Unacknowledged::Exactly(behind)
        } else {
            Unacknowledged::AtLeast(behind)
        }
    }

    /// Says that no more will come, and waits a moment for the server to hang up:
    /// if words of its own came to a closed socket, its kernel would be told to
    /// throw away what it has not read yet.
    pub(super) fn close(&mut self) {
        self.session.send_close_notify();
        if self.collect().is_err() || self.flush().is_err() {
            return;
        }
        let _ = self.socket.shutdown(Shutdown::Write);
        let deadline = Instant::now() + LINGER;
        let mut unheard = [0; 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [os::interest(self.fd(), libc::POLLIN)];
            if left.is_zero() || os::poll(&mut fds, Some(left)).is_err() {
                return;
            }
            match self.socket.read(&mut unheard) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Gives memory back that only a busy connection needs.
    pub(super) fn rest(&mut self) {
        if !self.is_pending() {
            self.outgoing = Vec::new();
        }
    }

    /// Where what was encrypted so far ends on the wire.
    const fn encrypted(&self) -> u64 {
        self.on_wire + (self.outgoing.len() - self.flushed) as u64
    }

    /// What the session wants to send becomes pending.
    fn collect(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.outgoing)?;
        }
        Ok(())
    }
}

/// Goes through the handshake before `deadline`.
fn shake_hands(
    session: &mut ClientConnection,
    socket: &mut TcpStream,
    deadline: Instant,
) -> Result<(), TlsError> {
    loop {
        while session.wants_write() {
            match session.write_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(TlsError::Broken(error)),
            }
        }
        if !session.is_handshaking() && !session.wants_write() {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TlsError::Silent);
        }
        let writing = if session.wants_write() { libc::POLLOUT } else { 0 };
        let reading = if session.wants_read() { libc::POLLIN } else { 0 };
        let mut fds = [os::interest(socket.as_raw_fd(), reading | writing)];
        os::poll(&mut fds, Some(left)).map_err(TlsError::Broken)?;
        if !session.wants_read() {
            continue;
        }
        match session.read_tls(socket) {
            Ok(0) => return Err(TlsError::HungUp),
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                continue;
            }
            Err(error) => return Err(TlsError::Broken(error)),
        }
        if let Err(error) = session.process_new_packets() {
            // The server may want to know why.
            let _ = session.write_tls(socket);
            return Err(TlsError::session(error));
        }
    }
}

/// From the first word to the last.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that has not refused us for so long wants us.
const ACCEPTANCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a server may take to hang up.
const LINGER: Duration = Duration::from_millis(500);

/// The largest record (RFC 8446 section 5.1).
const RECORD_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::driver::Trust;

    #[test]
    fn a_server_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let settings = TlsSettings { trust: Trust::Anyone, identity: None };
        let client = Config::load(&settings).unwrap().client;
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(client, name).unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        let end = shake_hands(&mut session, &mut socket, soon);
        assert!(matches!(end, Err(TlsError::Silent)), "{end:?}");
    }
}
