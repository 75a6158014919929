// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the options of the gelf driver mean.

use std::collections::BTreeMap;

use dockerlogger_manifest::Normalized;
use dockerlogger_manifest::value::{ServerAddress, ServerTransport};

use super::Encoder;
use super::chunks::{ChunkSize, Chunks};
use super::compress::{Compression, Format};
use crate::driver::{
    ConfigError, Configure, DatagramPeer, Division, HostPort, Identity, PIECE_LIMIT, Silent, Sink,
    StreamPeer, TRITON_PIECE_LIMIT, TlsSettings, is_true, parsed, rendered,
};
use crate::launch::Launch;
use crate::local_time::LocalTime;
use crate::template::container::Container;

/// The options of one container, checked.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) address: ServerAddress,
    pub(crate) profile: Profile,
    pub(crate) compression: Compression,
    pub(crate) chunk_size: ChunkSize,
    pub(crate) partials: Partials,
    pub(crate) tls: TlsSettings,
    /// Additional fields by name, `_` included, the container's own among them.
    pub(crate) fields: BTreeMap<String, String>,
}

/// The fields of a record, and which lines become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Docker,
    /// What Triton's users get since 2015: two empty fields more, white space
    /// around a line is left out, empty lines are sent, and lines are not cut at
    /// Docker's limit.
    Triton,
}

/// Whether a piece of a line says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partials {
    Unmarked,
    Marked,
}

impl Profile {
    /// The most chunks of a record.
    const fn chunks_max(self) -> u8 {
        match self {
            Self::Triton => 255,
            Self::Docker => 128,
        }
    }
}

impl Configure for Options {
    type Encoder = Encoder;

    /// Reads checked options. `gelf-tag` is Triton's and literal; without `tag` it
    /// also selects Triton's records.
    ///
    /// # Errors
    /// When the tag's template cannot be rendered, or a regular expression is none.
    fn parse(options: &Normalized, launch: &Launch, host: &[u8]) -> Result<Self, ConfigError> {
        let address: ServerAddress = parsed(options, "gelf-address")?;
        let literal = options.get("gelf-tag").filter(|_| !options.given("tag"));
        let container = launch.container(host);
        let (profile, tag) = match literal {
            Some(literal) => (Profile::Triton, literal.as_bytes().to_vec()),
            None => {
                let text = options.get("tag").unwrap_or("{{.ID}}");
                (Profile::Docker, rendered("tag", text, &container)?)
            }
        };
        let level = options.get("gelf-compression-level").and_then(|level| level.parse().ok());
        let level = level.unwrap_or(1);
        // A stream has neither; the options that are about datagrams are not there.
        let compression = match options.get("gelf-compression-type") {
            Some("gzip") => Compression::To { format: Format::Gzip, level },
            Some("zlib") => Compression::To { format: Format::Zlib, level },
            _ => Compression::None,
        };
        let chunk_size = match options.get("gelf-chunk-size").map(str::parse) {
            Some(Ok(bytes)) => ChunkSize::Bytes(bytes),
            _ => ChunkSize::OfPath,
        };
        Ok(Self {
            address,
            profile,
            compression,
            chunk_size,
            partials: if is_true(options, "gelf-partial") {
                Partials::Marked
            } else {
                Partials::Unmarked
            },
            tls: TlsSettings::read(options, "gelf", is_true(options, "gelf-tls-skip-verify")),
            fields: fields(profile, &container, &tag)?,
        })
    }

    fn sink(&self) -> Sink {
        let ServerAddress { transport, host, port } = self.address.clone();
        let at = HostPort { host, port };
        let stream = |peer| Sink::Stream { peer, session: Box::new(Silent) };
        match transport {
            ServerTransport::Udp => Sink::Datagram {
                peer: DatagramPeer::Udp(at),
                division: Division::Chunks(Chunks {
                    size: self.chunk_size,
                    count_max: self.profile.chunks_max(),
                }),
            },
            ServerTransport::Tcp => stream(StreamPeer::Tcp(at)),
            ServerTransport::Tls => stream(StreamPeer::Tls { at, tls: self.tls.clone() }),
        }
    }

    fn encoder(&self, identity: &Identity, _local_time: LocalTime) -> Encoder {
        Encoder::new(self, identity)
    }

    fn piece_limit(&self) -> usize {
        if self.profile == Profile::Triton { TRITON_PIECE_LIMIT } else { PIECE_LIMIT }
    }
}

/// The container's own fields; an attribute of the same name takes the place of
/// one, as in Docker.
fn fields(
    profile: Profile,
    container: &Container,
    tag: &[u8],
) -> Result<BTreeMap<String, String>, ConfigError> {
    let name = match profile {
        Profile::Docker => container.name(),
        Profile::Triton => container.container_name.trim_start_matches('/'),
    };
    let mut fields: BTreeMap<String, String> = [
        ("_command", container.command()),
        ("_container_id", container.container_id.clone()),
        ("_container_name", name.to_owned()),
        ("_created", container.created.to_rfc3339()),
        ("_image_id", container.image_id.clone()),
        ("_image_name", container.image_name.clone()),
        ("_tag", String::from_utf8_lossy(tag).into_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (name, value) in container.extra_attributes()? {
        let name = if name.starts_with('_') { name } else { format!("_{name}") };
        fields.insert(name, value);
    }
    Ok(fields)
}
