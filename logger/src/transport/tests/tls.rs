// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! TLS, against good servers, wrong ones and hostile ones.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::*;
use crate::driver::{TlsIdentity, TlsSettings, Trust};
use crate::scratch::Scratch;

/// An authority, and a folder for what is made with it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Scratch,
}

/// A certificate and its key, in PEM form.
struct Issued {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        Self::named("one")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: Scratch::new() };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Issued { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// A client that believes this authority, with a certificate or without.
    fn settings(&self, identity: Option<&Issued>) -> TlsSettings {
        TlsSettings {
            trust: Trust::Authorities { file: Some(self.folder.path("ca.pem")) },
            identity: identity.map(|issued| TlsIdentity {
                certificate: self.write("client.pem", &issued.certificate.pem()),
                key: self.write("client.key", &issued.key.serialize_pem()),
            }),
        }
    }

    /// A server with this certificate, which may want one of this authority.
    fn server(&self, issued: &Issued, wants_certificate: bool) -> Arc<ServerConfig> {
        self.server_of(issued, wants_certificate, rustls::ALL_VERSIONS)
    }

    fn server_of(
        &self,
        issued: &Issued,
        wants_certificate: bool,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = if wants_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(issued.key.serialize_der()));
        let chain = vec![issued.certificate.der().clone()];
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }
}

fn rig(listener: &TcpListener, tls: TlsSettings) -> Rig {
    let port = listener.local_addr().unwrap().port();
    let at = HostPort { host: "localhost".to_owned(), port };
    let sink = Sink::Stream { peer: StreamPeer::Tls { at, tls }, session: Box::new(Silent) };
    Rig::to(&sink, Paths::system())
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Takes one connection and everything that is said on it; with that goes
/// whether it ended with TLS's word for it.
fn serve(
    listener: &TcpListener,
    config: Arc<ServerConfig>,
) -> JoinHandle<Result<(Vec<u8>, bool), std::io::Error>> {
    let listener = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept()?;
        let connection = ServerConnection::new(config).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Ok(_) => Ok((said, true)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok((said, false)),
            Err(error) => Err(error),
        }
    })
}

#[test]
fn frames_arrive_and_the_end_is_said() {
    let authority = Authority::new();
    let server = authority.issue("localhost", |_| {});
    let client = authority.issue("client", |_| {});
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        for wants in [false, true] {
            let listener = listen();
            let config = authority.server_of(&server, wants, versions);
            let served = serve(&listener, config);
            let mut rig = rig(&listener, authority.settings(Some(&client)));
            rig.push(&[b"one\n", b"two\n"]);
            rig.drive_until("both taken", |rig| rig.records() == 2);
            assert_eq!(rig.shared.sink(), SinkState::Up);
            rig.transport.close();
            assert_eq!(served.join().unwrap().unwrap(), (b"one\ntwo\n".to_vec(), true));
        }
    }
}

#[test]
fn a_server_without_tickets_is_believed_after_a_while() {
    let authority = Authority::new();
    let issued = authority.issue("localhost", |_| {});
    let mut config = ServerConfig::clone(&authority.server(&issued, true));
    config.send_tls13_tickets = 0;
    let listener = listen();
    let served = serve(&listener, Arc::new(config));
    let client = authority.issue("client", |_| {});
    let mut rig = rig(&listener, authority.settings(Some(&client)));
    rig.push(&[b"one\n"]);
    rig.drive_until("taken", |rig| rig.records() == 1);
    rig.transport.close();
    assert_eq!(served.join().unwrap().unwrap(), (b"one\n".to_vec(), true));
}

#[test]
fn megabytes_through_a_slow_server_are_whole_and_counted_once() {
    let authority = Authority::new();
    let listener = listen();
    let issued = authority.issue("localhost", |_| {});
    let served = serve(&listener, authority.server(&issued, false));
    let mut rig = rig(&listener, authority.settings(None));
    let frame: Vec<u8> = (0..=u8::MAX).cycle().take(50_000).collect();
    for _ in 0..100 {
        rig.push(&[&frame]);
    }
    rig.drive_until("all taken", |rig| rig.records() == 100);
    rig.transport.close();
    let (said, orderly) = served.join().unwrap().unwrap();
    assert!(said == frame.repeat(100) && orderly, "{} bytes", said.len());
}

/// Nobody is refused for good: what was wrong is named, and when it is put right,
/// in the files or at the server, everything arrives.
fn refused_then_taken(
    settings: TlsSettings,
    wrong: Arc<ServerConfig>,
    why: &str,
    put_right: impl FnOnce() -> Arc<ServerConfig>,
) {
    let listener = listen();
    let served = serve(&listener, wrong);
    let mut rig = rig(&listener, settings);
    rig.push(&[b"one\n"]);
    rig.drive_until(why, |rig| {
        let down = rig.shared.sink() == SinkState::Down;
        down && rig.shared.last_error().contains(why)
    });
    assert!(served.join().unwrap().is_err(), "the server should not be content");
    assert_eq!(rig.records(), 0);
    let served = serve(&listener, put_right());
    rig.drive_until("taken", |rig| rig.records() == 1);
    rig.transport.close();
    assert_eq!(served.join().unwrap().unwrap().0, b"one\n");
}

