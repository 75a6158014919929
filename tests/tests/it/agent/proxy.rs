// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A node that reaches its source over TLS, through the proxy of its site.

use std::path::Path;

use dockerlogger_tests::certificates::Authority;
use dockerlogger_tests::connect_proxy::ConnectProxy;
use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};
use dockerlogger_tests::release_server::ReleaseServer;

use super::fixture::{expect_untouched, publisher};

/// The source is not available now.
const UNAVAILABLE: i32 = 75;

/// The agent finds authorities where OpenSSL would.
fn trust(node: &mut Node, authority: &Path) {
    node.set_environment(vec![("SSL_CERT_FILE".to_owned(), authority.display().to_string())]);
}

#[test]
fn an_update_comes_over_tls_through_a_tunnel() {
    let scratch = tempfile::tempdir().unwrap();
    let [ours, anothers] = ["ours", "anothers"].map(|name| {
        let folder = scratch.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        Authority::new(&folder)
    });
    let publisher = publisher();
    let tls = ours.issue("127.0.0.1").server(None);
    let server = ReleaseServer::start_tls(&publisher.next_tree(), tls);
    let proxy = ConnectProxy::start();
    let mut node = publisher.node(&scratch.path().join("node"), &server.url());
    trust(&mut node, &ours.file());
    let refused = |node: &Node, words: &str| {
        let (status, said) = node.refused(&["update"]);
        assert_eq!(status, UNAVAILABLE, "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(server.requests(), [""; 0], "nothing goes past the proxy");
        expect_untouched(node, VERSION);
    };

    node.set("proxy", proxy.url_without_password().into());
    refused(&node, "the proxy asks for a user and a password, or for others than it was given");
    proxy.forbid(true);
    node.set("proxy", proxy.url().into());
    refused(&node, "the proxy opens no tunnel to the source");
    proxy.forbid(false);
    assert_eq!(proxy.tunnels(), [""; 0]);

    trust(&mut node, &anothers.file());
    refused(&node, "invalid peer certificate");
    trust(&mut node, &ours.file());
    node.expect(&["update"]);
    expect_untouched(&node, NEXT_VERSION);
    assert!(!server.requests().is_empty());
    let there = server.url().replace("https://", "");
    assert!(proxy.tunnels().iter().all(|tunnel| *tunnel == there), "{:?}", proxy.tunnels());
}
