// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Why there is no TLS connection, in words for whoever chose the options.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;
use rustls::{AlertDescription, CertificateError, Error};

/// What stands in the way of a TLS connection, or ended one.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum TlsError {
    #[error("the {kind} file {} cannot be read", path.display())]
    File { kind: FileKind, path: PathBuf, source: io::Error },
    #[error("the {kind} file {} is not in PEM form", path.display())]
    Pem { kind: FileKind, path: PathBuf, source: pem::Error },
    #[error("the {kind} file {} holds no {kind} in PEM form", path.display())]
    Empty { kind: FileKind, path: PathBuf },
    #[error("the key file {} is encrypted; expected a key without a passphrase", path.display())]
    EncryptedKey { path: PathBuf },
    #[error("the key file {} does not go with the certificate", path.display())]
    Pair { path: PathBuf, source: Error },
    #[error("this system has no list of authorities; name a CA certificate file")]
    NoAuthorities,
    #[error("\"{host}\" is no name that a certificate can have")]
    Name { host: String },
    #[error("the server did not finish the TLS handshake in time")]
    Silent,
    #[error("the server hung up during the TLS handshake")]
    HungUp,
    #[error("the connection broke during the TLS handshake")]
    Broken(#[source] io::Error),
    #[error("the connection was cut without TLS's word of goodbye")]
    Cut,
    /// The session ended by its own rules.
    #[error("{0}")]
    Session(String),
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum FileKind {
    Authority,
    Certificate,
    Key,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => "CA certificate",
            Self::Certificate => "certificate",
            Self::Key => "key",
        })
    }
}

impl TlsError {
    /// The library's words are for programmers; those below for the others.
    #[expect(clippy::needless_pass_by_value, reason = "it stands behind map_err")]
    pub(super) fn session(error: Error) -> Self {
        Self::Session(match &error {
            Error::InvalidCertificate(certificate) => refusal(certificate),
            Error::AlertReceived(alert) => {
                format!("the server refuses the TLS connection: {}", alert_text(*alert))
            }
            Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
            other => format!("the TLS handshake failed: {other}"),
        })
    }
}

fn refusal(error: &CertificateError) -> String {
    let why = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet"
        }
        CertificateError::UnknownIssuer => "comes from an unknown authority",
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = presented.join(", ");
            return format!(
                "the server's certificate is not for \"{}\" but for {}",
                expected.to_str(),
                if names.is_empty() { "no name at all" } else { &names }
            );
        }
        CertificateError::NotValidForName => "is for another name",
        CertificateError::BadSignature => "has a signature that is not its authority's",
        CertificateError::Revoked => "was revoked",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not one for a server"
        }
        other if is_an_authority_itself(other) => {
            "is an authority's own: the CA certificate file does not hold it"
        }
        other => return format!("the server's certificate is not valid: {other}"),
    };
    format!("the server's certificate {why}")
}

/// Whether the certificate was refused because it may sign others. That is looked
/// at after its times.
pub(super) fn is_an_authority_itself(error: &CertificateError) -> bool {
    let CertificateError::Other(other) = error else { return false };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// RFC 8446 section 6.2.
fn alert_text(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::CertificateRequired => "it wants a client certificate",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => "it does not like our client certificate",
        AlertDescription::CertificateExpired => "our client certificate has expired",
        AlertDescription::CertificateRevoked => "our client certificate was revoked",
        AlertDescription::UnknownCA => "it does not know the authority of our client certificate",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::HandshakeFailure => {
            "nothing that both sides speak, or no client certificate"
        }
        AlertDescription::ProtocolVersion => "it speaks no TLS 1.2 or 1.3",
        AlertDescription::UnrecognisedName => "it does not know the name",
        other => return format!("{other:?}"),
    };
    text.to_owned()
}
