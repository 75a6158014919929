// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! TLS on loopback, with a certificate that lives as long as one probe.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::os::confine::DynamicUser;

/// What a server shows, and where a client finds it.
pub(super) struct Identity {
    acceptor: TlsAcceptor,
    folder: TempDir,
}

impl Identity {
    /// A new one, whose file `user` may read.
    pub(super) fn new(user: &DynamicUser) -> io::Result<Self> {
        let host = Ipv4Addr::LOCALHOST.to_string();
        let mut params = CertificateParams::new([host]).map_err(io::Error::other)?;
        // Whatever the node takes the time to be.
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .map_err(io::Error::other)?;
        let identity =
            Self { acceptor: TlsAcceptor::from(Arc::new(config)), folder: tempfile::tempdir()? };
        fs::write(identity.file(), certificate.pem())?;
        for path in [&identity.file() as &Path, identity.folder.path()] {
            user.give(path)?;
        }
        Ok(identity)
    }

    /// The certificate, which is its own authority, in PEM form.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Shakes hands with a client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}
