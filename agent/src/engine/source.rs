// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Where releases come from. One verification path for all of them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Url;

/// A place that holds a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A static HTTP tree, `http://…` or `https://…`.
    Http(Url),
    /// A directory on this node, with `metadata/` and `targets/` in it.
    Directory(PathBuf),
    /// A tar file of such a directory; the name ends in `.tar`.
    Bundle(PathBuf),
}

/// Text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not a source: expected http://HOST/…, https://HOST/…, an absolute path of a \
     directory, or an absolute path of a bundle ending in .tar"
)]
pub struct ParseSourceError {
    text: String,
}

impl FromStr for Source {
    type Err = ParseSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParseSourceError { text: text.chars().take(200).collect() };
        if text.starts_with("http://") || text.starts_with("https://") {
            let url = Url::parse(text).map_err(|_| malformed())?;
            if !url.has_host() || url.query().is_some() || url.fragment().is_some() {
                return Err(malformed());
            }
            return Ok(Self::Http(url));
        }
        let path = PathBuf::from(text);
        if !path.is_absolute() || text.contains('\0') {
            return Err(malformed());
        }
        if text.ends_with(".tar") { Ok(Self::Bundle(path)) } else { Ok(Self::Directory(path)) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => {
                // A password in the configuration is no business of logs.
                let mut shown = url.clone();
                if shown.password().is_some() && shown.set_password(None).is_err() {
                    return f.write_str("http source");
                }
                shown.fmt(f)
            }
            Self::Directory(path) | Self::Bundle(path) => path.display().fmt(f),
        }
    }
}
