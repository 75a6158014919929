// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! How drivers read options that validation has accepted.

use std::path::PathBuf;

use dockerlogger_manifest::Normalized;
use dockerlogger_manifest::value::parse_bool;

use super::{ConfigError, TlsIdentity, TlsSettings, Trust};
use crate::template::Template;
use crate::template::container::Container;

impl TlsSettings {
    /// What the options `NAME-tls-…` of a driver say; `skip_verify` is for the
    /// driver to read.
    pub(super) fn read(options: &Normalized, name: &str, skip_verify: bool) -> Self {
        let path = |what| options.get(&format!("{name}-tls-{what}")).map(PathBuf::from);
        let trust =
            if skip_verify { Trust::Anyone } else { Trust::Authorities { file: path("ca-cert") } };
        let identity = path("cert").zip(path("key"));
        let identity = identity.map(|(certificate, key)| TlsIdentity { certificate, key });
        Self { trust, identity }
    }
}

/// The tag that `text`, the value of `option`, makes for a container.
pub(super) fn rendered(
    option: &'static str,
    text: &str,
    container: &Container,
) -> Result<Vec<u8>, ConfigError> {
    Template::parse(text)
        .and_then(|template| template.render(container))
        .map_err(|source| ConfigError::Tag { option, text: text.to_owned(), source })
}

/// An option whose text validation has accepted; a catalog that lets text pass
/// which does not parse is answered like any other bad value.
pub(super) fn parsed<T>(options: &Normalized, name: &str) -> Result<T, ConfigError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = options.get(name).unwrap_or_default();
    text.parse().map_err(|error: T::Err| ConfigError::invalid(name, text, &error.to_string()))
}

/// Whether an option is there and says so.
pub(super) fn is_true(options: &Normalized, name: &str) -> bool {
    options.get(name).map(parse_bool) == Some(Ok(true))
}
