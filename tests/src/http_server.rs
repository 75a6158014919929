// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the HTTP servers of this harness share: a free loopback port, a thread a connection, the heads of requests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Accepts connections until it is dropped.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, or whatever else stands there.
    pub(crate) target: String,
    /// The lines of its fields.
    pub(crate) fields: Vec<String>,
}

impl HttpServer {
    /// Has `serve` talk to every client.
    pub(crate) fn start(
        serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> HttpServer {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let over = Arc::new(AtomicBool::new(false));
        let (seen, serve) = (Arc::clone(&over), Arc::new(serve));
        thread::spawn(move || {
            for connection in listener.incoming() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let serve = Arc::clone(&serve);
                // A client that hangs up in the middle is the client's business.
                thread::spawn(move || serve(connection));
            }
        });
        HttpServer { address, over }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Request {
    /// The next one; `None` when the client has closed.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut first = String::new();
        if from.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut fields = Vec::new();
        loop {
            let mut field = String::new();
            if from.read_line(&mut field)? <= 2 {
                break;
            }
            fields.push(field.trim_end().to_owned());
        }
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(Some(Request { method, target, fields }))
    }
}

/// Answers the requests of a connection, one after the other, as long as `answer` says that it can be used again.
pub(crate) fn serve<S: Read + Write>(
    connection: S,
    answer: impl Fn(&Request, &mut S) -> io::Result<bool>,
) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    while let Some(request) = Request::read(&mut connection)? {
        if !answer(&request, connection.get_mut())? {
            break;
        }
    }
    Ok(())
}
