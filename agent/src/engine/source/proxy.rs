// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The proxy between a node and its sources.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// An HTTP proxy: plain requests go through it whole, TLS in a tunnel (CONNECT).
/// Directories, bundles and image APIs are never reached through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy(Url);

/// Text that names no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a proxy: expected http://[USER:PASSWORD@]HOST[:PORT]")]
pub struct ParseProxyError;

impl FromStr for Proxy {
    type Err = ParseProxyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| ParseProxyError)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.scheme() == "http" && url.has_host() && bare {
            Ok(Self(url))
        } else {
            Err(ParseProxyError)
        }
    }
}

impl fmt::Display for Proxy {
    /// Without what gives access.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::config::redacted(self.0.as_str()))
    }
}

impl Proxy {
    pub(super) fn for_client(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        reqwest::Proxy::all(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_and_nothing_else() {
        let proxy: Proxy = "http://node:secret@10.0.0.1:3128".parse().unwrap();
        assert_eq!(proxy.to_string(), "http://…@10.0.0.1:3128/");
        for text in ["", "10.0.0.1:3128", "https://h", "socks5://h", "http://h/path", "http://h?a"]
        {
            assert_eq!(text.parse::<Proxy>(), Err(ParseProxyError), "{text}");
        }
    }
}
