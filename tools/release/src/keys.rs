// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Signing keys: Ed25519, one PKCS#8 PEM file each, readable by the owner alone.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use tough::async_trait;
use tough::key_source::KeySource;
use tough::schema::key::Key;
use tough::sign::Sign;

/// The largest key file that is read, in bytes; an Ed25519 key has about 120.
const MAX_FILE_BYTES: u64 = 16 * 1024;
const PEM_TAG: &str = "PRIVATE KEY";

/// A private key, and the file it is kept in.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    path: PathBuf,
}

/// A key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The operating system's random generator failed.
    #[error("failed to generate a key for {}", path.display())]
    Generate {
        /// The file it was for.
        path: PathBuf,
    },
    /// A key would have been lost.
    #[error("{} exists and is never overwritten: choose another directory", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("failed to {action} key {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others may read the private key.
    #[error(
        "key {} has mode {mode:04o}, so that others than its owner can use it: \
         run `chmod 600 {}`, and replace the key if anybody may have copied it",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("key {} is not an Ed25519 private key in PKCS#8 PEM form", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl SigningKey {
    /// Makes a key and writes it, mode 0600, to a file that must not exist.
    pub(crate) fn generate(path: &Path) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generate { path: path.to_owned() };
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        let der = pair.to_pkcs8v1().map_err(failed)?;
        let text = pem::encode(&pem::Pem::new(PEM_TAG, der.as_ref()));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(
                |source| match source.kind() {
                    io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
                    _ => KeyError::Io { action: "create", path: path.to_owned(), source },
                },
            )?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|source| KeyError::Io { action: "write", path: path.to_owned(), source })?;
        Ok(Self { pair: Arc::new(pair), path: path.to_owned() })
    }

    /// Reads a key, unless anybody but the owner may read it too.
    pub(crate) fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |action| move |source| KeyError::Io { action, path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed("open"))?;
        let mode = file.metadata().map_err(failed("examine"))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut text).map_err(failed("read"))?;
        let malformed = || KeyError::Malformed { path: path.to_owned() };
        let pem = pem::parse(&text).map_err(|_| malformed())?;
        if pem.tag() != PEM_TAG {
            return Err(malformed());
        }
        let pair = Ed25519KeyPair::from_pkcs8(pem.contents()).map_err(|_| malformed())?;
        Ok(Self { pair: Arc::new(pair), path: path.to_owned() })
    }

    /// The public half, as metadata carries it.
    pub(crate) fn public(&self) -> Key {
        self.pair.tuf_key()
    }

    /// The signature of a message.
    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// This key as the editor takes it.
    pub(crate) fn source(&self) -> Box<dyn KeySource> {
        Box::new(self.clone())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("path", &self.path).finish_non_exhaustive()
    }
}

type ForeignError = Box<dyn std::error::Error + Send + Sync + 'static>;

#[async_trait]
impl Sign for SigningKey {
    fn tuf_key(&self) -> Key {
        self.public()
    }

    async fn sign(
        &self,
        message: &[u8],
        _random: &(dyn SecureRandom + Sync),
    ) -> Result<Vec<u8>, ForeignError> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

#[async_trait]
impl KeySource for SigningKey {
    async fn as_sign(&self) -> Result<Box<dyn Sign>, ForeignError> {
        Ok(Box::new(self.clone()))
    }

    async fn write(&self, _value: &str, _key_id_hex: &str) -> Result<(), ForeignError> {
        Err("keys are written by keygen alone".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_after_a_round_trip_and_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("targets.pem");
        let key = SigningKey::generate(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(SigningKey::load(&path).unwrap().public(), key.public());
        assert!(matches!(SigningKey::generate(&path), Err(KeyError::Exists { .. })));
        assert!(!format!("{key:?}").contains("pair"));
    }

    #[test]
    fn a_key_others_can_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("targets.pem");
        SigningKey::generate(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let message = SigningKey::load(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("mode {mode:04o}")), "{message}");
            assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        }
    }

    #[test]
    fn anything_else_is_not_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        for text in ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
        {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(SigningKey::load(&path), Err(KeyError::Malformed { .. })), "{text}");
        }
    }
}
