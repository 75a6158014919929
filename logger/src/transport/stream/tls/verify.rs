// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Who is at the other end: the server's certificate, and whether it asks for
//! ours.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::error::is_an_authority_itself;

/// Checks the certificate of one server once.
#[derive(Debug)]
pub(super) struct ServerCheck {
    check: Mutex<Check>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Check {
    /// Everybody passes.
    None,
    Authorities(Authorities),
    /// Done; the authorities are let go of, they are much memory.
    Done,
}

/// Whom to believe about a server.
#[derive(Debug)]
pub(super) struct Authorities {
    /// All of them.
    pub(super) verifier: Arc<WebPkiServerVerifier>,
    /// The certificates that the options name.
    pub(super) named: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// A certificate that is itself in the file needs nobody's word, as Docker has
    /// it; many that servers sign for themselves call themselves authorities.
    /// Either `error` comes only after its times were found good, its name was not
    /// looked at yet.
    fn admit_named(
        &self,
        error: Error,
        end_entity: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
    ) -> Result<ServerCertVerified, Error> {
        match error {
            Error::InvalidCertificate(why)
                if (why == CertificateError::UnknownIssuer || is_an_authority_itself(&why))
                    && self.named.iter().any(|named| named == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            error => Err(error),
        }
    }
}

impl ServerCheck {
    /// `authorities`: who must have signed; `None`: everybody passes.
    pub(super) fn new(
        authorities: Option<Authorities>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        let check = authorities.map_or(Check::None, Check::Authorities);
        Self { check: Mutex::new(check), algorithms }
    }
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let check = match self.check.lock() {
            Ok(mut check) => std::mem::replace(&mut *check, Check::Done),
            Err(_) => Check::Done,
        };
        match check {
            Check::None => Ok(ServerCertVerified::assertion()),
            Check::Authorities(them) => them
                .verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .or_else(|error| them.admit_named(error, end_entity, server_name)),
            Check::Done => Err(Error::HandshakeNotComplete),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Our certificate, for a server that asks for one.
#[derive(Debug)]
pub(super) struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: Arc<Asked>,
}

/// Whether the server has asked for a certificate.
#[derive(Debug, Default)]
pub(super) struct Asked(AtomicBool);

impl Asked {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Identity {
    pub(super) const fn new(key: Option<Arc<CertifiedKey>>, asked: Arc<Asked>) -> Self {
        Self { key, asked }
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.0.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}
