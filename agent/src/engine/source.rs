// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Where releases come from. One verification path for all of them.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Url;

use crate::engine::Limits;
use crate::engine::error::FetchError;

mod bundle;
mod directory;
mod http;

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

/// An open source: paths in, bytes out. Blocks; lives on a worker thread.
pub(crate) trait Repository: Send {
    /// Starts to read a file of the repository. The reader gives the bytes as
    /// they come; how many may come is [`Bounded`]'s business.
    fn open(&mut self, path: &str, expect: Expect) -> Result<Box<dyn Read + Send>, FetchError>;

    /// Whether an early end may be the network's fault.
    fn is_network(&self) -> bool;
}

/// How many bytes a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The signed length.
    Exactly(u64),
    /// A limit, where nothing signed says more.
    AtMost(u64),
}

impl Expect {
    pub(crate) fn bytes_max(self) -> u64 {
        match self {
            Self::Exactly(bytes) | Self::AtMost(bytes) => bytes,
        }
    }
}

/// Opens a source. Must run where the runtime of `runtime` is alive.
pub(crate) fn open(
    source: &Source,
    limits: &Limits,
    runtime: &tokio::runtime::Handle,
) -> Result<Box<dyn Repository>, FetchError> {
    Ok(match source {
        Source::Http(url) => Box::new(http::HttpRepository::new(url, limits, runtime)?),
        Source::Directory(path) => Box::new(directory::DirectoryRepository::new(path)),
        Source::Bundle(path) => Box::new(bundle::BundleRepository::open(path)?),
    })
}

/// A file of the repository, refused while reading when its length is wrong.
pub(crate) fn open_bounded(
    repository: &mut dyn Repository,
    path: &str,
    expect: Expect,
) -> Result<Bounded, FetchError> {
    let reader = repository.open(path, expect)?;
    Ok(Bounded { reader, expect, bytes: 0, network: repository.is_network() })
}

/// A whole file of the repository in memory.
pub(crate) fn fetch(
    repository: &mut dyn Repository,
    path: &str,
    expect: Expect,
) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let read = open_bounded(repository, path, expect)?.read_to_end(&mut bytes);
    match read {
        Ok(_) => Ok(bytes),
        Err(e) => Err(fetch_error(e)),
    }
}

/// Gives at most what is expected; an error in place of one byte more, or of
/// an end that comes too early.
pub(crate) struct Bounded {
    reader: Box<dyn Read + Send>,
    expect: Expect,
    bytes: u64,
    network: bool,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let limit = self.expect.bytes_max();
        let count = self.reader.read(buffer)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if self.bytes > limit {
            return Err(io::Error::other(FetchError::TooLong { limit }));
        }
        if count == 0 && matches!(self.expect, Expect::Exactly(_)) && self.bytes < limit {
            let (got, expected, network) = (self.bytes, limit, self.network);
            return Err(io::Error::other(FetchError::Truncated { got, expected, network }));
        }
        Ok(count)
    }
}

/// The fetch error inside an I/O error that a repository's reader returned.
pub(crate) fn fetch_error(error: io::Error) -> FetchError {
    match error.downcast::<FetchError>() {
        Ok(error) => error,
        Err(error) => FetchError::Read(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart_by_their_form() {
        for text in ["http://10.0.0.1/logger", "https://host:8443/a/b/"] {
            assert!(matches!(text.parse(), Ok(Source::Http(_))), "{text}");
        }
        assert_eq!("/var/releases".parse(), Ok(Source::Directory("/var/releases".into())));
        assert_eq!("/var/r.tar".parse(), Ok(Source::Bundle("/var/r.tar".into())));
        for text in
            ["", "releases", "ftp://host/", "http://", "http://h/?a", "http://h/#a", "/a\0b"]
        {
            let error = text.parse::<Source>().unwrap_err();
            assert!(error.to_string().contains("expected http://HOST/"), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let source: Source = "https://node:secret@host/r".parse().unwrap();
        assert_eq!(source.to_string(), "https://node@host/r");
    }

    #[test]
    fn lengths_are_kept_while_reading() {
        let bounded = |content: &[u8], expect| {
            let reader: Box<dyn Read + Send> = Box::new(io::Cursor::new(content.to_vec()));
            let mut bounded = Bounded { reader, expect, bytes: 0, network: false };
            let mut bytes = Vec::new();
            bounded.read_to_end(&mut bytes).map(|_| bytes).map_err(fetch_error)
        };
        assert_eq!(bounded(b"four", Expect::Exactly(4)).unwrap(), b"four");
        assert_eq!(bounded(b"four", Expect::AtMost(5)).unwrap(), b"four");
        let error = bounded(b"four", Expect::Exactly(5)).unwrap_err();
        assert_eq!(error.to_string(), "ended after 4 of 5 bytes");
        for expect in [Expect::Exactly(3), Expect::AtMost(3)] {
            let error = bounded(b"four", expect).unwrap_err();
            assert_eq!(error.to_string(), "longer than the 3 bytes allowed");
        }
    }
}