#[test]
fn certificates_that_do_not_verify_today() {
    let authority = Authority::new();
    let good = authority.issue("localhost", |_| {});
    for (name, why, change) in [
        (
            "elsewhere",
            "is not for \"localhost\" but for DnsName(\"elsewhere\")",
            (|_| {}) as fn(&mut CertificateParams),
        ),
        ("localhost", "certificate has expired", |params| {
            params.not_after = date_time_ymd(2020, 1, 1);
        }),
        ("localhost", "certificate is not valid yet", |params| {
            params.not_before = date_time_ymd(3020, 1, 1);
        }),
    ] {
        let bad = authority.issue(name, change);
        refused_then_taken(authority.settings(None), authority.server(&bad, false), why, || {
            authority.server(&good, false)
        });
    }
}

/// As in Go, so in Docker: many give as authority what their server shows, made
/// by `openssl req -x509`, which says of it that it is one.
#[test]
fn a_servers_own_certificate_will_do_as_authority_with_its_name_and_times() {
    let authority = Authority::new();
    let own = |name: &str, is_ca: IsCa, change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = is_ca;
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Issued { certificate: params.self_signed(&key).unwrap(), key }
    };
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let ca = || IsCa::Ca(BasicConstraints::Unconstrained);
    let wrong_name = "is not for \"localhost\" but for DnsName(\"elsewhere\")";
    for (bad, why, good) in [
        (own("elsewhere", ca(), |_| {}), wrong_name, own("localhost", ca(), |_| {})),
        (
            own("localhost", ca(), expired),
            "certificate has expired",
            own("localhost", IsCa::NoCa, |_| {}),
        ),
        // Neither its own authority's nor of one in the file.
        (authority.issue("elsewhere", |_| {}), wrong_name, authority.issue("localhost", |_| {})),
        (
            authority.issue("localhost", expired),
            "certificate has expired",
            own("localhost", ca(), |_| {}),
        ),
    ] {
        let both = bad.certificate.pem() + &good.certificate.pem();
        let file = authority.write("own.pem", &both);
        let trust = Trust::Authorities { file: Some(file) };
        let settings = TlsSettings { trust, identity: None };
        refused_then_taken(settings, authority.server(&bad, false), why, || {
            authority.server(&good, false)
        });
    }
    let stranger = own("localhost", ca(), |_| {});
    let why = "is an authority's own: the CA certificate file does not hold it";
    refused_then_taken(authority.settings(None), authority.server(&stranger, false), why, || {
        authority.server(&authority.issue("localhost", |_| {}), false)
    });
}

#[test]
fn files_are_read_again_for_each_connection() {
    let (authority, other) = (Authority::new(), Authority::named("other"));
    let server = authority.server(&authority.issue("localhost", |_| {}), false);
    let file = authority.write("ca.pem", &other.issuer.pem());
    refused_then_taken(
        authority.settings(None),
        Arc::clone(&server),
        "comes from an unknown authority",
        || {
            std::fs::write(&file, authority.issuer.pem()).unwrap();
            server
        },
    );
}

#[test]
fn nothing_is_taken_by_a_server_that_wants_a_certificate_it_does_not_get() {
    let authority = Authority::new();
    let server = authority.server(&authority.issue("localhost", |_| {}), true);
    let listener = listen();
    let served = serve(&listener, Arc::clone(&server));
    let mut rig = rig(&listener, authority.settings(None));
    rig.push(&[b"one\n"]);
    rig.drive_until("refused", |rig| rig.shared.last_error().contains("client certificate"));
    assert!(served.join().unwrap().is_err());
    assert_eq!(rig.records(), 0);
    assert_eq!(rig.window.unsent_bytes(), 4);
}

