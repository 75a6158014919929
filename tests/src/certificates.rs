// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Certificates for one test: an authority and what it issues, as files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// An authority of its own, in a folder.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate, in PEM form.
    pub certificate: PathBuf,
    /// The key, in PEM form.
    pub key: PathBuf,
    made: rcgen::Certificate,
    key_pair: KeyPair,
}

impl Authority {
    /// The name of its own certificate's file.
    pub const FILE: &'static str = "ca.pem";

    /// Makes one, with its certificate in `folder`.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn new(folder: &Path) -> Authority {
        // Of the same name as what it issues, it would be taken for that by OpenSSL.
        let mut params = named("authority", Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate is made");
        let authority = Authority { issuer, folder: folder.to_owned() };
        authority.write(Self::FILE, &authority.issuer.pem());
        authority
    }

    /// The file of its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join(Self::FILE)
    }

    /// A certificate for a host of this name or address, or for a client; two files in the folder.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn issue(&self, name: &str) -> Issued {
        let params = named(name, vec![name.to_owned()]);
        let key_pair = key();
        let made = params.signed_by(&key_pair, &self.issuer).expect("a certificate is made");
        Issued {
            certificate: self.write(&format!("{name}.pem"), &made.pem()),
            key: self.write(&format!("{name}.key"), &key_pair.serialize_pem()),
            made,
            key_pair,
        }
    }

    /// A client that believes this authority and shows `identity`.
    ///
    /// # Panics
    /// When the certificate is not usable.
    pub fn client(&self, identity: &Issued) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for them")
            .with_root_certificates(self.roots())
            .with_client_auth_cert(identity.chain(), identity.private_key())
            .expect("key and certificate go together");
        Arc::new(client)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority of ours");
        roots
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a scratch folder can be written");
        path
    }
}

impl Issued {
    /// A server that shows this certificate, and wants one of `clients` if that is given.
    ///
    /// # Panics
    /// When the certificate is not usable.
    pub fn server(&self, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for them");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let roots = Arc::new(authority.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
            }
        };
        let server = builder.with_single_cert(self.chain(), self.private_key());
        Arc::new(server.expect("key and certificate go together"))
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.made.der().clone()]
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_pair.serialize_der()))
    }
}

fn named(name: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).expect("names of hosts");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system gives random numbers")
}
