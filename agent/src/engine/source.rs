// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Where releases come from. One verification path for all of them.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use hyper::body::Bytes;
use reqwest::Url;

use crate::engine::EngineConfig;
use crate::engine::error::FetchError;
use crate::engine::interrupt::Interrupt;
use crate::engine::layout::Layout;
use crate::engine::refusals::ImageFile;

mod bundle;
mod directory;
mod http;
mod imgapi;
mod memory;
mod proxy;
mod retries;

pub(crate) use memory::{Memory, Remembered};
pub use proxy::{ParseProxyError, Proxy};

/// A place that holds a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A static HTTP tree, `http://…` or `https://…`.
    Http(Url),
    /// The newest image of that name in an image API, `imgapi://HOST`: its file is a bundle.
    Imgapi(Imgapi),
    /// A directory on this node, with `metadata/` and `targets/` in it.
    Directory(PathBuf),
    /// A tar file of such a directory; the name ends in `.tar`.
    Bundle(PathBuf),
    /// The same, carried here by an operator for this once: it may have expired.
    Import(PathBuf),
    /// Several places of one repository, tried in this order: the next one when
    /// one fails or lies. Never empty, never nested.
    Mirrors(Vec<Source>),
}

/// The image API of a data centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imgapi {
    /// Where it is, as an `http://` URL without a path.
    base: Url,
    /// Set: only images of this channel; a data centre's own API has none.
    channel: Option<String>,
}

/// Text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not a source: expected http://HOST/…, https://HOST/…, imgapi://HOST, an \
     absolute path of a directory, or an absolute path of a bundle ending in .tar"
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
        if let Some(rest) = text.strip_prefix("imgapi://") {
            return Imgapi::parse(rest).map(Self::Imgapi).ok_or_else(malformed);
        }
        let path = PathBuf::from(text);
        if !path.is_absolute() || text.contains('\0') {
            return Err(malformed());
        }
        if text.ends_with(".tar") { Ok(Self::Bundle(path)) } else { Ok(Self::Directory(path)) }
    }
}

impl fmt::Display for Source {
    /// Without what gives access: that is no business of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => {
                let mut shown = url.clone();
                if shown.password().is_some() && shown.set_password(None).is_err() {
                    return f.write_str("http source");
                }
                shown.fmt(f)
            }
            Self::Imgapi(imgapi) => imgapi.fmt(f),
            Self::Directory(path) | Self::Bundle(path) | Self::Import(path) => {
                path.display().fmt(f)
            }
            Self::Mirrors(sources) => {
                for (idx, source) in sources.iter().enumerate() {
                    write!(f, "{}{source}", if idx == 0 { "" } else { ", else " })?;
                }
                Ok(())
            }
        }
    }
}

impl Source {
    /// This source, or the sources that it stands for, in the order in which they are tried.
    pub(crate) fn each(&self) -> &[Source] {
        match self {
            Self::Mirrors(sources) => sources,
            one => std::slice::from_ref(one),
        }
    }

    /// What an operator names for one update. What is configured is polled, and whoever can put
    /// it there must not be able to show an old one for ever; a bundle that somebody carries
    /// here may well have expired on the way.
    pub fn for_this_once(self) -> Self {
        match self {
            Self::Bundle(path) => Self::Import(path),
            other => other,
        }
    }

    /// For logs, histories and status pages: without user, password and query.
    pub fn shown(&self) -> String {
        let shown: Vec<String> =
            self.each().iter().map(|one| crate::config::redacted(&one.to_string())).collect();
        shown.join(", else ")
    }

    /// As [`FromStr`] takes it, passwords included.
    pub fn spelled(&self) -> String {
        match self {
            Self::Http(url) => url.as_str().to_owned(),
            other => other.to_string(),
        }
    }
}

impl Imgapi {
    fn parse(rest: &str) -> Option<Self> {
        let mut base = Url::parse(&format!("http://{rest}")).ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*');
        let channel = match base.query() {
            Some(query) => {
                Some(query.strip_prefix("channel=").filter(|name| name.chars().all(plain))?)
            }
            None => None,
        };
        let channel = channel.map(str::to_owned).filter(|name| !name.is_empty());
        let named = base.query().is_none() || channel.is_some();
        base.set_query(None);
        let bare = base.path() == "/" && base.username().is_empty() && base.password().is_none();
        (named && bare && base.has_host() && base.fragment().is_none())
            .then_some(Self { base, channel })
    }
}

impl fmt::Display for Imgapi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.base.as_str().trim_start_matches("http://").trim_end_matches('/');
        write!(f, "imgapi://{address}")?;
        match &self.channel {
            Some(channel) => write!(f, "/?channel={channel}"),
            None => Ok(()),
        }
    }
}

/// Bytes of a piece, at most.
const PIECE_BYTES: usize = 128 << 10;

