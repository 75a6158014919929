// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A real rsyslogd, started in the foreground on loopback with a configuration of its own.

use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::SOON;
use crate::certificates::{Authority, Issued};
use crate::port::free_port;
use crate::until::until;

/// Where distributions put it; it is seldom in the PATH of a user.
const PLACES: [&str; 4] = [
    "/usr/sbin/rsyslogd",
    "/sbin/rsyslogd",
    "/usr/local/sbin/rsyslogd",
    "/opt/local/sbin/rsyslogd",
];

/// What speaks TLS for it, by packages of their own.
const TLS_DRIVERS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_ossl.so",
    "/usr/lib/rsyslog/lmnsd_ossl.so",
    "/usr/lib64/rsyslog/lmnsd_ossl.so",
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
    /// TLS; both sides show certificates.
    Tls,
}

/// A running rsyslogd; killed when it is dropped.
#[derive(Debug)]
pub struct Rsyslog {
    server: Child,
    program: &'static str,
    folder: PathBuf,
    transport: Transport,
    port: u16,
    authority: Authority,
    client: Issued,
    /// The probe's connection, which lasts: rsyslogd closes the socket of a TLS session twice (its issue 3404, repaired
    /// in December 2025), so if it opened its file just then, it would close that too, and write lines to whoever
    /// connects next.
    probe: Option<TcpStream>,
}

impl Rsyslog {
    /// Starts the program in `folder`, writing the text of each message (what follows the header) as one line.
    /// `None` when it, or its part for TLS, is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path, transport: Transport) -> Option<Rsyslog> {
        let program = PLACES.iter().find(|place| Path::new(place).is_file())?;
        if transport == Transport::Tls && !TLS_DRIVERS.iter().any(|file| Path::new(file).is_file())
        {
            return None;
        }
        let port = free_port();
        fs::write(folder.join("rsyslog.conf"), configuration(folder, transport, port))
            .expect("a scratch folder can be written");
        let authority = Authority::new(folder);
        authority.issue("127.0.0.1");
        let client = authority.issue("client");
        let mut rsyslog = Rsyslog {
            server: spawn(program, folder),
            program,
            folder: folder.to_owned(),
            transport,
            port,
            authority,
            client,
            probe: None,
        };
        rsyslog.wait_until_it_writes();
        Some(rsyslog)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).expect("a child can be told");
    }

    /// Waits until it has ended, as it was told to.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait(&mut self) {
        until("rsyslogd to end", SOON, || match self.server.try_wait() {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Starts it again on the same port, with the same file.
    ///
    /// # Panics
    /// When it cannot be executed.
    pub fn start_again(&mut self) {
        self.server = spawn(self.program, &self.folder);
    }

    /// Further log options for this server.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        if self.transport != Transport::Tls {
            return Vec::new();
        }
        let text = |path: &Path| path.display().to_string();
        vec![
            ("syslog-tls-ca-cert", text(&self.authority.file())),
            ("syslog-tls-cert", text(&self.client.certificate)),
            ("syslog-tls-key", text(&self.client.key)),
        ]
    }

    /// The `syslog-address` option for this server.
    pub fn syslog_address(&self) -> String {
        let scheme = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Tls => "tcp+tls",
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

    /// The file that it writes.
    pub fn output(&self) -> PathBuf {
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

    fn probe(&mut self, number: u32) -> std::io::Result<()> {
        let message = format!("<30>Jan  2 03:04:05 host tag: {PROBE} {number}\n");
        if self.transport == Transport::Udp {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            return socket.send_to(message.as_bytes(), (Ipv4Addr::LOCALHOST, self.port)).map(drop);
        }
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        if self.transport == Transport::Tcp {
            socket.write_all(message.as_bytes())?;
        } else {
            let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
            let session = ClientConnection::new(self.authority.client(&self.client), name);
            let mut session = session.map_err(std::io::Error::other)?;
            rustls::Stream::new(&mut session, &mut socket).write_all(message.as_bytes())?;
        }
        self.probe = Some(socket);
        Ok(())
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

fn spawn(program: &str, folder: &Path) -> Child {
    let said = File::options()
        .create(true)
        .append(true)
        .open(folder.join("rsyslogd.out"))
        .expect("a scratch folder can be written");
    Command::new(program)
        .args(["-n", "-f"])
        .arg(folder.join("rsyslog.conf"))
        .arg("-i")
        .arg(folder.join("rsyslogd.pid"))
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("a descriptor can be copied"))
        .stderr(said)
        .spawn()
        .expect("rsyslogd can be executed")
}

/// No escaping of any kind: what comes in must come out.
fn configuration(folder: &Path, transport: Transport, port: u16) -> String {
    let folder = folder.display();
    let module = match transport {
        Transport::Tcp | Transport::Tls => "imtcp",
        Transport::Udp => "imudp",
    };
    let (global, parameters) = if transport == Transport::Tls {
        (
            format!(
                r#"global(defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{folder}/ca.pem"
  defaultNetstreamDriverCertFile="{folder}/127.0.0.1.pem" defaultNetstreamDriverKeyFile="{folder}/127.0.0.1.key")"#
            ),
            r#" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid""#,
        )
    } else {
        (String::new(), "")
    };
    format!(
        r#"global(workDirectory="{folder}" maxMessageSize="{MESSAGE_MAX}"
  parser.escapeControlCharactersOnReceive="off" parser.escape8BitCharactersOnReceive="off"
  parser.escapeControlCharacterTab="off" net.enableDNS="off")
{global}
# When it is told to end, it first writes what it has read.
main_queue(queue.type="LinkedList" queue.timeoutShutdown="20000" queue.timeoutActionCompletion="20000")
module(load="{module}"{parameters})
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
