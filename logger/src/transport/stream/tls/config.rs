// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What a connection needs, from files as they are now.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};

use super::error::{FileKind, TlsError};
use super::verify::{Asked, Authorities, Identity, ServerCheck};
use crate::driver::{TlsIdentity, TlsSettings, Trust};

/// What one connection is made from.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) client: Arc<ClientConfig>,
    /// Set when the server asks for a certificate.
    pub(super) asked: Arc<Asked>,
}

impl Config {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them is missing or of no use today.
    pub(super) fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut provider = default_provider();
        // As Docker offers them; the first is the fastest.
        let fastest = cipher_suite::TLS13_AES_128_GCM_SHA256;
        provider.cipher_suites.sort_by_key(|suite| *suite != fastest);
        let provider = Arc::new(provider);
        let authorities = match &settings.trust {
            Trust::Anyone => None,
            Trust::Authorities { file } => {
                let (roots, named) = authorities(file.as_deref())?;
                let verifier = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                );
                let verifier = verifier.build().map_err(|_| TlsError::NoAuthorities)?;
                Some(Authorities { verifier, named })
            }
        };
        let algorithms = provider.signature_verification_algorithms;
        let check = Arc::new(ServerCheck::new(authorities, algorithms));
        let key = match &settings.identity {
            None => None,
            Some(TlsIdentity { certificate, key }) => {
                let chain = certificates(certificate, FileKind::Certificate)?;
                let der = private_key(key)?;
                let pair = CertifiedKey::from_der(chain, der, &provider);
                let unusable = |source| TlsError::Pair { path: key.clone(), source };
                Some(Arc::new(pair.map_err(unusable)?))
            }
        };
        let asked = Arc::new(Asked::default());
        let identity = Arc::new(Identity::new(key, Arc::clone(&asked)));
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::session)?
            .dangerous()
            .with_custom_certificate_verifier(check)
            .with_client_cert_resolver(identity);
        // Every connection has a configuration of its own.
        client.resumption = Resumption::disabled();
        Ok(Self { client: Arc::new(client), asked })
    }
}

/// The authorities of the system and those in `file`; the latter also as they are
/// there.
fn authorities(
    file: Option<&Path>,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let mut roots = RootCertStore::empty();
    let mut named = Vec::new();
    if let Some(path) = file {
        named = certificates(path, FileKind::Authority)?;
        let (added, _) = roots.add_parsable_certificates(named.iter().cloned());
        if added == 0 {
            return Err(TlsError::Empty { kind: FileKind::Authority, path: path.to_owned() });
        }
    }
    for bundle in SYSTEM_BUNDLES {
        if let Ok(pem) = read(Path::new(bundle)) {
            // One after the other: decoded, they are larger than what is kept.
            let all = CertificateDer::pem_slice_iter(&pem).flatten();
            let added = all.filter(|der| roots.add(der.clone()).is_ok()).count();
            if added > 0 {
                break;
            }
        }
    }
    if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok((roots, named)) }
}

fn certificates(path: &Path, kind: FileKind) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read_file(path, kind)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|source| TlsError::Pem { kind, path: path.to_owned(), source })?;
    if all.is_empty() {
        return Err(TlsError::Empty { kind, path: path.to_owned() });
    }
    Ok(all)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let kind = FileKind::Key;
    let pem = read_file(path, kind)?;
    let path = || path.to_owned();
    // `ENCRYPTED PRIVATE KEY` of PKCS #8, `Proc-Type: 4,ENCRYPTED` of the older form.
    if memchr::memmem::find(&pem, b"ENCRYPTED").is_some() {
        return Err(TlsError::EncryptedKey { path: path() });
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|source| match source {
        PemError::NoItemsFound => TlsError::Empty { kind, path: path() },
        source => TlsError::Pem { kind, path: path(), source },
    })
}

fn read_file(path: &Path, kind: FileKind) -> Result<Vec<u8>, TlsError> {
    read(path).map_err(|source| TlsError::File { kind, path: path.to_owned(), source })
}

/// A regular file of reasonable size; others might keep us waiting.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::other("larger than 4 MiB"));
    }
    Ok(bytes)
}

/// The largest file that is read, in bytes; the bundles of today have 220 KiB.
const FILE_MAX: u64 = 4 << 20;

/// Where systems keep the authorities that they trust; the first that holds any
/// is taken.
const SYSTEM_BUNDLES: [&str; 11] = [
    // Debian, Ubuntu, Gentoo, Arch, Alpine; OmniOS
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL and theirs
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    // Alpine, BSD
    "/etc/ssl/cert.pem",
    // illumos
    "/etc/certs/ca-certificates.crt",
    "/etc/ssl/cacert.pem",
    // SmartOS: packages of pkgsrc
    "/opt/local/etc/openssl/certs/ca-certificates.crt",
    "/opt/local/share/mozilla-rootcerts/cacert.pem",
    "/opt/local/etc/mozilla-rootcerts/cacert.pem",
];