/// Bytes that come piece by piece, each as it was received: nobody copies them.
pub(crate) trait Pieces: Send {
    /// The next piece, at most [`PIECE_BYTES`]; empty at the end. Blocks.
    fn piece(&mut self) -> Result<Bytes, FetchError>;
}

impl<R: Read + Send> Pieces for R {
    fn piece(&mut self) -> Result<Bytes, FetchError> {
        read_piece(self).map_err(FetchError::Read)
    }
}

/// The next piece of a file.
pub(crate) fn read_piece(file: &mut impl Read) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(PIECE_BYTES);
    let limit = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// An open source: paths in, bytes out. Blocks; lives on a worker thread.
pub(crate) trait Repository: Send {
    /// Starts to read a file of the repository at its byte `from`. How many bytes
    /// may come is [`Bounded`]'s business.
    fn open(
        &mut self,
        path: &str,
        expect: Expect,
        from: u64,
    ) -> Result<Box<dyn Pieces>, FetchError>;

    /// A whole file in memory.
    fn fetch(&mut self, path: &str, expect: Expect) -> Result<Vec<u8>, FetchError> {
        let pieces = self.open(path, expect, 0)?;
        Bounded::new(pieces, expect, 0, self.is_network()).whole()
    }

    /// Whether an early end may be the network's fault, so that it is worth
    /// keeping what came until then.
    fn is_network(&self) -> bool;

    /// The file that has to come here whole before anything of it can be read, if it is one.
    fn image(&self) -> Option<ImageFile> {
        None
    }

    /// Whether that file came since this was opened, all or part of it.
    fn has_come(&self) -> bool {
        false
    }
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

/// What sources work with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) config: &'a EngineConfig,
    pub(crate) layout: &'a Layout,
    pub(crate) memory: &'a Memory,
    /// Ends whatever a source does.
    pub(crate) interrupt: &'a Interrupt,
}

/// Opens one source; of mirrors, the first.
pub(crate) fn open(source: &Source, access: Access<'_>) -> Result<Box<dyn Repository>, FetchError> {
    Ok(match source {
        Source::Http(url) => {
            Box::new(http::HttpRepository::new(url, access.config.proxy.as_ref(), access)?)
        }
        Source::Imgapi(imgapi) => Box::new(imgapi::ImgapiRepository::open(imgapi, access)?),
        Source::Directory(path) => Box::new(directory::DirectoryRepository::new(path)),
        Source::Bundle(path) | Source::Import(path) => {
            Box::new(bundle::BundleRepository::open(path)?)
        }
        Source::Mirrors(sources) => match sources.first() {
            Some(first) => open(first, access)?,
            None => return Err(FetchError::NotFound),
        },
    })
}

/// A file of the repository from its byte `from` on, refused while reading when
/// its length is wrong.
pub(crate) fn open_bounded(
    repository: &mut dyn Repository,
    path: &str,
    expect: Expect,
    from: u64,
) -> Result<Bounded, FetchError> {
    let network = repository.is_network();
    let pieces = match expect {
        // It was there to its end: nobody needs to be asked.
        Expect::Exactly(length) if from == length && from > 0 => Box::new(io::empty()),
        _ => repository.open(path, expect, from)?,
    };
    Ok(Bounded::new(pieces, expect, from, network))
}

/// Gives at most what is expected; an error in place of one byte more, or of
/// an end that comes too early.
pub(crate) struct Bounded {
    pieces: Box<dyn Pieces>,
    expect: Expect,
    bytes: u64,
    network: bool,
    interrupt: Option<Interrupt>,
}

impl Bounded {
    /// `bytes` were there before.
    pub(crate) fn new(pieces: Box<dyn Pieces>, expect: Expect, bytes: u64, network: bool) -> Self {
        Self { pieces, expect, bytes, network, interrupt: None }
    }

    /// The same, until it is interrupted.
    pub(crate) fn until(self, interrupt: Interrupt) -> Self {
        Self { interrupt: Some(interrupt), ..self }
    }

    /// All that is left, in memory.
    fn whole(mut self) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        loop {
            match self.piece()? {
                piece if piece.is_empty() => return Ok(bytes),
                piece => bytes.extend_from_slice(&piece),
            }
        }
    }
}

impl Pieces for Bounded {
    fn piece(&mut self) -> Result<Bytes, FetchError> {
        self.interrupt.as_ref().map_or(Ok(()), Interrupt::check)?;
        let limit = self.expect.bytes_max();
        let piece = self.pieces.piece()?;
        self.bytes = self.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.bytes > limit {
            return Err(FetchError::TooLong { limit });
        }
        if piece.is_empty() && matches!(self.expect, Expect::Exactly(_)) && self.bytes < limit {
            let (got, expected, network) = (self.bytes, limit, self.network);
            return Err(FetchError::Truncated { got, expected, network });
        }
        Ok(piece)
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
            let pieces = Box::new(io::Cursor::new(content.to_vec()));
            Bounded::new(pieces, expect, 0, false).whole()
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