#[test]
fn files_that_are_of_no_use() {
    let authority = Authority::new();
    let issued = authority.issue("client", |_| {});
    let write = |name, text: &str| authority.write(name, text);
    let (good, key) =
        (write("c.pem", &issued.certificate.pem()), write("k.pem", &issued.key.serialize_pem()));
    let other = write("o.pem", &KeyPair::generate().unwrap().serialize_pem());
    let nothing = write("nothing.pem", "nothing\n");
    let torn = write("torn.pem", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n");
    let legacy = write(
        "legacy.pem",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    let sealed = write(
        "sealed.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let missing = authority.folder.path("missing");
    let ca = |file: &Path| Trust::Authorities { file: Some(file.to_owned()) };
    let pair = |certificate: &Path, key: &Path| {
        Some(TlsIdentity { certificate: certificate.to_owned(), key: key.to_owned() })
    };
    let listener = listen();
    for (trust, identity, why) in [
        (ca(&missing), None, "missing cannot be read: No such file"),
        (ca(authority.folder.dir()), None, "not a regular file"),
        (ca(Path::new("/dev/zero")), None, "not a regular file"),
        (ca(&nothing), None, "nothing.pem holds no CA certificate"),
        (ca(&torn), None, "torn.pem is not in PEM form"),
        (Trust::Anyone, pair(&missing, &key), "the certificate file"),
        (Trust::Anyone, pair(&good, &missing), "the key file"),
        (Trust::Anyone, pair(&good, &nothing), "holds no key"),
        (Trust::Anyone, pair(&good, &legacy), "is encrypted; expected a key without"),
        (Trust::Anyone, pair(&good, &sealed), "is encrypted; expected a key without"),
        (Trust::Anyone, pair(&good, &other), "does not go with the certificate"),
    ] {
        let mut rig = rig(&listener, TlsSettings { trust, identity });
        rig.push(&[b"one\n"]);
        rig.drive_until(why, |rig| rig.shared.last_error().contains(why));
    }
}

#[test]
fn a_certificate_of_nobody_will_do_for_who_believes_anyone() {
    let (authority, other) = (Authority::new(), Authority::named("other"));
    let listener = listen();
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let server = other.issue("elsewhere", expired);
    let served = serve(&listener, other.server(&server, false));
    let settings = TlsSettings { trust: Trust::Anyone, ..authority.settings(None) };
    let mut rig = rig(&listener, settings);
    rig.push(&[b"one\n"]);
    rig.drive_until("taken", |rig| rig.records() == 1);
    rig.transport.close();
    assert_eq!(served.join().unwrap().unwrap().0, b"one\n");
}

#[test]
fn servers_that_do_not_speak_tls() {
    let authority = Authority::new();
    for (says, why) in [
        (b"220 mail.example.com ESMTP\r\n".as_slice(), "the server does not speak TLS"),
        (&[0xff; 20_000], "the server does not speak TLS"),
        // An alert: no shared version.
        (&[21, 3, 3, 0, 2, 2, 70], "it speaks no TLS 1.2 or 1.3"),
        (b"", "the server hung up during the TLS handshake"),
        // The beginning of a record, and no more.
        (&[22, 3, 3, 1, 0], "the server hung up during the TLS handshake"),
    ] {
        let listener = listen();
        let mut rig = rig(&listener, authority.settings(None));
        rig.push(&[b"one\n"]);
        let says = says.to_vec();
        let served = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.write_all(&says);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            // Until the other side has had enough of it.
            let _ = socket.read_to_end(&mut Vec::new());
        });
        rig.drive_until(why, |rig| rig.shared.last_error().contains(why));
        served.join().unwrap();
        assert_eq!(rig.records(), 0);
    }
}

#[test]
fn a_server_that_talks_is_heard_out_and_sent_to_all_the_same() {
    let authority = Authority::new();
    let issued = authority.issue("localhost", |_| {});
    let config = authority.server(&issued, false);
    let listener = listen();
    let mut rig = rig(&listener, authority.settings(None));
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let served = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        stream.write_all(&[b'!'; 200_000]).unwrap();
        let mut said = [0; 8];
        stream.read_exact(&mut said).unwrap();
        wait.recv().unwrap_err();
        said
    });
    rig.push(&[b"one\n"]);
    rig.drive_until("the first taken", |rig| rig.records() == 1);
    rig.push(&[b"two\n"]);
    rig.drive_until("the second taken", |rig| rig.records() == 2);
    drop(end);
    assert_eq!(&served.join().unwrap(), b"one\ntwo\n");
}

#[test]
fn a_connection_that_is_cut_repeats_whole_frames() {
    let authority = Authority::new();
    let issued = authority.issue("localhost", |_| {});
    let config = authority.server(&issued, false);
    let listener = listen();
    let mut rig = rig(&listener, authority.settings(None));
    let (first, again) = (Arc::clone(&config), listener.try_clone().unwrap());
    let (cut, wait) = std::sync::mpsc::channel::<()>();
    let served = std::thread::spawn(move || {
        let (socket, _) = again.accept().unwrap();
        let connection = ServerConnection::new(first).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);
        let mut said = [0; 4];
        stream.read_exact(&mut said).unwrap();
        wait.recv().unwrap_err();
        said
    });
    rig.push(&[b"one\n"]);
    rig.drive_until("the first taken", |rig| rig.records() == 1);
    drop(cut);
    assert_eq!(&served.join().unwrap(), b"one\n");
    // It ended without a word: what it had may be lost.
    let served = serve(&listener, config);
    rig.push(&[b"two\n"]);
    rig.drive_until("the second taken", |rig| rig.records() == 2);
    rig.transport.close();
    assert_eq!(served.join().unwrap().unwrap().0, b"one\ntwo\n");
}
