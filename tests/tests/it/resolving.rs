// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A collector that is known by name: the name goes, and comes back with another address.
//!
//! The logger reads `/etc/resolv.conf`, which cannot name a port. So it runs here in a mount namespace with a file of
//! ours in that place, beside a name server at port 53 of a loopback address that nobody else uses. Both take root.

#![cfg(target_os = "linux")]

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use dockerlogger_manifest::status::SinkStatus;
use dockerlogger_tests::dockerinit::{Container, Output};
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::receiver::{Manners, TcpReceiver};
use dockerlogger_tests::{SOON, programs, until};

use super::{skip, syslog_container, texts};

const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 53, 77);
const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A name server that knows one address for every name, or none.
struct NameServer(Arc<Mutex<Answers>>);

struct Answers {
    address: Option<Ipv4Addr>,
    /// Since `address` was set.
    given: usize,
}

impl NameServer {
    fn start() -> io::Result<NameServer> {
        let socket = UdpSocket::bind((NAME_SERVER, 53))?;
        let answers = Arc::new(Mutex::new(Answers { address: None, given: 0 }));
        let server = NameServer(Arc::clone(&answers));
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut query) {
                let mut answers = answers.lock().unwrap();
                answers.given += 1;
                let _ = socket.send_to(&answer(&query[..len], answers.address), from);
            }
        });
        Ok(server)
    }

    fn set(&self, address: Option<Ipv4Addr>) {
        *self.0.lock().unwrap() = Answers { address, given: 0 };
    }

    fn given(&self) -> usize {
        self.0.lock().unwrap().given
    }
}

/// RFC 1035: the header, the question again, and at most one record.
fn answer(query: &[u8], address: Option<Ipv4Addr>) -> Vec<u8> {
    const A: [u8; 2] = [0, 1];
    const NXDOMAIN: u8 = 3;
    let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[12..name_end + 4];
    let record = address.filter(|_| query[name_end..name_end + 2] == A);
    let code = if address.is_some() { 0 } else { NXDOMAIN };
    let records = u8::from(record.is_some());
    let header = [query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0];
    let mut answer = [&header, question].concat();
    if let Some(address) = record {
        // The name is that of the question; type A, class IN, one second, four bytes.
        answer.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    answer
}

/// A program that becomes the logger, with the name server in its `/etc/resolv.conf`.
fn logger_in_namespace(folder: &Path) -> PathBuf {
    let resolv_conf = folder.join("resolv.conf");
    fs::write(&resolv_conf, format!("nameserver {NAME_SERVER}\n")).unwrap();
    let script = folder.join("logger-in-namespace");
    let text = format!(
        "#!/bin/sh\n\
         exec unshare --mount --propagation private /bin/sh -c \\\n\
         'mount --bind \"$1\" /etc/resolv.conf && exec \"$2\" \"$3\"' sh '{}' '{}' \"$1\"\n",
        resolv_conf.display(),
        programs::logger().display(),
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[test]
fn a_name_that_goes_and_comes_back_elsewhere_costs_nothing() {
    let server = match NameServer::start() {
        Ok(server) if rustix::process::geteuid().is_root() => server,
        other => {
            let why = other.err().map_or("not root".to_owned(), |error| error.to_string());
            return skip(&format!("there is no name server of our own: {why}"));
        }
    };
    server.set(Some(FIRST));
    let scratch = tempfile::tempdir().unwrap();
    let first = TcpReceiver::start();
    let second = first.start_beside(SECOND);
    let address = format!("tcp://collector.example:{}", first.port());
    let mut spec = syslog_container(&address, &[]);
    spec.logger = logger_in_namespace(scratch.path());
    let container = Container::start(&spec, scratch.path());
    container.write(Output::Stdout, oracle::lines(0, 100).as_bytes());
    first.wait_for_messages(100, SOON);

    server.set(None);
    first.set_manners(Manners::Refuse);
    container.write(Output::Stdout, oracle::lines(100, 200).as_bytes());
    until("a few refusals by the name server", SOON, || {
        let (given, page) = (server.given(), container.status());
        let down = page.as_ref().is_some_and(|page| page.sink == SinkStatus::Down);
        if down && given > 4 { Ok(()) } else { Err((given, down, container.logger_exit())) }
    });
    container.write(Output::Stdout, oracle::lines(200, 300).as_bytes());
    assert_eq!(container.logger_exit(), None, "{}", container.dockerinit_log());
    assert!(container.status().unwrap().last_error.is_some());
    assert_eq!(second.connections(), 0);

    server.set(Some(SECOND));
    container.write(Output::Stdout, oracle::lines(300, 400).as_bytes());
    until("every line, at one of the two", SOON, || {
        let all = [texts(&first.messages()), texts(&second.messages())].concat();
        let verdict = Verdict::of(400, all);
        if verdict.complete() { Ok(()) } else { Err(verdict.to_string()) }
    });
    assert!(second.connections() > 0);
    container.end_well();
}
