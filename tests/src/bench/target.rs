// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Where a program under measurement sends to.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use super::counts::Counts;

/// A sink, as a program is told of it.
pub trait Target {
    /// `argv[1]` of a logger.
    fn driver(&self) -> &str;

    /// The log options that lead there.
    fn options(&self) -> Vec<(String, String)>;

    /// Where the copy loop takes the same bytes to.
    fn place(&self) -> Place;

    /// What has arrived.
    fn counts(&self) -> &Counts;
}

/// A socket that takes bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A TCP port.
    Tcp(SocketAddrV4),
    /// A UDP port.
    Udp(SocketAddrV4),
    /// A stream socket with a path.
    Unix(PathBuf),
    /// A datagram socket with a path.
    Unixgram(PathBuf),
    /// A file that starts over when it is large.
    File(PathBuf),
}

/// Bytes in a file before it starts over, for every program alike.
const FILE_BYTES: u64 = 64_000_000;

impl Place {
    /// Connects.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn connect(&self) -> io::Result<Box<dyn Write>> {
        Ok(match self {
            Place::Tcp(address) => Box::new(TcpStream::connect(address)?),
            Place::Udp(address) => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.connect(address)?;
                Box::new(Datagrams(move |line: &[u8]| socket.send(line)))
            }
            Place::Unix(path) => Box::new(UnixStream::connect(path)?),
            Place::Unixgram(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Box::new(Datagrams(move |line: &[u8]| socket.send(line)))
            }
            Place::File(path) => {
                Box::new(Rotated { file: append(path)?, path: path.clone(), bytes: 0 })
            }
        })
    }

    /// Reads what [`fmt::Display`] has written.
    pub fn parse(text: &str) -> Option<Place> {
        let (kind, place) = text.split_once(':')?;
        Some(match kind {
            "tcp" => Place::Tcp(place.parse().ok()?),
            "udp" => Place::Udp(place.parse().ok()?),
            "unix" => Place::Unix(place.into()),
            "unixgram" => Place::Unixgram(place.into()),
            "file" => Place::File(place.into()),
            _ => return None,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => write!(f, "tcp:{address}"),
            Place::Udp(address) => write!(f, "udp:{address}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Unixgram(path) => write!(f, "unixgram:{}", path.display()),
            Place::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// A file that is moved away when it is large.
struct Rotated {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Write for Rotated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes >= FILE_BYTES {
            std::fs::rename(&self.path, self.path.with_extension("old"))?;
            (self.file, self.bytes) = (append(&self.path)?, 0);
        }
        let count = self.file.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// A line, a datagram: the simplest loop sends each with a call of its own.
struct Datagrams<F>(F);

impl<F: FnMut(&[u8]) -> io::Result<usize>> Write for Datagrams<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        (self.0)(&bytes[..end])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
