// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Reading the configuration file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, DEFAULT_PATH, RawConfig};

/// A configuration is a few hundred bytes; what is larger than this is another file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file was named or exists, and cannot be read.
    #[error("failed to read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a configuration at all.
    #[error("configuration {} is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a JSON object.
    #[error("configuration {} is not a JSON object", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where it stops being one.
        #[source]
        source: serde_json::Error,
    },
    /// The file has keys or values that are not accepted.
    #[error("configuration {} is not valid", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        #[source]
        source: ConfigError,
    },
}

/// The configuration in the file `named` on the command line. Without one, that of
/// [`DEFAULT_PATH`], and the defaults where that file does not exist.
///
/// # Errors
/// When the file cannot be read (a named one must exist), is not JSON, or is not valid.
pub fn load(named: Option<&Path>) -> Result<Config, LoadError> {
    let path = named.unwrap_or(Path::new(DEFAULT_PATH));
    let raw = match read(path) {
        Ok(text) => parse(path, &text)?,
        Err(LoadError::Read { source, .. })
            if named.is_none() && source.kind() == io::ErrorKind::NotFound =>
        {
            RawConfig::default()
        }
        Err(error) => return Err(error),
    };
    Config::parse(raw).map_err(|source| LoadError::Invalid { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(LoadError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

fn parse(path: &Path, text: &[u8]) -> Result<RawConfig, LoadError> {
    serde_json::from_slice(text)
        .map_err(|source| LoadError::Syntax { path: path.to_owned(), source })
}
