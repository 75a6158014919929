// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A real rsyslogd, started in the foreground on loopback with a configuration of its own.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::SOON;
use crate::until::until;

/// Where distributions put it; it is seldom in the PATH of a user.
const PLACES: [&str; 4] = [
    "/usr/sbin/rsyslogd",
    "/sbin/rsyslogd",
    "/usr/local/sbin/rsyslogd",
    "/opt/local/sbin/rsyslogd",
];

/// The longest message accepted. A container's line is cut at 16 KiB by the driver.
const MESSAGE_MAX: &str = "64k";

/// Starts a line that this module sends itself to see whether the server works.
const PROBE: &str = "is-it-there";

/// The protocol a message comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP, messages ended by NL.
    Tcp,
    /// One datagram per message.
    Udp,
}

/// A running rsyslogd; killed when it is dropped.
#[derive(Debug)]
pub struct Rsyslog {
    server: Child,
    folder: PathBuf,
    transport: Transport,
    port: u16,
}

impl Rsyslog {
    /// Starts the program in `folder`, writing the text of each message (what follows the header) as one line.
    /// `None` when it is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path, transport: Transport) -> Option<Rsyslog> {
        let program = PLACES.iter().find(|place| Path::new(place).is_file())?;
        let port = free_port(transport);
        let config = folder.join("rsyslog.conf");
        fs::write(&config, configuration(folder, transport, port))
            .expect("a scratch folder can be written");
        let said =
            File::create(folder.join("rsyslogd.out")).expect("a scratch folder can be written");
        let server = Command::new(program)
            .args(["-n", "-f"])
            .arg(&config)
            .arg("-i")
            .arg(folder.join("rsyslogd.pid"))
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a descriptor can be copied"))
            .stderr(said)
            .spawn()
            .expect("rsyslogd can be executed");
        let mut rsyslog = Rsyslog { server, folder: folder.to_owned(), transport, port };
        rsyslog.wait_until_it_writes();
        Some(rsyslog)
    }

    /// The `syslog-address` option for this server.
    pub fn syslog_address(&self) -> String {
        let scheme = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// What it has written so far, without our own probes.
    pub fn written(&self) -> Vec<u8> {
        let mut written = fs::read(self.output()).unwrap_or_default();
        while written.starts_with(PROBE.as_bytes()) {
            let end =
                written.iter().position(|byte| *byte == b'\n').map_or(written.len(), |end| end + 1);
            written.drain(..end);
        }
        written
    }

    fn output(&self) -> PathBuf {
        self.folder.join("messages")
    }

    /// Sends probes until one is in the file. Later ones may still come, so the last is waited for by number.
    fn wait_until_it_writes(&mut self) {
        let mut sent = 0;
        until("rsyslogd to write a message", SOON, || {
            if let Ok(Some(status)) = self.server.try_wait() {
                panic!("rsyslogd ended with {status}: {}", self.said());
            }
            let last = format!("{PROBE} {sent}\n");
            if sent > 0
                && fs::read_to_string(self.output()).is_ok_and(|written| written.ends_with(&last))
            {
                return Ok(());
            }
            // Another probe only when none is on its way: TCP loses nothing, and UDP only before the start.
            if (sent == 0 || self.transport == Transport::Udp) && self.probe(sent + 1).is_ok() {
                sent += 1;
            }
            Err((sent, self.said()))
        });
    }

    fn probe(&self, number: u32) -> std::io::Result<()> {
        let message = format!("<30>Jan  2 03:04:05 host tag: {PROBE} {number}\n");
        match self.transport {
            Transport::Tcp => {
                TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?.write_all(message.as_bytes())
            }
            Transport::Udp => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.send_to(message.as_bytes(), (Ipv4Addr::LOCALHOST, self.port)).map(drop)
            }
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("rsyslogd.out")).unwrap_or_default()
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// No escaping of any kind: what comes in must come out.
fn configuration(folder: &Path, transport: Transport, port: u16) -> String {
    let module = match transport {
        Transport::Tcp => "imtcp",
        Transport::Udp => "imudp",
    };
    let folder = folder.display();
    format!(
        r#"global(workDirectory="{folder}" maxMessageSize="{MESSAGE_MAX}"
  parser.escapeControlCharactersOnReceive="off" parser.escape8BitCharactersOnReceive="off"
  parser.escapeControlCharacterTab="off" net.enableDNS="off")
module(load="{module}")
# The first character of %msg% is the space after the tag, where the format has one.
template(name="text" type="string" string="%msg:::drop-last-lf%\n")
template(name="text-after-space" type="string" string="%msg:2:$:drop-last-lf%\n")
ruleset(name="write") {{
  if $protocol-version == "1" then action(type="omfile" file="{folder}/messages" template="text")
  else action(type="omfile" file="{folder}/messages" template="text-after-space")
}}
input(type="{module}" address="127.0.0.1" port="{port}" ruleset="write")
"#
    )
}

/// A port that nobody had a moment ago, below the range from which the kernel gives ports to others. No two calls give
/// the same one, since rsyslogd binds it only some time later.
fn free_port(transport: Transport) -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100 * 100).expect("below 10000");
    loop {
        let port = first + TAKEN.fetch_add(1, Ordering::Relaxed);
        let free = match transport {
            Transport::Tcp => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok(),
            Transport::Udp => UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok(),
        };
        if free {
            return port;
        }
    }
}
