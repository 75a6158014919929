// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::engine::error::FailureKind;
use crate::engine::probe::tests::{folder, script};

const QUICK: Duration = Duration::from_secs(20);

/// A driver with the routes over these.
fn driver(name: &str, over: &[Carrier]) -> DriverSpec {
    let mut driver = dockerlogger_manifest::catalog::driver(name).unwrap();
    driver.routes.retain(|route| over.contains(&route.over));
    assert_eq!(driver.routes.len(), over.len());
    driver
}

#[tokio::test]
async fn a_logger_that_delivers_passes_and_gets_the_contract() {
    let folder = folder();
    let seen = folder.path().join("seen");
    // Each run is another user's.
    fs::write(&seen, "").unwrap();
    fs::set_permissions(&seen, fs::Permissions::from_mode(0o666)).unwrap();
    let body = format!(
        r#"pipe() {{ [ -p /dev/fd/$1 ] && echo pipe; }}
        echo "$1 $(pipe 3) $(pipe 4) $(cat <&4 | wc -c)" >> {}
        address=${{DOCKERLOG_CONFIG##*//}}; address=${{address%%\"*}}
        case $DOCKERLOG_CONFIG in *tcp:*) kind=tcp;; *) kind=udp;; esac
        cat <&3 > /dev/$kind/${{address/://}}"#,
        seen.display()
    );
    let logger = script(folder.path(), &body);
    for name in ["syslog", "gelf"] {
        let driver = driver(name, &[Carrier::Tcp, Carrier::Udp]);
        assert!(deliver(&logger, &driver, QUICK).await.unwrap());
    }
    assert!(deliver(&logger, &driver("fluentd", &[Carrier::Tcp]), QUICK).await.unwrap());
    let seen = fs::read_to_string(seen).unwrap();
    assert_eq!(
        seen,
        "syslog pipe pipe 0\n".repeat(2)
            + &"gelf pipe pipe 0\n".repeat(2)
            + "fluentd pipe pipe 0\n"
    );
    let body = r#"dir=${DOCKERLOG_CONFIG#*:\"}
        cat <&3 > ${dir%%\"*}/$DOCKERLOG_CONTAINERID-json.log"#;
    let mut json_file = driver("json-file", &[Carrier::File]);
    let logger = script(folder.path(), body);
    assert!(deliver(&logger, &json_file, QUICK).await.unwrap());
    "from-the-future".clone_into(&mut json_file.name);
    assert!(deliver(&logger, &json_file, QUICK).await.unwrap(), "its routes say how");
    json_file.routes[0].over = Carrier::Unknown("http".to_owned());
    assert!(!deliver(&logger, &json_file, QUICK).await.unwrap());
}

#[tokio::test]
async fn a_logger_that_loses_the_record_crashes_or_hangs_fails() {
    let folder = folder();
    let refused = async |body: &str, timeout| {
        let logger = script(folder.path(), body);
        let syslog = driver("syslog", &[Carrier::Tcp]);
        let error = deliver(&logger, &syslog, timeout).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Refused);
        error.to_string()
    };
    let lost = refused("cat <&3 >/dev/null", QUICK).await;
    assert!(lost.ends_with("ended well and its record did not arrive"), "{lost}");
    let crashed = refused("echo boom >&2; kill -SEGV $$", QUICK).await;
    assert!(crashed.contains("signal: 11") && crashed.contains("boom"), "{crashed}");
    let hung = refused("sleep 100", Duration::from_millis(300)).await;
    assert!(hung.contains("did not end within"), "{hung}");
}

/// What a client that believes the file says arrives.
#[tokio::test]
async fn records_arrive_over_tls() {
    for name in ["fluentd", "gelf", "syslog"] {
        let route = &driver(name, &[Carrier::Tls]).routes[0];
        let (receiver, options) = open(route, &DynamicUser::new()).await.unwrap().unwrap();
        let address = options[format!("{name}-address")].as_str().unwrap();
        let (_, address) = address.split_once("tls://").unwrap();
        let authority = options[format!("{name}-tls-ca-cert")].as_str().unwrap();
        let pem = fs::read(authority).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = async {
            // Another one before, which is no reason to stop.
            drop(TcpStream::connect(address).await.unwrap());
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let connector = TlsConnector::from(Arc::new(client));
            let mut stream = connector.connect(name, stream).await.unwrap();
            stream.write_all(b"<30>1 the marker\n").await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let (received, ()) = tokio::join!(receive(&receiver, "the marker"), client);
        received.unwrap();
    }
}

#[tokio::test]
async fn a_driver_that_has_tls_is_tried_with_it() {
    let folder = folder();
    // It delivers well, but it does not speak TLS.
    let body = r#"address=${DOCKERLOG_CONFIG##*tls://}; address=${address%%\"*}
        cat <&3 > /dev/tcp/${address/://}"#;
    for name in ["fluentd", "gelf", "syslog"] {
        let logger = script(folder.path(), body);
        let error = deliver(&logger, &driver(name, &[Carrier::Tls]), QUICK).await.unwrap_err();
        assert!(error.to_string().contains("tls://127.0.0.1:"), "{error}");
    }
}
