// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::dns_server::{A, DnsServer, Response, SERVFAIL};
use super::*;

/// A zone's two files; removed when dropped.
struct Zone {
    folder: PathBuf,
}

impl Zone {
    fn new(hosts: &str, resolv_conf: &str) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::SeqCst);
        let folder = format!("resolver-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("hosts"), hosts).unwrap();
        fs::write(folder.join("resolv.conf"), resolv_conf).unwrap();
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn paths(&self) -> Paths {
        Paths { resolv_conf: self.path("resolv.conf"), hosts: self.path("hosts") }
    }

    /// With `server` where resolv.conf has 127.0.0.1.
    fn resolver(&self, server: &DnsServer) -> Resolver {
        Resolver::with_port(self.paths(), server.address.port())
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Addresses and seconds, or the kind of error.
fn told(resolver: &Resolver, name: &str) -> String {
    match resolver.resolve(name, soon()) {
        Ok(resolved) => format!("{:?} {}", resolved.addresses, resolved.valid_for.as_secs()),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

const CONF: &str = "nameserver 127.0.0.1\nsearch example.com\n";

#[test]
fn the_order_of_sources() {
    let zone = Zone::new("10.0.0.7 log log.internal\n10.0.0.8 localhost\n", CONF);
    let server = DnsServer::knowing(&[
        ("log.example.com", "10.0.0.1"),
        ("web.example.com", "10.0.0.2"),
        ("web.example.com", "fd00::2"),
        ("www.example.net", "10.0.0.3"),
    ]);
    let resolver = zone.resolver(&server);
    for (name, expected) in [
        ("192.0.2.1", "[192.0.2.1] 3600"),
        ("2001:db8::1", "[2001:db8::1] 3600"),
        ("localhost", "[::1, 127.0.0.1] 60"),
        ("a.localhost.", "[::1, 127.0.0.1] 60"),
        ("LOG", "[10.0.0.7] 60"),
        ("log.internal.", "[10.0.0.7] 60"),
    ] {
        assert_eq!(told(&resolver, name), expected, "{name}");
    }
    assert!(server.asked().is_empty());
    for (name, expected) in [
        ("web", "[fd00::2, 10.0.0.2] 300"),
        ("www.example.net", "[10.0.0.3] 300"),
        ("nobody", "NoSuchName"),
        ("web.", "NoSuchName"),
        ("bad name", "InvalidName"),
        ("", "InvalidName"),
        ("[::1]", "InvalidName"),
    ] {
        assert_eq!(told(&resolver, name), expected, "{name}");
    }
    assert_eq!(
        server.asked(),
        [
            "web.example.com A",
            "web.example.com AAAA",
            "www.example.net A",
            "www.example.net AAAA",
            "nobody.example.com A",
            "nobody A",
            "web A",
        ]
    );
}

#[test]
fn files_are_read_again_for_each_name() {
    let zone = Zone::new("", CONF);
    let server = DnsServer::knowing(&[("log.example.com", "10.0.0.1"), ("log.b.net", "10.0.0.2")]);
    let resolver = zone.resolver(&server);
    assert_eq!(told(&resolver, "log"), "[10.0.0.1] 300");
    fs::write(zone.path("resolv.conf"), "nameserver 127.0.0.1\nsearch b.net\n").unwrap();
    assert_eq!(told(&resolver, "log"), "[10.0.0.2] 300");
    fs::write(zone.path("hosts"), "10.0.0.3 log\n").unwrap();
    assert_eq!(told(&resolver, "log"), "[10.0.0.3] 60");
}

#[test]
fn absent_files_are_empty_ones() {
    let zone = Zone::new("", "");
    let server = DnsServer::knowing(&[("log", "10.0.0.1")]);
    let resolver = zone.resolver(&server);
    fs::remove_file(zone.path("hosts")).unwrap();
    fs::remove_file(zone.path("resolv.conf")).unwrap();
    assert_eq!(told(&resolver, "log"), "[10.0.0.1] 300");
}

#[test]
fn times_to_live_are_kept_within_bounds() {
    let zone = Zone::new("", CONF);
    let server = DnsServer::start(|asked| {
        let ttl = if asked.name == "short.net" { 0 } else { 1_000_000 };
        let response = Response::to(asked);
        match asked.kind {
            A => response.address(&asked.name, ttl, "10.0.0.1").reply(),
            _ => response.reply(),
        }
    });
    let resolver = zone.resolver(&server);
    assert_eq!(told(&resolver, "short.net"), "[10.0.0.1] 1");
    assert_eq!(told(&resolver, "long.net"), "[10.0.0.1] 3600");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let zone = Zone::new("", CONF);
    let resolver = Resolver::new(zone.paths());
    let told = || chain(&resolver.resolve("log", soon()).unwrap_err());
    let hosts = zone.path("hosts");
    fs::remove_file(&hosts).unwrap();
    fs::create_dir(&hosts).unwrap();
    let prefix = "failed to look up \"log\" in the zone's own files: ";
    assert_eq!(told(), format!("{prefix}{} is not a regular file", hosts.display()));
    fs::remove_dir(&hosts).unwrap();
    let conf = zone.path("resolv.conf");
    fs::write(&conf, vec![b'#'; 65_537]).unwrap();
    let large = format!("{} has 65537 bytes; at most 65536 are read", conf.display());
    assert_eq!(told(), format!("{prefix}{large}"));
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_hold_it_up() {
    let zone = Zone::new("", CONF);
    let pipe = zone.path("hosts");
    fs::remove_file(&pipe).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let error = Resolver::new(zone.paths()).resolve("log", soon()).unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::Files);
}

#[test]
fn a_failing_server_is_not_an_absent_name() {
    let zone = Zone::new("", CONF);
    let server = DnsServer::start(|asked| Response::to(asked).rcode(SERVFAIL).reply());
    let error = zone.resolver(&server).resolve("log", soon()).unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::ServerFailure);
    let server = server.address;
    assert_eq!(
        chain(&error),
        format!(
            "no name server could look up \"log\": \
             name server {server} gave no answer over UDP: SERVFAIL"
        )
    );
}

#[test]
fn a_deadline_that_has_passed_is_a_time_out() {
    let zone = Zone::new("10.0.0.1 known\n", CONF);
    let server = DnsServer::knowing(&[("log.example.com", "10.0.0.1")]);
    let resolver = zone.resolver(&server);
    let error = resolver.resolve("log", Instant::now()).unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::TimedOut);
    assert!(server.asked().is_empty());
    assert!(resolver.resolve("known", Instant::now()).is_ok());
}

#[test]
fn wording() {
    let server = SocketAddr::from(([10, 0, 0, 53], 53));
    let failed = |transport, failure| TryError { server, transport, failure };
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let name = || "log".to_owned();
    let malformed = |error| failed("TCP", TryFailure::Malformed(error));
    let failures = [
        malformed(DecodeError::Stray),
        malformed(DecodeError::Cut { at: 7 }),
        malformed(DecodeError::Label { at: 7 }),
        malformed(DecodeError::Pointer { at: 7 }),
        malformed(DecodeError::NameTooLong { at: 7 }),
        malformed(DecodeError::RecordLength { at: 7, kind: 1 }),
        malformed(DecodeError::Aliases),
        failed("TCP", TryFailure::Truncated),
        failed("UDP", TryFailure::Referral),
    ];
    let mut errors: Vec<ResolveError> = failures
        .into_iter()
        .map(|source| ResolveError::ServerFailure { name: name(), source })
        .collect();
    let timed_out = failed("UDP", TryFailure::TimedOut);
    errors.push(ResolveError::TimedOut { name: name(), source: Some(timed_out) });
    errors.push(ResolveError::TimedOut { name: name(), source: None });
    let source = failed("UDP", TryFailure::Unreachable(refused()));
    errors.push(ResolveError::Unreachable { name: name(), source });
    errors.push(ResolveError::NoSuchName { name: name() });
    errors.push(ResolveError::NoAddress { name: name() });
    let path = || Path::new("/etc/hosts").to_owned();
    let source = FileError::Read { path: path(), source: refused() };
    errors.push(ResolveError::Files { name: name(), source });
    for source in [
        NameError::Empty,
        NameError::EmptyLabel,
        NameError::LabelTooLong,
        NameError::TooLong,
        NameError::Character(' '),
    ] {
        errors.push(ResolveError::Name { name: name(), source });
    }
    let told: Vec<String> = errors.iter().map(|error| chain(error)).collect();
    let server = "name server 10.0.0.53:53 gave no answer over";
    let failure = format!("no name server could look up \"log\": {server}");
    let no_name = "\"log\" is neither a host name nor an IP address";
    assert_eq!(
        told,
        [
            format!("{failure} TCP: malformed response: it answers another question"),
            format!("{failure} TCP: malformed response: it is cut off at byte 7"),
            format!("{failure} TCP: malformed response: a label at byte 7 has an unknown kind"),
            format!("{failure} TCP: malformed response: a name's pointer at byte 7 leads nowhere"),
            format!("{failure} TCP: malformed response: a name at byte 7 is longer than 255 bytes"),
            format!(
                "{failure} TCP: malformed response: \
                 a record of type 1 at byte 7 has the wrong length"
            ),
            format!("{failure} TCP: malformed response: it has a chain of more than 16 aliases"),
            format!("{failure} TCP: truncated response"),
            format!("{failure} UDP: it does not resolve names for others"),
            format!(
                "no name server answered for \"log\" in time: {server} UDP: no response in time"
            ),
            "no name server answered for \"log\" in time".to_owned(),
            format!(
                "failed to reach a name server for \"log\": {server} UDP: \
                 failed to reach it: connection refused"
            ),
            "there is no host \"log\"".to_owned(),
            "host \"log\" has neither an IPv4 nor an IPv6 address".to_owned(),
            "failed to look up \"log\" in the zone's own files: failed to read /etc/hosts: \
             connection refused"
                .to_owned(),
            format!("{no_name}: it is empty"),
            format!("{no_name}: it has an empty label"),
            format!("{no_name}: a label is longer than 63 bytes"),
            format!("{no_name}: it is longer than 253 bytes"),
            format!("{no_name}: ' ' is not one of a-z, 0-9, '-', '_' and '.'"),
        ]
    );
}
