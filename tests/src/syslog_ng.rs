// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A real syslog-ng, in the foreground on loopback: RFC 5424 over TLS.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::SOON;
use crate::certificates::Authority;
use crate::port::free_port;
use crate::until::until;

/// Where it is installed, or unpacked: Debian has it only instead of rsyslog. What it needs is below the same root.
const ROOTS: [&str; 2] = ["/", "/opt/syslog-ng"];

/// Its configuration, in the folder of its own.
const CONFIG: &str = "syslog-ng.conf";

/// A running syslog-ng; killed when it is dropped.
#[derive(Debug)]
pub struct SyslogNg {
    server: Child,
    root: &'static Path,
    folder: PathBuf,
    port: u16,
    authority: Authority,
}

impl SyslogNg {
    /// Starts the program in `folder`, writing structured data and text of each message as one line. `None` when it
    /// is not installed.
    ///
    /// # Panics
    /// When it is installed and does not work.
    pub fn start(folder: &Path) -> Option<SyslogNg> {
        let root = ROOTS.map(Path::new).into_iter().find(|root| program(root).is_file())?;
        let version = version(root, &libraries(root));
        let port = free_port();
        let authority = Authority::new(folder);
        authority.issue("127.0.0.1");
        fs::write(folder.join(CONFIG), configuration(folder, &version, port))
            .expect("a scratch folder can be written");
        let server = spawn(root, folder);
        let mut started = SyslogNg { server, root, folder: folder.to_owned(), port, authority };
        started.wait_until_it_listens();
        Some(started)
    }

    /// Ends it as the system would, and waits until it has.
    ///
    /// # Panics
    /// When it cannot be told.
    pub fn end(&mut self) {
        kill_process(Pid::from_child(&self.server), Signal::TERM).expect("a child can be told");
        self.server.wait().expect("a child can be waited for");
    }

    /// Starts it again on the same port, with the same file.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start_again(&mut self) {
        self.server = spawn(self.root, &self.folder);
        self.wait_until_it_listens();
    }

    /// The log options that lead there.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        vec![
            ("syslog-address", format!("tcp+tls://127.0.0.1:{}", self.port)),
            ("syslog-tls-ca-cert", self.authority.file().display().to_string()),
        ]
    }

    /// What it has written so far.
    pub fn written(&self) -> Vec<u8> {
        fs::read(self.folder.join("messages")).unwrap_or_default()
    }

    fn wait_until_it_listens(&mut self) {
        until("syslog-ng to listen", SOON, || {
            if let Ok(Some(status)) = self.server.try_wait() {
                panic!("syslog-ng ended with {status}: {}", self.said());
            }
            TcpStream::connect(("127.0.0.1", self.port)).map(drop).map_err(|_| self.said())
        });
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("syslog-ng.out")).unwrap_or_default()
    }
}

impl Drop for SyslogNg {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn spawn(root: &Path, folder: &Path) -> Child {
    let libraries = libraries(root);
    let said = File::options().create(true).append(true).open(folder.join("syslog-ng.out"));
    Command::new(program(root))
        .env("LD_LIBRARY_PATH", &libraries)
        .args(["--foreground", "--stderr", "--no-caps", "--cfgfile"])
        .arg(folder.join(CONFIG))
        .arg("--module-path")
        .arg(modules(&libraries))
        .arg("--persist-file")
        .arg(folder.join("persist"))
        .arg("--control")
        .arg(folder.join("control"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.expect("a scratch folder can be written"))
        .spawn()
        .expect("syslog-ng can be executed")
}

fn libraries(root: &Path) -> PathBuf {
    root.join("usr/lib/syslog-ng")
}

fn program(root: &Path) -> PathBuf {
    root.join("usr/sbin/syslog-ng")
}

/// The folder of its modules; its name is the program's version.
fn modules(libraries: &Path) -> PathBuf {
    let folders = fs::read_dir(libraries).expect("the program has modules").flatten();
    let mut folders = folders.map(|entry| entry.path());
    folders.find(|path| path.join("libafsocket.so").is_file()).expect("it knows sockets")
}

/// The version that a configuration has to name.
fn version(root: &Path, libraries: &Path) -> String {
    let said = Command::new(program(root))
        .env("LD_LIBRARY_PATH", libraries)
        .arg("--version")
        .output()
        .expect("syslog-ng can be executed");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = said.lines().find_map(|line| line.strip_prefix("Config version: "));
    version.unwrap_or_else(|| panic!("no version in {said:?}")).to_owned()
}

/// No escaping of any kind: what comes in must come out.
fn configuration(folder: &Path, version: &str, port: u16) -> String {
    let folder = folder.display();
    format!(
        r#"@version: {version}
options {{ log-msg-size(65536); keep-hostname(yes); use-dns(no); }};
source tls {{
  syslog(ip("127.0.0.1") port({port}) transport("tls") flags(no-multi-line)
    tls(cert-file("{folder}/127.0.0.1.pem") key-file("{folder}/127.0.0.1.key") peer-verify(optional-untrusted)));
}};
destination file {{ file("{folder}/messages" template("$SDATA $MSG\n")); }};
log {{ source(tls); destination(file); }};
"#
    )
}
