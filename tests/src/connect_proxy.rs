// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A site's HTTP proxy: nothing but tunnels (CONNECT, RFC 9110, 9.3.6), for those who know its password.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http_server::{HttpServer, Request};

/// User and password.
const CREDENTIALS: &str = "node:secret";

/// A proxy that lives until it is dropped.
#[derive(Debug)]
pub struct ConnectProxy {
    server: HttpServer,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    forbids: AtomicBool,
    tunnels: Mutex<Vec<String>>,
}

impl ConnectProxy {
    /// Starts one on a free loopback port.
    pub fn start() -> ConnectProxy {
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let server = HttpServer::start(move |client| serve(&serving, &client));
        ConnectProxy { server, shared }
    }

    /// The agent's `proxy` for it.
    pub fn url(&self) -> String {
        format!("http://{CREDENTIALS}@{}", self.server.address())
    }

    /// The same without the password.
    pub fn url_without_password(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Whether everything is answered with 403 from now on.
    pub fn forbid(&self, forbids: bool) {
        self.shared.forbids.store(forbids, Ordering::Relaxed);
    }

    /// Where the tunnels opened so far lead, `HOST:PORT` each.
    pub fn tunnels(&self) -> Vec<String> {
        self.shared.tunnels.lock().unwrap().clone()
    }
}

fn serve(shared: &Shared, mut client: &TcpStream) -> io::Result<()> {
    // The client says nothing more before it has an answer: nothing of the tunnel is in the buffer.
    let Some(request) = Request::read(&mut BufReader::new(client))? else { return Ok(()) };
    let refusal = if !is_authorized(&request) {
        Some("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"site\"")
    } else if shared.forbids.load(Ordering::Relaxed) {
        Some("403 Forbidden")
    } else if request.method != "CONNECT" {
        Some("405 Method Not Allowed\r\nAllow: CONNECT")
    } else {
        None
    };
    if let Some(refusal) = refusal {
        return write!(client, "HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n");
    }
    let server = TcpStream::connect(&request.target)?;
    shared.tunnels.lock().unwrap().push(request.target);
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    thread::scope(|scope| {
        scope.spawn(|| forward(client, &server));
        forward(&server, client)
    })
}

fn is_authorized(request: &Request) -> bool {
    let expected = STANDARD.encode(CREDENTIALS);
    request.fields.iter().filter_map(|field| field.split_once(": ")).any(|(name, value)| {
        name.eq_ignore_ascii_case("proxy-authorization")
            && value.strip_prefix("Basic ") == Some(&expected)
    })
}

/// Passes on what comes, and that it ends.
fn forward(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}
